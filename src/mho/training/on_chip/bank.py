"""Many cells of one kind, and the pulses that they get.

A cell never looks at its neighbours. The pulses of a batch are therefore sent in the order in which each cell
gets them, and not in that of the vectors: the first pulse of every cell at once, then the second one of all
    that
have a second one, and so on. What comes out is the same, in as many steps as the busiest cell has pulses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mho.devices.pulsed import Parameters, PulsedCell

_TABLE = 1 << 22  # pulses that are prepared at once: 16 MB for each of their tables
_SMALL = 1 << 15  # cells of which all are looked at, whether they get a pulse or not


class Events(NamedTuple):
    """Single pulses in the order in which cells get them, those of each cell one behind the other.

    Attributes:
        cell: whose, rising.
        direction: 1 or -1.
    """

    cell: Tensor
    direction: Tensor


class Bank:
    """Cells of one kind, flat, of one array or several.

    Attributes:
        cell: how each of them answers a pulse.
        weight: what each of them holds, without write noise.
        shown: what it shows of that.
        pulses: how many pulses it got, up and down.
        listener: is told what is sent.
    """

    def __init__(self, cell: PulsedCell, parameters: Parameters, weight: Tensor) -> None:
        """Cells with these parameters and weights, each flat."""
        self.cell = cell
        self.parameters = parameters
        self.weight = weight
        self.shown = weight.clone() if cell.write_noise_std > 0 else weight
        self.pulses = torch.zeros_like(weight, dtype=torch.int64)
        self.low, self.high = cell.limits(self.parameters)
        self.listener: Callable[[Events], None] | None = None
        self._kept: Tensor | None = None
        self._referred = bool((self.parameters["reference"] != 0).any())
        lines = cell.lines(self.parameters)
        self._lines = None if lines is None else tuple(torch.cat(part) for part in lines)

    @classmethod
    def joined(cls, banks: Sequence[Bank]) -> Bank:
        """One bank of several, in order, which takes their place."""
        first = banks[0]
        parameters = {name: torch.cat([b.parameters[name] for b in banks]) for name in first.parameters}
        return cls(first.cell, parameters, torch.cat([b.weight for b in banks]))

    def __len__(self) -> int:
        return self.weight.numel()

    def show(self, which: Tensor | None, generator: torch.Generator) -> None:
        """Let cells show their weights anew, with write noise; all of them if ``which`` is None."""
        if self.cell.write_noise_std == 0:
            return
        held = self.weight if which is None else self.weight[which]
        seen = self.cell.shown(held, _normal(held.shape, held, generator))
        if which is None:
            self.shown.copy_(seen)
        else:
            self.shown[which] = seen

    def send(self, events: Events, generator: torch.Generator) -> None:
        """Send pulses."""
        if events.cell.numel() == 0:
            return
        if self.listener is not None:
            self.listener(events)
        total = torch.bincount(events.cell, minlength=len(self))
        rank = torch.arange(events.cell.numel(), device=total.device) - (total.cumsum(0) - total)[events.cell]
        reached = total.nonzero().flatten()
        rounds = int(total.max())
        if len(self) <= _SMALL and rounds * len(self) <= _TABLE:
            self._run(events, rank * len(self) + events.cell, (rounds, len(self)), None, generator)
        else:
            self._run_some(events, rank, total, reached, generator)
        self.pulses += total
        self.show(reached, generator)

    def _run_some(
        self, events: Events, rank: Tensor, total: Tensor, reached: Tensor, generator: torch.Generator
    ) -> None:
        """Only the cells that get a pulse, those with most of them first, some rounds at a time."""
        counts, order = total[reached].sort(descending=True)
        reached = reached[order]
        place = torch.empty_like(total)
        place[reached] = torch.arange(reached.numel(), device=total.device)
        begin, last = 0, int(counts[0])
        while begin < last:
            width = int((counts > begin).sum())
            rounds = min(max(1, _TABLE // width), last - begin)
            inside = ((rank >= begin) & (rank < begin + rounds)).nonzero().flatten()
            some = Events(events.cell[inside], events.direction[inside])
            index = (rank[inside] - begin) * width + place[some.cell]
            self._run(some, index, (rounds, width), reached[:width], generator)
            begin += rounds

    def _run(
        self, events: Events, index: Tensor, shape: tuple[int, int], which: Tensor | None,
        generator: torch.Generator,
    ) -> None:  # fmt: skip
        """Run rounds of pulses over all cells, or those of ``which``.

        Args:
            events: the pulses.
            index: place of each of them in a flat table of that shape.
            shape: rounds, cells.
            which: numbers of these cells; None for all.
            generator: of random numbers.
        """
        eps = _normal(events.cell.shape, self.weight, generator) if self.cell.dw_min_std > 0 else None
        w = self.weight if which is None else self.weight[which]
        low, high = (v if which is None else v[which] for v in (self.low, self.high))
        if self._lines is None:
            self._run_curves(w, events, eps, index, shape, which)
        else:
            factor, addend = self._table(events, eps)
            factors, addends = self._space(shape)
            factors.fill_(1).view(-1)[index] = factor
            addends.fill_(0).view(-1)[index] = addend
            _run_lines(w, factors, addends, low, high)
        if which is not None:
            self.weight[which] = w

    def _space(self, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Two tables, in memory that is kept: fresh pages cost more than what is done with them."""
        size = 2 * shape[0] * shape[1]
        if self._kept is None or self._kept.numel() < size or 8 * size < self._kept.numel():
            self._kept = self.weight.new_empty(2 * size)
        first, second = self._kept[:size].view(2, *shape).unbind(0)
        return first, second

    def _table(self, events: Events, eps: Tensor | None) -> tuple[Tensor, Tensor]:
        """Each pulse as ``w -> factor * w + addend``."""
        assert self._lines is not None
        scale, slope = self._lines
        place = torch.where(events.direction > 0, events.cell, events.cell + len(self))
        step, lost = scale[place].mul_(events.direction), slope[place].mul_(events.direction)
        if eps is not None:
            noise = eps.mul_(self.cell.dw_min_std).add_(1)
            step = step.mul_(noise)
            lost = lost.mul_(noise) if self.cell.mult_noise else lost
        if self._referred:
            step = step.addcmul_(lost, self.parameters["reference"][events.cell], value=-1)
        return lost.neg_().add_(1), step

    def _run_curves(
        self, w: Tensor, events: Events, eps: Tensor | None, index: Tensor, shape: tuple[int, int],
        which: Tensor | None,
    ) -> None:  # fmt: skip
        """Rounds of pulses whose steps are no straight lines; ``w`` changes in place."""
        parameters = self.parameters
        cells = parameters if which is None else {name: v[which] for name, v in parameters.items()}
        directions, noise = self._space(shape)
        directions.fill_(0).view(-1)[index] = events.direction
        noise.fill_(0)
        if eps is not None:
            noise.view(-1)[index] = eps
        for direction, xi in zip(directions.unbind(0), noise.unbind(0), strict=True):
            w.copy_(self.cell.pulsed(w, direction, cells, xi))

    def pass_batch(self, generator: torch.Generator) -> None:
        """Let the cells decay and diffuse for one batch."""
        if self.cell.settles:
            eps = _normal(self.weight.shape, self.weight, generator)
            self.weight.copy_(self.cell.passed(self.weight, self.parameters, eps))
            self.show(None, generator)

    def restore(self, which: Tensor, generator: torch.Generator) -> None:
        """Reset some cells."""
        cells = {name: value[which] for name, value in self.parameters.items()}
        eps = _normal(which.shape, self.weight, generator)
        self.weight[which] = self.cell.restored(cells, eps)
        self.show(which, generator)


def _run_lines(w: Tensor, factors: Tensor, addends: Tensor, low: Tensor, high: Tensor) -> None:
    """``w -> factor * w + addend``, kept between bounds, for each round; in place."""
    if w.device.type != "cpu":
        for factor, addend in zip(factors.unbind(0), addends.unbind(0), strict=True):
            torch.addcmul(addend, w, factor, out=w)
            torch.clamp(w, low, high, out=w)
        return
    # Four calls of numpy on the same memory take 0.6 of the time of two of torch, for some thousand cells.
    now, least, most = w.numpy(), low.numpy(), high.numpy()
    for one, other in zip(factors.numpy(), addends.numpy(), strict=True):
        np.multiply(now, one, out=now)
        np.add(now, other, out=now)
        np.maximum(now, least, out=now)
        np.minimum(now, most, out=now)


def events_of(counts: Tensor, cells: Tensor | None) -> Events:
    """The pulses of signed ``counts[vector, cell]``; rising numbers of the cells, None for 0, 1, ..."""
    flat = counts.t().reshape(-1)
    place = flat.nonzero().squeeze(1)
    found = flat[place]
    cell = place.div_(len(counts), rounding_mode="floor")
    if cells is not None:
        cell = cells[cell]
    if bool((found.abs() > 1).any()):
        each = torch.arange(cell.numel(), device=cell.device).repeat_interleave(found.abs().long())
        return Events(cell[each], found.sign_()[each])
    return Events(cell, found)


def _normal(shape: torch.Size, like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, dtype=like.dtype, device=like.device, generator=generator)
