"""Embeddings on arrays: a look-up is a read of one row.

The word line of the wanted row is switched on at the full read voltage, and every column gives that
row's entry with its read noise; only the tile that holds the row is read and converted. A word line
that is on or off needs no codes: whatever DAC the hardware has, an input of one is its full scale, and
there is no other. The ADC is calibrated on the whole table. Gradients are dense.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mho import tile
from mho.converters import DAC, Fixed
from mho.cut import Cut, Read
from mho.hardware import Hardware
from mho.mapping import spans
from mho.nn.arrays import Array, SeveralArrays
from mho.nn.base import AnalogLayer
from mho.nn.observer import Observer


@dataclass(frozen=True)
class EmbeddingCut:
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

    def tiles(self, read: Read, x: Tensor) -> list[tuple[Cut, Read, Tensor]]:
        """All rows in one look-up."""
        return [(self, read, self.arrange(x, None))]

    def input_tiles(self, v: Tensor) -> tuple[Tensor, ...]:
        """Row numbers in each tile."""
        where = self.tile_of(v)
        return tuple(v[where == t] for t in range(len(self.rows)))

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


class _Table(AnalogLayer):
    """What embeddings share: the array of a table ``[row, column]``."""

    def options(self) -> Any:
        """The module that has ``max_norm``, ``norm_type`` and ``scale_grad_by_freq``."""
        return self

    def setup(self, hardware: Hardware, bias_rows: int = 0) -> None:
        """An array whose rows are on or off; a table has no bias."""
        if isinstance(hardware, Hardware) and hardware.dac is not None:
            hardware = dataclasses.replace(hardware, dac=DAC(bits=None, range=Fixed(limit=1.0)))
        super().setup(hardware, bias_rows)

    def make_cut(self) -> EmbeddingCut:
        """Tiles of the table."""
        size, (rows, columns) = self.hardware.tile, self.weight.shape
        return EmbeddingCut(
            rows=spans(rows, size.rows, full=size.full),
            columns=spans(columns, size.columns, full=size.full),
            padding_idx=getattr(self, "padding_idx", None),
            scale_grad_by_freq=self.options().scale_grad_by_freq,
        )

    def matrix(self, weight: Tensor) -> Tensor:
        """``[1, row, column]``, the rows cut to ``max_norm``; as in torch the cut has no gradient."""
        most = self.options().max_norm
        if most is not None:
            held = weight.detach()
            norms = held.norm(self.options().norm_type, dim=1, keepdim=True)
            cut = held * torch.where(norms > most, most / (norms + 1e-7), torch.ones_like(norms))
            weight = cut + (weight - held)
        return weight.unsqueeze(0)

    def from_matrix(self, matrix: Tensor) -> Tensor:
        """``[row, column]``."""
        return matrix[0]

    def digital_forward(self, x: Tensor) -> Tensor:
        """The rows of the Parameter."""
        return F.embedding(x, self.from_matrix(self.matrix(self.weight)))

    def forward(self, input: Tensor) -> Tensor:
        """Read the rows ``input[...]``, whole numbers; returns ``[..., column]``."""
        x = input
        if x.is_floating_point() or x.is_complex() or x.dtype == torch.bool:
            raise TypeError(f"x has dtype {x.dtype}: an embedding takes row numbers, integers")
        if self.training and self.options().max_norm is not None:
            with torch.no_grad():  # as torch: the Parameter itself is cut, where it is used
                rows = x.reshape(-1).to(torch.int64).contiguous()
                torch.embedding_renorm_(
                    self.weight.detach(), rows, self.options().max_norm, self.options().norm_type
                )
        return self.analog(x)

    def product(self, read: Read, x: Tensor) -> Tensor:
        """The rows ``x`` of the matrix that :meth:`read` gave."""
        limit = self._limit(self.hardware.adc, self.output_range, "output_range")
        if isinstance(limit, Tensor) and limit.dim() == 3:  # [channel, tile, 1], for each look-up
            limit = limit.expand(-1, len(self.cut.rows), -1)[:, self.cut.tile_of(x.reshape(-1))]  # type: ignore[attr-defined]
        if read.levels is not None:
            order = torch.arange(read.levels.shape[:4].numel(), device=x.device).view(read.levels.shape[:4])
            read = read.changed(readers=order[:, self.cut.tile_of(x.reshape(-1))])  # type: ignore[attr-defined]
        y = self._converted(
            lambda limits: tile.matvec(self.hardware, read, self.cut, x, None, limits), (None, limit)
        )
        return self._noisy(y.to(self.weight.dtype), x)

    def _observe(self, x: Tensor, observer: Observer) -> Tensor:
        """A forward without converters; what they would see is known: any row may be asked for."""
        read = tile.at_full_scale(self.hardware, self.read(), self.cut)
        first = observer.inputs[0].counts.sum() == 0
        if first and tile.is_tiled(self.hardware):
            channels = len(tile.readout(self.hardware).digital)
            rows = torch.arange(self.weight.shape[0], device=x.device)
            for place, inside in enumerate(self.cut.input_tiles(rows)):
                partial = self.cut.partial(self.cut.product(inside, read.kernel), channels)
                for channel, row in enumerate(observer.currents):
                    row[place].add(partial[:, :, channel])
        for histogram in observer.inputs:
            histogram.add(torch.ones(1, device=x.device))
        y = tile.matvec(self.hardware, read, self.cut, x, None, (None, None))
        return y.to(self.weight.dtype)


class AnalogEmbedding(_Table, nn.Embedding):
    """``nn.Embedding`` on an array. Arguments as in torch, and ``hardware``.

    >>> layer = AnalogEmbedding(10, 4, hardware=Hardware())
    >>> layer(torch.tensor([[1, 2], [3, 4]])).shape
    torch.Size([2, 2, 4])
    """

    bias = None

    def __init__(self, *args: Any, hardware: Hardware, **names: Any) -> None:
        super().__init__(*args, **names)
        self.setup(hardware)


class _BagArray(_Table, Array):
    """The array of a bag's table."""

    def options(self) -> Any:
        """The bag."""
        return self._owner


class AnalogEmbeddingBag(SeveralArrays, nn.EmbeddingBag):
    """``nn.EmbeddingBag`` on an array. Arguments as in torch, and ``hardware``.

    Each row of a bag is read and converted by itself; their sum, mean or maximum is digital.

    >>> layer = AnalogEmbeddingBag(10, 4, mode="sum", hardware=Hardware())
    >>> layer(torch.tensor([1, 2, 4, 5]), torch.tensor([0, 3])).shape
    torch.Size([2, 4])
    """

    report_remark = "sums of rows are digital"

    def __init__(self, *args: Any, hardware: Hardware, **names: Any) -> None:
        super().__init__(*args, **names)
        self.setup(hardware)

    def make_arrays(self) -> dict[str, Array]:
        """The array of the table."""
        return {"weight": _BagArray(self, "weight")}

    def forward(
        self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None
    ) -> Tensor:
        """As in torch: one vector for each bag; ``input[bag, place]``, or flat with ``offsets``."""
        rows = self.array("weight")(input.reshape(-1))
        place = torch.arange(rows.shape[0], dtype=input.dtype, device=input.device).view(input.shape)
        nothing = None
        if self.padding_idx is not None:
            rows, nothing = torch.cat([rows.new_zeros(1, rows.shape[1]), rows]), 0
            place = torch.where(input == self.padding_idx, 0, place + 1)
        return F.embedding_bag(
            place,
            rows,
            offsets,
            mode=self.mode,
            per_sample_weights=per_sample_weights,
            include_last_offset=self.include_last_offset,
            padding_idx=nothing,
        )
