"""The package ``simulator`` of CrossSim, as far as mho has a face for it."""

from mho.compat.crosssim.simulator._core import AnalogCore as AnalogCore
from mho.compat.crosssim.simulator.parameters import CrossSimParameters as CrossSimParameters
