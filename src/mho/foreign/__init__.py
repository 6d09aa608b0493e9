"""Configurations of other simulators, read into the parts of a ``mho.Hardware``."""
