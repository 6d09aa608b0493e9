"""What cells lose by being switched, and by being left alone."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import NonNegative, Positive, config
from mho.devices.base import Device
from mho.devices.effects.base import Effect, Tiles
from mho.devices.effects.failure import Failure
from mho.devices.ideal import Ideal


@config
class Endurance(Effect):
    """Cells that were switched many times before this programming.

    A cell that failed suddenly is stuck: nothing moves it any more. One that fails gradually is written
    with a larger resistance, and drifts from there. The wear is there when the chip is programmed, and its
    temperature is the law's own: that of the cycles, whatever the chip's is now.

    Attributes:
        device: the device inside.
        cycles: number of SET-RESET cycles so far.
        law: ``SuddenFailure`` or ``GradualFailure``, ``x`` counting cycles.

    Example:
        >>> from mho.devices import SuddenFailure
        >>> law = SuddenFailure(g_lrs=1e-4, g_hrs=1e-6, p_lrs=(1e5, 0.0, 0.0, 0.0))
        >>> worn = Endurance(cycles=1e6, law=law, device=Ideal(g_min=1e-6))
        >>> worn.aged(torch.tensor([1e-6, 25e-6]), torch.empty(0, 2), 0.0)
        tensor([1.0000e-06, 1.0000e-04])
    """

    device: InstanceOf[Device] = Ideal()
    cycles: NonNegative
    law: InstanceOf[Failure]

    def settled(self, g: Tensor, own: Tensor) -> Tensor:
        """``g`` times the factor of gradual failure."""
        return g * self.law.gradual(g, self.cycles, *self.bounds)

    def fixed(self, g: Tensor, own: Tensor) -> tuple[Tensor, Tensor] | None:
        """The cells that failed suddenly."""
        return self.law.sudden(g, self.cycles, *self.bounds)


@config
class RetentionLoss(Effect):
    """Conductance lost as a power of time: ``g (t / t0)^-nu`` from ``t0`` on, after any drift inside.

    Attributes:
        device: the device inside.
        nu: exponent; mean of the normal distribution that the exponents of the cells are drawn from.
        nu_std: standard deviation of that distribution, which is truncated at 0: no cell gains, and no more
            cells than others have an exponent of 0.
        t0: time up to which nothing is lost, seconds.

    Example:
        >>> cell = RetentionLoss(nu=0.1, t0=1.0)
        >>> round(float(cell.aged(torch.tensor([1.0]), torch.empty(0, 1), 1e3)), 7)
        0.5011872
    """

    device: InstanceOf[Device] = Ideal()
    nu: NonNegative
    nu_std: NonNegative = 0.0
    t0: Positive = 1.0

    draws: ClassVar[int] = 1

    @property
    def mechanism(self) -> str:
        """Goes with the scale of all drift."""
        return "drift"

    @property
    def parameters(self) -> int:
        """One: the standard normal number of the cell's exponent; none if all exponents are equal."""
        return int(self.nu_std > 0)

    def own_state(self, eps: Tensor, tiles: Tiles | None = None) -> Tensor:
        """The draws themselves."""
        return eps[: self.parameters]

    def moved(self, g: Tensor, own: Tensor, now: Tensor, seconds: float) -> Tensor:
        """``now (t / t0)^-nu``."""
        if seconds <= self.t0 or self.drift_scale == 0:
            return now
        nu = _positive(self.nu, self.nu_std, own[0]) if self.parameters else self.nu
        return now * (seconds / self.t0) ** (-self.drift_scale * nu)


@config
class RetentionFailure(Effect):
    """Cells that lose their state after a time, suddenly or gradually.

    Attributes:
        device: the device inside.
        law: ``SuddenFailure`` or ``GradualFailure``, ``x`` counting seconds since programming. With a
            ``drift_scale`` of 0 nothing is lost. Its temperature is that at which the chip is kept, unless a
            :class:`~mho.devices.Temperature` says the chip's.

    Cells that are stuck for another reason stay so. What goes around this effect acts on failed cells too.
    """

    device: InstanceOf[Device] = Ideal()
    law: InstanceOf[Failure]

    temperatures: ClassVar[tuple[str, ...]] = ("law.temperature",)

    @property
    def mechanism(self) -> str:
        """Goes with the scale of all drift."""
        return "drift"

    def check_time(self, seconds: float) -> None:
        """Raise ``ValueError`` if the chip was kept at several temperatures: the law knows one."""
        super().check_time(seconds)
        if self.chip_past:
            raise ValueError(
                f"past = {self.chip_past!r}: the law of a RetentionFailure counts seconds at one "
                "temperature; give one kelvin"
            )

    def moved(self, g: Tensor, own: Tensor, now: Tensor, seconds: float) -> Tensor:
        """Failed cells at their stable conductance, or with the factor of gradual failure."""
        if self.drift_scale == 0:
            return now
        law = self.law.at(self.chip_temperature)
        lost = law.sudden(g, seconds, *self.bounds)
        if lost is not None:
            return torch.where(lost[0], lost[1], now)
        return now * law.gradual(g, seconds, *self.bounds)


def _positive(mean: float, std: float, eps: Tensor) -> Tensor:
    """Draws from a normal distribution truncated at 0, by inverse transform of standard normal ones."""
    below = 0.5 * torch.erfc(torch.as_tensor(mean / (std * math.sqrt(2)), dtype=torch.float64))
    u = 0.5 * torch.erfc(-eps.double() / math.sqrt(2))
    place = (below + (1 - below) * u).clamp(max=1 - 2.0**-53)
    value: Tensor = mean + std * torch.special.ndtri(place)
    return value.clamp_min(0).to(eps.dtype)
