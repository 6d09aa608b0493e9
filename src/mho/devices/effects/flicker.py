"""Noise of 1/f kind: what fluctuates slowly is the same in all reads of a session."""

from __future__ import annotations

import math

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import Positive, config
from mho.devices.base import Device
from mho.devices.dynamics._numbers import log, sqrt
from mho.devices.effects.base import Tiles
from mho.devices.effects.noise import Noise
from mho.devices.ideal import Ideal

_DECADE = 10.0  # of time constants, one component each


@config
class FlickerNoise(Noise):
    """The read noise of the device inside, as noise whose spectrum falls as 1/f.

    A read that takes ``t_read``, at t after programming, sees the frequencies from 1/t to ``1 / (2 t_read)``,
    each decade with as much variance as any other. Those above ``1 / fastest`` are drawn anew in each read.
    The slower ones, a part ``ln(t / fastest) / ln(t / (2 t_read))`` of the variance, are a deviation of the
    cell that reads close in time have in common: averaging reads does not remove it, and a chip that is aged
    further gets another one. A single read has the variance that it has without this effect. At t = 0 nothing
    has moved: what a verifying read saw is in the programming error.

    The deviation of a cell is a sum of sines and cosines, one frequency in each decade, with normal
    amplitudes of its own (the spectral representation of a stationary process: M. Shinozuka and G. Deodatis,
    Appl. Mech. Rev. 44, 191, 1991). So it is normal over cells at every age, and the same whenever the chip
    is at that age. It takes two numbers for each decade and cell: with the defaults, eighteen. Like all noise
    it is no part of what ``mho.conductances`` gives.

    Noise that is white, ``ThermalNoise`` and ``ShotNoise``, stays so: put it around this effect.

    Attributes:
        device: the device inside.
        fastest: seconds in which one evaluation is over; what fluctuates faster is redrawn.
        slowest: seconds; what fluctuates slower than that is left out.
        t_read: duration of one read, seconds.

    Example:
        >>> from mho.devices import PCM
        >>> cell = FlickerNoise(device=PCM())
        >>> [round(cell.slow_share(t), 2) for t in (0.5, 3_600.0, 31_536_000.0)]
        [0.0, 0.36, 0.54]
    """

    device: InstanceOf[Device] = Ideal()
    fastest: Positive = 1.0
    slowest: Positive = 1e9
    t_read: Positive = 250e-9

    def validate(self) -> None:
        """Times in order."""
        super().validate()
        if not 2 * self.t_read < self.fastest < self.slowest:
            raise ValueError(
                f"t_read = {self.t_read!r}, fastest = {self.fastest!r}, slowest = {self.slowest!r} s: two "
                "reads are shorter than the fastest time, and that is shorter than the slowest"
            )

    @property
    def _constants(self) -> list[float]:
        """The time constants of the components, seconds."""
        count = max(1, math.ceil(math.log10(self.slowest / self.fastest) - 1e-9))
        return [self.fastest * _DECADE**k for k in range(count)]

    @property
    def draws(self) -> int:  # type: ignore[override]
        """Two for each component."""
        return 2 * len(self._constants)

    @property
    def parameters(self) -> int:
        """The amplitudes of the sines and cosines."""
        return self.draws

    def own_state(self, eps: Tensor, tiles: Tiles | None = None) -> Tensor:
        """The draws themselves."""
        return eps[: self.draws]

    def slow_share(self, seconds: float) -> float | Tensor:
        """The part of the variance that reads close in time have in common, ``seconds`` after programming."""
        t = min(seconds, self.slowest)
        return 0.0 if t <= self.fastest else math.log(t / self.fastest) / log(t / (2 * self.t_read))

    def _deviation(self, own: Tensor, seconds: float) -> Tensor:
        """A standard normal number of each cell, of frequencies from 1/t to 1/fastest."""
        constants = [tau for tau in self._constants if tau <= seconds]
        total = torch.zeros_like(own[0])
        for k, tau in enumerate(constants):
            phase = 2 * math.pi * math.fmod(seconds / tau, 1.0)
            total = total + own[2 * k] * math.cos(phase) + own[2 * k + 1] * math.sin(phase)
        return total / math.sqrt(len(constants))

    def read_moments(self, g: Tensor, cells: Tensor, g_now: Tensor, seconds: float) -> tuple[Tensor, Tensor]:
        """Those of the device inside, the mean moved by the slow part and the spread less by it."""
        mean, std = super().read_moments(g, cells, g_now, seconds)
        if seconds <= self.fastest or not self.noisy:
            return mean, std
        slow = self.device.read_std(g, g_now, seconds) * sqrt(self.slow_share(seconds))
        deviation = slow * self._deviation(cells[: self.parameters], seconds).to(slow.dtype)
        return (mean + deviation).clamp(min=0), (std * std - slow * slow).clamp(min=0).sqrt()
