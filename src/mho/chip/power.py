"""What reads take: moments of the voltages that the power of an array is made of."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mho.chip.events import Counter
from mho.chip.layout import Layout
from mho.chip.state import readout, tile_columns
from mho.chip.voltages import Voltages
from mho.hardware import Hardware


class Drawn(NamedTuple):
    """Mean power of a read over the square of the read voltage, siemens.

    Attributes:
        power: of the inputs as they are, behind the wires that there are.
        lengths: of pulses at the read voltage whose lengths are the inputs; the mean over the longest.
        alike: as if all rows were driven alike, without wires.
    """

    power: float
    lengths: float
    alike: float


class PowerMeter(Counter):
    """A counter that also keeps what the power of its array is made of."""

    def __init__(
        self, hardware: Hardware, layout: Layout, groups: int, columns: int, every: int, device: torch.device
    ) -> None:
        super().__init__(hardware, layout, groups, columns, every, device)
        self._lengths = torch.zeros_like(self._squares)
        self._powers = torch.zeros_like(self._squares) if hardware.array.voltages else None
        sizes = [b - a for a, b in layout.rows] if hardware.array.loaded else []
        self._products = [self._squares.new_zeros(groups, n, n) for n in sizes]

    def looked(self, x: Tensor, driven: list[Voltages], weight: float, vectors: float) -> None:
        """Add mean lengths, powers by the law of the cells, and where wires ask for them products."""
        layout = self.layout
        if layout.one_hot:
            seen = layout.row_sums(x)
            for total in (self._lengths, self._powers):
                if total is not None:
                    total.add_(seen.to(total), alpha=weight)
            for (a, b), into in zip(layout.rows, self._products, strict=bool(self._products)):
                into.add_(torch.diag_embed(seen[:, a:b].to(into)), alpha=weight)
            return
        self._add(self._lengths, driven, [v.values.abs() for v in driven], weight)
        if self._powers is not None:
            self._add(self._powers, driven, [self._power(v.values) for v in driven], weight)
        one = driven[-1].one
        for total, of_one in ((self._lengths, one.abs()), (self._powers, one.square())):
            if total is not None and layout.bias_rows:
                total[:, -layout.bias_rows :].add_(of_one.mean().to(total) * vectors)
        for k, into in enumerate(self._products):
            part = driven[k] if len(driven) > 1 else driven[0]
            v = self._vectors_of(part, *layout.rows[k]).to(into)
            into.add_(torch.einsum("ngi,ngj->gij", v, v), alpha=weight / part.times)
            if part.noise:
                noise = layout.row_sums(torch.full_like(part.values, part.noise**2))[
                    :, slice(*layout.rows[k])
                ]
                rows = torch.arange(noise.shape[1], device=noise.device)
                into[:, rows, rows] += noise.to(into) * (weight / part.times)

    def _add(self, total: Tensor, driven: list[Voltages], values: list[Tensor], weight: float) -> None:
        inputs = total.shape[1] - self.layout.bias_rows
        for part, value in zip(driven, values, strict=True):
            rows = slice(part.rows.start, min(part.rows.stop, inputs))
            total[:, rows].add_(self.layout.row_sums(value)[:, rows].to(total), alpha=weight / part.times)

    def _power(self, u: Tensor) -> Tensor:
        """Power of a cell over that of one siemens at the read voltage."""
        return u * self.hardware.array.driven(u, 1.0, self.hardware.device.v_read)

    def _vectors_of(self, part: Voltages, first: int, end: int) -> Tensor:
        """What is driven on some rows, vector by vector, ``[vector, group, row]``."""
        layout = self.layout
        inputs = layout.rows[-1][1] - layout.bias_rows
        each = torch.eye(inputs, dtype=part.values.dtype, device=part.values.device)
        some = each[:, first:end] if first < inputs else each[:, :1]  # a tile of bias rows alone
        kernel = layout.whole_kernel(some.expand(self.groups, -1, -1))
        rows = layout.whole_product(part.values, kernel, None).movedim(layout.output_axis, -1)
        v = rows.reshape(-1, self.groups, rows.shape[-1] // self.groups)
        v = v if first < inputs else v[..., :0]
        if end <= inputs:
            return v
        one = part.one.reshape(-1)
        of_bias = one.repeat_interleave(len(v) // len(one)).view(-1, 1, 1)
        return torch.cat([v, of_bias.expand(-1, self.groups, end - max(inputs, first)).to(v)], -1)

    # --- what was found --------------------------------------------------------------------------

    def drawn(self, g: Tensor) -> Drawn:
        """What a read of the whole array draws from its drivers, the mean over the vectors.

        Args:
            g: conductances of the cells, siemens, ``[copy, group, row, column]``.
        """
        if not self.seen:
            return Drawn(0.0, 0.0, 0.0)
        each = g.sum((0, 3), dtype=self._squares.dtype)
        heights, lengths = ((moments / self.seen) for moments in (self._moments, self._lengths))
        alike = float(each.sum() * heights.mean())
        power = self._through_wires(g) if self._products else float((each * heights).sum())
        return Drawn(power, float((each * lengths).sum()), alike)

    @property
    def _moments(self) -> Tensor:
        """Sums of what the power of a cell of each row is in proportion to."""
        return self._squares if self._powers is None else self._powers

    def _through_wires(self, g: Tensor) -> float:
        array, total = self.hardware.array, 0.0
        analog = readout(self.hardware).analog
        for (a, b), products in zip(self.layout.rows, self._products, strict=True):
            for c, d in tile_columns(self.layout, g):
                cells = g[..., a:b, c:d].to(products.dtype)
                y = array.admittance(cells, analog)
                y = torch.diag_embed(cells.sum((0, -1))) if y is None else y
                total += float((y * (products / self.seen)).sum())
        return total
