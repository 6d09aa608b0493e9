"""Cells whose lowest and highest resistance differ."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import NonNegative, Positive, config
from mho.devices.base import Device
from mho.devices.effects.base import Effect, Tiles
from mho.devices.ideal import Ideal


@config
class Spread:
    """A normal distribution of a resistance, truncated to what lies between two bounds.

    Attributes:
        mean: of the distribution before it is truncated, ohms.
        std: likewise.
        low, high: bounds, ohms; None for no upper one.
    """

    mean: Positive
    std: NonNegative
    low: NonNegative = 0.0
    high: Positive | None = None

    def validate(self) -> None:
        """The bounds hold some of the distribution."""
        if self.high is not None and self.high <= self.low:
            raise ValueError(f"low = {self.low!r} must be below high = {self.high!r}")
        if self.std == 0 and not (self.low <= self.mean <= (self.high or math.inf)):
            raise ValueError(f"mean = {self.mean!r} with std = 0: it lies outside low and high")
        if self.std > 0 and self._share()[1] < 1e-6:
            raise ValueError(
                f"mean = {self.mean!r}, std = {self.std!r}: less than a millionth of the distribution lies "
                f"between low = {self.low!r} and high = {self.high!r}"
            )

    def _share(self) -> tuple[float, float]:
        """Probability of less than ``low``, and of what lies between the bounds."""
        a, b = ((x - self.mean) / self.std / math.sqrt(2) for x in (self.low, self.high or math.inf))
        below = 0.5 * math.erfc(-a)
        return below, 0.5 * (math.erfc(a) - math.erfc(b)) if a > 0 else 0.5 * math.erfc(-b) - below

    def of(self, eps: Tensor) -> Tensor:
        """Resistances from standard normal draws, ohms.

        >>> Spread(mean=1000.0, std=100.0).of(torch.tensor([-1.0, 0.0, 2.0])).tolist()
        [900.0, 1000.0, 1200.0]
        """
        if self.std == 0:
            return torch.full_like(eps, self.mean)
        below, inside = self._share()
        u = 0.5 * torch.erfc(-eps.double() / math.sqrt(2))
        value: Tensor = self.mean + self.std * torch.special.ndtri(below + inside * u)
        return value.clamp(self.low, self.high).to(eps.dtype)


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
