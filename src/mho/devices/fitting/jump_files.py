"""Jump tables that lie in several files: three of each direction, or one of quantiles."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mho.devices.fitting.heads import SIEMENS
from mho.devices.fitting.reading.decoding import decoded
from mho.devices.fitting.reading.dialect import Line, is_number, lines_of
from mho.devices.fitting.reading.workbook import is_workbook
from mho.devices.fitting.tables import CDF, CHANGE, CONDUCTANCE, Array, MeasuredTable, read_table

_PARTS = ("conductances", "changes", "chances")
_FILES = (r"axis(_level)?_G$", r"axis(_level)?_dG$", r"cdf$")  # endings of the three files, without suffix


class _Part(NamedTuple):
    """What one direction is.

    Attributes:
        name: of its file.
        sha256: of its content.
        rows: line, conductance, change and chance.
        unit: that the heads say; empty for none.
    """

    name: str
    sha256: str
    rows: list[tuple[int, float, float, float]]
    unit: str


# --- quantiles: a row of conductances, a row of chances, a matrix of changes -----------------------


def read_quantiles(path: str | os.PathLike[str]) -> MeasuredTable | None:
    """The quantile table of CrossSim as columns of conductance, change and chance; None for another file.

    Raises:
        ValueError: chances that do not rise from 0 to 1, or changes that fall with them.
    """
    part = _quantiles(Path(path))
    if part is None:
        return None
    columns = (CONDUCTANCE.names[0], CHANGE.names[0], CDF.names[0])
    rows = tuple((line, (g, d, c)) for line, g, d, c in part.rows)
    return MeasuredTable(str(path), part.sha256, columns, True, rows)


def _quantiles(path: Path) -> _Part | None:
    content = path.read_bytes()
    if is_workbook(content):
        return None
    lines = [line for line in lines_of(str(path), decoded(str(path), content))[0] if not line.comment]
    while lines and not all(map(is_number, lines[0].cells)):
        lines.pop(0)
    lines = [line._replace(cells=tuple(cell for cell in line.cells if cell)) for line in lines]
    if not _is_quantiles(lines):
        return None
    g, chance = ([float(cell) for cell in line.cells] for line in lines[:2])
    _check_chances(path, lines[1].number, chance)
    rows = []
    for line, c in zip(lines[2:], chance, strict=True):
        rows += [(line.number, x, float(cell), c) for x, cell in zip(g, line.cells, strict=True)]
    _check_rising(path, lines[2:])
    return _Part(path.name, hashlib.sha256(content).hexdigest(), rows, "")


def _is_quantiles(lines: list[Line]) -> bool:
    """Whether there is a row of n, a row of m, and m rows of n numbers."""
    if len(lines) < 4 or not all(is_number(cell) for line in lines for cell in line.cells):
        return False
    counts = [len(line.cells) for line in lines]
    return counts[0] > 1 and counts[1] == len(lines) - 2 and set(counts[2:]) == {counts[0]}


def _check_chances(path: Path, number: int, chance: list[float]) -> None:
    if min(chance) < 0 or max(chance) > 1 or bool((np.diff(chance) <= 0).any()):
        raise ValueError(
            f"{path}, line {number}: the chances of a table of quantiles rise from 0 to 1; a matrix of "
            "changes with a row for each chance follows them"
        )


def _check_rising(path: Path, lines: list[Line]) -> None:
    changes = np.array([[float(cell) for cell in line.cells] for line in lines])
    falls = np.argwhere(np.diff(changes, axis=0) < -1e-6 * max(float(np.ptp(changes)), 1e-300))
    if len(falls):
        row, column = falls[0]
        raise ValueError(
            f"{path}: the change at conductance {column + 1} falls from line {lines[row].number} "
            f"({changes[row, column]:g}) to line {lines[row + 1].number} ({changes[row + 1, column]:g}); "
            "with the chance it rises"
        )


# --- three files of each direction ---------------------------------------------------------------


def found_files(folder: Path) -> dict[str, tuple[Path, ...]]:
    """The files of a folder, by direction."""
    names = sorted(p for p in folder.iterdir() if p.suffix in (".txt", ".csv", ".dat"))
    found: dict[str, tuple[Path, ...]] = {}
    for direction, word in (("up", r"(?<!re)set|up|ltp"), ("down", r"reset|down|ltd")):
        mine = [p for p in names if re.search(word, p.stem, re.IGNORECASE)]
        files = [[p for p in mine if re.search(end, p.stem)] for end in _FILES]
        if any(len(some) > 1 for some in files):
            several = next(some for some in files if len(some) > 1)
            raise ValueError(
                f"{folder}: {len(several)} files for the same part of pulses {direction}, such as "
                f"{several[0].name} and {several[1].name}; name three of each direction, "
                '{"up": (g, dg, cdf), "down": (g, dg, cdf)}'
            )
        if all(files):
            found[direction] = tuple(some[0] for some in files)
    if not found:
        raise ValueError(
            f"{folder}: no three files of a jump table, such as set_axis_level_G.txt, set_axis_level_dG.txt "
            "and set_cdf.txt"
        )
    return found


def joined(source: Mapping[str, Any]) -> MeasuredTable:
    """One table of all files: direction, conductance, change and chance.

    Args:
        source: for ``up`` and ``down`` three files of conductances, changes and chances, or one of quantiles.

    Raises:
        ValueError: files that do not belong together.
    """
    parts = {direction: _part(direction, given) for direction, given in source.items()}
    names, stated = [part.name for part in parts.values()], {part.unit for part in parts.values()}
    if len(stated) > 1:
        raise ValueError(
            f"{' and '.join(names)}: the heads of the axes say {sorted(stated)}; name siemens in all of "
            "them, or in none"
        )
    unit = "_S" if SIEMENS in stated else ""
    columns = ("direction", CONDUCTANCE.names[0] + unit, CHANGE.names[0] + unit, CDF.names[0])
    rows = tuple((n, (d, *rest)) for d, part in parts.items() for n, *rest in part.rows)
    digest = hashlib.sha256("".join(part.sha256 for part in parts.values()).encode())
    return MeasuredTable(" and ".join(names), digest.hexdigest(), columns, True, rows)


def _part(direction: str, given: Any) -> _Part:
    if isinstance(given, (str, os.PathLike)):
        found = _quantiles(Path(given))
        if found is None:
            raise ValueError(
                f"{direction} = {str(given)!r}: no table of quantiles (a row of conductances, a row of "
                f"chances, a matrix of changes); or give three files, of {', '.join(_PARTS)}"
            )
        return found
    if not isinstance(given, (tuple, list)) or len(given) != 3:
        raise ValueError(
            f"{direction} = {given!r}: give three files, of {', '.join(_PARTS)}, or one of quantiles"
        )
    return _of_three([read_table(np.asarray(part)[:, None] if _is_list(part) else part) for part in given])


def _of_three(tables: list[MeasuredTable]) -> _Part:
    """The rows of an axis of conductances, an axis of changes and a matrix of chances."""
    g, change = (_axis(table) for table in tables[:2])
    units, matrix = {table.heads[0].unit for table in tables[:2]}, tables[2]
    if len(matrix.rows) != len(g) or len(matrix.columns) != len(change):
        raise ValueError(
            f"{matrix.name}: {len(matrix.rows)} rows of {len(matrix.columns)} chances, for "
            f"{len(g)} conductances ({tables[0].name}) and {len(change)} changes ({tables[1].name})"
        )
    if units not in ({""}, {SIEMENS}):
        raise ValueError(
            f"{Path(matrix.name).name}: the heads of the axes say {sorted(units)}; name siemens in both of "
            "them, or in none"
        )
    chances = np.stack([matrix.numbers(k) for k in range(len(change))], axis=1)
    rows = [
        (line, float(x), float(d), float(c))
        for line, x, cdf in zip(matrix.lines(), g, chances, strict=True)
        for d, c in zip(change, cdf, strict=True)
    ]
    return _Part(Path(matrix.name).name, "".join(table.sha256 for table in tables), rows, units.pop())


def _is_list(part: Any) -> bool:
    return not isinstance(part, (str, os.PathLike, MeasuredTable)) and np.asarray(part).ndim == 1


def _axis(table: MeasuredTable) -> Array:
    """The numbers of a file, one in each line or all in one line; in SI units if its head says a unit."""
    if len(table.rows) == 1:
        return np.array([table.numbers(k)[0] for k in range(len(table.columns))])
    if len(table.columns) != 1:
        raise ValueError(f"{table.name}: an axis has one number in each line, not {len(table.columns)}")
    factor = table.heads[0].factor
    return table.numbers(0) * (1.0 if factor is None else factor)
