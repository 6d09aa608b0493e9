"""The page of any study: what it says about itself, what it found, its pictures and its table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mho.experiments.harness import Result, Study
from mho.report.docstrings import words
from mho.report.page import Page, PageTable, picture, table_of

if TYPE_CHECKING:
    import matplotlib.figure


def study_page(
    study: Study, result: Result, pictures: Mapping[str, matplotlib.figure.Figure], command: str
) -> Page:
    """The page of a study that ran.

    Args:
        study: the description.
        result: what it found.
        pictures: by the name of their file; may be empty.
        command: that ran it.
    """
    meanings = [[column.name, column.unit, column.doc] for column in study.measured]
    units = {column.name: column.unit for column in study.measured}
    told = {column.name: f"{column.name}: {column.doc}" for column in study.measured if column.doc}
    return Page(
        title=_title(type(study).__name__),
        lead=[*words(type(study)).paragraphs, *study.findings(result.table)],
        facts=[
            (f"{v:.4g} {units.get(n, '')}".strip(), told.get(n, n))
            for n, v in study.headline(result.table).items()
        ],
        figures=[picture(drawn, name, _title(name.partition(".")[0])) for name, drawn in pictures.items()],
        tables=[
            table_of(result.table),
            *(
                [PageTable("What the columns mean.", ("column", "unit", "meaning"), meanings)]
                * bool(meanings)
            ),
        ],
        configuration=result.document["study"],
        commands=[command],
        software=result.document["versions"],
    )


def _title(name: str) -> str:
    """The name of a class or of a file, as words.

    >>> _title("RegressionStudy"), _title("read_noise"), _title("HWAStudy")
    ('Regression study', 'Read noise', 'HWA study')
    """
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^A-Z_\W]+", name)
    words_of = [part if part.isupper() and len(part) > 1 else part.lower() for part in parts]
    return " ".join([words_of[0][:1].upper() + words_of[0][1:], *words_of[1:]])
