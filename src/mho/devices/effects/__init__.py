"""Devices around a device, one effect each (see ``base.py`` for what they share)."""

from mho.devices.effects.base import Effect as Effect
from mho.devices.effects.base import Noise as Noise
from mho.devices.effects.states import FiniteStates as FiniteStates
from mho.devices.effects.states import Logarithmic as Logarithmic
from mho.devices.effects.states import Measured as Measured
from mho.devices.effects.states import StateSet as StateSet
from mho.devices.effects.states import UniformG as UniformG
from mho.devices.effects.states import UniformR as UniformR
from mho.devices.effects.stuck import StuckAt as StuckAt
