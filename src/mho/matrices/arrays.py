"""The arrays that hold the parts of a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mho.chip import tile
from mho.nn import crossbars
from mho.nn.crossbar import plain
from mho.training.on_chip import Backward


class Arrays(nn.Module):
    """The real part of a matrix, and the imaginary one of a complex matrix, as linear layers.

    Args:
        A: ``[m, n]``.

    Attributes:
        names: of the layers.
    """

    def __init__(self, A: np.ndarray[Any, Any]) -> None:
        super().__init__()
        self.names = ("real", "imaginary") if np.iscomplexobj(A) else ("real",)
        for name, part in zip(self.names, (A.real, A.imag), strict=False):
            held = torch.from_numpy(np.ascontiguousarray(part))
            layer = nn.Linear(held.shape[1], held.shape[0], bias=False, dtype=held.dtype)
            layer.weight.data.copy_(held)
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """Products ``[array, ..., m]`` of the vectors ``x[..., n]`` with each part."""
        return torch.stack([self.get_submodule(name)(x) for name in self.names])


def read_columns(model: nn.Module, y: Tensor) -> Tensor:
    """Products of the transposed parts, ``[array, vector, n]``, with vectors ``y[vector, m]``."""
    found = []
    for array in crossbars(model).values():
        with plain():
            chip = array.require_chip("rmatvec")
            held = tile.effective_weight(array.hardware, chip, array.layout).to(y.dtype)
            found.append(Backward().read(array, chip, held, y.unsqueeze(1)).squeeze(1))
    return torch.stack(found)
