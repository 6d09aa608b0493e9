"""The layer cases that the layer tests run over."""

from __future__ import annotations

import torch
from torch import nn

LINEAR = {
    "linear": (lambda **k: nn.Linear(20, 7, **k), (5, 20)),
    "linear without bias": (lambda **k: nn.Linear(20, 7, bias=False, **k), (5, 20)),
    "linear, no batch": (lambda **k: nn.Linear(20, 7, **k), (20,)),
    "linear, many batch axes": (lambda **k: nn.Linear(20, 7, **k), (2, 3, 4, 20)),
    "linear, one row": (lambda **k: nn.Linear(1, 7, **k), (5, 1)),
    "linear, one column": (lambda **k: nn.Linear(20, 1, **k), (5, 20)),
}
CONV = {
    "conv1d": (lambda **k: nn.Conv1d(6, 8, 3, **k), (2, 6, 11)),
    "conv1d, same": (lambda **k: nn.Conv1d(6, 8, 4, padding="same", dilation=2, **k), (2, 6, 16)),
    "conv1d, valid": (lambda **k: nn.Conv1d(6, 8, 3, padding="valid", **k), (2, 6, 11)),
    "conv2d": (lambda **k: nn.Conv2d(6, 8, 3, padding=1, **k), (2, 6, 9, 9)),
    "conv2d without bias": (lambda **k: nn.Conv2d(6, 8, 3, bias=False, **k), (2, 6, 9, 9)),
    "conv2d, stride": (lambda **k: nn.Conv2d(6, 8, (3, 5), stride=(2, 1), padding=(0, 2), **k), (2, 6, 9, 9)),
    "conv2d, dilation": (lambda **k: nn.Conv2d(6, 8, 3, dilation=2, **k), (2, 6, 9, 9)),
    "conv2d, groups": (lambda **k: nn.Conv2d(6, 8, 3, groups=2, **k), (2, 6, 9, 9)),
    "conv2d, depthwise": (lambda **k: nn.Conv2d(6, 12, 3, groups=6, **k), (2, 6, 9, 9)),
    "conv2d, reflect": (lambda **k: nn.Conv2d(6, 8, 3, padding=1, padding_mode="reflect", **k), (2, 6, 9, 9)),
    "conv2d, replicate": (
        lambda **k: nn.Conv2d(6, 8, 3, padding=2, padding_mode="replicate", **k),
        (2, 6, 9, 9),
    ),
    "conv2d, circular": (
        lambda **k: nn.Conv2d(6, 8, 3, padding="same", padding_mode="circular", **k),
        (2, 6, 9, 9),
    ),
    "conv2d, no batch": (lambda **k: nn.Conv2d(6, 8, 3, **k), (6, 9, 9)),
    "conv2d, 1x1": (lambda **k: nn.Conv2d(6, 8, 1, **k), (2, 6, 9, 9)),
    "conv3d": (lambda **k: nn.Conv3d(4, 5, 3, padding=1, **k), (2, 4, 5, 6, 7)),
    "conv3d, groups": (lambda **k: nn.Conv3d(4, 6, 2, groups=2, stride=2, **k), (2, 4, 5, 6, 7)),
}
TRANSPOSED = {
    "conv transpose 1d": (lambda **k: nn.ConvTranspose1d(6, 8, 3, stride=2, **k), (2, 6, 9)),
    "conv transpose 2d": (
        lambda **k: nn.ConvTranspose2d(6, 8, 3, stride=2, padding=1, output_padding=1, **k),
        (2, 6, 5, 5),
    ),
    "conv transpose 2d, groups": (
        lambda **k: nn.ConvTranspose2d(6, 8, 3, groups=2, dilation=2, bias=False, **k),
        (2, 6, 5, 5),
    ),
    "conv transpose 2d, no batch": (lambda **k: nn.ConvTranspose2d(6, 8, 3, **k), (6, 5, 5)),
    "conv transpose 3d": (lambda **k: nn.ConvTranspose3d(4, 5, 2, stride=2, **k), (2, 4, 3, 4, 5)),
}
CASES = {**LINEAR, **CONV, **TRANSPOSED}


def make(name: str, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, torch.Tensor]:
    """A layer with reproducible weights, and an input for it."""
    build, shape = CASES[name]
    torch.manual_seed(sum(map(ord, name)))
    return build(dtype=dtype), torch.randn(shape, dtype=dtype)
