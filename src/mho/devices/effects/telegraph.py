"""Random telegraph noise: a trap that is full or empty when the cell is read."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import Fraction, NonNegative, config
from mho.devices.base import Device
from mho.devices.effects.base import Tiles
from mho.devices.effects.levels import ReadNoise, on_level
from mho.devices.error_laws import Error
from mho.devices.ideal import Ideal

_WIDEST = 10.0


@config
class RandomTelegraphNoise(ReadNoise):
    """One trap in a cell; while it is full, the cell conducts less.

    A read finds the trap full with the probability ``tau_full / (tau_full + tau_empty)`` of its mean dwell
    times, anew at each read: reads are taken to be further apart than the dwell times. The cell then
    conducts ``G (1 - A)``, ``A = step / G``, on top of the noise inside; programming leaves it with an empty
    trap. A read of a single cell (:meth:`one_read`, as in the reference read of a compensation) is on one of
    the two levels; :meth:`trace` follows the trap through reads that are close in time.

    In a product the sum of the cells of a column is drawn as a normal number, whose mean and variance are
    exact. That is accurate for many driven cells: the distribution of a sum of n equal cells with occupancy p
    is nowhere further from the normal one than ``0.48 (p^2 + (1 - p)^2) / sqrt(n p (1 - p))`` (Berry and
    Esseen; the constant of I. Shevtsova, 2011, is 0.4748). A column with one driven cell shows no levels.

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
        >>> [round(float(cell.one_read(g, own, g, 0.0, torch.tensor([e]))), 3) for e in (-0.5, 0.5)]
        [8.0, 10.0]
    """

    device: InstanceOf[Device] = Ideal()
    step: InstanceOf[Error]
    spread: NonNegative = 0.0
    occupancy: Fraction = 0.5
    share: Fraction = 1.0

    draws: ClassVar[int] = 2

    def validate(self) -> None:
        """A spread that leaves steps."""
        super().validate()
        if self.spread > _WIDEST:
            raise ValueError(
                f"spread = {self.spread!r}: it is the standard deviation of the logarithm of a step, at most "
                f"{_WIDEST:g}; 1 is a factor of 2.7 from cell to cell"
            )

    @property
    def parameters(self) -> int:
        """One: the cell's step over that of the law, 0 without a trap."""
        return 1

    def own_state(self, eps: Tensor, tiles: Tiles | None = None) -> Tensor:
        """``exp(spread eps)`` for the cells that have a trap."""
        place = _uniform(eps[0])
        return torch.where(place < self.share, torch.exp(self.spread * eps[1]), 0.0).unsqueeze(0)

    def read_moments(self, g: Tensor, cells: Tensor, g_now: Tensor, seconds: float) -> tuple[Tensor, Tensor]:
        """Those of ``G (1 - s A)``, ``s`` being 1 with the probability ``occupancy``."""
        mean, std = self.device.read_moments(g, cells[1:], g_now, seconds)
        a, p = self._depth(cells, g_now), self.occupancy
        trap = p * (1 - p) * a * a
        square = (1 - p * a) ** 2 + trap  # mean of (1 - s A)^2
        return mean * (1 - p * a), (std * std * square + mean * mean * trap).sqrt()

    def one_read(self, g: Tensor, cells: Tensor, g_now: Tensor, seconds: float, eps: Tensor) -> Tensor:
        """A read of the device inside, less the step if ``Phi(eps) < occupancy``."""
        full, rest = self._trapped(eps)
        inside = self.device.one_read(g, cells[1:], g_now, seconds, rest)
        return torch.where(full, inside * (1 - self._depth(cells, g_now)), inside)

    def on_level(
        self, g: Tensor, cells: Tensor, g_now: Tensor, seconds: float, eps: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The level of a full trap if ``Phi(eps) < occupancy``."""
        full, rest = self._trapped(eps)
        mean, std, rest = on_level(self.device, g, cells[1:], g_now, seconds, rest)
        left = torch.where(full, 1 - self._depth(cells, g_now), 1.0)
        return mean * left, std * left, rest

    def trace(self, g: Tensor, cells: Tensor, time: Tensor, tau: float, eps: Tensor) -> Tensor:
        """Conductances of cells that are read again and again, their traps followed in time.

        From one read to the next, ``dt`` later, the trap goes the exact step of the two-state process:
        it is full with the probability ``p + (s - p) exp(-dt / tau)``, ``s`` being 1 if it was full. The
        first read finds it in equilibrium. A full trap lasts ``tau / (1 - p)`` on average, an empty one
        ``tau / p``, with p the occupancy. The noise inside and ageing are left out.

        Args:
            g: conductance of the cells with empty traps, siemens.
            cells: what :meth:`own_state` gave, with the shape of ``g`` after its first axis.
            time: of each read, seconds, rising, ``[n]``.
            tau: ``1 / (1 / tau_full + 1 / tau_empty)`` of the mean dwell times, seconds.
            eps: standard normal draws, ``[n, *g.shape]``.

        Returns:
            Siemens, ``[n, *g.shape]``.

        Raises:
            ValueError: ``tau`` is not positive, or ``time`` does not rise.

        >>> from mho.devices import Proportional
        >>> cell = RandomTelegraphNoise(step=Proportional(sigma=0.2))
        >>> draws = torch.tensor([[0.3], [0.3], [-0.3]])
        >>> reads = cell.trace(torch.ones(1), torch.ones(1, 1), torch.tensor([0.0, 1e-6, 1.0]), 1e-3, draws)
        >>> [round(float(r), 2) for r in reads]
        [1.0, 1.0, 0.8]
        """
        if not (0 < tau < math.inf):
            raise ValueError(f"tau = {tau!r} s: a correlation time is positive and finite")
        if time.dim() != 1 or len(time) != len(eps) or bool((time.diff() <= 0).any()):
            raise ValueError(
                f"time has shape {tuple(time.shape)}, eps {tuple(eps.shape)}: give one rising time, seconds, "
                "for each read of eps"
            )
        p = self.occupancy
        place = _uniform(eps)
        stays = torch.exp(-time.double().diff() / tau).tolist()
        states = [place[0] < p]
        for k, kept in enumerate(stays, start=1):
            chance = p + (states[-1].to(place.dtype) - p) * kept
            states.append(place[k] < chance)
        return torch.where(torch.stack(states), g * (1 - self._depth(cells, g)), g)

    def _depth(self, cells: Tensor, g_now: Tensor) -> Tensor:
        """The share A of the conductance that a full trap takes."""
        step = self.read_scale * self.step.std(g_now, self.g_max) * cells[0]
        return (step / g_now.clamp_min(torch.finfo(g_now.dtype).tiny)).clamp(max=1)

    def _trapped(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        """Whether the trap is full, and independent normal draws made of where ``eps`` lies within that."""
        p, place = self.occupancy, _uniform(eps)
        full = place < p
        within = torch.where(full, place / max(p, 1e-300), (place - p) / max(1 - p, 1e-300))
        edge = 2.0**-53
        rest = torch.special.ndtri(within.clamp(edge, 1 - edge)).to(eps.dtype)
        return full, rest


def _uniform(eps: Tensor) -> Tensor:
    """Uniform in [0, 1) from standard normal draws, in float64."""
    return (0.5 * torch.erfc(-eps.double() / math.sqrt(2))).clamp(max=1 - 2.0**-53)
