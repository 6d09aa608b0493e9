"""What became analog, what stayed digital and why."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized

from mho.convert.multiplications import Macs, count_macs
from mho.convert.packed_weights import packed_weights
from mho.convert.range_use import LOW, together
from mho.hardware import Hardware
from mho.nn import AnalogLayer, Crossbar

if TYPE_CHECKING:
    import pandas

NO_MATRIX = "holds no weight matrix"
_MAY_BE = "may hold a weight matrix: report.measure(batch) tells"

# Parameters that form no matrix, whatever their shape: scales, shifts and slopes of single values.
_ELEMENTWISE = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.PReLU)


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
        arrays: number of logical arrays (weight matrices).
        tiles: number of physical arrays of the size of a tile.
        cells: number of cells that hold weights, and biases on rows of the array.
        utilisation: fraction of the cells of its tiles that hold weights; NaN for a digital module.
        hardware: the description of its arrays; None for a digital module.
        scales: groups of weights with a scale of their own: columns, or 1 for each array.
        range_used: how much of their cells' range the weights use, as the root mean square over the reference
            weight: the median over the groups of a scale. NaN where there are no weights but zeros.
        range_used_least: the same for the group that uses the least.
        scales_low: how many groups use less than a tenth of the range.
        macs: multiply-accumulates of one run by its own operations; None until ``measure``.
        analog_macs: how many of them its arrays do.
    """

    path: str
    layer: str
    analog: bool
    note: str
    parameters: int
    analog_parameters: int = 0
    arrays: int = 0
    tiles: int = 0
    cells: int = 0
    utilisation: float = math.nan
    hardware: Hardware | None = None
    scales: int = 0
    range_used: float = math.nan
    range_used_least: float = math.nan
    scales_low: int = 0
    macs: int | None = None
    analog_macs: int | None = None


class Report:
    """The conversion report of a model, always up to date.

    Attributes:
        model: the converted model.
        kinds: type of each module before conversion, by path.
        reasons: why a module stayed digital, by path.
        macs: the multiply-accumulates that :meth:`measure` counted; None before.
    """

    def __init__(self, model: nn.Module, kinds: dict[str, str], reasons: dict[str, str]) -> None:
        self.model, self.kinds, self.reasons = model, kinds, reasons
        self.macs: Macs | None = None

    @property
    def rows(self) -> tuple[Row, ...]:
        """One row for each module with weights, and after :meth:`measure` for each that multiplies.

        Weights are Parameters, what torch's quantisation packs, and constants of frozen graphs. Buffers that
        may hold weights are named without a count until the model is measured.
        """
        return tuple(self._with_range(row) for row in self._sizes())

    def _with_range(self, row: Row) -> Row:
        """The row with what its weights use of the range of their cells, which reads all of them."""
        if not row.analog:
            return row
        used = self.range_use(row.path)
        if not len(used):
            return row
        return replace(
            row,
            scales=len(used),
            scales_low=int((used < LOW).sum()),
            range_used=float(used.median()),
            range_used_least=float(used.amin()),
        )

    def _sizes(self) -> tuple[Row, ...]:
        """The rows by what there is, without a look at the weights."""
        seen: set[int] = set()
        rows = []
        packed = packed_weights(self.model)
        for path, module in self.model.named_modules():
            if isinstance(module, (Crossbar, ParametrizationList)):
                continue  # in the row of its owner
            own = own_parameters(module) + _of_arrays(module)
            new = [p for p in own if id(p) not in seen]
            seen.update(id(p) for p in new)
            kind = self.kinds.get(path, type(module).__name__)
            if isinstance(module, AnalogLayer):
                row = _analog_row(path, kind, module, new)
            elif path in packed:
                count = sum(p.numel() for p in (*new, *packed[path]))
                row = Row(path, module._get_name(), False, _packed_note(packed[path]), count)
            elif own or self._multiplied(path):
                why = self._why(path, module)
                row = Row(path, kind, False, why, sum(p.numel() for p in new if not is_lazy(p)))
            elif self.macs is None and _matrices_in_buffers(module):
                row = Row(path, kind, False, f"{', '.join(_matrices_in_buffers(module))}: {_MAY_BE}", 0)
            elif self.macs is not None and self.macs.of(path).total:
                why = "products of activations stay digital"
                if self.macs.of(path).weights:
                    why = "calls scripted modules, whose products count here"
                row = Row(path, kind, False, why, 0)
            else:
                continue
            rows.append(row if self.macs is None else _with_macs(row, self.macs))
        return tuple(rows)

    def _multiplied(self, path: str) -> list[str]:
        """What the module at this path holds and the measured run multiplied by."""
        return [] if self.macs is None else self.macs.multiplied.get(path, [])

    def _why(self, path: str, module: nn.Module) -> str:
        """Why a module stayed digital."""
        added = "no mapping onto arrays" if path in self.kinds else "added after the conversion"
        why = self.reasons.get(path, added)
        own = self._multiplied(path)
        if own and (why == NO_MATRIX or not own_parameters(module)):
            return f"multiplies by its own {', '.join(own)}: no mapping onto arrays"
        if why == NO_MATRIX and self.macs is None and _may_hold_a_matrix(module):
            return _MAY_BE
        return why

    def measure(self, example: Any) -> None:
        """Count the multiply-accumulates of one run; ``rows``, ``str`` and the fractions then tell them.

        Modules that multiplied by a tensor of their own, whatever its shape, Parameter or buffer, then are
        among :attr:`left_digital`.

        Args:
            example: one batch, as for ``mho.calibrate``.

        Raises:
            ValueError: a module multiplied by the digital weights of an analog layer, bypassing its array.
        """
        self.macs = count_macs(self.model, example)

    @property
    def analog_fraction(self) -> float:
        """Fraction of the parameters that lie on arrays; 0 for a model without parameters."""
        rows = self._sizes()
        total = sum(row.parameters for row in rows)
        return sum(row.analog_parameters for row in rows) / total if total else 0.0

    @property
    def analog_mac_fraction(self) -> float | None:
        """Fraction of the multiply-accumulates that arrays do; None until :meth:`measure`."""
        if self.macs is None:
            return None
        total = self.macs.total
        return self.macs.analog / total if total else 0.0

    @property
    def left_digital(self) -> tuple[Row, ...]:
        """The rows of digital modules that hold a weight matrix, by shape or, once measured, by use."""
        modules = dict(self.model.named_modules())
        packed = packed_weights(self.model)

        def holds(path: str) -> bool:
            if self._multiplied(path) or any(_forms_matrix(t) for t in packed.get(path, [])):
                return True
            known = self.reasons.get(path) == NO_MATRIX or isinstance(modules[path], _ELEMENTWISE)
            return not known and bool(own_parameters(modules[path]))

        return tuple(row for row in self._sizes() if not row.analog and holds(row.path))

    def range_use(self, path: str) -> Tensor:
        """Root mean square over reference weight, for each group of weights with a scale of its own.

        Args:
            path: of an analog module.

        Returns:
            One number in [0, 1] for each column, or for each array; columns of zeros are left out.

        Raises:
            ValueError: no analog module is there.
        """
        module = dict(self.model.named_modules()).get(path)
        if not isinstance(module, AnalogLayer):
            known = ", ".join(repr(row.path) for row in self._sizes() if row.analog)
            raise ValueError(f"path = {path!r}: no analog module is there; choose one of {known}")
        return together(module.each())

    @property
    def badly_scaled(self) -> tuple[Row, ...]:
        """The rows of analog modules where more than a tenth of the scales use under a tenth of the range."""
        return _badly_scaled(self.rows)

    @property
    def programmed(self) -> bool:
        """Whether every analog layer holds a chip."""
        layers = [m for m in self.model.modules() if isinstance(m, Crossbar)]
        return bool(layers) and all(layer.is_programmed for layer in layers)

    def to_frame(self) -> pandas.DataFrame:
        """The rows as a ``pandas.DataFrame``, the hardware as JSON (needs pandas)."""
        import pandas

        names = [f.name for f in fields(Row)]
        values = [{n: getattr(row, n) for n in names} for row in self.rows]
        for value in values:
            value["hardware"] = None if value["hardware"] is None else value["hardware"].to_json()
        frame: pandas.DataFrame = pandas.DataFrame(values, columns=names)
        return frame

    def __str__(self) -> str:
        counted = ["MACs"] if self.macs is not None else []
        head = ["path", "layer", "is", "parameters", "tiles", "cells", "used", "range", *counted, "note"]
        lines, rows = [head], self.rows
        for r in rows:
            size = ("", "", "", "")
            if r.analog:
                size = (f"{r.tiles:,}", f"{r.cells:,}", f"{r.utilisation:.0%}", _range(r))
            kind = "analog" if r.analog else "digital"
            macs = [f"{r.macs:,}"] if r.macs is not None else []
            lines.append([r.path or "(model)", r.layer, kind, f"{r.parameters:,}", *size, *macs, r.note])
        widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
        table = "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )
        return "\n".join([table, self._summary(), *_bad_scales(rows), *self._multiplications()])

    def _summary(self) -> str:
        state = "programmed"
        if not self.programmed:
            state = "not programmed: eval() uses the mapped targets, no device errors"
        line = f"{self.analog_fraction:.1%} of the parameters are analog; {state}"
        return line

    def _multiplications(self) -> list[str]:
        if self.macs is None or self.analog_mac_fraction is None:
            return ["report.measure(batch) counts the multiply-accumulates, digital ones included"]
        line = f"{self.analog_mac_fraction:.1%} of {self.macs.total:,} multiply-accumulates are analog"
        if self.macs.activations:
            line += f"; {self.macs.activations:,} are products of activations (QK^T, PV) and stay digital"
        if self.macs.weights:
            line += f"; {self.macs.weights:,} are by digital weights"
        return [line]


def holds_no_matrix(module: nn.Module) -> bool:
    """Whether the module's own Parameters are scales, shifts or added tables: nothing to multiply by."""
    if isinstance(module, _ELEMENTWISE):
        return True
    return not any(_forms_matrix(p) for p in module.parameters(recurse=False))


def _forms_matrix(parameter: Tensor) -> bool:
    """At least two axes longer than one, and no leading axis of one (a table added to each sample)."""
    shape = parameter.shape
    return len(shape) >= 2 and shape[0] > 1 and parameter.numel() > max(shape)


def _packed_note(packed: list[Tensor]) -> str:
    """Why packed weights stay digital, and how large they are."""
    sizes = ", ".join(" x ".join(map(str, t.shape)) for t in packed if t.dim() >= 2)
    kind = "packed" if any(t.is_quantized for t in packed) else "frozen"
    return f"{kind} weights ({sizes or 'no matrix'}): no mapping onto arrays; convert the model before that"


def _matrices_in_buffers(module: nn.Module) -> list[str]:
    """Buffers of numbers in the shape of a matrix: names and shapes."""
    if isinstance(module, _ELEMENTWISE):
        return []
    numbers = (torch.int8, torch.uint8)
    return [
        f"{name} ({' x '.join(map(str, b.shape))})"
        for name, b in module.named_buffers(recurse=False)
        if (b.is_floating_point() or b.is_quantized or b.dtype in numbers) and _forms_matrix(b)
    ]


def _may_hold_a_matrix(module: nn.Module) -> bool:
    """Whether a Parameter has axes enough for one, whatever their lengths."""
    return not isinstance(module, _ELEMENTWISE) and any(
        p.dim() >= 2 and p.numel() > 1 for p in module.parameters(recurse=False)
    )


def own_parameters(module: nn.Module) -> list[nn.Parameter]:
    """The module's own Parameters, those behind a parametrization included."""
    own = list(module.parameters(recurse=False))
    if is_parametrized(module):
        own += list(module.parametrizations.parameters())  # type: ignore[union-attr]
    return own


def _of_arrays(module: nn.Module) -> list[nn.Parameter]:
    """The learned ranges of a layer's arrays."""
    arrays = module.each() if isinstance(module, AnalogLayer) else []
    return [p for array in arrays for p in array.parameters(recurse=False)]


def _range(row: Row) -> str:
    """The range used, as the median and the least."""
    if math.isnan(row.range_used):
        return ""
    median = f"{row.range_used:.0%}"
    return median if row.scales == 1 else f"{median} ({row.range_used_least:.0%})"


def _badly_scaled(rows: Iterable[Row]) -> tuple[Row, ...]:
    return tuple(row for row in rows if row.scales_low > LOW * row.scales)


def _bad_scales(rows: Iterable[Row]) -> list[str]:
    """A line for each way to mend what is scaled badly, the layers that use the least first."""
    lines: dict[str, list[Row]] = {}
    for row in sorted(_badly_scaled(rows), key=lambda row: row.range_used_least):
        if row.hardware is not None:
            lines.setdefault(row.hardware.mapping.scale.remedy, []).append(row)
    return [
        f"range of cells hardly used ({_shortened(bad)}): {remedy}. Errors of cells weigh "
        f"{1 / bad[0].range_used_least:.0f} times as much as on weights that use it all"
        for remedy, bad in lines.items()
    ]


def _shortened(rows: list[Row], most: int = 3) -> str:
    """The paths of the first rows, and how many more there are."""
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    return ", ".join(row.path or "(model)" for row in rows[:most]) + more


def _with_macs(row: Row, macs: Macs) -> Row:
    own = macs.of(row.path)
    return replace(row, macs=own.total, analog_macs=own.analog)


def _analog_row(path: str, kind: str, module: AnalogLayer, new: list[nn.Parameter]) -> Row:
    """The row of an analog module; ``new`` are its Parameters that no earlier row counted."""
    arrays = module.each()
    stored = {id(a.stored_weight()) for a in arrays} | {id(a.stored_bias()) for a in arrays if a.bias_rows}
    held = [p for p in new if id(p) in stored or (is_parametrized(module) and p.dim() >= 2)]
    sizes = [_sizes(array) for array in arrays]
    shapes = ", ".join(dict.fromkeys(shape for shape, *_ in sizes))
    note = f"{shapes} on {type(module.hardware.device).__name__}, {type(module.hardware.mapping).__name__}"
    if len(arrays) > 1:
        note = f"{len(arrays)} arrays: {note}"
    remark = getattr(module, "report_remark", "")
    note += f"; {remark}" if remark else ""
    most = max(array.bias_rows for array in arrays)
    note += f"; bias on {most} row{'s' * (most > 1)} of the array" if most else ""
    if not held:
        note += "; weight tied to an earlier layer: two arrays, one Parameter"
    tiles, cells, places = (sum(size[k] for size in (s[1:] for s in sizes)) for k in range(3))
    return Row(
        path, kind, True, note,
        parameters=sum(p.numel() for p in new),
        analog_parameters=sum(p.numel() for p in held),
        arrays=len(arrays), tiles=tiles, cells=cells, utilisation=cells / places, hardware=module.hardware,
    )  # fmt: skip


def _sizes(array: Crossbar) -> tuple[str, int, int, int]:
    """Shape of an array in words, its tiles, the cells that are used and the cells there are."""
    groups, rows, columns = array.logical(array.weight).shape
    shape = f"{rows} x {columns}" if groups == 1 else f"{groups} x {rows} x {columns}"
    hardware, cut = array.hardware, array.layout
    copies = hardware.mapping.copies
    with torch.no_grad():
        line = torch.zeros(1, 1, columns, device="meta")
        width = hardware.mapping.targets(line, hardware.device.g_min, hardware.device.g_max).shape[-1]
    tiles = groups * copies * len(cut.rows) * len(cut.columns)
    high = hardware.tile.rows or max(b - a for a, b in cut.rows)
    wide = hardware.tile.columns or max(b - a for a, b in cut.columns)
    cells = copies * groups * rows * width
    return shape, tiles, cells, max(tiles * high * wide, cells)
