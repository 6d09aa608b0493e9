"""Wide residual networks for images of about 32x32 pixels (Zagoruyko and Komodakis, BMVC 2016)."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from mho.config import Count, Fraction, config
from mho.experiments.models.base import Network, at_least


@config
class WideResNet(Network):
    """A wide residual network, by default WRN-16-4; 2.75 million weights on CIFAR-10.

    Attributes:
        depth: layers, 6 n + 4 with n blocks in each of the three stages.
        width: times as many channels as the 16, 32 and 64 of the narrow network.
        dropout: part of the activations that is left out between the convolutions of a block.
    """

    depth: Count = 16
    width: Count = 4
    dropout: Fraction = 0.0

    def validate(self) -> None:
        """The depth must be one that three stages of equal blocks have, and something must be left."""
        if self.depth < 10 or (self.depth - 4) % 6:
            raise ValueError(f"depth = {self.depth}: it is 6 n + 4; give 10, 16, 22, 28, 34, 40, ...")
        if self.dropout == 1:
            raise ValueError("dropout = 1.0: it leaves nothing; give less than 1")

    def build(self, channels: int, size: int, classes: int) -> nn.Module:
        """Normalisation and ReLU stand before each convolution; stages are joined by 1x1 convolutions."""
        at_least(size, 4, self)
        blocks = (self.depth - 4) // 6
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["stem"] = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        previous = 16
        for stage in range(3):
            wide = 16 * 2**stage * self.width
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                layers[f"stage{stage + 1}_{block + 1}"] = PreActivated(previous, wide, stride, self.dropout)
                previous = wide
        layers["norm"] = nn.BatchNorm2d(previous)
        layers["relu"] = nn.ReLU()
        layers["pool"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
        head = layers["head"] = nn.Linear(previous, classes)
        network = nn.Sequential(layers)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(head.bias)
        return network


class PreActivated(nn.Module):
    """Normalisation, ReLU and a 3x3 convolution, twice, and a shortcut around them.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: 2 halves the image.
        dropout: part of the activations that is left out before the second convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.first_norm = nn.BatchNorm2d(inputs)
        self.first = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout(dropout)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        same = stride == 1 and inputs == outputs
        self.shortcut = None if same else nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``[n, inputs, h, w]`` to ``[n, outputs, h / stride, w / stride]``.

        A projection sees the normalised input, as the first convolution does.
        """
        active = torch.relu(self.first_norm(x))
        y: Tensor = self.second(self.dropout(torch.relu(self.second_norm(self.first(active)))))
        return y + (x if self.shortcut is None else self.shortcut(active))
