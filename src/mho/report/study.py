"""The page of any study: what it says about itself, what it found, its pictures and its table."""

from __future__ import annotations

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
    return Page(
        title=type(study).__name__,
        lead=[*words(type(study)).paragraphs, *study.findings(result.table)],
        facts=[(f"{v:.4g} {units.get(n, '')}".strip(), n) for n, v in study.headline(result.table).items()],
        figures=[picture(drawn, name, name) for name, drawn in pictures.items()],
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
