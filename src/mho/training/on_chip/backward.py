"""How errors go back through an array: its columns are driven, its rows are read."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mho.chip.state import conductances, is_plain, readout
from mho.config import config
from mho.mapping import Readout
from mho.nn.crossbar import Crossbar


@config
class Backward:
    """The read of an array from its columns.

    Errors are scaled to the largest one of each vector before their DAC, and what is read to the largest one
    of each vector before its ADC, as noise and bound management do. Both have as many bits as the converters
    of the forward read. Read noise is that of the cells, drawn anew. Wires count as they do for a read from
    the rows.

    Attributes:
        converters: round as the converters of the hardware do; False passes numbers on as they are.
        noise: with the read noise of the cells.
    """

    converters: bool = True
    noise: bool = True

    def read(self, crossbar: Crossbar, matrix: Tensor, d: Tensor) -> Tensor:
        """Errors of the rows.

        Args:
            crossbar: the array.
            matrix: its weights, ``[group, row, column]``.
            d: errors of the columns, ``[vector, group, column]``.

        Returns:
            ``[vector, group, row]``.
        """
        hardware, layout = crossbar.hardware, crossbar.layout
        d = self.converted(d, hardware.dac)
        noise = self._variance(crossbar) if self.noise and hardware.device.noisy else None
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

    def converted(self, values: Tensor, converter: Any, top: float | None = None) -> Tensor:
        """Values rounded as that converter does, over the largest one of each vector or ``top``."""
        bits = getattr(converter, "bits", None)
        if bits is None or not self.converters:
            return values
        steps = 2 ** (bits - 1) - 1 or 1
        if top is None:
            peak = values.abs().amax(-1, keepdim=True)
            step = torch.where(peak > 0, peak, 1.0) / steps
            return (values / step).round() * step
        return (values * (steps / top)).round().clamp(-steps, steps) * (top / steps)

    @staticmethod
    def _variance(crossbar: Crossbar) -> Tensor:
        """Variance of a read of each weight, without bias rows, ``[group, row, column]``."""
        hardware, chip = crossbar.hardware, crossbar.require_chip("learning on the chip")
        device, how = hardware.device, readout(hardware)
        now = conductances(hardware, chip) if not is_plain(hardware) or not device.holds else chip.g
        _, std = device.read_moments(chip.g, chip.cells, now, float(chip.seconds))
        squares = _squares(how)
        columns = chip.gain.numel() // chip.g.shape[1]
        scale = chip.scale.expand(chip.g.shape[1], 1, columns) * chip.gain.view(-1, 1, columns)
        variance = torch.einsum(
            "k,kgrc->grc", std.new_tensor(squares), (std[..., :columns] / device.g_max) ** 2
        )
        return (variance * scale**2)[:, : variance.shape[1] - crossbar.bias_rows].float()


def _squares(how: Readout) -> list[float]:
    """Squared factor of each cell in the weight."""
    cells = range(len(how.analog[0]))
    rows = list(zip(how.digital, how.analog, strict=True))
    return [sum((f * row[k]) ** 2 for f, row in rows) for k in cells]
