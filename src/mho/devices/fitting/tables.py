"""Measured tables: a CSV file, a data frame, a mapping or an array, as columns of numbers.

A column is found by its name. A unit behind the name (``conductance_uS``, ``time (ms)``, ``R_kohm``) is
used; without one the numbers are in SI units, or in those that the measurement says.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LARGEST = 1.0  # siemens: no memory cell conducts more
_PREFIX = {"": 1.0, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6}
_HEAD = re.compile(
    r"\s*(?P<name>.*?)[\s_]*[\[(]?(?P<prefix>[pnuµμmkM]?)(?P<unit>S|s|V|A|[Oo]hms?|Ω)[\])]?\s*"
)
_COMMENT = "#"
_TITLES = 5  # lines in which the heads of a log are looked for
LOG = ("wordline", "bitline", "resistance_ohm", "voltage_V", "pulse width_s", "tag", "read tag")
"""Columns of the raw logs of ArC instruments, which have no heads in some data sets."""


class Quantity(NamedTuple):
    """What a column holds: the names that it may have, in lower case, and its unit."""

    names: tuple[str, ...]
    unit: str

    @property
    def wanted(self) -> str:
        """The name to give such a column."""
        return f"{self.names[0]}_{self.unit}" if self.unit else self.names[0]


CONDUCTANCE = Quantity(("conductance", "g"), "S")
RESISTANCE = Quantity(("resistance", "r"), "ohm")
TIME = Quantity(("time", "t", "seconds"), "s")
VOLTAGE = Quantity(("voltage", "v", "amplitude"), "V")
CURRENT = Quantity(("current", "i"), "A")
CELL = Quantity(("cell", "device"), "")


@dataclass(frozen=True)
class Table:
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

    def has(self, quantity: Quantity) -> bool:
        """Whether a column holds it."""
        return self.place(quantity) is not None

    def take(self, quantity: Quantity, unit: float = 1.0, blanks: bool = False) -> Array:
        """The numbers of a quantity in its SI unit.

        Args:
            quantity: what to look for.
            unit: SI value of the number 1, for a column whose head has no unit.
            blanks: empty cells are allowed and become NaN.

        Raises:
            ValueError: no such column, a cell that is not a number, or two units.
        """
        place = self.place(quantity)
        if place is None:
            raise ValueError(
                f"{self.name}: no column {quantity.wanted!r}; it has {', '.join(map(repr, self.columns))}"
                + ("" if self.headed else " (no heads: the first line holds numbers)")
                + _guess(self)
            )
        factor = _head(self.columns[place])[2]
        if factor is not None and unit != 1.0:
            raise ValueError(
                f"{self.name}: the head {self.columns[place]!r} says its unit already; leave "
                f"unit = {unit:g} out"
            )
        return self.numbers(place, blanks) * (unit if factor is None else factor)

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
        """Which column holds a quantity; None for none."""
        for wanted in quantity.names:
            for place, column in enumerate(self.columns):
                name, unit, _ = _head(column)
                if name == wanted and unit in ("", quantity.unit):
                    return place
        return None

    def united(self, quantity: Quantity) -> bool:
        """Whether the head of a quantity's column says a unit."""
        place = self.place(quantity)
        return place is not None and _head(self.columns[place])[2] is not None

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


def read_table(source: Any) -> Table:
    """A measured table from what the user has.

    Args:
        source: the path of a CSV file (separated by commas, semicolons, tabs or blanks; a head line is
            optional; lines that begin with # are skipped), a data frame, a mapping of names to columns,
            or a two-dimensional array.

    Raises:
        TypeError: something else.
        ValueError: no rows, or columns of different lengths.
    """
    if isinstance(source, Table):
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


def _from_columns(name: str, heads: tuple[str, ...], columns: list[list[Any]], headed: bool) -> Table:
    lengths = {len(column) for column in columns}
    if len(lengths) != 1 or lengths == {0}:
        each = ", ".join(f"{head!r}: {len(column)}" for head, column in zip(heads, columns, strict=True))
        raise ValueError(f"{name}: columns of one length, with at least one row, are needed; lengths {each}")
    rows = tuple((n, cells) for n, cells in enumerate(zip(*columns, strict=True), 1))
    text = "\n".join(",".join(map(str, cells)) for cells in (heads, *(cells for _, cells in rows)))
    return Table(name, hashlib.sha256(text.encode()).hexdigest(), heads, headed, rows)


def _from_file(path: Path) -> Table:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start})") from None
    numbered = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip(" \t,;")]
    lines = [(n, line) for n, line in numbered if not line.lstrip().startswith(_COMMENT)]
    lines = lines[_preamble([line for _, line in lines[:_TITLES]]) :]
    if not lines:
        raise ValueError(f"{path}: no rows; a table with at least one line of numbers is needed")
    mark = next((mark for mark in "\t;," if any(mark in line for _, line in lines[:2])), None)
    split = [(n, tuple(_cells(line, mark))) for n, line in lines]
    if len(split) > 5 and all(cell.startswith("Analog") for cell in split[1][1]):
        raise ValueError(
            f"{path}: a Fusion CSV (id, class and sizes of each layer, then conductances): read it with "
            'mho.devices.read_fusion, or fit({"target": ..., "conductance": ...}, Fusion())'
        )
    headed = not any(_is_number(cell) for cell in split[0][1])
    if not headed:
        heads = tuple(f"column {k + 1}" for k in range(max(len(cells) for _, cells in split)))
        if _is_log(split[0][1]):
            heads = (*LOG, *heads[len(LOG) :])
        return Table(str(path), hashlib.sha256(content).hexdigest(), heads, False, tuple(split))
    heads = split[0][1]
    if len(split) == 1:
        raise ValueError(f"{path}: a head line and no row of numbers")
    for n, cells in split[1:]:
        if len(cells) > len(heads):
            raise ValueError(
                f"{path}, line {n}: {len(cells)} cells under {len(heads)} heads; is it separated by {mark!r}?"
            )
    return Table(str(path), hashlib.sha256(content).hexdigest(), heads, True, tuple(split[1:]))


def _preamble(lines: Sequence[str]) -> int:
    """Lines before the heads: ArC writes the name of a session and the time above them."""
    for n, line in enumerate(lines):
        if all(word in line.lower() for word in ("wordline", "bitline")):
            return n
    return 0


def _is_log(cells: Sequence[str]) -> bool:
    """Whether the first row of a file without heads is one of an ArC log: five numbers, then tags."""
    return len(cells) in (7, 8) and all(map(_is_number, cells[:5])) and not any(map(_is_number, cells[5:7]))


def _guess(table: Table) -> str:
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
    return (
        line.split() if mark is None else [cell.strip() for cell in next(csv.reader([line], delimiter=mark))]
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _head(text: str) -> tuple[str, str, float | None]:
    """Name in lower case, unit, and SI value of 1 (None: no unit) of the head of a column."""
    match = _HEAD.fullmatch(text)
    if match is None or not match["name"]:
        return _plain(text), "", None
    unit = "ohm" if match["unit"].lower().startswith("ohm") or match["unit"] == "Ω" else match["unit"]
    if match["name"][-1].isalnum() and not re.search(r"[\s_\[(]", text):
        return _plain(text), "", None  # "states" is no "state" in seconds
    return _plain(match["name"]), unit, _PREFIX[match["prefix"]]


def _plain(text: str) -> str:
    return re.sub(r"[\s_\-]+", " ", text).strip(" ([").lower()


def conductances(table: Table, unit: float, zero: float = 0.0, column: int | None = None) -> Array:
    """A column of conductances, siemens; one of resistances serves too.

    Args:
        table: the measured table.
        unit: siemens of the number 1, where the head has no unit.
        zero: the number that means no conductance.
        column: which one, empty cells are NaN then; the one named conductance if not given.

    Raises:
        ValueError: a conductance that is negative or above 1 S (the line is named), or no such column.
    """
    if column is None and not table.has(CONDUCTANCE) and table.has(RESISTANCE):
        r = table.take(RESISTANCE)
        for line, value in zip(table.lines(), r, strict=True):
            if value <= 0:
                raise ValueError(
                    f"{table.name}, line {line}: a resistance of {value:g} ohm; it must be positive"
                )
        g = 1 / r
    elif column is None:
        g = table.take(CONDUCTANCE, unit) - zero * unit
    else:
        _, of, factor = _head(table.columns[column])
        g = (table.numbers(column, blanks=True) - zero) * (
            factor if of == "S" and factor is not None else unit
        )
    check_conductances(table, g)
    return g


def check_conductances(table: Table, g: Array) -> None:
    """Raise ``ValueError`` at a conductance that no cell has; NaN passes."""
    for line, value in zip(table.lines(), g, strict=True):
        if value > LARGEST:
            raise ValueError(
                f"{table.name}, line {line}: a conductance of {value:g} S; no cell has more than "
                f"{LARGEST:g} S. Numbers in microsiemens? Say unit=1e-6, or name the column conductance_uS"
            )
        if value < 0:
            raise ValueError(
                f"{table.name}, line {line}: a conductance of {value:g} S is negative; are the numbers "
                "normalised weights? Say zero= (the number that means no conductance) and unit= (siemens "
                "of 1)"
            )
