"""One cell for each weight in each of several tiles, of falling factors.

Source: J. Li et al., "In-memory training on analog devices with limited conductance states via multi-tile
residual learning", arXiv 2510.02516 (2025), the sum of tiles.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from mho.config import config
from mho.mapping.base import Mapping, Readout
from mho.mapping.scale import Maximum, Scale


@config
class Residual(Mapping):
    """``w = sum_n factor^n w_n``, each ``w_n`` one cell with zero in the middle of its range.

    A weight is written to the first tile; the others are programmed to zero, for training to fill them
    (``mho.training.on_chip``). Each tile is converted on its own.

    Attributes:
        tiles: number of tiles.
        factor: of each tile, over that of the one before.
        scale: how the reference weight is chosen; by default the largest magnitude of each column.

    >>> w = torch.tensor([[0.5, -1.0], [0.25, 0.0]])
    >>> (Residual(tiles=2).targets(w, 0.0, 20e-6) * 1e6).tolist()
    [[[15.0, 0.0], [12.5, 10.0]], [[10.0, 10.0], [10.0, 10.0]]]
    """

    tiles: Annotated[int, Field(ge=1, le=16)] = 2
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    scale: InstanceOf[Scale] = Maximum(per_column=True)

    @property
    def copies(self) -> int:
        """One for each tile."""
        return self.tiles

    def targets(self, w: Tensor, g_min: float, g_max: float) -> Tensor:
        """``g_target[tile, ..., row, column]``."""
        first = (1 + w.clamp(-1, 1)) / 2
        rest = torch.full_like(first, 0.5)
        return g_min + (g_max - g_min) * torch.stack([first, *[rest] * (self.tiles - 1)])

    def readout(self, g_min: float, g_max: float) -> Readout:
        """One channel for each tile."""
        span = g_max - g_min
        factors = [self.factor**n for n in range(self.tiles)]
        each = tuple(tuple(float(n == k) for k in range(self.tiles)) for n in range(self.tiles))
        digital = tuple(2 * g_max / span * factor for factor in factors)
        return Readout(each, digital, sum(factors) * (g_max + g_min) / span)
