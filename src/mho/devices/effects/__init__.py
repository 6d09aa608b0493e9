"""Devices around a device, one effect each (see ``base.py`` for what they share)."""

from mho.devices.effects.base import Effect as Effect
from mho.devices.effects.base import Noise as Noise
from mho.devices.effects.bounds import OwnBounds as OwnBounds
from mho.devices.effects.currents import CurrentNoise as CurrentNoise
from mho.devices.effects.currents import ShotNoise as ShotNoise
from mho.devices.effects.currents import ThermalNoise as ThermalNoise
from mho.devices.effects.disturb import ReadDisturb as ReadDisturb
from mho.devices.effects.drifting import Drifting as Drifting
from mho.devices.effects.failure import Failure as Failure
from mho.devices.effects.failure import GradualFailure as GradualFailure
from mho.devices.effects.failure import SuddenFailure as SuddenFailure
from mho.devices.effects.failure import at_stop_voltage as at_stop_voltage
from mho.devices.effects.states import FiniteStates as FiniteStates
from mho.devices.effects.states import Logarithmic as Logarithmic
from mho.devices.effects.states import Measured as Measured
from mho.devices.effects.states import StateSet as StateSet
from mho.devices.effects.states import UniformG as UniformG
from mho.devices.effects.states import UniformR as UniformR
from mho.devices.effects.stuck import StuckAt as StuckAt
from mho.devices.effects.telegraph import RandomTelegraphNoise as RandomTelegraphNoise
from mho.devices.effects.temperature import Temperature as Temperature
from mho.devices.effects.varied import Varied as Varied
from mho.devices.effects.wear import Endurance as Endurance
from mho.devices.effects.wear import RetentionFailure as RetentionFailure
from mho.devices.effects.wear import RetentionLoss as RetentionLoss
from mho.devices.effects.worn import Worn as Worn
