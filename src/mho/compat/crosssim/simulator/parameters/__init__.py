"""The parameters of a simulation, as a tree."""

from mho.compat.crosssim.simulator.parameters.core_parameters import CoreParameters as CoreParameters
from mho.compat.crosssim.simulator.parameters.crosssim_parameters import (
    CrossSimParameters as CrossSimParameters,
)
from mho.compat.crosssim.simulator.parameters.simulation_parameters import (
    SimulationParameters as SimulationParameters,
)
from mho.compat.crosssim.simulator.parameters.xbar_parameters import XbarParameters as XbarParameters
