"""Excel workbooks: the sheet with the measurement, as rows of text."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from mho.devices.fitting.reading.dialect import Line, filled, is_number

_ZIP, _OLD = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_DATA = "data"  # the sheet that Keithley's 4200 writes its numbers on
_SAVE = "save the sheet as CSV, or read it yourself and give the frame: fit(pandas.read_excel(...), ...)"


def is_workbook(content: bytes) -> bool:
    """Whether the bytes are those of an Excel file, new or old."""
    return content.startswith((_ZIP, _OLD))


def workbook_lines(name: str, content: bytes) -> list[Line]:
    """The rows of the one sheet that holds numbers, or of the sheet ``Data``.

    Args:
        name: of the file, for messages.
        content: its bytes.

    Raises:
        ValueError: an old or damaged workbook, one without numbers or with several tables, or openpyxl
            is missing.
    """
    if content.startswith(_OLD):
        raise ValueError(f"{name}: an Excel workbook of before 2007 (.xls); save it as .xlsx, or {_SAVE}")
    sheets = {title: lines for title, lines in _sheets(name, content).items() if _has_numbers(lines)}
    named = [title for title in sheets if title.strip().lower() == _DATA]
    titles = named if len(named) == 1 else list(sheets)
    if len(titles) != 1:
        found = (
            f"{len(titles)} sheets with numbers ({', '.join(titles)})" if titles else "no sheet with numbers"
        )
        raise ValueError(f"{name}: an Excel workbook with {found}; {_SAVE}")
    return sheets[titles[0]]


def _sheets(name: str, content: bytes) -> dict[str, list[Line]]:
    try:
        from openpyxl import load_workbook
    except ModuleNotFoundError:
        raise ValueError(
            f'{name}: an Excel workbook needs openpyxl: pip install "mho[excel]"; or {_SAVE}'
        ) from None
    try:
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        return {sheet.title: _lines(sheet) for sheet in book.worksheets}
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError) as error:
        raise ValueError(f"{name}: a damaged Excel workbook, or another archive ({error}); {_SAVE}") from None


def _lines(sheet: Any) -> list[Line]:
    rows = [(n, [_text(cell) for cell in row]) for n, row in enumerate(sheet.iter_rows(values_only=True), 1)]
    return [Line(n, ",".join(cells).rstrip(","), tuple(filled(cells))) for n, cells in rows if any(cells)]


def _text(cell: Any) -> str:
    if isinstance(cell, bool) or cell is None:
        return "" if cell is None else str(cell)
    return repr(cell) if isinstance(cell, float) else str(cell).strip()


def _has_numbers(lines: list[Line]) -> bool:
    return any(is_number(cell) for line in lines for cell in line.cells)
