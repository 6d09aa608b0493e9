"""The root of the tree."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import Self

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

    def validate(self) -> None:
        """Check that all parameters go together; for an array of ``core.rows_max`` rows, or of one.

        An ``AnalogCore`` takes a complex matrix; layers refuse one.

        Raises:
            ConfigError: what a layer with these parameters would raise.
        """
        from mho.compat.crosssim._translate import hardware  # it needs the parts of this package

        real = self.copy()
        real.core.complex_matrix = real.core.complex_input = False  # they say what the matrix of a core says
        hardware(real, max(self.core.rows_max, 1))

    @classmethod
    def from_json(cls, filepath: str | os.PathLike[str], **kwargs: Any) -> Self:
        """Read what ``to_json`` wrote, here or in CrossSim; ``kwargs`` go to ``open``.

        What a layer of CrossSim notes in its own parameters, that it is a convolution, is left out.
        """
        read = super().from_json(filepath, **kwargs)
        windows = read.simulation.convolution
        windows.is_conv_core, windows.Nwindows = windows.default("is_conv_core"), windows.default("Nwindows")
        return read
