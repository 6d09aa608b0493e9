"""``mho conform``: mho beside the numbers of other simulators."""

from __future__ import annotations

from pathlib import Path

from mho.commands.common import fail, typer
from mho.commands.options import Given, Option
from mho.config import write_whole
from mho.conformance import Verdict, conformance
from mho.conformance.rows import text, write_csv
from mho.report.conform import conform_page
from mho.report.page import render

WITHOUT = ("sklearn", "pandas", "rich", "yaml", "matplotlib")
OPTIONS = (
    Option(
        "goldens", "Folder of the reference numbers; tests/reference/data of the checkout if not given.", Path
    ),
    Option("output", "Folder for conformance.csv and conformance.html.", Path, Path("runs/conform")),
)


def conform(given: Given) -> None:
    """Compare mho with the numbers of other simulators, case by case.

    Products, noise and drift of aihwkit, products of CrossSim, device models of MemTorch, line resistance by
    badcrossbar and ngspice; and the silent errors of the first three that are known, each checked here. A
    row that differs says who is right and why. A difference without a reason ends with status 1.
    """
    try:
        rows = conformance(given.goldens)
    except ValueError as error:
        fail(str(error))
    write_csv(rows, given.output / "conformance.csv")
    page = render(conform_page(rows))
    write_whole(given.output / "conformance.html", lambda path: path.write_text(page, encoding="utf-8"))
    typer.echo(text(rows))
    typer.echo(str(given.output / "conformance.html"))
    if any(row.verdict is Verdict.UNEXPLAINED for row in rows):
        raise typer.Exit(1)
