"""The linear layer on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mho.hardware import Hardware
from mho.mapping import spans
from mho.nn.base import AnalogLayer


@dataclass(frozen=True)
class LinearCut:
    """Tiles of a matrix, one batched product; a partial is ``[tile, batch, channel, column]``."""

    rows: tuple[tuple[int, int], ...]
    columns: tuple[tuple[int, int], ...]
    tile_axis: int = 0
    channel_axis: int = 2
    column_axis: int = 3
    product_axes: int = 3
    batch_axis: int = 1

    @property
    def size(self) -> int:
        """Rows of the largest tile."""
        return max(b - a for a, b in self.rows)

    def input_index(self) -> list[int] | None:
        """Rows of each tile, the shorter ones filled up with their last row (its kernel is zero)."""
        if all(b - a == self.size for a, b in self.rows):
            return None
        return [min(a + k, b - 1) for a, b in self.rows for k in range(self.size)]

    def arrange(self, x: Tensor, index: Tensor | None) -> Tensor:
        """``x[..., row]`` as ``[tile, batch, row]``."""
        x = x.reshape(-1, x.shape[-1])
        if index is not None:
            x = x.index_select(1, index)
        return x.view(x.shape[0], len(self.rows), self.size).transpose(0, 1)

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
            tiles = [F.pad(flat[:, a:b], (0, 0, 0, self.size - (b - a))) for a, b in self.rows]
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

    def partial_peak(self, partial: Tensor) -> Tensor:
        """Of each vector, tile and channel."""
        return partial.detach().abs().amax(dim=3, keepdim=True)

    def output(self, total: Tensor, like: Tensor) -> Tensor:
        """``[..., column]``."""
        return total.reshape(*like.shape[:-1], total.shape[-1])


class AnalogLinear(AnalogLayer, nn.Linear):
    """``nn.Linear`` on arrays: rows are inputs, columns are outputs, the bias is digital.

    Args:
        in_features, out_features, bias, device, dtype: as in ``nn.Linear``.
        hardware: the description of the arrays.

    >>> layer = AnalogLinear(3, 2, hardware=Hardware())
    >>> layer(torch.ones(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None,
        *, hardware: Hardware,
    ) -> None:  # fmt: skip
        super().__init__(in_features, out_features, bias, device, dtype)
        self.setup(hardware)

    def make_cut(self) -> LinearCut:
        """Tiles of the ``in_features`` x ``out_features`` matrix."""
        tile = self.hardware.tile
        return LinearCut(
            rows=spans(self.in_features, tile.rows, full=tile.full),
            columns=spans(self.out_features, tile.columns, full=tile.full),
        )

    def matrix(self, weight: Tensor) -> Tensor:
        """``weight[out, in]`` as ``[1, in, out]``."""
        return weight.t().unsqueeze(0)

    def from_matrix(self, matrix: Tensor) -> Tensor:
        """``[1, in, out]`` as ``[out, in]``."""
        return matrix[0].t()

    def digital_forward(self, x: Tensor) -> Tensor:
        """``x W^T + b``."""
        return nn.Linear.forward(self, x)

    def forward(self, x: Tensor) -> Tensor:
        """Read the array with the vectors ``x[..., in_features]``; returns ``[..., out_features]``."""
        if x.shape[-1] != self.in_features:
            raise ValueError(
                f"x has shape {tuple(x.shape)}: its last size must be in_features = {self.in_features} "
                f"of {self.path or 'AnalogLinear'!r}"
            )
        return self.analog(x)
