"""How a text separates its cells and writes its numbers, found from the lines that hold numbers."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

COMMENTS = ("#", "%", "!", "//")
MARKS = ("\t", ";", ",", None)  # None: blanks
_LOOKED_AT = 400  # lines, at most, from the end of the file
_LETTERS = 0.3  # share of a line from which it is one of words
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?(?:\d{1,3}(?:[.\u00a0\u202f']\d{3})+|\d*)(?:,\d+)?(?:[eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}\.\d{3}")


class Line(NamedTuple):
    """A line of a file.

    Attributes:
        number: in the file, from 1.
        text: as it stands there.
        cells: numbers among them as Python writes them.
        comment: whether it stands behind a mark of comments, which is taken off.
    """

    number: int
    text: str
    cells: tuple[str, ...]
    comment: bool = False


class Dialect(NamedTuple):
    """How the cells of a text are told apart.

    Attributes:
        mark: that separates them; None for blanks.
        comma: whether a comma is the decimal mark.
    """

    mark: str | None
    comma: bool

    def cells(self, text: str) -> tuple[str, ...]:
        """The cells of a line up to the last that is not empty, numbers among them as Python writes them."""
        return tuple(plain_number(cell, self.comma) for cell in filled(split(text, self.mark)))

    @property
    def words(self) -> str:
        """In words, for messages."""
        mark = {"\t": "tabs", ";": "semicolons", ",": "commas", None: "blanks"}[self.mark]
        return f"{mark}{', with decimal commas' if self.comma else ''}"


def is_number(text: str) -> bool:
    """Whether Python reads a cell as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def plain_number(cell: str, comma: bool) -> str:
    """A number as Python writes it; any other cell as it is.

    >>> plain_number("1.234,5", True), plain_number("1.5D-06", False), plain_number("up", True)
    ('1234.5', '1.5e-06', 'up')
    """
    if comma and "," in cell and _COMMA.fullmatch(cell):
        return re.sub(r"[.\u00a0\u202f']", "", cell).replace(",", ".")
    if "d" in cell.lower() and _PLAIN.fullmatch(cell):
        return cell.lower().replace("d", "e")
    return cell


def split(text: str, mark: str | None) -> list[str]:
    """The cells of a line; between blanks a unit in brackets belongs to the word before it."""
    if mark is not None:
        return [cell.strip() for cell in next(csv.reader([text.strip(" \r\n")], delimiter=mark), [])]
    cells: list[str] = []
    for word in text.split():
        if cells and word[0] in "([":
            cells[-1] += f" {word}"
        else:
            cells.append(word)
    return cells


def filled(cells: list[str]) -> list[str]:
    """Cells without the empty ones at their end."""
    last = max((k for k, cell in enumerate(cells, 1) if cell), default=0)
    return cells[:last]


def bare(text: str) -> tuple[str, bool]:
    """A line without its mark of comments, and whether it had one."""
    stripped = text.lstrip()
    for mark in COMMENTS:
        if stripped.startswith(mark):
            return stripped.lstrip("".join(COMMENTS)).strip(), True
    return text, False


def found_dialect(lines: Sequence[str]) -> Dialect:
    """The dialect in which most cells of the lines are numbers, and the fewest are pieces of them.

    >>> found_dialect(["time_s;g_uS", "20,5;18,0", "200,5;17,1"])
    Dialect(mark=';', comma=True)
    """
    digits = [line for line in lines if any(map(str.isdigit, line))][-_LOOKED_AT:]
    data = [line for line in digits if sum(map(str.isalpha, line)) < _LETTERS * len(line)] or digits
    tried = [(_score(data, one), -k, one) for k, one in enumerate(_candidates(data))]
    ranked = [one for score, _, one in sorted(tried, key=lambda t: t[:2], reverse=True) if score > 0]
    if not ranked:
        return Dialect(
            next((m for m in MARKS[:-1] if m and any(m in line for line in lines[:2])), None), False
        )
    return next((one for one in ranked if not _overflows(lines, one)), ranked[0])


def _candidates(data: Sequence[str]) -> list[Dialect]:
    commas = (False, True) if any("," in line for line in data) else (False,)
    return [Dialect(mark, comma) for comma in commas for mark in MARKS]


def _score(data: Sequence[str], dialect: Dialect) -> int:
    rows = [[cell for cell in dialect.cells(line) if cell] for line in data]
    return sum((1 if is_number(cell) else -_piece(cell)) for row in rows for cell in row)


def _piece(cell: str) -> int:
    """1 for a cell that looks like several numbers in one."""
    return int(bool(re.search(r"\d[\s;,]+[-+.]?\d|\d,\d", cell)))


def _overflows(lines: Sequence[str], dialect: Dialect) -> bool:
    """Whether the rows have twice the cells of the line above them: a decimal comma was taken for a mark."""
    if dialect != Dialect(",", False):
        return False
    counts = [len(split(line, ",")) for line in lines]
    widths = Counter(
        n for n, line in zip(counts, lines, strict=True) if is_number(split(line, ",")[0] or "x")
    )
    if not widths:
        return False
    width = widths.most_common(1)[0][0]
    above = next((n for n, line in zip(counts, lines, strict=True) if not any(map(str.isdigit, line))), width)
    return width == 2 * above


def lines_of(name: str, text: str) -> tuple[list[Line], Dialect]:
    """The lines of a text that are not empty, with their cells.

    Args:
        name: of the file, for messages.
        text: its content.

    Raises:
        ValueError: a number beside decimal commas whose dot may be one of thousands.
    """
    numbered = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip(" \t,;\ufeff\x1a")]
    bared = [(n, line, *bare(line)) for n, line in numbered]
    dialect = found_dialect([inner for _, _, inner, comment in bared if not comment])
    if dialect.comma:
        _check_thousands(name, [(n, inner) for n, _, inner, _ in bared], dialect)
    return [Line(n, line, dialect.cells(inner), comment) for n, line, inner, comment in bared], dialect


def _check_thousands(name: str, lines: Sequence[tuple[int, str]], dialect: Dialect) -> None:
    for number, line in lines:
        for cell in split(line, dialect.mark):
            if _THOUSANDS.fullmatch(cell):
                raise ValueError(
                    f"{name}, line {number}: {cell!r} in a table with decimal commas is "
                    f"{cell.replace('.', '')} or {cell}; write it with a comma, or without dots"
                )
