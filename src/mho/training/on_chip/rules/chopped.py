"""Tiki-Taka with choppers: rows of the fast array learn with changing signs, and errors of its zero go.

M. J. Rasch et al., "Fast and robust analog in-memory deep neural network training", Nat. Commun. 15, 7133
(2024).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mho.config import Fraction, NonNegative, Positive, config
from mho.training.on_chip.rules.base import Held, Work
from mho.training.on_chip.rules.tiki_taka import Buffered
from mho.training.on_chip.weights import PulsedWeights


@config
class Chopping(Buffered):
    """What the rules with choppers share. H is in units of its own granularity.

    Attributes:
        units_in_mbatch, scale_fast_lr, momentum: as of all transfers, with other defaults.
        in_chop_prob: chance that the chopper of a row changes after it was read, or one over the number of
            passes after which all of them do.
        in_chop_random: by chance, or regularly.
        buffer_granularity: of H, in steps of A.
        auto_granularity: multiply it by that many vectors over the number of rows; 0 for no such factor.
        auto_scale: scale the rate of A so that the largest update of a vector takes ``fast_lr`` of a train,
            from running means of the largest inputs and errors.
        auto_momentum: of these means.
        correct_gradient_magnitudes: take the rate of A out of the transfers.
    """

    units_in_mbatch: bool = False
    scale_fast_lr: bool = False
    momentum: Fraction = 0.0
    in_chop_prob: Annotated[float, Field(ge=0, le=1)] = 0.1
    in_chop_random: bool = True
    buffer_granularity: Positive = 1.0
    auto_granularity: NonNegative = 0.0
    auto_scale: bool = False
    auto_momentum: Fraction = 0.99
    correct_gradient_magnitudes: bool = False

    def validate(self) -> None:
        """A rate of A that is scaled by itself is in no transfer."""
        if self.auto_scale and self.correct_gradient_magnitudes:
            raise ValueError(
                "auto_scale = True, correct_gradient_magnitudes = True: the scaled rate of A changes with "
                "each vector and cannot be taken out of the transfers; choose one of them"
            )

    @property
    def period(self) -> int:
        """Passes between two changes of regular choppers; 0 for never."""
        return math.ceil(1 / self.in_chop_prob) if self.in_chop_prob > 0 else 0

    def begin(self, held: Held, hidden: Callable[[str], PulsedWeights]) -> None:
        """Choppers, all positive."""
        super().begin(held, hidden)
        held.memory["chopper"] = held.zeros()[:, :, 0] + 1
        held.counters |= {"x_mean": 0.0, "d_mean": 0.0}

    def signs(self, held: Held) -> Tensor:
        """The choppers, ``[group, row]``."""
        return held.memory["chopper"]

    def fast_rates(self, work: Work) -> Tensor:
        """The rate of A, perhaps from the running means after each vector."""
        if not self.auto_scale:
            return super().fast_rates(work)
        counters, slots = work.held.counters, self.train.longest
        unit = self._fast_lr(work.lr) * slots * work.held.hidden["fast"].granularity
        rates = []
        tops = zip(*(v.abs().amax((1, 2)).tolist() for v in (work.x, work.d)), strict=True)
        for top in tops:
            for name, value in zip(("x_mean", "d_mean"), top, strict=True):
                counters[name] = self._mean(counters[name], value)
            both = counters["x_mean"] * counters["d_mean"]
            rates.append(unit / both if both > 0 else 0.0)
        return torch.tensor(rates, dtype=work.d.dtype, device=work.d.device)

    def _mean(self, before: float, value: float) -> float:
        if before <= 0 or value <= 0:
            return max(before, value)
        return self.auto_momentum * before + (1 - self.auto_momentum) * value

    def gathered_per_unit(self, work: Work) -> float:
        """What H gains for each unit that was read."""
        held = work.held
        fast, slow = held.hidden["fast"].granularity, held.weights.granularity
        unit = self.buffer_granularity
        if self.auto_granularity > 0:
            unit *= self.auto_granularity / (held.weights.shape[1] * self.transfer_every)
        rate = self.rate(work.lr)
        return rate / (unit * (self._fast_lr(work.lr) * slow if self.correct_gradient_magnitudes else fast))

    def chop(self, work: Work, rows: Tensor, passes: Tensor, generator: torch.Generator) -> Tensor:
        """Change choppers of rows that were read; which ones, ``[group, read]``."""
        chopper = work.held.memory["chopper"]
        if self.in_chop_random:
            drawn = torch.rand(len(chopper), len(rows), device=chopper.device, generator=generator)
            changed = drawn < self.in_chop_prob
        else:
            period = self.period
            changed = (
                passes % period == period - 1 if period > 0 else torch.zeros_like(passes, dtype=torch.bool)
            )
        chopper[:, rows] = torch.where(changed, -chopper[:, rows], chopper[:, rows])
        return changed.expand(len(chopper), -1)


@config
class ChoppedTikiTaka2(Chopping):
    """Tiki-Taka 2 with choppers: c-TTv2."""

    def transfer(
        self, work: Work, rows: Tensor, passes: Tensor, a: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Pulses of full buffers; then choppers may change."""
        memory = work.held.memory
        signs = memory["chopper"][:, rows].unsqueeze(-1)
        h = memory["H"].index_select(1, rows) + signs * a * self.gathered_per_unit(work)
        memory["H"][:, rows], n = self.emptied(h, 1.0)
        self.chop(work, rows, passes, generator)
        return self.placed(work, rows, n)


@config
class AGAD(Chopping):
    """Choppers with a zero of each cell that is estimated on the fly: AGAD. It needs no reference array.

    Attributes:
        in_chop_random: regularly, by default.
        tail_weightening: how much more the reads of the end of a period count in the zero.
        buffer_cap: H is kept between plus and minus that after pulses, where it does not forget; 0 for no
            limit.
    """

    in_chop_random: bool = False
    tail_weightening: Positive = 5.0
    buffer_cap: NonNegative = 0.0

    def begin(self, held: Held, hidden: Callable[[str], PulsedWeights]) -> None:
        """Running means of the reads, those of the last period, and whether a chopper has just changed."""
        super().begin(held, hidden)
        held.memory |= {"mean": held.zeros(), "past": held.zeros()}
        held.memory["changed"] = torch.zeros_like(held.memory["chopper"])

    def transfer(
        self, work: Work, rows: Tensor, passes: Tensor, a: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Pulses of full buffers, once a period is over; then the means, and choppers may change."""
        memory, period = work.held.memory, max(self.period, 1)
        mean, past = (memory[name].index_select(1, rows) for name in ("mean", "past"))
        past = torch.where(memory["changed"][:, rows].unsqueeze(-1) > 0, mean, past)
        signs = memory["chopper"][:, rows].unsqueeze(-1)
        h = memory["H"].index_select(1, rows) + signs * (a - past) * self.gathered_per_unit(work)
        h, n = self.emptied(h, 1.0)
        if self.buffer_cap > 0 and not self.forget_buffer:
            h = torch.where(n != 0, h.clamp(-self.buffer_cap, self.buffer_cap), h)
        new = min(self.tail_weightening / period, 1.0)
        memory["H"][:, rows], memory["past"][:, rows] = h, past
        memory["mean"][:, rows] = (1 - new) * mean + new * a
        memory["changed"][:, rows] = self.chop(work, rows, passes, generator).to(a.dtype)
        return self.placed(work, rows, n * (passes > period).view(1, -1, 1))
