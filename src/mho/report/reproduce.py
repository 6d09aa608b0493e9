"""Published results beside ours: a table, a sentence for each paper, the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mho.experiments.reproduce import MET
from mho.report.page import Page, PageTable
from mho.report.texts import aligned

Document = Mapping[str, Any]
HEAD = ["paper", "figure", "published", "tolerance", "ours", "95 % interval", "verdict"]


def reproduce_cells(documents: Sequence[Document]) -> list[list[str]]:
    """A head, and a row for each figure of each paper.

    Args:
        documents: ``results.json`` of each :class:`~mho.experiments.reproduce.ReproduceStudy`.
    """
    return [HEAD] + [
        [
            document["claim"]["name"],
            f"{row['what']}{f' ({unit})' if (unit := row['unit']) else ''}",
            row["published"],
            row["tolerance"],
            f"{row['ours']:.2f}",
            "-" if row["low"] is None else f"{row['low']:.2f} to {row['high']:.2f}",
            row["verdict"],
        ]
        for document in documents
        for row in document["compared"]
    ]


def reproduce_text(documents: Sequence[Document]) -> str:
    """The table as aligned text."""
    return "\n".join(line.rstrip() for line in aligned(reproduce_cells(documents), left=(0, 1, 6)))


def reproduce_lines(documents: Sequence[Document]) -> list[str]:
    """The verdict on each paper, and what it was measured on, a sentence each; then the count."""
    lines = [
        f"{document['claim']['name']}: {document['verdict']} ({document['origin']}; "
        f"{document['compared'][0]['seeds']} seeds; {document['cpu_seconds']:.0f} s of processor time)"
        for document in documents
    ]
    met = sum(document["verdict"] == MET for document in documents)
    return [*lines, f"{met} of {len(documents)} met"] if len(documents) > 1 else lines


def reproduce_page(documents: Sequence[Document], command: str) -> Page:
    """The page of the papers that were run.

    Args:
        documents: ``results.json`` of each study.
        command: that ran them.
    """
    head, *rows = reproduce_cells(documents)
    claims = [document["claim"] for document in documents]
    return Page(
        title="Published results",
        lead=[
            "Figure, source and tolerance of each were written down before its first run. A figure is met if "
            "the whole interval of ours lies within the tolerance.",
            *reproduce_lines(documents),
        ],
        facts=[(document["verdict"], document["claim"]["name"]) for document in documents],
        tables=[
            PageTable("Means over seeds, each a mean over its chips.", head, rows),
            PageTable(
                "What the papers say, and what of them was read.",
                ["name", "paper", "statement", "read"],
                [[claim[key] for key in ("name", "paper", "statement", "source")] for claim in claims],
            ),
        ],
        configuration={document["claim"]["name"]: document["study"] for document in documents},
        commands=[command],
        software=documents[0]["versions"],
    )
