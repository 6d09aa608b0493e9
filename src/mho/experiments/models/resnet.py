"""Residual networks for images of about 32x32 pixels.

He et al., CVPR 2016; the wide ones are those of Zagoruyko and Komodakis, BMVC 2016.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mho.config import Count, Fraction, config, later
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
    """A residual network for small images: three stages of blocks; by default 20 thousand weights.

    Attributes:
        width: channels of the first stage; the others have twice and four times as many.
        skips: shortcuts around the blocks; False for the same network without them.
        blocks: of each stage.
    """

    width: Count = 8
    skips: bool = later(default=True)
    blocks: Count = later(default=1)

    def build(self, channels: int, size: int, classes: int) -> nn.Module:
        """Shortcuts between stages are 1x1 convolutions."""
        at_least(size, 4, self)
        widths = (self.width, 2 * self.width, 4 * self.width)
        network = _resnet(channels, classes, widths, self.blocks, projected=True)
        if not self.skips:
            for name, block in network.named_children():
                if isinstance(block, Block):
                    setattr(network, name, nn.Sequential(block.first, block.second, nn.ReLU()))
        return network


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
        layers: dict[str, nn.Module] = {"stem": nn.Conv2d(channels, 16, 3, padding=1, bias=False)}
        widths = [16 * 2**stage * self.width for stage in range(3)]
        layers |= _stages(16, widths, blocks, partial(PreActivated, dropout=self.dropout))
        layers |= {"norm": nn.BatchNorm2d(widths[-1]), "relu": nn.ReLU()}
        network = _topped(layers, widths[-1], classes)
        nn.init.zeros_(network[-1].bias)  # type: ignore[arg-type]
        return network


def _resnet(channels: int, classes: int, widths: Sequence[int], blocks: int, projected: bool) -> nn.Module:
    stem = nn.Sequential(_conv3(channels, widths[0], 1), nn.BatchNorm2d(widths[0]), nn.ReLU())
    stages = _stages(widths[0], widths, blocks, partial(Block, projected=projected))
    return _topped({"stem": stem, **stages}, widths[-1], classes)


def _stages(
    inputs: int, widths: Sequence[int], blocks: int, block: Callable[[int, int, int], nn.Module]
) -> dict[str, nn.Module]:
    """Blocks by name, made from (inputs, outputs, stride): each stage but the first halves the image."""
    layers: dict[str, nn.Module] = {}
    for stage, width in enumerate(widths):
        for number in range(blocks):
            stride = 2 if stage > 0 and number == 0 else 1
            layers[f"stage{stage + 1}_{number + 1}"] = block(inputs, width, stride)
            inputs = width
    return layers


def _topped(layers: Mapping[str, nn.Module], width: int, classes: int) -> nn.Sequential:
    """Layers and, above them, the mean over the image and the scores; He's weights in all convolutions."""
    top = {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "head": nn.Linear(width, classes)}
    network = nn.Sequential(OrderedDict({**layers, **top}))
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
