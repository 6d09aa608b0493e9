"""Embeddings on arrays: a look-up is a read of one row.

The word line of the wanted row is switched on at the full read voltage, and every column gives that
row's entry with its read noise; only the tile that holds the row is read and converted. A word line
that is on or off needs no codes: whatever DAC the hardware has, an input of one is its full scale, and
there is no other. The ADC is calibrated on the whole table. Gradients are dense.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mho.chip import tile
from mho.chip.layouts import ArraySize, LookUpLayout
from mho.chip.plan import ReadPlan
from mho.chip.reads import Read
from mho.converters import DAC, Fixed
from mho.hardware import Hardware
from mho.nn.crossbar import Crossbar
from mho.nn.layer import AnalogLayer
from mho.nn.observer import Observer


class LookUpCrossbar(Crossbar):
    """The array of a table ``[row, column]``, whose rows are on or off.

    Args:
        owner: the embedding; its ``max_norm``, ``norm_type``, ``scale_grad_by_freq`` and ``padding_idx``
            count.
    """

    layout: LookUpLayout

    def __init__(self, owner: nn.Module) -> None:
        super().__init__(owner, layout=self._of_owner)

    def _of_owner(self, shape: tuple[int, ...], size: ArraySize) -> LookUpLayout:
        owner: Any = self._owner
        return dataclasses.replace(
            LookUpLayout.of(shape, size),
            padding_idx=owner.padding_idx if isinstance(owner, nn.Embedding) else None,
            scale_grad_by_freq=owner.scale_grad_by_freq,
            max_norm=owner.max_norm,
            norm_type=owner.norm_type,
        )

    def setup(self, hardware: Hardware, bias_rows: int = 0) -> None:
        """An array whose rows are on or off; a table has no bias."""
        if isinstance(hardware, Hardware) and hardware.dac is not None:
            hardware = dataclasses.replace(hardware, dac=DAC(bits=None, range=Fixed(limit=1.0)))
        super().setup(hardware, bias_rows)

    def forward(self, x: Tensor, read: Read | None = None) -> Tensor:
        """Read the rows ``x[...]``, whole numbers; returns ``[..., column]``."""
        if self.training and self.layout.max_norm is not None:
            self.layout.check(x, self.path or self.called)
            with torch.no_grad():  # as torch: the Parameter itself is cut, where it is used
                rows = x.reshape(-1).to(torch.int64).contiguous()
                torch.embedding_renorm_(
                    self.weight.detach(), rows, self.layout.max_norm, self.layout.norm_type
                )
        return super().forward(x, read)

    def digital_forward(self, x: Tensor, read: Read | None = None) -> Tensor:
        """The rows of the Parameter."""
        return F.embedding(x, self.from_matrix(self.matrix(self.weight)))

    def product(self, read: Read, x: Tensor) -> Tensor:
        """The rows ``x`` of the matrix that :meth:`read` gave."""
        limit = self._limit(self.hardware.adc, self.output_range, "output_range")
        layout = self.layout
        if isinstance(limit, Tensor) and limit.dim() == 3:  # [channel, tile, 1], for each look-up
            limit = limit.expand(-1, len(layout.rows), -1)[:, layout.tile_of(x.reshape(-1))]
        if read.levels is not None:
            order = torch.arange(read.levels.shape[:4].numel(), device=x.device).view(read.levels.shape[:4])
            read = read.changed(readers=order[:, layout.tile_of(x.reshape(-1))])
        y = self._converted(
            lambda limits: tile.matvec(self.hardware, read, layout, x, None, limits, self._tap), (None, limit)
        )
        return self._noisy(y.to(self.weight.dtype), x)

    def _plan_of(
        self, read: Read, held: dict[str, Tensor | None], weights: dict[str, Tensor]
    ) -> ReadPlan | None:
        """The plan, where all look-ups have one full scale and one kind of converter."""
        limit = self._limit(self.hardware.adc, self.output_range, "output_range")
        if read.levels is not None or (isinstance(limit, Tensor) and limit.dim() > 0):
            return None
        gives = self.weight.dtype
        return ReadPlan(self.hardware, self.layout, read, (None, limit), held, weights, gives)

    def _observe(self, read: Read, x: Tensor, observer: Observer) -> Tensor:
        """The rows without converters; what they would see is known: any row may be asked for."""
        read = tile.at_full_scale(self.hardware, read, self.layout)
        first = observer.inputs[0].counts.sum() == 0
        if first and tile.is_tiled(self.hardware):
            channels = len(tile.readout(self.hardware).digital)
            rows = torch.arange(self.weight.shape[0], device=x.device)
            for place, inside in enumerate(self.layout.input_tiles(rows)):
                partial = self.layout.partial(self.layout.product(inside, read.kernel), channels)
                for channel, row in enumerate(observer.currents):
                    row[place].add(partial[:, :, channel])
        for histogram in observer.inputs:
            histogram.add(torch.ones(1, device=x.device))
        y = tile.matvec(self.hardware, read, self.layout, x, None, (None, None))
        return y.to(self.weight.dtype)


class AnalogEmbedding(AnalogLayer, nn.Embedding):
    """``nn.Embedding`` on an array. Arguments as in torch, and ``hardware``.

    >>> layer = AnalogEmbedding(10, 4, hardware=Hardware())
    >>> layer(torch.tensor([[1, 2], [3, 4]])).shape
    torch.Size([2, 2, 4])
    """

    bias = None

    def __init__(self, *args: Any, hardware: Hardware, **names: Any) -> None:
        super().__init__(*args, **names)
        self.setup(hardware)

    def make_arrays(self) -> dict[str, Crossbar]:
        """The array of the table."""
        return {"crossbar": LookUpCrossbar(self)}

    def digital_forward(self, input: Tensor) -> Tensor:
        """The rows of the Parameter."""
        return self.array().digital_forward(input)

    def forward(self, input: Tensor) -> Tensor:
        """Read the rows ``input[...]``, whole numbers; returns ``[..., column]``."""
        return self.array()(input)  # type: ignore[no-any-return]


class AnalogEmbeddingBag(AnalogLayer, nn.EmbeddingBag):
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

    def make_arrays(self) -> dict[str, Crossbar]:
        """The array of the table."""
        return {"weight": LookUpCrossbar(self)}

    def forward(
        self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None
    ) -> Tensor:
        """As in torch: one vector for each bag; ``input[bag, place]``, or flat with ``offsets``."""
        rows = self.array("weight")(input.reshape(-1))
        place = torch.arange(rows.shape[0], dtype=input.dtype, device=input.device).view(input.shape)
        nothing = None
        if self.padding_idx is not None:
            rows, nothing = F.pad(rows, (0, 0, 1, 0)), 0
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
