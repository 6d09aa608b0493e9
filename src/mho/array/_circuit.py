"""From resistances in all the forms a user writes them in to the cells and ends of the elimination."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mho.array._memory import check_fits

Resistance = float | Sequence[float] | Tensor

# Numbers held at once for each cell of an array. Measured with 256 x 256 and 512 x 512 cells: 66 to 79, and
# 567 to 613 with gradients.
_SOLVING, _LEARNING = 60, 500


class Ends(NamedTuple):
    """How the lines end, apart from the series resistances that are part of the cells.

    Attributes:
        open_rows: word lines without a driver at the left.
        open_columns: bit lines without a sense amplifier below.
        far_rows: word lines driven at the right end too, and ``far_row_ohms`` the resistance there.
        far_columns: bit lines sensed at the upper end too, and ``far_column_ohms`` likewise.
    """

    open_rows: tuple[int, ...] = ()
    open_columns: tuple[int, ...] = ()
    far_rows: tuple[int, ...] = ()
    far_columns: tuple[int, ...] = ()
    far_row_ohms: Tensor | None = None
    far_column_ohms: Tensor | None = None

    @property
    def sides(self) -> str:
        """The sides at which something is connected."""
        return "LD" + ("R" if self.far_rows else "") + ("T" if self.far_columns else "")

    @property
    def plain(self) -> bool:
        """Every line driven or sensed at its near end only."""
        return self.sides == "LD" and not self.open_rows and not self.open_columns


class Circuit(NamedTuple):
    """A crossbar ready to be solved.

    Attributes:
        cells: ``[3, tile, row, column]``: conductance, resistance of the word-line segment left of each
            cell and of the bit-line segment below it, the resistance of the near end included.
        ends: how the lines end.
        broken_rows, broken_columns: lines of infinite segment resistance; their cells are cut off.
    """

    cells: Tensor
    ends: Ends
    broken_rows: tuple[int, ...]
    broken_columns: tuple[int, ...]


class _Line(NamedTuple):
    """One resistance of each line: a tensor that broadcasts, zero where it is infinite, and where."""

    ohms: Tensor
    infinite: tuple[int, ...]
    zero: tuple[bool, ...]


def build(
    g: Tensor,
    row: Resistance,
    column: Resistance,
    driver: Resistance,
    sense: Resistance,
    far_driver: Resistance | None,
    far_sense: Resistance | None,
) -> Circuit:
    """Check everything that can be checked without looking at tensors, and lay out the cells."""
    check_shape(g)
    rows, columns = g.shape[-2:]
    if g.device.type == "cpu" and not torch.compiler.is_compiling():
        check_solvable(rows, columns, g.element_size(), learning=g.requires_grad and torch.is_grad_enabled())
    flat = g.reshape(-1, rows, columns)
    across = _line(row, "row", rows, flat, matrix=True)
    along = _line(column, "column", columns, flat, matrix=True)
    left, below = _line(driver, "driver", rows, flat), _line(sense, "sense", columns, flat)
    flat = _without(flat, across.infinite, along.infinite)
    across_ohms = across.ohms if across.ohms.ndim == 2 else across.ohms[:, None].expand(rows, columns)
    along_ohms = along.ohms if along.ohms.ndim == 2 else along.ohms.expand(rows, columns)
    first = torch.nn.functional.pad(left.ohms[:, None], (0, columns - 1))
    last = torch.nn.functional.pad(below.ohms[None, :], (0, 0, rows - 1, 0))
    cells = torch.stack((flat, (across_ohms + first).expand_as(flat), (along_ohms + last).expand_as(flat)))
    far_rows, far_row_ohms = _far(far_driver, "far_driver", rows, flat, across, left)
    far_columns, far_column_ohms = _far(far_sense, "far_sense", columns, flat, along, below)
    ends = Ends(
        tuple(j for j in left.infinite if j not in across.infinite),
        tuple(i for i in below.infinite if i not in along.infinite),
        far_rows, far_columns, far_row_ohms, far_column_ohms,
    )  # fmt: skip
    check_grounded(flat, ends)
    return Circuit(cells, ends, across.infinite, along.infinite)


def check_solvable(rows: int, columns: int, size: int, learning: bool = False) -> None:
    """Raise ``ValueError`` unless the exact solution of one array can fit into the memory of this machine.

    Args:
        rows: of the array.
        columns: of the array.
        size: bytes of a number.
        learning: whether gradients are kept.
    """
    check_fits(
        rows * columns * size * (_LEARNING if learning else _SOLVING),
        f"the exact solution of the wires of {rows:,} x {columns:,} cells",
        "cut the matrix into smaller arrays, such as mho.Tile(rows=256, columns=256), or solve a smaller one",
    )


def check_shape(g: Tensor) -> None:
    """Raise unless ``g`` is a floating tensor ``[..., row, column]``."""
    if not isinstance(g, Tensor):
        raise TypeError(f"g is a {type(g).__name__}; give a tensor of conductances in siemens")
    if g.ndim < 2 or 0 in g.shape[-2:]:
        raise ValueError(
            f"g has shape {tuple(g.shape)}: an array is g[..., row, column] with at least one cell"
        )
    if g.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"g is {g.dtype}: wires are solved in float32 or float64; convert it first")


def _line(value: Resistance, name: str, lines: int, like: Tensor, *, matrix: bool = False) -> _Line:
    """Normalise one resistance; a scalar, one for each line or, for segments, one for each cell."""
    if isinstance(value, Tensor):
        shapes = ((), (lines,)) + ((tuple(like.shape[1:]),) if matrix else ())
        if tuple(value.shape) not in shapes:
            raise ValueError(
                f"{name} has shape {tuple(value.shape)}: give one, or one for each of {lines} lines"
                + (f", or one for each cell {tuple(like.shape[1:])}" if matrix else "")
            )
        ohms = value.to(dtype=like.dtype, device=like.device)
        return _Line(ohms.expand(lines) if ohms.ndim == 0 else ohms, (), (False,) * lines)
    numbers = [float(v) for v in value] if isinstance(value, Sequence) else [float(value)] * lines
    if len(numbers) != lines:
        raise ValueError(
            f"{name} has {len(numbers)} resistances, the array has {lines} such lines: give one for each"
        )
    for k, ohm in enumerate(numbers):
        if math.isnan(ohm) or ohm < 0:
            raise ValueError(
                f"{name} = {ohm!r} ohm on line {k}: a resistance is 0 or more (inf for a broken line)"
            )
    infinite = tuple(k for k, ohm in enumerate(numbers) if math.isinf(ohm))
    finite = [0.0 if math.isinf(ohm) else ohm for ohm in numbers]
    same = len(set(finite)) == 1
    ohms = like.new_full((lines,), finite[0]) if same else like.new_tensor(finite)
    return _Line(ohms, infinite, tuple(ohm == 0 for ohm in numbers))


def _without(g: Tensor, rows: tuple[int, ...], columns: tuple[int, ...]) -> Tensor:
    """Conductances without the cells of broken lines."""
    if rows:
        g = g.index_fill(1, torch.tensor(rows, device=g.device), 0.0)
    if columns:
        g = g.index_fill(2, torch.tensor(columns, device=g.device), 0.0)
    return g


def _far(
    value: Resistance | None, name: str, lines: int, like: Tensor, segments: _Line, near: _Line
) -> tuple[tuple[int, ...], Tensor | None]:
    """Lines connected at their far end, and the resistances there.

    A line that is one node with its source already (all its resistances are 0) needs no second end.
    """
    if value is None:
        return (), None
    far = _line(value, name, lines, like)
    one_node = [segments.zero[k] and near.zero[k] and far.zero[k] for k in range(lines)]
    cut = set(far.infinite) | set(segments.infinite)
    connected = tuple(k for k in range(lines) if k not in cut and not one_node[k])
    return connected, far.ohms[list(connected)] if connected else None


def check_values(cells: Tensor) -> None:
    """Raise ``ValueError`` for a conductance or resistance that is NaN, infinite or negative."""
    if not cells.numel():
        return
    low, high = torch.aminmax(cells)
    if bool((low >= 0) & (high < math.inf)):
        return
    bad = ~((cells >= 0) & (cells < math.inf))
    what, tile, row, column = (int(k) for k in bad.nonzero()[0])
    value = float(cells[what, tile, row, column])
    name = ("g", "row or driver resistance", "column or sense resistance")[what]
    unit = "S" if what == 0 else "ohm"
    raise ValueError(
        f"{name} = {value!r} {unit} at row {row}, column {column} of tile {tile}: it must be a number that "
        "is finite and not negative" + ("; repair the conductances first" if what == 0 else "")
    )


def check_grounded(g: Tensor, ends: Ends) -> None:
    """Raise ``ValueError`` if a line has no path to a driver or sense amplifier."""
    if not ends.open_rows and not ends.open_columns:
        return
    conducts = g.detach() > 0
    rows = torch.ones(g.shape[:2], dtype=torch.bool, device=g.device)
    columns = torch.ones((g.shape[0], g.shape[2]), dtype=torch.bool, device=g.device)
    rows[:, [j for j in ends.open_rows if j not in ends.far_rows]] = False
    columns[:, [i for i in ends.open_columns if i not in ends.far_columns]] = False
    while True:
        reached_rows = rows | (conducts & columns[:, None, :]).any(dim=2)
        reached_columns = columns | (conducts & reached_rows[:, :, None]).any(dim=1)
        if torch.equal(reached_rows, rows) and torch.equal(reached_columns, columns):
            break
        rows, columns = reached_rows, reached_columns
    for name, other, reached in (("word line", "column", rows), ("bit line", "row", columns)):
        if not bool(reached.all()):
            tile, line = (int(k) for k in (~reached).nonzero()[0])
            raise ValueError(
                f"{name} {line} of tile {tile} floats: it is open at its ends and none of its cells, from "
                f"{other} 0 on, conducts to a line with a path to ground; connect the line or a cell"
            )
