"""The version of mho, for what writes it into files."""

__version__ = "0.1.0"
