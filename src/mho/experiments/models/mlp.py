"""Linear layers alone: the network of most studies of learning on a chip."""

from __future__ import annotations

import itertools

from torch import nn

from mho.config import Count, config
from mho.experiments.models.base import Network


@config
class MLP(Network):
    """Linear layers with hyperbolic tangents between; for the digits 2,400 weights.

    Attributes:
        hidden: outputs of each hidden layer.

    >>> sum(p.numel() for p in MLP().build(channels=1, size=8, classes=10).parameters())
    2410
    """

    hidden: tuple[Count, ...] = (32,)

    def build(self, channels: int, size: int, classes: int) -> nn.Module:
        """Flatten, then a linear layer and a tanh for each hidden layer, and a linear layer."""
        sizes = [channels * size**2, *self.hidden]
        layers = [m for n, k in itertools.pairwise(sizes) for m in (nn.Linear(n, k), nn.Tanh())]
        return nn.Sequential(nn.Flatten(), *layers, nn.Linear(sizes[-1], classes))
