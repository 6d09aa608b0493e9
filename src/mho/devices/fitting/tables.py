"""Measured tables: a CSV file, a data frame, a mapping or an array, as columns of numbers.

A column is found by its name. What its head says of units is in :mod:`mho.devices.fitting.heads`; without a
unit the numbers are in SI units, or in those that the measurement says. How the numbers of cells become
siemens is in :mod:`mho.devices.fitting.siemens`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mho.devices.fitting.heads import CELLS, SECOND, SIEMENS, Head, read_heads
from mho.devices.fitting.reading.dialect import is_number
from mho.devices.fitting.reading.grid import Grid, read_grid
from mho.devices.fitting.reading.instruments import LOG, arc_heads, is_log

Array = NDArray[np.float64]

CELLS_OR_NONE = (*CELLS, "")  # kinds of columns that may be of cells
_CLOCK = re.compile(r"(\d+):([0-5]?\d):([0-5]?\d(?:\.\d*)?)")  # hours, minutes and seconds that passed


class Quantity(NamedTuple):
    """What a column holds: the names that it may have, in lower case, and its unit."""

    names: tuple[str, ...]
    unit: str

    @property
    def wanted(self) -> str:
        """The name to give such a column."""
        return f"{self.names[0]}_{self.unit}" if self.unit else self.names[0]


CONDUCTANCE = Quantity(("conductance", "g", ""), "S")  # "": the unit alone is the head
RESISTANCE = Quantity(("resistance", "r", ""), "ohm")
TIME = Quantity(("time", "t", "elapsed time", "retention time", "time stamp", "timestamp", ""), "s")
VOLTAGE = Quantity(("voltage", "v", "amplitude", ""), "V")
CURRENT = Quantity(("current", "i", "read current", "measured current", ""), "A")
CELL = Quantity(("cell", "device"), "")
CHANGE = Quantity(("dg", "change", "step", "jump", "delta g"), "S")
CDF = Quantity(("cdf", "probability", "p"), "")


@dataclass(frozen=True)
class MeasuredTable:
    """A table as it was read; the numbers are made of it column by column.

    Attributes:
        name: the file, or what was given instead.
        sha256: of the bytes of the file; of the numbers for a table in memory.
        columns: heads; ``column 1``, ``column 2`` where the file has none.
        headed: whether the heads come from the table.
        rows: line number and cells.
        above: number and text of two lines that say what the table is, for messages.
        said: heads that were said beside the table (:mod:`mho.devices.fitting.naming`), by their places.
    """

    name: str
    sha256: str
    columns: tuple[str, ...]
    headed: bool
    rows: tuple[tuple[int, tuple[Any, ...]], ...]
    above: tuple[tuple[int, str], ...] = ()
    said: tuple[tuple[int, Head], ...] = ()

    @cached_property
    def heads(self) -> tuple[Head, ...]:
        """What the heads say."""
        said = dict(self.said)
        return tuple(said.get(k, head) for k, head in enumerate(read_heads(self.columns)))

    def has(self, quantity: Quantity) -> bool:
        """Whether a column holds it."""
        return self.place(quantity) is not None

    def take(self, quantity: Quantity) -> Array:
        """The numbers of a quantity in its SI unit.

        Raises:
            ValueError: no such column, or a cell that is not a number.
        """
        place = self.place(quantity)
        if place is None:
            raise self.missing(quantity)
        return self.si(place)

    def si(self, place: int) -> Array:
        """The numbers of the column at a place in SI units, as far as its head says one."""
        factor = self.heads[place].factor
        return self.numbers(place) * (1.0 if factor is None else factor)

    def missing(self, quantity: Quantity) -> ValueError:
        """What to raise where a column is missing."""
        return ValueError(
            f"{self.name}: no column {quantity.wanted!r}; it has {', '.join(map(repr, self.columns))}"
            + ("" if self.headed else " (no heads: the first line holds numbers)")
            + _guess(self, quantity)
            + self.option(quantity)
        )

    def option(self, quantity: Quantity) -> str:
        """The lines in question, and how to say which column is meant."""
        lines = ", ".join(f"line {n}: {text.strip()[:80]!r}" for n, text in self.above)
        shown = f" ({lines})" if lines else ""
        names = [name for name in quantity.names if name]
        return (
            f"{shown}; say which column it is, by its head or its number from 1: "
            f'columns={{"{names[0] if names else quantity.wanted}": {len(self.columns)}}}'
        )

    def numbers(self, place: int, blanks: bool = False) -> Array:
        """The numbers of the column at a place, as they stand there; ``01:30:00`` in seconds."""
        head = self.columns[place]
        clock = self.heads[place].kind == SECOND
        values = [self._number(cells, place, line, head, blanks, clock) for line, cells in self.rows]
        return np.array(values, dtype=np.float64)

    def texts(self, quantity: Quantity) -> list[str]:
        """The cells of a quantity as text."""
        place = self.place(quantity)
        assert place is not None
        return [str(cells[place]).strip() if place < len(cells) else "" for _, cells in self.rows]

    def lines(self) -> list[int]:
        """Line number of each row, for messages."""
        return [line for line, _ in self.rows]

    def place(self, quantity: Quantity) -> int | None:
        """Which column holds a quantity by its name; None for none.

        Raises:
            ValueError: two columns of the same name do.
        """
        for wanted in quantity.names:
            found = [k for k, head in enumerate(self.heads) if _fits(head, wanted, quantity.unit)]
            united = [k for k in found if self.heads[k].unit]
            found = united if len(united) == 1 else found  # t_s beside T
            if len(found) > 1:
                raise self.several(found, quantity)
            if found:
                return found[0]
        return None

    def only(self, quantity: Quantity) -> int | None:
        """Which column holds a quantity by its name, or else is the only one in its unit; None for none.

        Raises:
            ValueError: several columns may be the one.
        """
        place = self.place(quantity)
        if place is not None:
            return place
        found = [k for k, head in enumerate(self.heads) if head.kind == quantity.unit]
        if len(found) > 1:
            raise self.several(found, quantity)
        return found[0] if found else None

    def several(self, found: Sequence[int], quantity: Quantity) -> ValueError:
        """What to raise where several columns may be the one."""
        both = " and ".join(repr(self.columns[k]) for k in found[:2])
        return ValueError(
            f"{self.name}: {both} may both be the column {quantity.wanted!r}{self.option(quantity)}; or give "
            "one of them another name, or leave it out"
        )

    def _number(
        self, cells: Sequence[Any], place: int, line: int, head: str, blanks: bool, clock: bool
    ) -> float:
        cell = cells[place] if place < len(cells) else ""
        if blanks and str(cell).strip().lower() in ("", "nan", "none"):
            return float("nan")
        try:
            value = _seconds(cell) if clock else float(cell)
        except (TypeError, ValueError):
            value = float("nan")
        if not np.isfinite(value):
            raise ValueError(
                f"{self.name}, line {line}, column {head!r}: {cell!r} is not a finite number; mend or remove "
                "the line"
            )
        return value


def _seconds(cell: Any) -> float:
    """A number, or the seconds of a time such as ``01:30:00``."""
    clock = _CLOCK.fullmatch(str(cell).strip())
    if clock is None:
        return float(cell)
    hours, minutes, seconds = clock.groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def read_table(source: Any) -> MeasuredTable:
    """A measured table from what the user has.

    Args:
        source: the path of a file, a data frame, a mapping of names to columns, or a two-dimensional array.
            A file is a text in UTF-8, UTF-16 or latin-1, separated by commas, semicolons, tabs or blanks,
            with decimal dots or commas, or an Excel workbook. Heads, a line of units below them, titles
            above them and comments are found (:mod:`mho.devices.fitting.reading.grid`).

    Raises:
        TypeError: something else.
        ValueError: no rows, or columns of different lengths.
    """
    if isinstance(source, MeasuredTable):
        return source
    if isinstance(source, (str, os.PathLike)):
        return _from_file(Path(source))
    if isinstance(source, Mapping) or hasattr(source, "columns"):
        names = [str(name) for name in (source if isinstance(source, Mapping) else source.columns)]
        keys = list(source if isinstance(source, Mapping) else source.columns)
        return _from_columns(
            "table", tuple(names), [np.asarray(source[key], dtype=object).tolist() for key in keys], True
        )
    array = np.asarray(source)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise TypeError(
            f"source = {type(source).__name__}: give the path of a CSV file, a data frame, a mapping of "
            "names to columns, or an array of numbers [row, column]"
        )
    heads = tuple(f"column {k + 1}" for k in range(array.shape[1]))
    return _from_columns("array", heads, [column.tolist() for column in array.T], False)


def _from_columns(name: str, heads: tuple[str, ...], columns: list[list[Any]], headed: bool) -> MeasuredTable:
    lengths = {len(column) for column in columns}
    if len(lengths) != 1 or lengths == {0}:
        each = ", ".join(f"{head!r}: {len(column)}" for head, column in zip(heads, columns, strict=True))
        raise ValueError(f"{name}: columns of one length, with at least one row, are needed; lengths {each}")
    rows = tuple((n, cells) for n, cells in enumerate(zip(*columns, strict=True), 1))
    text = "\n".join(",".join(map(str, cells)) for cells in (heads, *(cells for _, cells in rows)))
    return MeasuredTable(name, hashlib.sha256(text.encode()).hexdigest(), heads, headed, rows)


def _from_file(path: Path) -> MeasuredTable:
    content = path.read_bytes()
    grid = read_grid(path, content)
    shown = [(line.number, line.text) for line in grid.above]
    if len(shown) == 1:
        number, cells = grid.rows[0]
        shown.append((number, ",".join(cells)))
    heads = _numbered(grid) if grid.heads is None else arc_heads(grid.heads)
    digest = hashlib.sha256(content).hexdigest()
    return MeasuredTable(str(path), digest, heads, grid.heads is not None, grid.rows, tuple(shown))


def _numbered(grid: Grid) -> tuple[str, ...]:
    heads = tuple(f"column {k + 1}" for k in range(grid.width))
    return (*LOG, *heads[len(LOG) :]) if is_log(grid.rows[0][1]) else heads


def _guess(table: MeasuredTable, quantity: Quantity) -> str:
    """What a table without the wanted column may be."""
    if table.headed or not table.rows or quantity.unit != SIEMENS:
        return ""
    cells = table.rows[0][1]
    if len(table.columns) == 3:
        return ". Three columns without heads: conductance, change, chance? Read them with JumpTable()"
    if len(table.columns) == 4 and is_number(str(cells[0])):
        return ". Four columns without heads: the cells of MICSim? Read them with States(degree=None)"
    return ""


def _fits(head: Head, name: str, unit: str) -> bool:
    """Whether a head of this name may hold a quantity in this unit."""
    if head.name != name or (not name and not head.unit):
        return False
    measured = unit == SIEMENS and head.unit in CELLS and not head.meanings and bool(name)  # up_kohm
    return head.unit in ("", unit) or measured
