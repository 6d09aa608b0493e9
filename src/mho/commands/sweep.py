"""``mho sweep``: any experiment over many fields."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mho.commands.common import (
    INTERRUPTED,
    clean_errors,
    command_line,
    need_study,
    save_figure,
    typer,
    write_page,
)

if TYPE_CHECKING:
    import pandas as pd

    from mho.experiments.engines import Engine
    from mho.experiments.plan import Plan

FAILED = 1  # exit status when cells failed
ENGINES = ("local", "ray")


def sweep(
    context: typer.Context,
    plan_file: Annotated[Path, typer.Argument(metavar="STUDY", help="The sweep (.yaml, .json).")],
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder for the results; runs/NAME if not given.")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="local: processes on this machine; ray: a Ray cluster, or a local one.")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(help="Cells at once on this machine; one for each core if not given.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster; RAY_ADDRESS, or a local one, if not given.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Run failed cells again.")] = False,
    data: Annotated[Path | None, typer.Option(help="Folder with the files of the data set.")] = None,
    on: Annotated[str, typer.Option(help="The torch device that computes.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Threads of a cell on the CPU.")] = 1,
) -> None:
    """Run an experiment for every cell of a grid, and compare the cells.

    Finished cells are kept as they end: the same command goes on after a stop, also after a kill.
    """
    with clean_errors():
        need_study(without=("matplotlib",))
        from mho.experiments.plan import read_plan
        from mho.experiments.progress import for_terminal
        from mho.experiments.sweep import Settings, run

        plan = read_plan(plan_file)
        folder = output_dir if output_dir is not None else Path("runs", plan_file.stem)
        typer.echo(f"{len(plan.cells)} cells of {plan.kind}; results go to {folder}")
        chosen = _engine(engine, workers, address, folder)
        settings = Settings(data=data, device=on, threads=threads, retry=retry)
        try:
            table = run(plan, folder, chosen, settings, for_terminal())
        except KeyboardInterrupt:
            typer.echo(
                f"\nStopped. Finished cells are kept in {folder}; the same command goes on from there."
            )
            raise typer.Exit(INTERRUPTED) from None
        _show(plan, plan_file, table, folder, command_line(context))
        failed = int((table["error"] != "").sum())
        if failed:
            typer.echo(
                f"{failed} of {len(table)} cells failed: see the column error; --retry runs them again"
            )
            raise typer.Exit(FAILED)


def _engine(name: str, workers: int | None, address: str | None, folder: Path) -> Engine:
    from mho.experiments.engines import LocalEngine, RayEngine
    from mho.experiments.sweep import WORKERS_LOG

    if name not in ENGINES:
        raise ValueError(f"--engine {name}: choose one of {', '.join(ENGINES)}")
    if name == "ray":
        return RayEngine(address, workers)
    if address is not None:
        raise ValueError("--address is for --engine ray; leave it out")
    folder.mkdir(parents=True, exist_ok=True)
    return LocalEngine(workers, folder / WORKERS_LOG)


def _show(plan: Plan, plan_file: Path, table: pd.DataFrame, folder: Path, command: str) -> None:
    """The table on the terminal, figures and page in the folder."""
    from mho.config import read_plain
    from mho.experiments.machine import versions
    from mho.report import render
    from mho.report.sweep import figures, sweep_page, view

    typer.echo(table.to_string(index=False, max_rows=60, float_format=lambda v: f"{v:.5g}"))
    fields = list(dict.fromkeys(name for cell in plan.cells for name in cell.fields))
    if not table.shape[0] or (table["error"] != "").all():
        return
    what = view(table, fields, plan.report)
    pictures: dict[str, Any] = {}
    try:
        pictures = figures(what)
        for name, picture in pictures.items():
            save_figure(picture, folder / name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        typer.echo("matplotlib is missing: the figures are left out, the results are whole", err=True)
    page = sweep_page(what, pictures, read_plain(plan_file), command, versions())
    write_page(render(page), folder / "report.html")
    typer.echo(f"{folder / 'report.html'}  (and {', '.join(['results.csv', *pictures])})")
