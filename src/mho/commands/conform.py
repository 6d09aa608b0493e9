"""``mho conform``: mho beside the numbers of other simulators."""

from __future__ import annotations

from pathlib import Path

from mho.commands.common import fail, typer
from mho.commands.options import Given, Option
from mho.config import write_whole
from mho.conformance import Verdict, conformance, find_peers, peer_rows
from mho.conformance.peers.probe import SIMULATORS
from mho.conformance.rows import text, write_csv
from mho.report.conform import conform_page
from mho.report.page import render

WITHOUT = ("sklearn", "pandas", "rich", "yaml", "matplotlib")
OPTIONS = (
    Option(
        "goldens", "Folder of the reference numbers; tests/reference/data of the checkout if not given.", Path
    ),
    Option(
        "peer-python",
        "Python interpreters in which to look for simulators besides this one, with commas between.",
        str,
        None,
        lambda option, text: tuple(text.split(",")),
    ),
    Option("output", "Folder for conformance.csv and conformance.html.", Path, Path("runs/conform")),
)


def conform(given: Given) -> None:
    """Compare mho with the numbers of other simulators, case by case.

    Products, noise and drift of aihwkit, products of CrossSim, device models of MemTorch, line resistance by
    badcrossbar and ngspice; and the silent errors of the first three that are known, each checked here. A
    row that differs says who is right and why. A difference without a reason ends with status 1.

    Simulators that are installed run the same cases, each in a process of its own, and have their own rows.
    """
    try:
        found = find_peers(given.peer_python or ())
        rows = conformance(given.goldens)
        for peer in found:
            typer.echo(f"{peer.label}: runs in {peer.python}")
            rows += peer_rows(peer, given.goldens)
    except ValueError as error:
        fail(str(error))
    write_csv(rows, given.output / "conformance.csv")
    page = render(conform_page(rows))
    write_whole(given.output / "conformance.html", lambda path: path.write_text(page, encoding="utf-8"))
    typer.echo(text(rows))
    absent = [name for name in SIMULATORS if name not in {peer.name for peer in found}]
    if absent:
        typer.echo(f"not installed, compared with recorded numbers only: {', '.join(absent)}")
    typer.echo(str(given.output / "conformance.html"))
    if any(row.verdict is Verdict.UNEXPLAINED for row in rows):
        raise typer.Exit(1)
