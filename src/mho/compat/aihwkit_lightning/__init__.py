"""Names of aihwkit-lightning (2.1.0): its configuration, conversion and optimizer; see ``mho.compat.aihwkit``."""
