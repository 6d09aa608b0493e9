"""A matrix in tiles: what linear layers and the matrices of recurrent layers and attention share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Self

from mho.chip.layout import Layout
from mho.chip.layouts.base import ArraySize, check_floating
from mho.chip.reads import Read
from mho.mapping import spans, without_bias_rows


@dataclass(frozen=True)
class MatrixLayout:
    """Tiles of a weight ``[output, input]``, one batched product.

    A partial is ``[tile, batch, channel, column]``. A subclass for a weight that is stored otherwise changes
    :meth:`extent`, :meth:`matrix` and :meth:`from_matrix`.
    """

    rows: tuple[tuple[int, int], ...]
    columns: tuple[tuple[int, int], ...]
    bias_rows: int = 0
    called: str = ""  # what the layer calls its inputs, for messages
    tile_axis: int = 0
    channel_axis: int = 2
    column_axis: int = 3
    product_axes: int = 3
    one_hot: bool = False
    batch_axis: int = 1
    shape: tuple[int, ...] = ()
    output_axis: int = -1
    portioned: bool = False

    @classmethod
    def of(cls, shape: tuple[int, ...], size: ArraySize) -> Self:
        """The tiles of a weight of that shape."""
        inputs, outputs = cls.extent(shape)
        return cls(
            shape=shape,
            rows=spans(inputs, size.rows, full=size.full, extra=size.bias_rows),
            columns=spans(outputs, size.columns, full=size.full),
            bias_rows=size.bias_rows,
        )

    @staticmethod
    def extent(shape: tuple[int, ...]) -> tuple[int, int]:
        """Inputs and outputs of a weight of that shape."""
        outputs, inputs = shape
        return inputs, outputs

    def matrix(self, weight: Tensor) -> Tensor:
        """``weight[out, in]`` as ``[1, in, out]``."""
        return weight.t().unsqueeze(0)

    def from_matrix(self, matrix: Tensor) -> Tensor:
        """``[1, in, out]`` as ``[out, in]``."""
        return matrix[0].t()

    def check(self, x: Tensor, where: str) -> None:
        """Inputs are floating-point vectors of as many numbers as there are rows."""
        inputs = self.rows[-1][1] - self.bias_rows
        if x.shape[-1:] != (inputs,):
            called = f"{self.called} = {inputs}" if self.called else f"{inputs}, the rows"
            raise ValueError(f"x has shape {tuple(x.shape)}: its last size must be {called} of {where!r}")
        if not x.is_floating_point():
            check_floating(x, where)

    def portion(self, read: Read, x: Tensor, tiled: bool) -> int | None:
        """All vectors at once."""
        return None

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
        tiles = len(self.rows)
        return x.view(x.shape[0], tiles, x.shape[1] // tiles).transpose(0, 1)

    def tiles(self, read: Read, x: Tensor) -> list[tuple[Layout, Read, Tensor]]:
        """All tiles in one batched product."""
        return [(self, read, self.arrange(x, read.inputs))]

    def input_tiles(self, v: Tensor) -> tuple[Tensor, ...]:
        """Arranged inputs of each tile."""
        return v.unbind(0)

    def samples(self, x: Tensor) -> int:
        """Vectors."""
        return x.numel() // x.shape[-1]

    def sample(self, x: Tensor, every: int) -> Tensor:
        """Some vectors."""
        return x.reshape(-1, x.shape[-1])[::every]

    def vectors(self, x: Tensor) -> Tensor:
        """``[vector, 1, row]``."""
        return x.reshape(-1, 1, x.shape[-1])

    def column_vectors(self, y: Tensor) -> Tensor:
        """``[vector, 1, column]``."""
        return y.reshape(-1, 1, y.shape[-1])

    def row_sums(self, values: Tensor) -> Tensor:
        """``[1, row]``."""
        return values.reshape(-1, values.shape[-1]).sum(0, keepdim=True)

    def products(self, inputs: int, outputs: int) -> int:
        """Each output is a sum over all rows."""
        return outputs * (self.rows[-1][1] - self.bias_rows)

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


@dataclass(frozen=True)
class TransposedMatrixLayout(MatrixLayout):
    """Tiles of a weight ``[input, output]``."""

    @staticmethod
    def extent(shape: tuple[int, ...]) -> tuple[int, int]:
        """Inputs and outputs of a weight of that shape."""
        inputs, outputs = shape
        return inputs, outputs

    def matrix(self, weight: Tensor) -> Tensor:
        """``[1, input, output]``."""
        return weight.unsqueeze(0)

    def from_matrix(self, matrix: Tensor) -> Tensor:
        """``[input, output]``."""
        return matrix[0]


@dataclass(frozen=True)
class BilinearLayout(MatrixLayout):
    """Tiles of a weight ``[output, first, second]``: rows are the first input, columns the rest."""

    @staticmethod
    def extent(shape: tuple[int, ...]) -> tuple[int, int]:
        """First inputs, and outputs times second inputs."""
        outputs, first, second = shape
        return first, outputs * second

    def matrix(self, weight: Tensor) -> Tensor:
        """``[1, first, output * second]``."""
        return weight.transpose(0, 1).flatten(1).unsqueeze(0)

    def from_matrix(self, matrix: Tensor) -> Tensor:
        """``[output, first, second]``."""
        weight: Tensor = matrix[0].unflatten(1, (-1, self.shape[2])).transpose(0, 1)
        return weight
