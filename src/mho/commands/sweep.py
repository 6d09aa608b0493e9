"""``mho sweep``: any experiment over many fields."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mho.commands.common import draw, kept, typer, write_text
from mho.commands.options import ON, Given, Option, flag, one_of
from mho.config import read_plain
from mho.experiments.engines import Engine, LocalEngine, RayEngine
from mho.experiments.machine import versions
from mho.experiments.plan import Plan, read_plan
from mho.experiments.progress import for_terminal
from mho.experiments.sweep import WORKERS_LOG, run
from mho.report import render
from mho.report.sweep import figures, sweep_page, view

if TYPE_CHECKING:
    import pandas as pd

FAILED = 1  # exit status when cells failed
WITHOUT = ("matplotlib",)
OPTIONS = (
    Option("STUDY-FILE", "The sweep (.yaml, .json).", Path, ...),
    Option("output", "Folder for the results; runs/NAME if not given.", Path, also=("output-dir",)),
    Option(
        "engine", "local: processes on this machine; ray: a Ray cluster, or a local one.", str, "local",
        one_of("local", "ray"),
    ),
    Option("workers", "Cells at once on this machine; one for each core if not given.", int),
    Option("address", "Of a Ray cluster; RAY_ADDRESS, or a local one, if not given."),
    flag("retry", "Run failed cells again."),
    flag("allow-imports", "Import the modules that the sweep names: they run with your rights."),
    Option("data", "Folder with the files of the data set.", Path),
    ON,
    Option("threads", "Threads of a cell on the CPU.", int, 1),
)  # fmt: skip


def sweep(given: Given) -> None:
    """Run an experiment for every cell of a grid, and compare the cells.

    Finished cells are kept as they end: the same command goes on after a stop, also after a kill.
    """
    path = given.study_file
    plan = read_plan(path, given.allow_imports)
    folder = given.output if given.output is not None else Path("runs", path.stem)
    typer.echo(f"{len(plan.cells)} cells of {plan.kind}; results go to {folder}")
    engine = _engine(given, folder)
    with kept(folder, "Finished cells"):
        table = run(plan, folder, engine, given.data, for_terminal(), given.on, given.threads, given.retry)
    _show(plan, path, table, folder, given.line)
    failed = int((table["error"] != "").sum())
    if failed:
        typer.echo(f"{failed} of {len(table)} cells failed: see the column error; --retry runs them again")
        raise typer.Exit(FAILED)


def _engine(given: Given, folder: Path) -> Engine:
    if given.engine == "ray":
        return RayEngine(given.address, given.workers)
    if given.address is not None:
        raise ValueError("--address is for --engine ray; leave it out")
    folder.mkdir(parents=True, exist_ok=True)
    return LocalEngine(given.workers, folder / WORKERS_LOG)


def _show(plan: Plan, path: Path, table: pd.DataFrame, folder: Path, line: str) -> None:
    """The table on the terminal, figures and page in the folder."""
    typer.echo(table.to_string(index=False, max_rows=60, float_format=lambda v: f"{v:.5g}"))
    if not table.shape[0] or (table["error"] != "").all():
        return
    what = view(table, plan.fields, plan.report)
    pictures = draw(folder, lambda: figures(what))
    page = sweep_page(what, pictures, read_plain(path), line, versions())
    write_text(render(page), folder / "report.html")
    typer.echo(f"{folder / 'report.html'}  (and {', '.join(['results.csv', *pictures])})")
