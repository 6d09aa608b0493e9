"""A tiny example of each layer that has an analog twin, with inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

IDS = torch.tensor([[0, 1, 2, 3], [4, 4, 1, 0]])


class Layer(NamedTuple):
    """One product: whether the output is linear in the only input."""

    make: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    one_product: bool = False

    def inputs(self) -> tuple[Tensor, ...]:
        """The example's inputs; look-ups have no shapes."""
        draw = torch.Generator().manual_seed(2)
        return tuple(torch.randn(shape, generator=draw) for shape in self.shapes) or (IDS,)


LAYERS: dict[Any, Layer] = {
    nn.Linear: Layer(lambda: nn.Linear(6, 5), ((4, 6),), True),
    nn.Conv1d: Layer(lambda: nn.Conv1d(2, 3, 3), ((2, 2, 5),), True),
    nn.Conv2d: Layer(lambda: nn.Conv2d(2, 4, 2, groups=2, padding=1), ((2, 2, 3, 3),), True),
    nn.Conv3d: Layer(lambda: nn.Conv3d(2, 3, (1, 2, 2)), ((1, 2, 2, 3, 3),), True),
    nn.ConvTranspose1d: Layer(lambda: nn.ConvTranspose1d(2, 3, 2), ((2, 2, 4),), True),
    nn.ConvTranspose2d: Layer(lambda: nn.ConvTranspose2d(2, 3, 2, stride=2), ((2, 2, 2, 2),), True),
    nn.ConvTranspose3d: Layer(lambda: nn.ConvTranspose3d(2, 3, (1, 2, 1)), ((1, 2, 2, 2, 2),), True),
    nn.RNN: Layer(lambda: nn.RNN(3, 4), ((2, 2, 3),)),
    nn.LSTM: Layer(lambda: nn.LSTM(3, 2), ((2, 2, 3),)),
    nn.GRU: Layer(lambda: nn.GRU(3, 2), ((2, 2, 3),)),
    nn.RNNCell: Layer(lambda: nn.RNNCell(3, 4), ((2, 3), (2, 4))),
    nn.LSTMCell: Layer(lambda: nn.LSTMCell(3, 2), ((2, 3),)),
    nn.GRUCell: Layer(lambda: nn.GRUCell(3, 2), ((2, 3), (2, 2))),
    nn.MultiheadAttention: Layer(lambda: nn.MultiheadAttention(4, 2), ((2, 2, 4),) * 3),
    nn.Bilinear: Layer(lambda: nn.Bilinear(3, 2, 3), ((2, 3), (2, 2))),
    nn.Embedding: Layer(lambda: nn.Embedding(5, 3), ()),
    nn.EmbeddingBag: Layer(lambda: nn.EmbeddingBag(5, 3), ()),
}
