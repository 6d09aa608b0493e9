"""Gradients gathered in digital memory, steps sent as pulses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mho.config import Count, config
from mho.training.on_chip.rules.base import Held, Rule, Work
from mho.training.on_chip.weights import PulsedWeights, send_all


@config
class MixedPrecision(Rule):
    """Updates are added up in digital memory *chi*; whole steps of it are sent as pulses.

    S. R. Nandakumar et al., "Mixed-precision deep learning based on computational memory", Front. Neurosci.
    14, 406 (2020). What was not sent stays in chi.

    Attributes:
        transfer_every: batches between two transfers.
        threshold: steps that chi of a weight has to reach before it sends any. Each pulse draws the write
            noise of its cell anew; where that is many steps, fewer and larger changes leave less of it.
        n_x_bins, n_d_bins: levels to which inputs and errors are rounded before; None for none.
        stochastic_rounding: round them up or down by chance, right on average.
        most_pulses: pulses that one transfer sends to a weight at most.
    """

    transfer_every: Count = 1
    threshold: Annotated[float, Field(ge=1)] = 1.0
    n_x_bins: Annotated[int, Field(ge=2)] | None = None
    n_d_bins: Annotated[int, Field(ge=2)] | None = None
    stochastic_rounding: bool = False
    most_pulses: Count = 31

    def begin(self, held: Held, hidden: Callable[[str], PulsedWeights]) -> None:
        """The digital memory."""
        held.memory["chi"] = held.zeros()
        held.counters["batches"] = 0

    def update(self, works: Sequence[Work], generator: torch.Generator) -> None:
        """Add up; perhaps send."""
        parts = []
        for held, x, d, lr in works:
            x, d = (
                _binned(v, bins, self.stochastic_rounding, generator)
                for v, bins in ((x, self.n_x_bins), (d, self.n_d_bins))
            )
            held.memory["chi"] -= lr * torch.einsum("vgr,vgc->grc", x, d)
            held.counters["batches"] += 1
            if held.counters["batches"] % self.transfer_every == 0:
                step = held.weights.granularity
                n = (held.memory["chi"] / step).trunc().clamp(-self.most_pulses, self.most_pulses)
                if self.threshold > 1:
                    n = n * (n.abs() >= min(math.floor(self.threshold), self.most_pulses))
                held.memory["chi"] -= n * step
                parts.append((held.weights, n.unsqueeze(0)))
        send_all(parts, generator)


def _binned(values: Tensor, bins: int | None, stochastic: bool, generator: torch.Generator) -> Tensor:
    """Values of each vector on ``bins`` levels from minus to plus its largest magnitude."""
    if bins is None:
        return values
    top = values.abs().amax((1, 2), keepdim=True)
    step = torch.where(top > 0, top / (bins // 2), 1.0)
    if stochastic:
        moved = torch.rand(values.shape, dtype=values.dtype, device=values.device, generator=generator) - 0.5
        return (values / step + moved).round() * step
    return (values / step).round() * step
