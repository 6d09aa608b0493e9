"""Optimizers."""

from mho.compat.aihwkit.optim import AnalogOptimizer as AnalogOptimizer
