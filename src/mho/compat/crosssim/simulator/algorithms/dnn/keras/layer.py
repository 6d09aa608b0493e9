"""What analog Keras layers share."""

from mho.keras import AnalogLayer as AnalogLayer
