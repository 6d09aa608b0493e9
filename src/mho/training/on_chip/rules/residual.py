"""Several tiles for each weight, each of which learns what those before it have left.

Z. Wu et al., "Analog in-memory training on general non-ideal resistive elements", NeurIPS 2025
(arXiv 2502.06309), for two tiles; J. Li et al., "In-memory training on analog devices with limited
conductance states via multi-tile residual learning" (arXiv 2510.02516) for several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from mho.config import Count, NonNegative, config
from mho.training.on_chip.rules.base import Held, Rule, Work
from mho.training.on_chip.trains import Stochastic, Train
from mho.training.on_chip.weights import PulsedWeights, send_all


@config
class ResidualLearning(Rule):
    """The weight is ``sum_n factor^n W_n``; the gradient goes to the last tile, and each tile is passed on.

    The network is read with all tiles (``mapping=mho.mapping.Residual(tiles=..., factor=...)``), so the last
    tile
    learns the residual of the others: at the optimum it is zero, where steps up and down are alike. Rows of
        tile
    n + 1 are read in turn and gathered in digital memory, which sends pulses to tile n; each tile is slower
    than the one after it. To begin with the first tile learns alone, then the second one what it has left,
    and so on.

    Attributes:
        train: how updates of a tile become pulses.
        fast_lr: factor on the learning rate, with which the tile that learns changes the weight.
        transfer_lr: share of what is read of a tile that the buffer of the one before it gains.
        transfer_every: vectors between two reads of the last tile.
        slower: factor by which each tile before it is read less often.
        warm_up: batches for which each tile but the last one learns alone.
    """

    tiles = (2, float("inf"))

    train: InstanceOf[Train] = Stochastic()
    fast_lr: NonNegative = 1.0
    transfer_lr: NonNegative = 0.02
    transfer_every: Count = 1
    slower: Count = 4
    warm_up: Annotated[int, Field(ge=0)] = 0

    def begin(self, held: Held, hidden: Callable[[str], PulsedWeights]) -> None:
        """A buffer between each tile and the one before it."""
        held.counters["batches"] = 0
        for n in range(1, len(held.tiles)):
            held.memory[f"H{n}"] = held.zeros()
            held.counters |= {f"row{n}": 0, f"units{n}": 0}

    def update(self, works: Sequence[Work], generator: torch.Generator) -> None:
        """Updates of the tile that learns, then transfers from it to the first one."""
        parts, learning = [], [self._learning(work.held) for work in works]
        for work, n in zip(works, learning, strict=True):
            held = work.held
            rates = work.rates(self.fast_lr * work.lr * held.factors[0] / held.factors[n])
            parts.append((held.tiles[n], held.tiles[n].counts(self.train, work.x, work.d, rates, generator)))
            held.counters["batches"] += 1
        send_all(parts, generator)
        for n in range(max(learning, default=0), 0, -1):
            found = [
                self._passed_on(work, n, last, generator)
                for work, last in zip(works, learning, strict=True)
                if n <= last
            ]
            send_all([part for part in found if part is not None], generator)

    def _learning(self, held: Held) -> int:
        """The tile that gets the gradient."""
        last = len(held.tiles) - 1
        return last if self.warm_up == 0 else min(int(held.counters["batches"]) // self.warm_up, last)

    def _passed_on(
        self, work: Work, n: int, last: int, generator: torch.Generator
    ) -> tuple[PulsedWeights, Tensor] | None:
        """Pulses from tile n to the one before it; None if none of its rows is due."""
        held = work.held
        source, target, h = held.tiles[n], held.tiles[n - 1], held.memory[f"H{n}"]
        due = self._due(held, n, last, len(work.x))
        if not due:
            return None
        rows = torch.tensor(due, device=h.device)
        ratio = held.factors[n] / held.factors[n - 1]
        gathered = h.index_select(1, rows) + self.transfer_lr * ratio * held.reading(source, rows, generator)
        pulses = (gathered / target.granularity).trunc()
        h.index_copy_(1, rows, gathered - pulses * target.granularity)
        return target, held.zeros().index_copy_(1, rows, pulses).unsqueeze(0)

    def _due(self, held: Held, n: int, last: int, vectors: int) -> list[int]:
        """The rows of tile n that are read after a batch."""
        every = self.transfer_every * self.slower ** (last - n)
        units = held.counters[f"units{n}"] + vectors
        count, held.counters[f"units{n}"] = int(units // every), units % every
        size, first = held.weights.shape[1], int(held.counters[f"row{n}"])
        held.counters[f"row{n}"] = (first + count) % size
        return [(first + k) % size for k in range(min(count, size))]
