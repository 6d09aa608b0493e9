"""What analog Keras layers share."""

from mho.keras import AnalogLayer

__all__ = ["AnalogLayer"]
