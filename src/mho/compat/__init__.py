"""The interfaces of other simulators, as thin faces on mho."""
