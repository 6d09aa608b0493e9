"""Configurations of aihwkit and of aihwkit-lightning, read into the parts of a ``mho.Hardware``."""

from mho.foreign.aihwkit.reader import HeldDifferently as HeldDifferently
from mho.foreign.aihwkit.translation import parts as parts
