"""Where the numbers of a file begin, and which lines above them are its heads and its units."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mho.devices.fitting.heads import read_heads, read_unit
from mho.devices.fitting.reading.decoding import decoded
from mho.devices.fitting.reading.dialect import Line, is_number, lines_of, split
from mho.devices.fitting.reading.instruments import check_no_fusion, known_heads, logged
from mho.devices.fitting.reading.workbook import is_workbook, workbook_lines

_WORDS = 4  # of a head behind a mark of comments, at most: a sentence is none
_MOSTLY = 0.5  # share of the cells of a column that are numbers, where it is one of numbers
_HEADS = 3  # lines of heads, at most: names, units, and a comment
_NONE = ("-", "--", "n/a")  # a unit of a number without one

Rows = tuple[tuple[int, tuple[str, ...]], ...]


class Grid(NamedTuple):
    """A file as columns of cells.

    Attributes:
        heads: of the columns, units in brackets behind the names; None where the file has none.
        rows: line number and cells of each row.
        above: the lines that the heads come from, or the first two of numbers, for messages.
        dialect: how the cells are separated, in words.
    """

    heads: tuple[str, ...] | None
    rows: Rows
    above: tuple[Line, ...]
    dialect: str

    @property
    def width(self) -> int:
        """Most cells of a row."""
        return max(len(cells) for _, cells in self.rows)


def read_grid(path: str | os.PathLike[str], content: bytes) -> Grid:
    """The table in the bytes of a file.

    Args:
        path: of the file; for messages, nothing is read there.
        content: its bytes.

    Raises:
        ValueError: no table of numbers, several, or rows with more cells than there are heads.
    """
    name = str(Path(path))
    if is_workbook(content):
        return _grid(name, workbook_lines(name, content), "cells of a sheet")
    lines, dialect = lines_of(name, decoded(name, content))
    return _grid(name, lines, dialect.words)


def _grid(name: str, lines: list[Line], dialect: str) -> Grid:
    body = [line for line in lines if not line.comment]
    if not body:
        raise ValueError(f"{name}: no rows; a table with at least one line of numbers is needed")
    check_no_fusion(name, body)
    body = logged(body)
    turned = _across(body)
    if turned is not None:
        return Grid(*turned, tuple(body[:2]), dialect)
    start = _start(body)
    if start == len(body):
        raise ValueError(f"{name}: a head line and no row of numbers ({_shown(body[-2:])})")
    _check_one_table(name, body, start)
    rows = tuple((line.number, line.cells) for line in body[start:])
    width = Counter(len(cells) for _, cells in rows).most_common(1)[0][0]
    heads, above = _heads(lines, body, start, width)
    _check_width(name, body[start:], heads, above, dialect)
    return Grid(heads, rows, above or tuple(body[start : start + 2]), dialect)


def _shown(lines: Sequence[Line]) -> str:
    return ", ".join(f"line {line.number}: {line.text.strip()[:80]!r}" for line in lines)


# --- where the numbers begin ---------------------------------------------------------------------


def _numeric(body: Sequence[Line]) -> list[int]:
    """The columns that hold numbers in the lower half of the file."""
    lower = [line.cells for line in body[len(body) // 2 :]]
    found = []
    for k in range(max(map(len, lower))):
        cells = [cells[k] for cells in lower if k < len(cells) and cells[k]]
        if cells and sum(map(is_number, cells)) >= _MOSTLY * len(cells):
            found.append(k)
    return found


def _start(body: Sequence[Line]) -> int:
    """The first row of numbers: the one below the last line of words at the top."""
    columns = _numeric(body)
    kinds = [_kind(line.cells, columns) for line in body]
    start, full = 0, 0
    for k, kind in enumerate(kinds):
        full += kind == "numbers"
        if full > 1:
            break
        if kind == "words" and ("numbers" in kinds[k + 1 :] or "numbers" not in kinds):
            start = k + 1
    headed = any(len(line.cells) > 1 for line in body[:start])
    if start < len(body) and _names_with_numbers(body[start].cells, columns, headed):
        start += 1
    return start


def _kind(cells: Sequence[str], columns: Sequence[int]) -> str:
    """``words`` or ``numbers`` where the columns of numbers hold nothing else, else ``mixed``."""
    inside = [cells[k] for k in columns if k < len(cells) and cells[k]]
    numbers = sum(map(is_number, inside))
    if numbers == 0:
        return "words"
    return "numbers" if numbers == len(inside) else "mixed"


def _names_with_numbers(cells: Sequence[str], columns: Sequence[int], headed: bool) -> bool:
    """Whether a row is one of heads some of which are numbers: ``pulse, 1, 2, 3``, ``x-axis, 1, 2``."""
    words = [cells[k] for k in columns if k < len(cells) and cells[k] and not is_number(cells[k])]
    if headed:
        return bool(words) and all(head.known for head in read_heads(words))
    return any(any(map(str.isalpha, word)) for word in words)


def _check_one_table(name: str, body: Sequence[Line], start: int) -> None:
    """Raise ``ValueError`` at a second line of heads with numbers below it."""
    columns = _numeric(body[start:])
    kinds = [_kind(line.cells, columns) for line in body[start:]]
    for k in range(1, len(kinds) - 1):
        if kinds[k] == "words" and len(body[start + k].cells) > 1 and "numbers" in kinds[k + 1 :]:
            raise ValueError(
                f"{name}: a second table begins below line {body[start + k - 1].number} "
                f"({_shown(body[start + k : start + k + 2])}); give each table a file of its own, or mend "
                "the line"
            )


def _check_width(
    name: str, rows: Sequence[Line], heads: tuple[str, ...] | None, above: Sequence[Line], dialect: str
) -> None:
    for line in rows:
        if heads is not None and len(line.cells) > len(heads) and any(line.cells[len(heads) :]):
            raise ValueError(
                f"{name}, line {line.number}: {len(line.cells)} cells under {len(heads)} heads, as read with "
                f"{dialect} ({_shown([*above[:1], line])}); is it separated by something else, or is a comma "
                "both the decimal mark and the separator?"
            )


# --- heads ---------------------------------------------------------------------------------------


def _heads(
    lines: Sequence[Line], body: Sequence[Line], start: int, width: int
) -> tuple[tuple[str, ...] | None, tuple[Line, ...]]:
    """The heads of a table and the lines that they come from; None where it has none."""
    plain = _filled([_resplit(line, width) for line in body[:start] if line.cells], width)
    wide = [line for line in plain if len(line.cells) >= width]
    if wide and wide[-1] is not plain[-1] and _known(plain[-1].cells):
        wide = []  # too few heads: what is missing is said, not guessed
    if wide:
        return _named(wide)
    if plain and _known(plain[-1].cells):
        return plain[-1].cells, (plain[-1],)
    first = body[start].number
    return _commented([line for line in lines if line.comment and line.number < first], width)


def _filled(plain: list[Line], width: int) -> list[Line]:
    """Lines above the numbers; a last one of units with a cell for each column, where the last have none."""
    if len(plain) < 2 or len(plain[-1].cells) >= width or len(plain[-2].cells) < width:
        return plain
    last = plain[-1]
    if not are_units(last.cells):
        return plain
    return [*plain[:-1], last._replace(cells=(*last.cells, *[""] * (width - len(last.cells))))]


def _resplit(line: Line, width: int) -> Line:
    """A line of heads with blanks in them, where two blanks separate as many as there are columns."""
    wide = [cell for cell in re.split(r"\t|\s{2,}", line.text.strip()) if cell]
    return line._replace(cells=tuple(wide)) if len(line.cells) > width == len(wide) else line


def _known(cells: Sequence[str]) -> bool:
    return any(head.known for head in read_heads(cells))


def _named(wide: Sequence[Line]) -> tuple[tuple[str, ...], tuple[Line, ...]]:
    """Heads of the last lines above the numbers: names, perhaps units and a comment below them."""
    last = wide[-_HEADS:]
    for k in range(len(last) - 1, 0, -1):
        if are_units(last[k].cells):
            return _with_units(last[k - 1].cells, last[k].cells), (last[k - 1], last[k])
    names = next((line for line in reversed(last) if _known(line.cells)), last[-1])
    return known_heads(names.cells), (names,)


def are_units(cells: Sequence[str]) -> bool:
    """Whether a row is one of units below the heads."""
    plain = [cell.strip("()[]") for cell in cells if cell and cell not in _NONE]
    return bool(plain) and all(read_unit(cell) is not None for cell in plain)


def _with_units(names: Sequence[str], units: Sequence[str]) -> tuple[str, ...]:
    said = [unit.strip("()[]") if unit not in _NONE else "" for unit in units]
    said += [""] * (len(names) - len(said))
    paired = zip(known_heads(names), said, strict=False)
    return tuple(f"{name} ({unit})" if unit else name for name, unit in paired)


def _commented(comments: Sequence[Line], width: int) -> tuple[tuple[str, ...] | None, tuple[Line, ...]]:
    """The heads in the last comment above the numbers that has as many, with the units of the next one."""
    below: tuple[str, ...] | None = None
    for line in reversed(comments):
        for heads in _readings(line, width):
            if are_units(heads) and below is None:
                below = heads
                break
            if _are_heads(heads):
                said = known_heads(heads) if below is None else _with_units(heads, below)
                return said, (line,)
    return (None, ()) if below is None or not _known(below) else (below, (comments[-1],))


def _readings(line: Line, width: int) -> list[tuple[str, ...]]:
    """The cells of a comment, separated by each mark, where there are as many as columns."""
    text = " ".join(line.text.split()) if "\t" not in line.text else line.text
    text = text.lstrip().lstrip("#%!/").strip()
    found = []
    for mark in ("\t", ";", ",", None):
        cells = split(text, mark)
        if mark is None and len(cells) == 2 * width and are_units(cells[1::2]):
            cells = [f"{name} ({unit})" for name, unit in zip(cells[::2], cells[1::2], strict=True)]
        if len(cells) == width:
            found.append(tuple(cells))
    return found


def _are_heads(cells: Sequence[str]) -> bool:
    return _known(cells) and all(len(cell.split()) <= _WORDS and not is_number(cell) for cell in cells)


def _across(body: Sequence[Line]) -> tuple[tuple[str, ...], Rows] | None:
    """The table of a file with a quantity in each row, its head in front; None if it is none."""
    rows = [line.cells for line in body if line.cells]
    if not rows:
        return None
    heads, width = tuple(cells[0] for cells in rows), max(map(len, rows))
    numbers = [cell for cells in rows for cell in cells[1:] if cell]
    if len(set(heads)) < max(2, len(heads)) or width < 3 or any(map(is_number, heads)):
        return None
    if not all(map(is_number, numbers)) or not _known(heads):
        return None
    filled = [(*cells, *[""] * (width - len(cells))) for cells in rows]
    return heads, tuple((k, tuple(cells[k] for cells in filled)) for k in range(1, width))
