"""Measured tables: a CSV file, a data frame, a mapping or an array, as columns of numbers.

A column is found by its name. What its head says of units is in :mod:`mho.devices.fitting.heads`; without a
unit the numbers are in SI units, or in those that the measurement says. How the numbers of cells become
siemens is in :mod:`mho.devices.fitting.siemens`.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mho.devices.fitting.heads import CELLS, SIEMENS, Head, read_heads, read_unit

Array = NDArray[np.float64]
Rows = list[tuple[int, tuple[Any, ...]]]

_COMMENTS = ("#", "%")
_TITLES = 5  # lines in which the heads of a log are looked for
_WORDS = 4  # of a head behind #, at most: a sentence is none
LOG = ("wordline", "bitline", "resistance_ohm", "voltage_V", "pulse width_s", "tag", "read tag")
"""Columns of the raw logs of ArC instruments, which have no heads in some data sets."""
_ARC = {"wordline", "bitline", "resistance", "amplitude", "pulse width"}  # heads of such a log: ohms


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


@dataclass(frozen=True)
class MeasuredTable:
    """A table as it was read; the numbers are made of it column by column.

    Attributes:
        name: the file, or what was given instead.
        sha256: of the bytes of the file; of the numbers for a table in memory.
        columns: heads; ``column 1``, ``column 2`` where the file has none.
        headed: whether the heads come from the table.
        rows: line number and cells.
    """

    name: str
    sha256: str
    columns: tuple[str, ...]
    headed: bool
    rows: tuple[tuple[int, tuple[Any, ...]], ...]

    @cached_property
    def heads(self) -> tuple[Head, ...]:
        """What the heads say."""
        return read_heads(self.columns)

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
        factor = self.heads[place].factor
        return self.numbers(place) * (1.0 if factor is None else factor)

    def missing(self, quantity: Quantity) -> ValueError:
        """What to raise where a column is missing."""
        return ValueError(
            f"{self.name}: no column {quantity.wanted!r}; it has {', '.join(map(repr, self.columns))}"
            + ("" if self.headed else " (no heads: the first line holds numbers)")
            + _guess(self)
        )

    def numbers(self, place: int, blanks: bool = False) -> Array:
        """The numbers of the column at a place, as they stand there."""
        head = self.columns[place]
        values = [self._number(cells, place, line, head, blanks) for line, cells in self.rows]
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
        """Which column holds a quantity; None for none.

        Raises:
            ValueError: two columns of the same name do.
        """
        for wanted in quantity.names:
            found = [k for k, head in enumerate(self.heads) if _fits(head, wanted, quantity.unit)]
            united = [k for k in found if self.heads[k].unit]
            found = united if len(united) == 1 else found  # t_s beside T
            if len(found) > 1:
                both = " and ".join(repr(self.columns[k]) for k in found[:2])
                raise ValueError(
                    f"{self.name}: {both} may both be the column {quantity.wanted!r}; give one of them "
                    "another name, or leave it out"
                )
            if found:
                return found[0]
        return None

    def _number(self, cells: Sequence[Any], place: int, line: int, head: str, blanks: bool) -> float:
        cell = cells[place] if place < len(cells) else ""
        if blanks and str(cell).strip().lower() in ("", "nan"):
            return float("nan")
        try:
            value = float(cell)
        except (TypeError, ValueError):
            value = float("nan")
        if not np.isfinite(value):
            raise ValueError(
                f"{self.name}, line {line}, column {head!r}: {cell!r} is not a finite number; mend or remove "
                "the line"
            )
        return value


def read_table(source: Any) -> MeasuredTable:
    """A measured table from what the user has.

    Args:
        source: the path of a CSV file (separated by commas, semicolons, tabs or blanks; a head line is
            optional, perhaps with a line of units below; lines that begin with # or % are skipped, but the
            last of them above the numbers names the columns if it has as many fields; a quantity in each
            row, its head in front, is read as well), a data frame, a mapping of names to columns, or a
            two-dimensional array.

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
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start})") from None
    numbered = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip(" \t,;")]
    lines = [(n, line) for n, line in numbered if not line.lstrip().startswith(_COMMENTS)]
    lines = lines[_preamble([line for _, line in lines[:_TITLES]]) :]
    if not lines:
        raise ValueError(f"{path}: no rows; a table with at least one line of numbers is needed")
    mark = next((mark for mark in "\t;," if any(mark in line for _, line in lines[:2])), None)
    rows: Rows = [(n, tuple(_cells(line, mark))) for n, line in lines]
    if len(rows) > 5 and all(cell.startswith("Analog") for cell in rows[1][1]):
        raise ValueError(
            f"{path}: a Fusion CSV (id, class and sizes of each layer, then conductances): read it with "
            'mho.devices.read_fusion, or fit({"target": ..., "conductance": ...}, Fusion())'
        )
    above = [line.strip() for n, line in numbered if n < lines[0][0]]
    comments = [line for line in above if line.startswith(_COMMENTS)]
    heads, rows = _headed(rows, comments)
    headed = heads is not None
    if heads is not None and {head.name for head in read_heads(heads)} >= _ARC:
        heads = tuple(LOG[2] if head.strip().lower() == "resistance" else head for head in heads)
    if heads is None:
        heads = tuple(f"column {k + 1}" for k in range(max(len(cells) for _, cells in rows)))
        if _is_log(rows[0][1]):
            heads = (*LOG, *heads[len(LOG) :])
    if not rows:
        raise ValueError(f"{path}: a head line and no row of numbers")
    for n, cells in rows:
        if len(cells) > len(heads):
            raise ValueError(
                f"{path}, line {n}: {len(cells)} cells under {len(heads)} heads; is it separated by {mark!r}?"
            )
    return MeasuredTable(str(path), hashlib.sha256(content).hexdigest(), heads, headed, tuple(rows))


def _headed(rows: Rows, comments: Sequence[str]) -> tuple[tuple[str, ...] | None, Rows]:
    """The heads of a file, None if it has none, and the rows below them."""
    first = rows[0][1]
    if len(rows) > 1 and _are_units(rows[1][1]) and not all(map(_is_number, first)):
        units = [cell.strip("()[]") for cell in rows[1][1]]
        heads = (
            f"{name} ({unit})" if unit else name for name, unit in zip_longest(first, units, fillvalue="")
        )
        return tuple(heads), rows[2:]
    if not any(map(_is_number, first)):
        return first, rows[1:]
    across = _across(rows)
    if across is not None:
        return across
    return _commented(comments, len(first)), rows


def _are_units(cells: Sequence[str]) -> bool:
    """Whether a row is one of units below the heads."""
    return any(cells) and all(not cell or read_unit(cell.strip("()[]")) is not None for cell in cells)


def _across(rows: Rows) -> tuple[tuple[str, ...], Rows] | None:
    """The table of a file with a quantity in each row, its head in front; None if it is none."""
    heads = tuple(cells[0] for _, cells in rows)
    width = max(len(cells) for _, cells in rows)
    numbers = [cell for _, cells in rows for cell in cells[1:] if cell]
    if len(set(heads)) < max(2, len(heads)) or width < 3 or any(map(_is_number, heads)):
        return None
    if not all(map(_is_number, numbers)) or not any(head.known for head in read_heads(heads)):
        return None
    filled = [(*cells, *[""] * (width - len(cells))) for _, cells in rows]
    return heads, [(k, tuple(cells[k] for cells in filled)) for k in range(1, width)]


def _commented(comments: Sequence[str], width: int) -> tuple[str, ...] | None:
    """The heads in the last comment above the numbers that has as many; None if no comment does."""
    for comment in reversed(comments):
        text = comment.lstrip("".join(_COMMENTS)).strip()
        for mark in ("\t", ";", ",", None):
            heads = _cells(text, mark)
            if mark is None and len(heads) == 2 * width and _are_units(heads[1::2]):
                heads = [f"{name} ({unit})" for name, unit in zip(heads[::2], heads[1::2], strict=True)]
            known = any(head.known for head in read_heads(heads))
            short = all(len(head.split()) <= _WORDS and not _is_number(head) for head in heads)
            if len(heads) == width and known and short:
                return tuple(heads)
    return None


def _preamble(lines: Sequence[str]) -> int:
    """Lines before the heads: ArC writes the name of a session and the time above them."""
    for n, line in enumerate(lines):
        if all(word in line.lower() for word in ("wordline", "bitline")):
            return n
    return 0


def _is_log(cells: Sequence[str]) -> bool:
    """Whether the first row of a file without heads is one of an ArC log: five numbers, then tags."""
    return len(cells) in (7, 8) and all(map(_is_number, cells[:5])) and not any(map(_is_number, cells[5:7]))


def _guess(table: MeasuredTable) -> str:
    """What a table without the wanted column may be."""
    if table.headed or not table.rows:
        return ""
    cells = table.rows[0][1]
    if len(table.columns) == 3:
        return ". Three columns without heads: conductance, change, chance? Read them with JumpTable()"
    if len(table.columns) == 4 and _is_number(str(cells[0])):
        return ". Four columns without heads: the cells of MICSim? Read them with States(degree=None)"
    return ""


def _cells(line: str, mark: str | None) -> list[str]:
    if mark is not None:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=mark))]
    cells: list[str] = []
    for word in line.split():
        if cells and word[0] in "([":  # the unit of "time (s)"
            cells[-1] += f" {word}"
        else:
            cells.append(word)
    return cells


def _fits(head: Head, name: str, unit: str) -> bool:
    """Whether a head of this name may hold a quantity in this unit."""
    if head.name != name or (not name and not head.unit):
        return False
    measured = unit == SIEMENS and head.unit in CELLS and not head.meanings and bool(name)  # up_kohm
    return head.unit in ("", unit) or measured


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
