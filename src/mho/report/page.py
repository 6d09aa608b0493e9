"""One self-contained HTML page: figures inside, no script, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import functools
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2
    import matplotlib.figure
    import pandas as pd

MOST_ROWS = 200
_NUMBER = re.compile(r"[-+−±<>~(]?\s*[.\d]")
LONG = 40  # characters of a cell that may break
MANY = 7  # columns that fit beside each other


@dataclass(frozen=True)
class Figure:
    """A picture with words.

    Attributes:
        content: the bytes of the image.
        media_type: ``image/svg+xml`` or ``image/png``.
        alt: what the picture shows, for who cannot see it.
        caption: the sentence below.
    """

    content: bytes
    media_type: str
    alt: str
    caption: str

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return f"data:{self.media_type};base64,{base64.b64encode(self.content).decode('ascii')}"


@dataclass(frozen=True)
class PageTable:
    """A table of text; the first column names the row.

    Attributes:
        caption: the sentence above.
        columns: head of each column.
        rows: cells, each row as long as ``columns``.
        notes: a second, smaller line of each cell; empty where there is none.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[Sequence[str]] = ()

    @property
    def classes(self) -> list[str]:
        """How each column is set: ``prose`` where a cell is long, ``words`` where no cell is a number."""
        columns = [[row[k] for row in self.rows] for k in range(len(self.columns))]
        return ["prose" if any(len(c) > LONG for c in cells) else _kind(cells) for cells in columns]

    @property
    def wide(self) -> bool:
        """Whether it takes more room than the text."""
        return len(self.columns) > MANY

    def __post_init__(self) -> None:
        for row in (*self.rows, *self.notes):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"a row has {len(row)} cells, the table has {len(self.columns)} columns: {row}"
                )
        if self.notes and len(self.notes) != len(self.rows):
            raise ValueError(f"{len(self.notes)} rows of notes for {len(self.rows)} rows")


@dataclass(frozen=True)
class Page:
    """What the page says, from top to bottom.

    Attributes:
        title: the head line.
        lead: paragraphs below it.
        facts: few figures that matter most, as (value, meaning).
        figures: pictures.
        tables: tables.
        configuration: the full description that was run, plain nested values.
        commands: command lines that make this page again.
        software: names and versions.
    """

    title: str
    lead: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[PageTable] = ()
    configuration: Mapping[str, object] = field(default_factory=dict)
    commands: Sequence[str] = ()
    software: Mapping[str, str] = field(default_factory=dict)


def _kind(cells: Sequence[str]) -> str:
    return "" if any(_NUMBER.match(cell) for cell in cells) else "words"


def svg(figure: matplotlib.figure.Figure) -> bytes:
    """A figure as SVG, the same bytes for the same figure."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "mho"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def picture(figure: matplotlib.figure.Figure, alt: str, caption: str) -> Figure:
    """A drawn figure with its words, for a page."""
    return Figure(svg(figure), "image/svg+xml", alt, caption)


def table_of(table: pd.DataFrame, caption: str = "All rows.") -> PageTable:
    """A table of results for a page: the first 200 rows.

    Columns that say nothing are left out; what a wide table says in all rows alike is in the caption.
    """
    empty = (table.isna() | (table.astype(str) == "")).all()
    said = [name for name in table.columns if not empty[name]]
    shown, digits, alike = table[said].head(MOST_ROWS), 6, ""
    more = len(table) - len(shown)
    if more:
        caption = f"The first {MOST_ROWS} rows; {more} more are in results.csv."
    if len(said) > MANY and len(table) > 1:
        digits = 4
        same = [name for name in said[1:] if table[name].nunique(dropna=False) == 1]
        alike = ", ".join(f"{name} {_text(shown[name].iloc[0], digits)}" for name in same)
        said = [name for name in said if name not in same]
    rows = [[_text(value, digits) for value in row] for row in shown[said].itertuples(index=False)]
    told = f"{caption} The same in all: {alike}." if alike else caption
    return PageTable(told, [str(name) for name in said], rows)


def _text(value: Any, digits: int) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, float) and not (value.is_integer() and abs(value) < 1e9):
        return f"{value:.{digits}g}"
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def render(page: Page) -> str:
    """The page as HTML; every text is escaped."""
    return _template().render(page=page)


@functools.cache  # compiled once, whatever the pages of a process
def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mho.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")
