"""Several tiles for each weight, each of which learns what those before it have left.

Z. Wu et al., "Analog in-memory training on general non-ideal resistive elements", NeurIPS 2025
(arXiv 2502.06309), for two tiles; J. Li et al., "In-memory training on analog devices with limited conductance
states via multi-tile residual learning" (arXiv 2510.02516) for several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from pydantic import InstanceOf

from mho.config import Count, NonNegative, config
from mho.training.on_chip.rules.base import Held, Rule, Work
from mho.training.on_chip.trains import Stochastic, Train
from mho.training.on_chip.weights import PulsedWeights, send_all


@config
class ResidualLearning(Rule):
    """The weight is ``sum_n factor^n W_n``; the gradient goes to the last tile, and each tile is passed on.

    The network is read with all tiles (``mapping=mho.mapping.Residual(tiles=..., factor=...)``), so the last tile
    learns the residual of the others: at the optimum it is zero, where steps up and down are alike. Rows of tile
    n + 1 are read in turn and gathered in digital memory, which sends pulses to tile n; each tile is slower than
    the one after it.

    Attributes:
        train: how updates of the last tile become pulses.
        fast_lr: learning rate of the last tile, over that of the optimizer.
        transfer_lr: what a buffer gains for each unit that is read; of the optimizer's learning rate it takes none.
        transfer_every: vectors between two reads of the last tile.
        slower: factor by which each tile before it is read less often.
    """

    tiles = (2, float("inf"))

    train: InstanceOf[Train] = Stochastic()
    fast_lr: NonNegative = 1.0
    transfer_lr: NonNegative = 0.1
    transfer_every: Count = 1
    slower: Count = 4

    def begin(self, held: Held, hidden: Callable[[str], PulsedWeights]) -> None:
        """A buffer between each tile and the one before it."""
        for n in range(1, len(held.tiles)):
            held.memory[f"H{n}"] = held.zeros()
            held.counters |= {f"row{n}": 0, f"units{n}": 0}

    def update(self, works: Sequence[Work], generator: torch.Generator) -> None:
        """Updates of the last tile, then transfers from the last tile to the first."""
        parts = []
        for work in works:
            last = work.held.tiles[-1]
            rates = work.rates(self.fast_lr * work.lr)
            parts.append((last, last.counts(self.train, work.x, work.d, rates, generator)))
        send_all(parts, generator)
        deepest = max((len(work.held.tiles) for work in works), default=0)
        for n in range(deepest - 1, 0, -1):
            found = [self._passed_on(w, n, generator) for w in works if n < len(w.held.tiles)]
            send_all([part for part in found if part is not None], generator)

    def _passed_on(
        self, work: Work, n: int, generator: torch.Generator
    ) -> tuple[PulsedWeights, torch.Tensor] | None:
        """Pulses from tile n to the one before it; None if none of its rows is due."""
        held = work.held
        source, target, h = held.tiles[n], held.tiles[n - 1], held.memory[f"H{n}"]
        due = self._due(held, n, len(work.x))
        if not due:
            return None
        rows = torch.tensor(due, device=h.device)
        ratio = held.factors[n] / held.factors[n - 1]
        a = held.reading(source, rows, generator) * ratio
        h[:, rows] += self.transfer_lr * a
        pulses = (h[:, rows] / target.granularity).trunc()
        h[:, rows] -= pulses * target.granularity
        counts = held.zeros()
        counts[:, rows] = pulses
        return target, counts.unsqueeze(0)

    def _due(self, held: Held, n: int, vectors: int) -> list[int]:
        """The rows of tile n that are read after a batch."""
        every = self.transfer_every * self.slower ** (len(held.tiles) - 1 - n)
        units = held.counters[f"units{n}"] + vectors
        count, held.counters[f"units{n}"] = int(units // every), units % every
        size, first = held.weights.shape[1], int(held.counters[f"row{n}"])
        held.counters[f"row{n}"] = (first + count) % size
        return [(first + k) % size for k in range(min(count, size))]
