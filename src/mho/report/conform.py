"""The conformance table as a page."""

from __future__ import annotations

from collections.abc import Sequence

from mho.conformance.rows import COLUMNS, Row, Verdict
from mho.report.page import Page, PageTable


def conform_page(rows: Sequence[Row]) -> Page:
    """Counts by verdict, what is more than agreement, and everything."""
    facts = [
        (str(count), verdict.value)
        for verdict in Verdict
        if (count := sum(row.verdict is verdict for row in rows)) or verdict is Verdict.UNEXPLAINED
    ]
    differing = [row for row in rows if row.verdict is not Verdict.AGREES]
    return Page(
        title="mho beside other simulators",
        lead=[
            "Each row is a number that another simulator gave, beside the one of mho for the same case. A "
            "row that "
            "differs says who is right, and why; with the named difference taken out, the numbers agree.",
        ],
        facts=facts,
        tables=[
            PageTable(
                "What differs, is refused, or cannot be compared.",
                COLUMNS,
                [_cells(row) for row in differing],
            ),
            PageTable("All rows.", COLUMNS, [_cells(row) for row in rows]),
        ],
        commands=["mho conform"],
    )


def _cells(row: Row) -> list[str]:
    numbers = ("" if value is None else f"{value:.3g}" for value in (row.difference, row.tolerance))
    return [row.case, row.peer, row.theirs, row.ours, *numbers, row.verdict.value, row.right, row.why]
