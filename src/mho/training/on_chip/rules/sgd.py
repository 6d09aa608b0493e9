"""Plain stochastic gradient descent by pulses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import InstanceOf

from mho.config import config
from mho.training.on_chip.rules.base import Rule, Work
from mho.training.on_chip.trains import Stochastic, Train
from mho.training.on_chip.weights import send_all


@config
class SGD(Rule):
    """Each vector sends its rank-one update to the weights themselves.

    T. Gokmen and Y. Vlasov, Front. Neurosci. 10, 333 (2016). Imbalance of steps up and down biases it.

    Attributes:
        train: how an update becomes pulses.
    """

    train: InstanceOf[Train] = Stochastic()

    def update(self, works: Sequence[Work], generator: torch.Generator) -> None:
        """One update for each vector."""
        parts = []
        for work in works:
            weights = work.held.weights
            sent = weights.counts(self.train, work.x, work.d, work.rates(work.lr), generator)
            parts.append((weights, sent))
        send_all(parts, generator)
