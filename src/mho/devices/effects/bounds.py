"""Cells whose lowest and highest resistance differ."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import config
from mho.devices.base import Device
from mho.devices.effects.base import Effect, Tiles
from mho.devices.ideal import Ideal
from mho.devices.spread import Spread


@config
class OwnBounds(Effect):
    """Each cell has a lowest and a highest resistance of its own, drawn once.

    Weights are mapped to the bounds of the device inside. A cell that cannot reach its target stays at its
    own nearest bound. A cell whose lowest resistance is above its highest one cannot be switched: it has
    the lowest.

    Attributes:
        device: the device inside.
        r_on: lowest resistance; None for that of the device.
        r_off: highest resistance; None for that of the device.

    Example:
        >>> cells = OwnBounds(r_on=Spread(mean=5e4, std=1e4), device=Ideal(g_min=1e-6))
        >>> own = cells.own_state(torch.tensor([[1.0, -1.0], [0.0, 0.0]]))
        >>> [f"{g:.3g}" for g in cells.settled(torch.tensor([25e-6, 25e-6]), own).tolist()]
        ['1.67e-05', '2.5e-05']
    """

    device: InstanceOf[Device] = Ideal()
    r_on: Spread | None = None
    r_off: Spread | None = None

    draws: ClassVar[int] = 2

    @property
    def parameters(self) -> int:
        """Two: highest and lowest conductance."""
        return 2

    def own_state(self, eps: Tensor, tiles: Tiles | None = None) -> Tensor:
        """The bounds, siemens; a cell never goes beyond those of the device inside."""
        bounds = []
        for spread, draw, bound in ((self.r_on, eps[0], self.g_max), (self.r_off, eps[1], self.g_min)):
            if spread is None:
                bounds.append(torch.full_like(draw, bound))
            else:
                bounds.append((1 / spread.of(draw)).clamp(self.g_min, self.g_max))
        high, low = bounds
        return torch.stack((high, torch.minimum(low, high)))

    def settled(self, g: Tensor, own: Tensor) -> Tensor:
        """The nearest conductance that the cell has."""
        return g.clamp(own[1], own[0])
