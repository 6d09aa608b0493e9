"""Random telegraph noise: a trap that is full or empty when the cell is read."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import Fraction, NonNegative, config
from mho.devices.base import Device
from mho.devices.effects.base import Noise, Tiles
from mho.devices.error_laws import Error
from mho.devices.ideal import Ideal


@config
class RandomTelegraphNoise(Noise):
    """One trap in a cell; while it is full, the cell conducts less.

    A read finds the trap full with the probability ``tau_full / (tau_full + tau_empty)`` of its mean dwell
    times, anew at each read: reads are taken to be further apart than the dwell times. The cell then
    conducts ``G (1 - A)``, ``A = step / G``, on top of the noise inside; programming leaves it with an empty
    trap. Mean and variance of a read are exact; the sum of many cells is drawn as a normal number, so that
    two levels are not seen in the current of a single cell.

    Attributes:
        device: the device inside.
        step: how much conductance a full trap takes; the law's ``std`` is taken as the size of the step:
            ``Proportional(sigma=0.02)`` is 2 % of the conductance, a ``Table`` your measured steps.
        spread: standard deviation of the logarithm of the step from cell to cell; its median is ``step``.
        occupancy: probability that a read finds the trap full.
        share: fraction of the cells that have a trap.

    Source: the two-state Markov process; log-normal steps as in S. Ambrogio et al., IEEE Trans. Electron
    Devices 61, 2920 (2014).

    Example:
        >>> from mho.devices import Proportional
        >>> cell = RandomTelegraphNoise(step=Proportional(sigma=0.2), occupancy=0.5)
        >>> g, own = torch.tensor([10.0]), torch.tensor([[1.0]])
        >>> [round(float(m), 3) for m in cell.read_moments(g, own, g, 0.0)]
        [9.0, 1.0]
    """

    device: InstanceOf[Device] = Ideal()
    step: InstanceOf[Error]
    spread: NonNegative = 0.0
    occupancy: Fraction = 0.5
    share: Fraction = 1.0

    draws: ClassVar[int] = 2

    @property
    def parameters(self) -> int:
        """One: the cell's step over that of the law, 0 without a trap."""
        return 1

    def own_state(self, eps: Tensor, tiles: Tiles | None = None) -> Tensor:
        """``exp(spread eps)`` for the cells that have a trap."""
        place = (0.5 * torch.erfc(-eps[0].double() / math.sqrt(2))).clamp(max=1 - 2.0**-53)
        return torch.where(place < self.share, torch.exp(self.spread * eps[1]), 0.0).unsqueeze(0)

    def read_moments(self, g: Tensor, cells: Tensor, g_now: Tensor, seconds: float) -> tuple[Tensor, Tensor]:
        """Those of ``G (1 - s A)``, ``s`` being 1 with the probability ``occupancy``."""
        mean, std = self.device.read_moments(g, cells[1:], g_now, seconds)
        step = self.read_scale * self.step.std(g_now, self.g_max) * cells[0]
        a = (step / g_now.clamp_min(torch.finfo(g.dtype).tiny)).clamp(max=1)
        p = self.occupancy
        trap = p * (1 - p) * a * a
        square = (1 - p * a) ** 2 + trap  # mean of (1 - s A)^2
        return mean * (1 - p * a), (std * std * square + mean * mean * trap).sqrt()
