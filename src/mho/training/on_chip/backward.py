"""How errors go back through an array: its columns are driven, its rows are read."""

from __future__ import annotations

import torch
from torch import Tensor

from mho.chip import tile
from mho.chip.noise import squared
from mho.chip.state import TileState, conductances, readout
from mho.config import config
from mho.converters import DAC, ColumnConverter
from mho.hardware import Hardware
from mho.nn.crossbar import Crossbar


@config
class Backward:
    """The read of an array from its columns.

    Errors are scaled to the largest one of each vector before their DAC, and what is read to the largest one
    of each vector before its ADC, as noise and bound management do. Both are the converters of the forward
    read, without mismatch. Read noise is that of the cells, drawn anew. Wires count as they do for a read
    from the rows.

    Attributes:
        converters: round as the converters of the hardware do; False passes numbers on as they are.
        noise: with the read noise of the cells.
    """

    converters: bool = True
    noise: bool = True

    def read(self, crossbar: Crossbar, chip: TileState, matrix: Tensor, d: Tensor) -> Tensor:
        """Errors of the rows.

        Args:
            crossbar: the array.
            chip: its chip, with its present conductances.
            matrix: its weights, ``[group, row, column]``, without bias rows.
            d: errors of the columns, ``[vector, group, column]``.

        Returns:
            ``[vector, group, row]``.
        """
        hardware, layout = crossbar.hardware, crossbar.layout
        d = self.converted(d, hardware.dac)
        noise = None
        if self.noise and hardware.device.noisy:
            noise = _variance(hardware, chip)[:, : matrix.shape[1]].to(d.dtype)
        total = None
        tiles = layout.columns if hardware.adc is not None and self.converters else ((0, d.shape[-1]),)
        for first, last in tiles:
            part = torch.einsum("vgc,grc->vgr", d[..., first:last], matrix[..., first:last])
            if noise is not None:
                spread = torch.einsum("vgc,grc->vgr", d[..., first:last] ** 2, noise[..., first:last])
                part = part + spread.sqrt() * torch.randn_like(part)
            part = self.converted(part, hardware.adc)
            total = part if total is None else total + part
        assert total is not None
        return total

    def converted(
        self, values: Tensor, converter: DAC | ColumnConverter | None, top: float | None = None
    ) -> Tensor:
        """Values as a converter without mismatch gives their magnitudes.

        Args:
            values: with signs, which go their own way.
            converter: of the forward read; None leaves values as they are.
            top: full scale; the largest magnitude of each vector if None.
        """
        if converter is None or converter.ideal or not self.converters:
            return values
        size = values.abs()
        limit: Tensor | float
        if top is None:
            peak = size.amax(-1, keepdim=True)
            limit = torch.where(peak > 0, peak, 1.0)
        else:
            limit = top
        return converter.quantise(size, limit) * values.sign()


def _variance(hardware: Hardware, chip: TileState) -> Tensor:
    """Variance of a read of each weight, ``[group, row, column]``."""
    device, squares = hardware.device, squared(readout(hardware))
    _, std = device.read_moments(chip.g, chip.cells, conductances(hardware, chip), float(chip.seconds))
    variance = tile.normalised(tile.combine((std / device.g_max) ** 2, squares), squares)
    return variance * tile.column_factors(chip) ** 2
