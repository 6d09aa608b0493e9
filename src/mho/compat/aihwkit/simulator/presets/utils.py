"""Tables that presets are made of."""

from mho.foreign.aihwkit.parameters import IOParameters

__all__ = ["IOParameters"]
