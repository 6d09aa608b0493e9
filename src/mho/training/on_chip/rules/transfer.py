"""Learning on a fast array whose rows are read, one after the other, and passed on to the weights."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import Count, NonNegative, config
from mho.training.on_chip.rules.base import Held, Rule, Work
from mho.training.on_chip.trains import Stochastic, Train
from mho.training.on_chip.weights import PulsedWeights, send_all


class Reads(NamedTuple):
    """Rows of the fast array that are read in turn, all different.

    Attributes:
        vectors: after which vector of the batch each of them is read.
        rows: which ones.
        passes: how often all rows had been read before, for each.
    """

    vectors: list[int]
    rows: list[int]
    passes: list[int]


@config
class Transferring(Rule):
    """What the rules with a fast array *A* share: its updates, and when which of its rows is read.

    Rows are read in order, one after each ``transfer_every`` vectors or batches. A cell does not look at its
    neighbours, so the updates of a row are sent up to the vector after which it is read, and those of all
    other
    rows later: in one go for a whole batch, with the same result as one after the other.

    Attributes:
        train: how updates of A become pulses.
        transfer_every: vectors, or batches, between two reads.
        units_in_mbatch: count batches rather than vectors.
        n_reads_per_transfer: rows read each time.
        fast_lr: learning rate of A; 0 for that of the optimizer.
        scale_fast_lr: multiply it by that of the optimizer.
        transfer_lr: rate of the transfers.
        scale_transfer_lr: multiply it by the learning rate of the optimizer.
        gamma: share of A in the weight, for whom it is read with; it only scales the transfers here.
    """

    train: InstanceOf[Train] = Stochastic()
    transfer_every: Count = 1
    units_in_mbatch: bool = True
    n_reads_per_transfer: Count = 1
    fast_lr: NonNegative = 1.0
    scale_fast_lr: bool = True
    transfer_lr: NonNegative = 1.0
    scale_transfer_lr: bool = True
    gamma: NonNegative = 0.0

    def begin(self, held: Held, hidden: Callable[[str], PulsedWeights]) -> None:
        """The fast array."""
        held.hidden["fast"] = hidden("fast")
        held.counters |= {"row": 0, "passes": 0, "units": 0}

    # --- what a rule says ------------------------------------------------------------------------

    @abstractmethod
    def transfer(
        self, work: Work, rows: Tensor, passes: Tensor, a: Tensor, generator: torch.Generator
    ) -> Tensor:
        """The pulses that follow from a read.

        Args:
            work: the batch, of one array.
            rows: which rows were read, all different, ``[read]``.
            passes: how often all rows had been read before each, ``[read]``.
            a: what was read, ``[group, read, column]``.
            generator: of random numbers.

        Returns:
            Signed counts ``[vector, group, row, column]``.
        """

    def signs(self, held: Held) -> Tensor | None:
        """Sign of the updates of each row of A, ``[group, row]``; None for all positive."""
        return None

    def fast_rates(self, work: Work) -> Tensor:
        """Learning rate of A for each vector."""
        return work.rates(self._fast_lr(work.lr))

    def _fast_lr(self, lr: float) -> float:
        if self.fast_lr == 0:
            return lr
        return self.fast_lr * (lr if self.scale_fast_lr else 1.0)

    def rate(self, lr: float) -> float:
        """Rate of the transfers."""
        return self.transfer_lr * (lr if self.scale_transfer_lr else 1.0)

    # --- a batch ---------------------------------------------------------------------------------

    def update(self, works: Sequence[Work], generator: torch.Generator) -> None:
        """Updates of A, and the transfers between them."""
        batches = [_Batch(self, work, self._fast_counts(work, generator)) for work in works]
        reads = [self._reads(work) for work in works]
        for turn in range(max(map(len, reads), default=0)):
            now = [(b, r[turn]) for b, r in zip(batches, reads, strict=True) if turn < len(r)]
            send_all([(b.fast, b.until(read)) for b, read in now], generator)
            found = []
            for batch, read in now:
                held = batch.work.held
                rows, passes = (
                    torch.tensor(part, device=batch.done.device) for part in (read.rows, read.passes)
                )
                a = held.reading(batch.fast, rows, generator)
                counts = self.transfer(batch.work, rows, passes, a, generator)
                found.append((held.weights, counts))
            send_all(found, generator)
        send_all([(b.fast, b.rest()) for b in batches], generator)

    def _fast_counts(self, work: Work, generator: torch.Generator) -> Tensor:
        fast = work.held.hidden["fast"]
        return fast.counts(self.train, work.x, work.d, self.fast_rates(work), generator)

    def _reads(self, work: Work) -> list[Reads]:
        """The reads of a batch, in turns of which no row comes twice."""
        counters, rows = work.held.counters, work.held.weights.shape[1]
        vectors = len(work.x)
        units = [vectors - 1] if self.units_in_mbatch else range(vectors)
        turns: list[Reads] = []
        for vector in units:
            counters["units"] += 1
            if counters["units"] % self.transfer_every:
                continue
            for _ in range(self.n_reads_per_transfer):
                row = int(counters["row"])
                if not turns or row in turns[-1].rows:
                    turns.append(Reads([], [], []))
                for part, value in zip(turns[-1], (vector, row, int(counters["passes"])), strict=True):
                    part.append(value)
                counters["row"] = (row + 1) % rows
                counters["passes"] += counters["row"] == 0
        return turns


class _Batch:
    """The pulses of one batch on A, sent row by row as far as the row is needed."""

    def __init__(self, rule: Transferring, work: Work, counts: Tensor) -> None:
        self.rule, self.work, self.counts = rule, work, counts
        self.fast = work.held.hidden["fast"]
        self.done = torch.zeros(self.fast.shape[1], dtype=torch.long, device=counts.device)

    def until(self, read: Reads) -> Tensor:
        """Those of the rows that are read, up to their vectors."""
        last = torch.full_like(self.done, -1)
        last[read.rows] = torch.tensor(read.vectors, device=last.device)
        return self._between(last)

    def rest(self) -> Tensor:
        """All others."""
        return self._between(torch.full_like(self.done, len(self.counts) - 1))

    def _between(self, last: Tensor) -> Tensor:
        vector = torch.arange(len(self.counts), device=last.device).unsqueeze(1)
        wanted = ((vector >= self.done) & (vector <= last)).to(self.counts.dtype).unsqueeze(1)
        signs = self.rule.signs(self.work.held)
        if signs is not None:
            wanted = wanted * signs
        self.done = torch.maximum(self.done, last + 1)
        return self.counts * wanted.unsqueeze(-1)
