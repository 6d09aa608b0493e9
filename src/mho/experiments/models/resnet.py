"""Residual networks for images of about 32x32 pixels (He et al., CVPR 2016)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mho.config import Count, config
from mho.experiments.models.base import Network, at_least


@config
class ResNet18(Network):
    """ResNet-18 with a 3x3 first convolution and no first pooling, as used on CIFAR; 11 million weights."""

    def build(self, channels: int, size: int, classes: int) -> nn.Module:
        """Four stages of two blocks, 64 to 512 channels; shortcuts are 1x1 convolutions."""
        at_least(size, 8, self)
        return _resnet(channels, classes, (64, 128, 256, 512), blocks=2, projected=True)


@config
class SmallResNet(Network):
    """A residual network for small images: three stages of one block; by default 20 thousand weights.

    Attributes:
        width: channels of the first stage; the others have twice and four times as many.
    """

    width: Count = 8

    def build(self, channels: int, size: int, classes: int) -> nn.Module:
        """Shortcuts between stages are 1x1 convolutions."""
        at_least(size, 4, self)
        widths = (self.width, 2 * self.width, 4 * self.width)
        return _resnet(channels, classes, widths, blocks=1, projected=True)


@config
class ResNet20(Network):
    """The CIFAR ResNet of 20 layers; 0.27 million weights."""

    def build(self, channels: int, size: int, classes: int) -> nn.Module:
        """Three stages of three blocks, 16 to 64 channels; shortcuts have no weights."""
        at_least(size, 4, self)
        return _resnet(channels, classes, (16, 32, 64), blocks=3, projected=False)


@config
class ResNet32(Network):
    """The CIFAR ResNet of 32 layers, the network of Joshi et al. 2020; 0.46 million weights."""

    def build(self, channels: int, size: int, classes: int) -> nn.Module:
        """Three stages of five blocks, 16 to 64 channels; shortcuts have no weights."""
        at_least(size, 4, self)
        return _resnet(channels, classes, (16, 32, 64), blocks=5, projected=False)


def _resnet(channels: int, classes: int, widths: Sequence[int], blocks: int, projected: bool) -> nn.Module:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["stem"] = nn.Sequential(_conv3(channels, widths[0], 1), nn.BatchNorm2d(widths[0]), nn.ReLU())
    previous = widths[0]
    for stage, width in enumerate(widths):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            layers[f"stage{stage + 1}_{block + 1}"] = Block(previous, width, stride, projected)
            previous = width
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["head"] = nn.Linear(previous, classes)
    network = nn.Sequential(layers)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def _conv3(inputs: int, outputs: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut around them.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: 2 halves the image.
        projected: where shapes differ, the shortcut is a 1x1 convolution (He's option B) instead of
            every second pixel with channels of zeros added (option A).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, projected: bool) -> None:
        super().__init__()
        self.first = nn.Sequential(_conv3(inputs, outputs, stride), nn.BatchNorm2d(outputs), nn.ReLU())
        self.second = nn.Sequential(_conv3(outputs, outputs, 1), nn.BatchNorm2d(outputs))
        self.shortcut: nn.Module
        if stride == 1 and inputs == outputs:
            self.shortcut = nn.Identity()
        elif projected:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )
        else:
            self.shortcut = Subsample(stride, outputs - inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``[n, inputs, h, w]`` to ``[n, outputs, h / stride, w / stride]``."""
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))


class Subsample(nn.Module):
    """Every ``stride``-th pixel, with ``added`` channels of zeros, half before and half after."""

    def __init__(self, stride: int, added: int) -> None:
        super().__init__()
        self.stride, self.added = stride, added

    def forward(self, x: Tensor) -> Tensor:
        """Images ``[n, c, h, w]`` to ``[n, c + added, h / stride, w / stride]``."""
        before = self.added // 2
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.added - before))
