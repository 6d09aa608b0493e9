"""What became analog, what stayed digital and why."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from mho.nn import AnalogLayer


@dataclass(frozen=True)
class Row:
    """One line of a conversion report.

    Attributes:
        path: of the module in its model; empty for the model itself.
        layer: its type before conversion.
        analog: whether its weights lie on arrays.
        note: the arrays, or why it stayed digital.
        parameters: number of its own parameters; a tied one counts where it comes first.
        analog_parameters: how many of them lie on arrays (a digital bias does not).
        tiles: number of arrays.
        cells: number of cells.
    """

    path: str
    layer: str
    analog: bool
    note: str
    parameters: int
    analog_parameters: int = 0
    tiles: int = 0
    cells: int = 0


class Report:
    """The conversion report of a model, always up to date.

    Attributes:
        model: the converted model.
        kinds: type of each module before conversion, by path.
        reasons: why a module stayed digital, by path.
    """

    def __init__(self, model: nn.Module, kinds: dict[str, str], reasons: dict[str, str]) -> None:
        self.model, self.kinds, self.reasons = model, kinds, reasons

    @property
    def rows(self) -> tuple[Row, ...]:
        """One row for each module that owns parameters."""
        seen: set[int] = set()
        rows = []
        for path, module in self.model.named_modules():
            own = [p for p in module.parameters(recurse=False) if id(p) not in seen]
            owns = any(True for _ in module.parameters(recurse=False))
            seen.update(id(p) for p in own)
            count = sum(p.numel() for p in own)
            kind = self.kinds.get(path, type(module).__name__)
            if isinstance(module, AnalogLayer):
                rows.append(_analog_row(path, kind, module, count, own))
            elif owns:
                why = self.reasons.get(path, "no mapping onto arrays")
                rows.append(Row(path, kind, False, why, count))
        return tuple(rows)

    @property
    def analog_fraction(self) -> float:
        """Fraction of the parameters that lie on arrays; 0 for a model without parameters."""
        total = sum(row.parameters for row in self.rows)
        return sum(row.analog_parameters for row in self.rows) / total if total else 0.0

    @property
    def programmed(self) -> bool:
        """Whether every analog layer holds a chip."""
        layers = [m for m in self.model.modules() if isinstance(m, AnalogLayer)]
        return bool(layers) and all(layer.chip is not None for layer in layers)

    def __str__(self) -> str:
        lines = [("path", "layer", "is", "parameters", "tiles", "cells", "note")]
        for r in self.rows:
            size = (f"{r.tiles:,}", f"{r.cells:,}") if r.analog else ("", "")
            kind = "analog" if r.analog else "digital"
            lines.append((r.path or "(model)", r.layer, kind, f"{r.parameters:,}", *size, r.note))
        widths = [max(len(line[k]) for line in lines) for k in range(7)]
        table = "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )
        state = "programmed" if self.programmed else "not programmed: eval() uses the mapped targets, no device errors"
        return f"{table}\n{self.analog_fraction:.1%} of the parameters are analog; {state}"


def _analog_row(path: str, kind: str, layer: AnalogLayer, count: int, own: list[nn.Parameter]) -> Row:
    matrix = layer.matrix(layer.weight)
    groups, rows, columns = matrix.shape
    copies = layer.hardware.mapping.copies
    tiles = groups * copies * len(layer.cut.rows) * len(layer.cut.columns)
    shape = f"{rows} x {columns}" if groups == 1 else f"{groups} x {rows} x {columns}"
    note = f"{shape} on {type(layer.hardware.device).__name__}, {type(layer.hardware.mapping).__name__}"
    tied = count < math.prod(layer.weight.shape)
    if tied:
        note += "; weight tied to an earlier layer: two arrays, one Parameter"
    digital = layer.bias.numel() if layer.bias is not None and any(p is layer.bias for p in own) else 0
    ranges = sum(p.numel() for p in own if p.dim() == 0)
    return Row(path, kind, True, note, count, count - digital - ranges, tiles, copies * matrix.numel())
