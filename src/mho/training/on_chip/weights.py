"""One logical array of weights that pulses move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mho.devices.pulsed import Parameters, PulsedCell
from mho.training.on_chip.bank import Bank, events_of
from mho.training.on_chip.trains import Train

_COUNTS = 1 << 25  # counts that are looked at at once


class Signs(NamedTuple):
    """How the cells of a weight add up to it.

    Attributes:
        of_copies: 1 or -1 for each cell: the weight is the sum of their states with these signs.
        one_sided: whether cells are only pulsed up, so that one of a pair takes what raises the weight and
            the other one what lowers it.
    """

    of_copies: tuple[int, ...] = (1,)
    one_sided: bool = False

    @property
    def moved(self) -> int:
        """Cells that one pulse on a weight moves."""
        return 1 if self.one_sided else len(self.of_copies)


class PulsedWeights:
    """Weights ``[group, row, column]`` of pulsed cells, in units of their states.

    Attributes:
        bank: the cells, ``[copy, group, row, column]`` one behind the other, perhaps among those of others.
        first: number of the first cell in the bank.
        shape: ``(group, row, column)``.
        signs: how cells add up to weights.
        sent, clipped: vectors that were sent, and those whose pulses did not fit into their trains.
    """

    def __init__(
        self,
        cell: PulsedCell,
        parameters: Parameters,
        state: Tensor,
        signs: Signs = Signs(),  # noqa: B008 (a constant)
    ) -> None:
        """Weights of cells with these parameters and states, each ``[copy, group, row, column]``."""
        if len(state) != len(signs.of_copies):
            raise ValueError(
                f"state has {len(state)} cells for each weight, and signs are {signs.of_copies!r}: give a "
                "sign for each"
            )
        flat = {name: value.flatten() for name, value in parameters.items()}
        self.bank = Bank(cell, flat, cell.kept(state.flatten(), flat))
        self.first = 0
        self.signs = signs
        self.shape = (int(state.shape[1]), int(state.shape[2]), int(state.shape[3]))
        self.sent, self.clipped = 0, 0

    @classmethod
    def of_one_cell(cls, cell: PulsedCell, weights: Tensor) -> PulsedWeights:
        """Weights ``[group, row, column]`` of cells without spread."""
        return cls(cell, cell.nominal(weights.unsqueeze(0)), weights.unsqueeze(0))

    @property
    def cells(self) -> slice:
        """Where its cells are in the bank."""
        return slice(self.first, self.first + len(self.signs.of_copies) * self.size)

    @property
    def size(self) -> int:
        """Number of weights."""
        groups, rows, columns = self.shape
        return groups * rows * columns

    @property
    def granularity(self) -> float:
        """What one pulse changes of a weight, of a cell without spread."""
        return self.bank.cell.granularity * self.signs.moved

    def of_cells(self, flat: Tensor) -> Tensor:
        """A flat tensor of the bank as ``[copy, group, row, column]`` of these cells; a view."""
        return flat[self.cells].view(len(self.signs.of_copies), *self.shape)

    def shown(self) -> Tensor:
        """The states of the cells as they show themselves, ``[copy, group, row, column]``; a view."""
        return self.of_cells(self.bank.shown)

    def weights(self) -> Tensor:
        """The weights as their cells show them, ``[group, row, column]``."""
        return self.summed(self.shown())

    def summed(self, states: Tensor) -> Tensor:
        """The weights ``[group, row, column]`` that states ``[copy, group, row, column]`` make."""
        if self.signs.of_copies == (1,):
            return states[0]
        signs = states.new_tensor(self.signs.of_copies).view(-1, 1, 1, 1)
        return (signs * states).sum(0)

    def pulses(self) -> Tensor:
        """Pulses that each cell got, ``[copy, group, row, column]``."""
        return self.of_cells(self.bank.pulses)

    def on_cells(self, counts: Tensor) -> Tensor:
        """Pulses on cells, ``[vector, cell]``, from counts on weights, ``[vector, group, row, column]``."""
        flat = counts.flatten(1)
        if self.signs.of_copies == (1,) and not self.signs.one_sided:
            return flat
        each = [flat * sign for sign in self.signs.of_copies]
        if self.signs.one_sided:
            each = [one.clamp(min=0) for one in each]
        return torch.cat(each, dim=1)

    def send(self, counts: Tensor, generator: torch.Generator) -> None:
        """Send signed counts of pulses ``[vector, group, row, column]``, one vector after the other."""
        send_all([(self, counts)], generator)

    def counts(self, train: Train, x: Tensor, d: Tensor, lr: Tensor, generator: torch.Generator) -> Tensor:
        """The pulses of ``-lr d x^T``, counted among those sent; arguments as of :meth:`Train.send`."""
        made = train.send(x, d, lr, self.granularity, generator)
        self.sent += made.clipped.numel()
        self.clipped += int(made.clipped.sum())
        return made.counts

    def refresh(self, generator: torch.Generator, train_length: int = 31) -> None:
        """Write pairs anew of which both cells are high: reset both, and pulse the difference on one.

        It is done where the larger of the two is above .75 of its range and the smaller above .25, open loop,
        with as many pulses as a train has slots at most. M. J. Rasch et al., AICAS (2021), one-sided unit
        cell.
        """
        states = self.shown()
        high = self.bank.cell.w_max
        full = (states.amax(0) > 0.75 * high) & (states.amin(0) > 0.25 * high)
        if not bool(full.any()):
            return
        wanted = (self.weights() / self.bank.cell.granularity * (1 + 1e-6)).round()
        both = full.expand_as(states).flatten().nonzero().flatten() + self.first
        self.bank.restore(both, generator)
        again = torch.where(full, wanted.clamp(-train_length, train_length), 0.0)
        self.send(again.unsqueeze(0), generator)


def share_bank(arrays: Sequence[PulsedWeights]) -> None:
    """Put the cells of one kind of several arrays into one bank, so that their pulses are sent at once."""
    kinds: dict[PulsedCell, list[PulsedWeights]] = {}
    for array in arrays:
        kinds.setdefault(array.bank.cell, []).append(array)
    for alike in kinds.values():
        bank = Bank.joined([array.bank for array in alike])
        first = 0
        for array in alike:
            array.bank, array.first = bank, first
            first += len(array.signs.of_copies) * array.size


def send_all(parts: Sequence[tuple[PulsedWeights, Tensor]], generator: torch.Generator) -> None:
    """Send counts to several arrays, those of one bank at once; an array comes once."""
    together: dict[tuple[int, int], list[tuple[PulsedWeights, Tensor]]] = {}
    for array, counts in parts:
        together.setdefault((id(array.bank), len(counts)), []).append((array, counts))
    for some in together.values():
        some.sort(key=lambda one: one[0].first)
        bank = some[0][0].bank
        counts = torch.cat([array.on_cells(each) for array, each in some], dim=1)
        cells = None if counts.shape[1] == len(bank) else _numbers([array for array, _ in some])
        most = max(1, _COUNTS // counts.shape[1])
        for portion in counts.split(most):
            bank.send(events_of(portion, cells), generator)


def _numbers(arrays: Sequence[PulsedWeights]) -> Tensor:
    """Numbers of the cells of arrays in their bank."""
    spans = [array.cells for array in arrays]
    return torch.cat([torch.arange(span.start, span.stop) for span in spans])
