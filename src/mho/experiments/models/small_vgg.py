"""3x3 convolutions with pooling after each: the smallest network of VGG's kind."""

from __future__ import annotations

import itertools

from torch import nn

from mho.config import Count, config
from mho.experiments.models.base import Network, at_least


@config
class SmallVGG(Network):
    """Convolutions (3x3), each with ReLU and a maximum over 2x2, and a linear layer.

    Attributes:
        widths: channels of each convolution.

    >>> sum(p.numel() for p in SmallVGG().build(channels=1, size=28, classes=10).parameters())
    16938
    """

    widths: tuple[Count, ...] = (16, 32, 32)

    def build(self, channels: int, size: int, classes: int) -> nn.Module:
        """The image is halved by each convolution, rounding down."""
        at_least(size, 2 ** len(self.widths), self)
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise((channels, *self.widths)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        left = size // 2 ** len(self.widths)
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(self.widths[-1] * left**2, classes))
