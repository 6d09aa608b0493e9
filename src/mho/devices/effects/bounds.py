"""Cells whose lowest and highest resistance differ."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import config
from mho.devices.base import Device
from mho.devices.effects.base import Effect, Tiles
from mho.devices.ideal import Ideal
from mho.devices.spread import Spread

_LEAST = 1e-6  # share of the cells in which a pair may be forced into order at the very end of a law
_APART = 1.001  # r_off over r_on of a cell is at least that: less is no memory, and too little for float32


@config
class OwnBounds(Effect):
    """Each cell has a lowest and a highest resistance of its own, drawn once.

    The highest one is always above the lowest, by a thousandth at least: where both differ, ``r_on`` is drawn
    from its law and ``r_off`` from the part of its law above the ``r_on`` of the cell; where one differs, its
    law is truncated at the other.

    Weights are mapped to the bounds of the device inside, which are the same for all cells. A cell that
    cannot reach its target stays at its own nearest bound; one that could go further is not asked to. What
    goes around this effect knows the bounds of each cell: finite states lie between them, and stuck cells
    are stuck at them. Where two of these effects are around a device, a cell has what the inner one allows
    of the outer one's bounds.

    Attributes:
        device: the device inside.
        r_on: lowest resistance, ohms; None for that of the device.
        r_off: highest resistance, ohms; None for that of the device.

    Example:
        >>> from mho.devices import Stochastic
        >>> from torch.distributions import Normal
        >>> cells = OwnBounds(r_on=Stochastic(Normal(5e4, 1e4), low=0.0), device=Ideal(g_min=1e-6))
        >>> own = cells.own_state(torch.tensor([[1.0, -1.0], [0.0, 0.0]]))
        >>> [f"{g:.3g}" for g in cells.settled(torch.tensor([25e-6, 25e-6]), own).tolist()]
        ['1.67e-05', '2.5e-05']
    """

    device: InstanceOf[Device] = Ideal()
    r_on: Spread | None = None
    r_off: Spread | None = None

    draws: ClassVar[int] = 2

    def validate(self) -> None:
        """Positive resistances, in order."""
        for name, law in (("r_on", self.r_on), ("r_off", self.r_off)):
            if law is not None and law.ends[0] < 0:
                raise ValueError(
                    f"{name} has low = {law.low!r}: a resistance is positive, give low = 0 or more"
                )
        if self.r_on is not None and self.r_off is not None:
            self._check_order()
        super().validate()

    def check_inside(self) -> None:
        """In order with the device's resistance, where one is the same for all cells."""
        self._check_order()

    def _check_order(self) -> None:
        lowest = 1 / self.g_max if self.r_on is None else self.r_on.quantile(_LEAST)
        highest = self._r_off_end
        if not lowest * _APART < highest:
            raise ValueError(
                f"r_on is at least {lowest:.4g} ohm and r_off at most {highest:.4g} ohm: the highest "
                "resistance of a cell is above its lowest; did you swap them?"
            )

    @property
    def _r_off_end(self) -> float:
        """Next to no cell has a larger highest resistance."""
        if self.r_off is None:
            return 1 / self.g_min if self.g_min > 0 else math.inf
        return self.r_off.quantile(1 - _LEAST)

    @property
    def own_bounds(self) -> bool:
        """They have."""
        return True

    @property
    def parameters(self) -> int:
        """Two: highest and lowest conductance."""
        return 2

    def own_state(self, eps: Tensor, tiles: Tiles | None = None) -> Tensor:
        """The highest and the lowest conductance of each cell, siemens, in this order."""
        if self.r_on is None:
            high = torch.full_like(eps[0], self.g_max)
        else:
            high = 1 / self.r_on.of(eps[0], high=self._r_off_end / _APART)
        if self.r_off is None:
            low = torch.full_like(eps[1], self.g_min)
        else:
            low = 1 / self.r_off.of(eps[1], low=_APART / high)
        return torch.stack((high, low))

    def bounds_of(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """The cell's own; what the device inside allows of them, where its cells have own bounds too."""
        own, rest = self._split(cells)
        return self._both(own, self.device.bounds_of(rest))

    def settled(self, g: Tensor, own: Tensor) -> Tensor:
        """The nearest conductance that the cell has."""
        return g.clamp(*self._both(own, self._bounds))

    def _both(self, own: Tensor, inside: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """Lowest and highest conductance."""
        if inside is None:
            return own[1], own[0]
        low = inside[0] if self.r_off is None else own[1].clamp(*inside)
        high = inside[1] if self.r_on is None else own[0].clamp(*inside)
        return low, high
