"""Drift by a law of exponents, around a device that holds its state."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import Finite, Positive, config
from mho.devices.base import Device
from mho.devices.dynamics._numbers import log1p
from mho.devices.effects.base import Effect, Tiles
from mho.devices.effects.heat import passed
from mho.devices.exponents import ConstantNu, Exponent
from mho.devices.ideal import Ideal


@config
class Drifting(Effect):
    """Each cell falls, or rises, as ``g(t) = g (1 + a t / t0)^-nu``, with an exponent of its own.

    What :class:`~mho.devices.Retention` and :class:`~mho.devices.Bake` measured, on cells that something else
    was measured of: a :class:`~mho.devices.Switching` cell, a table of jumps. The exponent is drawn from the
    law at the conductance that the cell took. Heat accelerates by ``a = exp(E / k (1/T_ref - 1/T))``.

    Attributes:
        device: the device inside.
        nu: law of the exponent.
        t0: time from the programming pulse to ``seconds`` = 0, seconds.
        activation: activation energy E, electronvolts; 0 for a drift that no heat accelerates.
        kelvin: temperature T at which the chip is kept, unless a :class:`~mho.devices.Temperature` says it.
        reference: temperature T_ref that the law was told for, kelvin.

    Example:
        >>> cell = Drifting(nu=ConstantNu(mean=0.1), t0=1.0)
        >>> round(float(cell.aged(torch.tensor([1.0]), torch.zeros(1, 1), 999.0)), 7)
        0.5011872
    """

    device: InstanceOf[Device] = Ideal()
    nu: InstanceOf[Exponent] = ConstantNu()
    t0: Positive = 1.0
    activation: Finite = 0.0
    kelvin: Positive = 300.0
    reference: Positive = 300.0

    draws: ClassVar[int] = 1
    temperatures: ClassVar[tuple[str, ...]] = ("kelvin",)

    @property
    def mechanism(self) -> str:
        """Goes with the scale of all drift."""
        return "drift"

    @property
    def parameters(self) -> int:
        """The standard normal number of the cell's exponent."""
        return 1

    @property
    def feels_heat(self) -> bool:
        """If its drift has an activation energy."""
        return self.activation != 0

    def own_state(self, eps: Tensor, tiles: Tiles | None = None) -> Tensor:
        """The draws themselves."""
        return eps[:1]

    def moved(self, g: Tensor, own: Tensor, now: Tensor, seconds: float) -> Tensor:
        """``now (1 + a t / t0)^-nu``."""
        if seconds == 0 or self.drift_scale == 0:
            return now
        nu = self.nu.drawn(g, own[0], self.g_max)
        old = passed(self, seconds, self.activation, self.kelvin, self.reference)
        return now * torch.exp(-self.drift_scale * log1p(old / self.t0) * nu)
