"""A cell known by what its pulses did: the change of conductance as a distribution, for each conductance."""

from __future__ import annotations

import itertools

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import Finite, Fraction, NonNegative, Positive, Siemens, config
from mho.devices.base import Steady
from mho.devices.error_laws import Error, Independent


@config
class Jumps:
    """What one pulse of one direction does: a distribution of the change for each conductance.

    A change is drawn by the inverse of the cumulative distribution, a straight line between its points.
    ``cdf[i][0]`` is the chance of the first change itself, and what ``cdf[i][-1]`` lacks to 1 that of the
    last one. Between two conductances of the table the inverse is interpolated; outside, that of the
    nearest one counts.

    Attributes:
        g: conductances, siemens, rising.
        change: changes of the conductance, siemens, rising.
        cdf: for each conductance, the chance of at most each change, ``[conductance][change]``, rising.
    """

    g: tuple[Siemens, ...]
    change: tuple[Finite, ...]
    cdf: tuple[tuple[Fraction, ...], ...]

    def validate(self) -> None:
        """Rising axes, and a distribution for each conductance."""
        for name in ("g", "change"):
            axis = getattr(self, name)
            if len(axis) < 2 or any(b <= a for a, b in itertools.pairwise(axis)):
                raise ValueError(f"{name}: give at least two values, in siemens, in increasing order")
        if len(self.cdf) != len(self.g):
            raise ValueError(
                f"cdf has {len(self.cdf)} rows and g {len(self.g)} values: give one row for each"
            )
        for g, row in zip(self.g, self.cdf, strict=True):
            if len(row) != len(self.change):
                raise ValueError(f"cdf at {g:g} S has {len(row)} values and change {len(self.change)}")
            if any(b < a for a, b in itertools.pairwise(row)) or row[-1] == 0:
                raise ValueError(f"cdf at {g:g} S: chances rise from 0 to 1 with the change, not {row!r:.80}")

    def drawn(self, g: Tensor, eps: Tensor, scale: float = 1.0) -> Tensor:
        """The change by one pulse, siemens.

        Args:
            g: conductance before it, siemens, any shape.
            eps: standard normal draws of the same shape.
            scale: factor on the distance from the median change.
        """
        change = self._at(g, torch.special.ndtr(eps.double()))
        if scale != 1:
            median = self.median(g).double()
            change = median + scale * (change - median)
        return change.to(g)

    def median(self, g: Tensor) -> Tensor:
        """The median change, siemens, of the shape of ``g``."""
        return self._at(g, torch.full_like(g, 0.5, dtype=torch.float64)).to(g)

    def _at(self, g: Tensor, chance: Tensor) -> Tensor:
        """The change at a chance, float64."""
        nodes = torch.tensor(self.g, dtype=torch.float64, device=g.device)
        g = g.double().clamp(nodes[0], nodes[-1])
        row = torch.bucketize(g.contiguous(), nodes[1:-1].contiguous(), right=True)
        part = (g - nodes[row]) / (nodes[row + 1] - nodes[row])
        # All rows one behind the other are one rising list: row + chance. One search finds the place.
        table = torch.tensor(self.cdf, dtype=torch.float64, device=g.device)
        offset = torch.arange(len(self.g), dtype=torch.float64, device=g.device)
        rising = (table + offset[:, None]).reshape(-1)
        below, above = (self._inverse(table, rising, r, chance) for r in (row, row + 1))
        return below + part * (above - below)

    def _inverse(self, table: Tensor, rising: Tensor, row: Tensor, chance: Tensor) -> Tensor:
        change = torch.tensor(self.change, dtype=torch.float64, device=chance.device)
        last = len(self.change) - 1
        right = torch.searchsorted(rising, (row + chance).contiguous()) - row * (last + 1)
        inside = (right > 0) & (right <= last)
        high = right.clamp(1, last)
        below, above = table[row, high - 1], table[row, high]
        part = ((chance - below) / (above - below).clamp(min=1e-300)).clamp(0, 1)
        between = torch.lerp(change[high - 1], change[high], part)
        return torch.where(inside, between, torch.where(right > 0, change[last], change[0]))


@config
class JumpCell(Steady):
    """A cell that each pulse moves by a chance that a table tells: see :class:`Jumps`.

    ``WriteVerify(pulse=JumpPulses())`` programs it as its table says, pulse by pulse. A single shot has
    the error of one pulse, aimed at the target: as if all pulses but the last one had been verified.
    The cell holds its state: no drift.

    Source: the jump tables of G. W. Burr et al., IEEE Trans. Electron Devices 62, 3498 (2015).

    Attributes:
        up: pulses that raise the conductance; None: not measured.
        down: pulses that lower it; None: not measured.
        read: law of the read noise; only its standard deviation counts.
        g_min, g_max: ends of the table, siemens (of the table, not given).
        v_read: read voltage, volts.
        program_scale: factor on the distance of each change from the median one.
        drift_scale: without effect.
        read_scale: factor on the read noise.
    """

    up: InstanceOf[Jumps] | None = None
    down: InstanceOf[Jumps] | None = None
    read: InstanceOf[Error] = Independent(sigma=0.0)
    v_read: Positive = 0.2
    program_scale: NonNegative = 1.0
    drift_scale: NonNegative = 1.0
    read_scale: NonNegative = 1.0

    def validate(self) -> None:
        """At least one table; its ends are the bounds."""
        tables = [jumps for jumps in (self.up, self.down) if jumps is not None]
        if not tables:
            raise ValueError("up = None, down = None: give the table of at least one direction")
        object.__setattr__(self, "g_min", min(jumps.g[0] for jumps in tables))
        object.__setattr__(self, "g_max", max(jumps.g[-1] for jumps in tables))
        self.check_bounds()

    def jumped(self, g: Tensor, direction: Tensor, eps: Tensor) -> Tensor:
        """Conductance after a pulse, siemens.

        Args:
            g: before it, siemens, any shape.
            direction: positive for a pulse up, negative for one down, 0 for none; same shape.
            eps: standard normal draws of the same shape.

        Raises:
            ValueError: a pulse of a direction that was not measured.
        """
        for name, jumps, pulsed in (("up", self.up, direction > 0), ("down", self.down, direction < 0)):
            if jumps is not None:
                moved = (g + jumps.drawn(g, eps, self.program_scale)).clamp(self.g_min, self.g_max)
                g = torch.where(pulsed, moved, g)
            elif bool(pulsed.any()):
                raise ValueError(f"{name} = None: what a pulse {name} does was not measured")
        return g

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """The target with the error of one pulse, kept between the ends of the table."""
        jumps = self.up if self.up is not None else self.down
        assert jumps is not None
        if self.program_scale == 0:
            return g_target.clamp(self.g_min, self.g_max)
        error = jumps.drawn(g_target, eps, self.program_scale) - jumps.median(g_target)
        return (g_target + error).clamp(self.g_min, self.g_max)

    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        """Standard deviation of the law ``read`` at ``g_now``."""
        self.check_time(seconds)
        if self.read_scale == 0:
            return torch.zeros_like(g_now)
        return self.read_scale * self.read.std(g_now, self.g_max)
