"""Cells that were cycled: a window that closes, and lifetimes that scatter."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import Finite, NonNegative, Positive, Siemens, config
from mho.devices.base import Device
from mho.devices.effects.base import Effect, Tiles
from mho.devices.ideal import Ideal

_MOST_DECADES = 9  # between any two conductances of cells


@config
class Worn(Effect):
    """Cells after so many SET-RESET cycles, as :class:`~mho.devices.Cycling` measured them.

    The set level goes as ``cycles^set_slope``, the reset level as ``cycles^reset_slope``, and what lies
    between moves with both ends. A cell fails after a lifetime of its own, drawn from a Weibull distribution,
    the chance of at most n cycles being ``1 - exp(-(n / lifetime)^shape)``; it is then stuck. The wear is
    there when the chip is programmed.

    Source: W. Weibull, J. Appl. Mech. 18, 293 (1951), as usual for the endurance of memories.

    Attributes:
        device: the device inside.
        cycles: SET-RESET cycles so far.
        set_slope: power of the highest conductance over the cycles; negative where it falls.
        reset_slope: power of the lowest one; positive where it rises.
        lifetime: cycles after which 63 % of the cells have failed; None: none fails.
        shape: of the distribution of lifetimes.
        stuck: conductance of cells that failed, siemens.

    Example:
        >>> worn = Worn(cycles=1e4, set_slope=-0.05, reset_slope=0.1, device=Ideal(g_min=1e-6, g_max=1e-4))
        >>> [f"{g:.3g}" for g in worn.settled(torch.tensor([1e-6, 1e-4]), torch.zeros(1, 2)).tolist()]
        ['2.51e-06', '6.31e-05']
    """

    device: InstanceOf[Device] = Ideal()
    cycles: NonNegative
    set_slope: Finite = 0.0
    reset_slope: Finite = 0.0
    lifetime: Positive | None = None
    shape: Positive = 1.0
    stuck: Siemens = 0.0

    draws: ClassVar[int] = 1

    def validate(self) -> None:
        """Levels that are still levels."""
        super().validate()
        for name in ("set_slope", "reset_slope"):
            slope = getattr(self, name)
            if slope * math.log10(max(self.cycles, 1.0)) > _MOST_DECADES:
                raise ValueError(
                    f"{name} = {slope!r}: after {self.cycles:g} cycles a level would be more than "
                    f"10^{_MOST_DECADES} times what it was; it is the power of the level over the cycles"
                )

    @property
    def parameters(self) -> int:
        """The standard normal number of the cell's lifetime."""
        return 1

    def own_state(self, eps: Tensor, tiles: Tiles | None = None) -> Tensor:
        """The draws themselves."""
        return eps[:1]

    def settled(self, g: Tensor, own: Tensor) -> Tensor:
        """The same share of the window as it is now."""
        low, high = self.bounds
        cycles = max(self.cycles, 1.0)
        now_low, now_high = low * cycles**self.reset_slope, high * cycles**self.set_slope
        moved: Tensor = now_low + (g - low) / (high - low) * (now_high - now_low)
        return moved.clamp(min=0)

    def fixed(self, g: Tensor, own: Tensor) -> tuple[Tensor, Tensor] | None:
        """The cells whose lifetime is over."""
        if self.lifetime is None:
            return None
        return self.cycles > self.lifetimes(own[0]), torch.full_like(g, self.stuck)

    def lifetimes(self, eps: Tensor) -> Tensor:
        """Cycles that cells with these standard normal draws last."""
        assert self.lifetime is not None
        surviving = torch.special.ndtr(-eps.double()).clamp(min=1e-300)
        return (self.lifetime * (-torch.log(surviving)) ** (1 / self.shape)).to(eps)
