"""Names of aihwkit-lightning (2.1.0): configuration, conversion, optimizer; see ``mho.compat.aihwkit``."""
