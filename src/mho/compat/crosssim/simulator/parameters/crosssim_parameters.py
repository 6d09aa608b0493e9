"""The root of the tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mho.compat.crosssim._tree import Parameters
from mho.compat.crosssim.simulator.parameters.core_parameters import CoreParameters
from mho.compat.crosssim.simulator.parameters.simulation_parameters import SimulationParameters
from mho.compat.crosssim.simulator.parameters.xbar_parameters import XbarParameters


class CrossSimParameters(Parameters):
    """All parameters, with CrossSim's names and defaults; edited in place.

    A name that does not exist is an error, also deep in the tree.

    >>> params = CrossSimParameters()
    >>> params.xbar.device.Rmin = 1e4
    >>> params.core.style = "OFFSET"
    >>> int(params.core.style), params.xbar.adc.vmm is params.xbar.adc.mvm
    (3, True)
    """

    FIELDS: ClassVar[Mapping[str, Any]] = {
        "core": CoreParameters,
        "simulation": SimulationParameters,
        "xbar": XbarParameters,
    }
