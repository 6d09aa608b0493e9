"""Keras models with CrossSim's interface, over ``mho.keras``."""
