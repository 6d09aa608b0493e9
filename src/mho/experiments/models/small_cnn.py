"""A small convolutional network for small images."""

from __future__ import annotations

from torch import nn

from mho.config import Count, config
from mho.experiments.models.base import Network, at_least


@config
class SmallCNN(Network):
    """Two convolutions (3x3) and two linear layers; for the digits 40 thousand weights.

    Attributes:
        first: channels of the first convolution.
        second: channels of the second convolution.
        hidden: outputs of the first linear layer.
    """

    first: Count = 16
    second: Count = 32
    hidden: Count = 64

    def build(self, channels: int, size: int, classes: int) -> nn.Module:
        """conv, ReLU, conv, ReLU, 2x2 maximum, linear, ReLU, linear."""
        at_least(size, 2, self)
        return nn.Sequential(
            nn.Conv2d(channels, self.first, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(self.first, self.second, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(self.second * (size // 2) ** 2, self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, classes),
        )
