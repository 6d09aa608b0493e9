"""What a layer of CrossSim keeps of its reads: inputs and column currents."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mho.chip import tile
from mho.chip.tap import Tap
from mho.compat.crosssim._tree import Parameters
from mho.nn.observer import Observer

DTYPES = {
    np.dtype(name): getattr(torch, name)
    for name in (
        "int8",
        "int16",
        "int32",
        "int64",
        "float16",
        "float32",
        "float64",
        "complex64",
        "complex128",
    )
}
"""Of numpy and of torch."""


class Values:
    """All values that came, one after the other."""

    def __init__(self) -> None:
        self.parts: list[Tensor] = []

    @property
    def count(self) -> int:
        """How many tensors came."""
        return len(self.parts)

    def add(self, values: Tensor) -> None:
        """Keep a copy."""
        self.parts.append(values.detach().flatten().cpu().clone())

    def numpy(self) -> Any:
        """Values as ``[n]``."""
        return (torch.cat(self.parts) if self.parts else torch.empty(0)).numpy()


class Inputs(Tap):
    """Keeps the inputs of an array."""

    def __init__(self) -> None:
        self.inputs = Values()

    def read(self, x: Tensor, y: Tensor, limit: Any) -> None:
        """Inputs came."""
        self.inputs.add(x)


class Currents(Observer):
    """Keeps the currents of an array, which is read without its ADC and DAC meanwhile."""

    def __init__(self, array: Any) -> None:
        tiles, channels = len(array.layout.rows), len(tile.readout(array.hardware).digital)
        super().__init__(array.path, tiles, channels)
        self.inputs = [Values() for _ in range(tiles)]  # type: ignore[misc]
        self.currents = [[Values() for _ in range(tiles)] for _ in range(channels)]  # type: ignore[misc]


def listener(array: Any, params: Parameters) -> Tap | None:
    """What records the reads of an array as ``simulation.analytics`` says; None for nothing."""
    how = params.simulation.analytics
    if how.profile_adc_inputs:
        return Currents(array)
    return Inputs() if how.profile_xbar_inputs else None
