"""Tables that are read row by row.

The word line of the wanted row is switched on at the full read voltage, and every column gives that
row's entry with its read noise; only the tile that holds the row is read and converted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Self

from mho.chip.layout import Layout
from mho.chip.layouts.base import ArraySize
from mho.chip.reads import Read
from mho.mapping import spans


@dataclass(frozen=True)
class LookUpLayout:
    """Tiles of a table read row by row; a partial is ``[1, look-up, channel, column]``.

    Inputs are row numbers.
    """

    rows: tuple[tuple[int, int], ...]
    columns: tuple[tuple[int, int], ...]
    padding_idx: int | None = None
    scale_grad_by_freq: bool = False
    bias_rows: int = 0
    tile_axis: int = 0
    channel_axis: int = 2
    column_axis: int = 3
    product_axes: int = 3
    one_hot: bool = True
    batch_axis: int = 1
    max_norm: float | None = None
    norm_type: float = 2.0
    output_axis: int = -1
    portioned: bool = False

    @classmethod
    def of(cls, shape: tuple[int, ...], size: ArraySize) -> Self:
        """The tiles of a table ``[row, column]``."""
        rows, columns = shape
        return cls(
            rows=spans(rows, size.rows, full=size.full),
            columns=spans(columns, size.columns, full=size.full),
        )

    def matrix(self, weight: Tensor) -> Tensor:
        """``[1, row, column]``, the rows cut to ``max_norm``; as in torch the cut has no gradient."""
        if self.max_norm is not None:
            held = weight.detach()
            norms = held.norm(self.norm_type, dim=1, keepdim=True)
            cut = held * torch.where(
                norms > self.max_norm, self.max_norm / (norms + 1e-7), torch.ones_like(norms)
            )
            weight = cut + (weight - held)
        return weight.unsqueeze(0)

    def from_matrix(self, matrix: Tensor) -> Tensor:
        """``[row, column]``."""
        return matrix[0]

    def check(self, x: Tensor, where: str) -> None:
        """Inputs are whole numbers."""
        if x.is_floating_point() or x.is_complex() or x.dtype == torch.bool:
            raise TypeError(f"x has dtype {x.dtype}: an embedding takes row numbers, integers")

    def portion(self, read: Read, x: Tensor, tiled: bool) -> int | None:
        """All look-ups at once."""
        return None

    def input_index(self) -> None:
        """Row numbers need no order."""

    def arrange(self, x: Tensor, index: Tensor | None) -> Tensor:
        """``[look-up]``."""
        return x.reshape(-1)

    def tile_of(self, x: Tensor) -> Tensor:
        """The tile of each row."""
        edges = torch.tensor([b for _, b in self.rows[:-1]], dtype=x.dtype, device=x.device)
        found: Tensor = torch.bucketize(x, edges, right=True)
        return found

    def tiles(self, read: Read, x: Tensor) -> list[tuple[Layout, Read, Tensor]]:
        """All rows in one look-up."""
        return [(self, read, self.arrange(x, None))]

    def input_tiles(self, v: Tensor) -> tuple[Tensor, ...]:
        """Row numbers in each tile."""
        where = self.tile_of(v)
        return tuple(v[where == t] for t in range(len(self.rows)))

    def samples(self, x: Tensor) -> int:
        """Look-ups."""
        return x.numel()

    def sample(self, x: Tensor, every: int) -> Tensor:
        """Some look-ups."""
        return x.reshape(-1)[::every]

    def vectors(self, x: Tensor) -> Tensor:
        """``[look-up, 1, row]``: one row is on, none for the padding, which no gradient reaches."""
        on = F.one_hot(x.reshape(-1, 1), self.rows[-1][1]).float()
        return on if self.padding_idx is None else on * (x.reshape(-1, 1, 1) != self.padding_idx)

    def column_vectors(self, y: Tensor) -> Tensor:
        """``[look-up, 1, column]``."""
        return y.reshape(-1, 1, y.shape[-1])

    def row_sums(self, values: Tensor) -> Tensor:
        """How often each row was on, ``[1, row]``."""
        rows = self.rows[-1][1]
        counts = torch.zeros(rows, device=values.device)
        return counts.index_add_(0, values.reshape(-1), counts.new_ones(values.numel())).unsqueeze(0)

    def products(self, inputs: int, outputs: int) -> int:
        """Nothing is multiplied."""
        return 0

    def squares(self, x: Tensor) -> Tensor:
        """A row that is on has the input one."""
        return x

    def kernel(self, matrices: Tensor) -> Tensor:
        """``[row, channel * column]``."""
        return matrices[:, 0].transpose(0, 1).flatten(1)

    def product(self, x: Tensor, kernel: Tensor) -> Tensor:
        """``[1, look-up, channel * column]``."""
        return self.whole_product(x, kernel, None).unsqueeze(0)

    def partial(self, currents: Tensor, channels: int) -> Tensor:
        """``[1, look-up, channel, column]``."""
        partial: Tensor = currents.unflatten(2, (channels, -1))
        return partial

    def whole_kernel(self, matrix: Tensor) -> Tensor:
        """``[row, column]``."""
        return matrix[0]

    def whole_product(self, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        """The rows ``x`` of the table."""
        options = {"scale_grad_by_freq": self.scale_grad_by_freq}
        rows: Tensor = F.embedding(x, kernel, self.padding_idx, **options)
        return rows

    def over_partial(self, values: Tensor) -> Tensor:
        """As it is; a value for each tile has been chosen for each look-up."""
        return values

    def over_inputs(self, values: Tensor) -> Tensor:
        """As it is."""
        return values

    def over_output(self, values: Tensor) -> Tensor:
        """As it is: columns come last."""
        return values

    def input_peak(self, x: Tensor, arranged: bool) -> Tensor:
        """One: the row is on."""
        return torch.ones((), device=x.device)

    def input_peak_over_partial(self, peak: Tensor) -> Tensor:
        """As it is."""
        return peak

    def input_axes(self, x: Tensor, arranged: bool) -> tuple[int, ...]:
        """None but the look-ups."""
        return ()

    def column_axes(self, partial: Tensor) -> tuple[int, ...]:
        """Of each look-up and channel."""
        return (3,)

    def output(self, total: Tensor, like: Tensor) -> Tensor:
        """``[..., column]``."""
        return total.reshape(*like.shape, total.shape[-1])
