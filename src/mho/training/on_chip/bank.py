"""Many cells of one kind, and the pulses that they get.

A cell never looks at its neighbours. The pulses of a batch are therefore sent in the order in which each cell
gets them, and not in that of the vectors: the first pulse of every cell at once, then the second one of all that
have a second one, and so on. What comes out is the same, in as many steps as the busiest cell has pulses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mho.devices.pulsed import Parameters, PulsedCell

_TABLE = 1 << 23  # pulses that are prepared at once: 32 MB for each of their parameters


class Events(NamedTuple):
    """Pulses in the order in which cells get them, those of each cell one behind the other.

    Attributes:
        cell: whose, rising.
        direction: 1 or -1.
        count: how many of them.
    """

    cell: Tensor
    direction: Tensor
    count: Tensor


class Bank:
    """Cells of one kind, flat, of one array or several.

    Attributes:
        cell: how each of them answers a pulse.
        weight: what each of them holds, without write noise.
        shown: what it shows of that.
        pulses: how many pulses it got, up and down.
    """

    def __init__(self, cell: PulsedCell, parameters: Parameters, weight: Tensor) -> None:
        """Cells with these parameters and weights, each flat."""
        self.cell, self.parameters = cell, parameters
        self.weight = weight
        self.shown = weight.clone() if cell.write_noise_std > 0 else weight
        self.pulses = torch.zeros_like(weight, dtype=torch.int64)

    @classmethod
    def joined(cls, banks: Sequence[Bank]) -> Bank:
        """One bank of several, in order; they are parts of it from then on."""
        first = banks[0]
        names = first.parameters
        parameters = {n: torch.cat([torch.as_tensor(b.parameters[n]) for b in banks]) for n in names}
        made = cls(first.cell, parameters, torch.cat([b.weight for b in banks]))
        return made

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
        total = torch.zeros(len(self), dtype=torch.int64, device=self.weight.device)
        total.index_add_(0, events.cell, events.count)
        reached = total.nonzero().flatten()
        counts, order = total[reached].sort(descending=True)
        reached = reached[order]
        place = torch.empty_like(total)
        place[reached] = torch.arange(reached.numel(), device=total.device)
        self._rounds(events, total, reached, place, counts, generator)
        self.pulses += total
        self.show(reached, generator)

    def _rounds(
        self, events: Events, total: Tensor, reached: Tensor, place: Tensor, counts: Tensor,
        generator: torch.Generator,
    ) -> None:  # fmt: skip
        """The first pulse of all cells, then the second one of those that have one, and so on."""
        cell = events.cell.repeat_interleave(events.count)
        direction = events.direction.repeat_interleave(events.count)
        first = total.cumsum(0) - total
        rank = torch.arange(cell.numel(), device=cell.device) - first[cell]
        column = place[cell]
        cells = {name: torch.as_tensor(value)[reached] for name, value in self.parameters.items()}
        w = self.weight[reached]
        last = int(counts[0])
        at_once = max(1, _TABLE // reached.numel())
        for begin in range(0, last, at_once):
            rounds = min(at_once, last - begin)
            width = int((counts > begin).sum())
            table = w.new_zeros(rounds, width)
            inside = slice(None) if rounds == last else (rank >= begin) & (rank < begin + rounds)
            table[rank[inside] - begin, column[inside]] = direction[inside].to(w.dtype)
            some = cells if width == len(w) else {name: value[:width] for name, value in cells.items()}
            self._run(w[:width], table, some, generator)
        self.weight[reached] = w

    def _run(self, w: Tensor, table: Tensor, cells: Parameters, generator: torch.Generator) -> None:
        """Change ``w`` by the rounds of ``table``, in place."""
        noisy = self.cell.dw_min_std > 0
        eps = _normal(table.shape, w, generator) if noisy else torch.zeros_like(table)
        line = self.cell.line(table, cells, eps)
        if line is None:
            for direction, noise in zip(table.unbind(0), eps.unbind(0), strict=True):
                w.copy_(self.cell.pulsed(w, direction, cells, noise))
            return
        low, high = self.cell.limits(cells)
        for factor, addend in zip(*(part.unbind(0) for part in line), strict=True):
            torch.addcmul(addend, w, factor, out=w)
            torch.clamp(w, low, high, out=w)

    def pass_batch(self, generator: torch.Generator) -> None:
        """Let the cells decay and diffuse for one batch."""
        if self.cell.settles:
            eps = _normal(self.weight.shape, self.weight, generator)
            self.weight.copy_(self.cell.passed(self.weight, self.parameters, eps))
            self.show(None, generator)

    def restore(self, which: Tensor, generator: torch.Generator) -> None:
        """Reset some cells."""
        cells = {name: torch.as_tensor(value)[which] for name, value in self.parameters.items()}
        eps = _normal(which.shape, self.weight, generator)
        self.weight[which] = self.cell.restored(cells, eps)
        self.show(which, generator)


def events_of(counts: Tensor, first: int) -> Events:
    """The pulses of signed ``counts[vector, cell]``, of cells that are numbered from ``first`` on."""
    by_cell = counts.t().contiguous()
    cell, vector = by_cell.nonzero(as_tuple=True)
    found = by_cell[cell, vector]
    return Events(cell + first, found.sign(), found.abs().long())


def joined(events: Sequence[Events]) -> Events:
    """Pulses of cells with rising numbers, one behind the other."""
    if len(events) == 1:
        return events[0]
    return Events(*(torch.cat(parts) for parts in zip(*events, strict=True)))


def _normal(shape: torch.Size, like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, dtype=like.dtype, device=like.device, generator=generator)
