"""The linear layer on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mho.cut import Cut, Read
from mho.hardware import Hardware
from mho.mapping import spans, without_bias_rows
from mho.nn.base import AnalogLayer


@dataclass(frozen=True)
class LinearCut:
    """Tiles of a matrix, one batched product; a partial is ``[tile, batch, channel, column]``."""

    rows: tuple[tuple[int, int], ...]
    columns: tuple[tuple[int, int], ...]
    bias_rows: int = 0
    tile_axis: int = 0
    channel_axis: int = 2
    column_axis: int = 3
    product_axes: int = 3
    one_hot: bool = False
    batch_axis: int = 1

    @property
    def _inputs(self) -> tuple[tuple[int, int], ...]:
        """The rows of each tile that have inputs."""
        return without_bias_rows(self.rows, self.bias_rows) if self.bias_rows else self.rows

    @property
    def size(self) -> int:
        """Inputs of the largest tile."""
        return max(b - a for a, b in self._inputs)

    def input_index(self) -> list[int] | None:
        """Inputs of each tile, the shorter ones filled up with their last one (its kernel is zero)."""
        inputs, size = self._inputs, self.size
        if all(b - a == size for a, b in inputs):
            return None
        return [min(a + k, b - 1) for a, b in inputs for k in range(size)]

    def arrange(self, x: Tensor, index: Tensor | None) -> Tensor:
        """``x[..., row]`` as ``[tile, batch, row]``."""
        x = x.reshape(-1, x.shape[-1])
        if index is not None:
            x = x.index_select(1, index)
        return x.view(x.shape[0], len(self.rows), self.size).transpose(0, 1)

    def tiles(self, read: Read, x: Tensor) -> list[tuple[Cut, Read, Tensor]]:
        """All tiles in one batched product."""
        return [(self, read, self.arrange(x, read.inputs))]

    def input_tiles(self, v: Tensor) -> tuple[Tensor, ...]:
        """Arranged inputs of each tile."""
        return v.unbind(0)

    def squares(self, x: Tensor) -> Tensor:
        """Elementwise."""
        return x * x

    def kernel(self, matrices: Tensor) -> Tensor:
        """``[tile, row, channel * column]``."""
        channels, _, rows, columns = matrices.shape
        flat = matrices[:, 0]
        if self.input_index() is not None:
            tiles = [F.pad(flat[:, a:b], (0, 0, 0, self.size - (b - a))) for a, b in self._inputs]
            flat = torch.cat(tiles, dim=1)
        tiles_, size = len(self.rows), self.size
        if channels == 1:
            return flat.reshape(tiles_, size, columns)
        return flat.view(channels, tiles_, size, columns).permute(1, 2, 0, 3).reshape(tiles_, size, -1)

    def product(self, x: Tensor, kernel: Tensor) -> Tensor:
        """``[tile, batch, channel * column]``."""
        return torch.bmm(x, kernel)

    def partial(self, currents: Tensor, channels: int) -> Tensor:
        """``[tile, batch, channel, column]``."""
        return currents.view(*currents.shape[:2], channels, currents.shape[2] // channels)

    def whole_kernel(self, matrix: Tensor) -> Tensor:
        """``[column, row]``."""
        return matrix[0].t().contiguous()

    def whole_product(self, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        """``x W^T + b``."""
        return F.linear(x, kernel, bias)

    def over_partial(self, values: Tensor) -> Tensor:
        """``values[1, tile, channel, column]`` as ``[tile, 1, channel, column]``."""
        return values.transpose(0, 1)

    def over_inputs(self, values: Tensor) -> Tensor:
        """``[tile, 1, 1]``."""
        return values.view(-1, 1, 1)

    def over_output(self, values: Tensor) -> Tensor:
        """As it is: columns come last."""
        return values

    def input_peak(self, x: Tensor, arranged: bool) -> Tensor:
        """Of each vector."""
        return x.detach().abs().amax(dim=(0, 2) if arranged else -1, keepdim=True)

    def input_peak_over_partial(self, peak: Tensor) -> Tensor:
        """``[1, batch, 1, 1]``."""
        return peak.unsqueeze(-1)

    def input_axes(self, x: Tensor, arranged: bool) -> tuple[int, ...]:
        """Rows, of all tiles."""
        return (0, 2) if arranged else (-1,)

    def column_axes(self, partial: Tensor) -> tuple[int, ...]:
        """Of each vector, tile and channel."""
        return (3,)

    def output(self, total: Tensor, like: Tensor) -> Tensor:
        """``[..., column]``."""
        return total.reshape(*like.shape[:-1], total.shape[-1])


def linear_cut(layer: AnalogLayer, inputs: int, outputs: int) -> LinearCut:
    """The cut of a matrix ``[inputs, outputs]`` and the layer's bias rows for the layer's hardware."""
    tile, extra = layer.hardware.tile, layer.bias_rows
    return LinearCut(
        rows=spans(inputs, tile.rows, full=tile.full, extra=extra),
        columns=spans(outputs, tile.columns, full=tile.full),
        bias_rows=extra,
    )


class AnalogLinear(AnalogLayer, nn.Linear):
    """``nn.Linear`` on arrays: rows are inputs, columns are outputs.

    Args:
        in_features, out_features, bias, device, dtype: as in ``nn.Linear``.
        hardware: the description of the arrays.
        bias_rows: rows of the array that hold the bias; 0 for a digital bias (see ``mho.nn.bias.BiasRows``).

    >>> layer = AnalogLinear(3, 2, hardware=Hardware())
    >>> layer(torch.ones(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None,
        *, hardware: Hardware, bias_rows: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(in_features, out_features, bias, device, dtype)
        self.setup(hardware, bias_rows)

    def make_cut(self) -> LinearCut:
        """Tiles of the ``in_features`` x ``out_features`` matrix."""
        return linear_cut(self, self.in_features, self.out_features)

    def matrix(self, weight: Tensor) -> Tensor:
        """``weight[out, in]`` as ``[1, in, out]``."""
        return weight.t().unsqueeze(0)

    def from_matrix(self, matrix: Tensor) -> Tensor:
        """``[1, in, out]`` as ``[out, in]``."""
        return matrix[0].t()

    def digital_forward(self, x: Tensor) -> Tensor:
        """``x W^T + b``."""
        return nn.Linear.forward(self, x)

    def forward(self, input: Tensor) -> Tensor:
        """Read the array with the vectors ``input[..., in_features]``; returns ``[..., out_features]``."""
        if input.shape[-1] != self.in_features:
            raise ValueError(
                f"x has shape {tuple(input.shape)}: its last size must be in_features = {self.in_features} "
                f"of {self.path or 'AnalogLinear'!r}"
            )
        return self.analog(input)
