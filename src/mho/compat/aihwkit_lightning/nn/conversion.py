"""From a digital network to an analog one."""

from mho.compat.aihwkit.nn.conversion import convert_to_analog

__all__ = ["convert_to_analog"]
