"""Tiki-Taka: the fast array is passed on row by row, at once or through a digital buffer."""

from __future__ import annotations

from collections.abc import Callable

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import Count, Fraction, Positive, config
from mho.training.on_chip.rules.base import Held, Work
from mho.training.on_chip.rules.transfer import Transferring
from mho.training.on_chip.trains import Stochastic, Train
from mho.training.on_chip.weights import PulsedWeights


@config
class TikiTaka(Transferring):
    """Rows of A are read and sent on as pulses: Tiki-Taka, version 1.

    T. Gokmen and W. Haensch, Front. Neurosci. 14, 103 (2020).

    Attributes:
        transfer_train: how what was read becomes pulses.
    """

    transfer_train: InstanceOf[Train] = Stochastic()

    def transfer(
        self, work: Work, rows: Tensor, passes: Tensor, a: Tensor, generator: torch.Generator
    ) -> Tensor:
        """An update with one row on for each row that was read."""
        groups, size, _ = work.held.weights.shape
        x = torch.zeros(len(rows), groups, size, dtype=a.dtype, device=a.device)
        x[torch.arange(len(rows)), :, rows] = 1.0
        rates = torch.full((len(rows),), self.rate(work.lr), dtype=a.dtype, device=a.device)
        return work.held.weights.counts(self.transfer_train, x, -a.transpose(0, 1), rates, generator)


@config
class Buffered(Transferring):
    """What rules share that gather what they read in digital memory *H*, until it is worth a pulse.

    Attributes:
        momentum: what H keeps of itself when it sends a pulse.
        forget_buffer: keep that share of all of H; otherwise take the share that is not kept off H in pulses.
        most_pulses: pulses that one transfer sends to a weight at most.
    """

    momentum: Fraction = 0.1
    forget_buffer: bool = True
    most_pulses: Count = 1

    def begin(self, held: Held, hidden: Callable[[str], PulsedWeights]) -> None:
        """The fast array, and H."""
        super().begin(held, hidden)
        held.memory["H"] = held.zeros()

    def rate(self, lr: float) -> float:
        """Less where A has a share in the weight."""
        return super().rate(lr) * (self.gamma if self.gamma > 0 else 1.0)

    def emptied(self, h: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
        """H after sending pulses, and their signed number."""
        n = (h / threshold).trunc().clamp(-self.most_pulses, self.most_pulses)
        if self.forget_buffer:
            return torch.where(n != 0, self.momentum * h, h), n
        return h - (1 - self.momentum) * n * threshold, n

    def placed(self, work: Work, rows: Tensor, n: Tensor) -> Tensor:
        """Counts of the rows that were read among zeros, ``[1, group, row, column]``."""
        return work.held.zeros().index_copy_(1, rows, n).unsqueeze(0)


@config
class TikiTaka2(Buffered):
    """Rows of A are gathered in H, which sends pulses when it exceeds steps: Tiki-Taka, version 2.

    T. Gokmen, Front. Artif. Intell. 4, 699148 (2021).

    Attributes:
        thres_scale: threshold of H, in steps of the weights.
    """

    thres_scale: Positive = 1.0

    def transfer(
        self, work: Work, rows: Tensor, passes: Tensor, a: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Pulses of full buffers."""
        held = work.held
        h = held.memory["H"].index_select(1, rows) + self.rate(work.lr) * a
        held.memory["H"][:, rows], n = self.emptied(h, self.thres_scale * held.weights.granularity)
        return self.placed(work, rows, n)
