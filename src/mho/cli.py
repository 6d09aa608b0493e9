"""The command line: ``mho drift``, ``mho hwa``, ``mho quantize``, ``mho sweep`` and smaller ones.

The commands read options, ask an experiment for its tables and hand them to the report. What is
wrong with the input is said in one sentence, with exit status 2.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

from mho.commands import (
    budget,
    conform,
    cost,
    device,
    drift,
    fit,
    hwa,
    init,
    learn,
    quantize,
    real,
    reproduce,
    search,
    sweep,
    wires,
)
from mho.commands.common import save_figure, typer
from mho.commands.options import Given, Option, command
from mho.config import kinds
from mho.devices import Device, Effect, JumpCell
from mho.experiments.drift import COLUMNS as DRIFT
from mho.experiments.drift import summarise
from mho.experiments.hwa.tables import COLUMNS as HWA
from mho.experiments.tables import read_csv
from mho.report import drift_figure, duration_text
from mho.report.hwa import DASHBOARD

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Simulate and train neural networks on memristive, analog in-memory-computing crossbars.",
)


def _version(asked: bool) -> None:
    if asked:
        import mho

        typer.echo(f"mho {mho.__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version, and end.", callback=_version, is_eager=True)
    ] = False,
) -> None: ...


def plot(given: Given) -> None:
    """Draw the figure again from results.csv."""
    what, rows = read_csv(given.table, {"mho drift": DRIFT, "mho hwa": HWA})
    if what == "mho hwa":
        name, figure = DASHBOARD, hwa.dashboard(rows)
    else:
        digital = dict(zip(rows["arm"], rows["digital_accuracy"], strict=True))
        name, figure = "drift.png", drift_figure(summarise(rows), digital, given.title)
    path = given.output if given.output is not None else given.table.with_name(name)
    save_figure(figure, path)
    typer.echo(str(path))


def devices(given: Given) -> None:
    """List the devices, when each is known, and what it is."""
    for cls in kinds(Device).values():
        ends = "around a device" if issubclass(cls, Effect) else "from a measurement"
        if not issubclass(cls, Effect | JumpCell):
            made: Any = cls()
            first, last = made.times
            ends = "any time" if math.isinf(last) else f"{duration_text(first)} to {duration_text(last)}"
        summary = (cls.__doc__ or "").strip().partition("\n")[0]
        typer.echo(f"{cls.__name__:<20}  {ends:<18}  {summary}")


PLOT = (
    Option("TABLE", "results.csv of mho drift or mho hwa.", Path, ...),
    Option(
        "output",
        "The picture (.png, .svg, .pdf); drift.png or dashboard.png beside the table if not given.",
        Path,
    ),
    Option("title", "Head line of the picture.", str, "One network, one year on a chip"),
)

command(app, "drift", drift.OPTIONS, drift.drift)
command(app, "init", init.OPTIONS, init.init, without=init.WITHOUT)
command(app, "plot", PLOT, plot, without=("sklearn", "rich", "yaml", "jinja2"))
command(app, "devices", (), devices, without=None)
command(app, "device", device.OPTIONS, device.device, without=device.WITHOUT)
command(app, "fit", fit.OPTIONS, fit.fit_command, without=fit.WITHOUT)
command(app, "budget", budget.OPTIONS, budget.budget, without=budget.WITHOUT)
command(app, "conform", conform.OPTIONS, conform.conform, without=conform.WITHOUT)
command(app, "cost", cost.OPTIONS, cost.cost)
command(app, "quantize", quantize.OPTIONS, quantize.quantize, without=quantize.WITHOUT)
command(app, "hwa", hwa.OPTIONS, hwa.hwa)
command(app, "learn", learn.OPTIONS, learn.learn)
command(app, "real", real.OPTIONS, real.real, without=("sklearn",))
command(app, "reproduce", reproduce.OPTIONS, reproduce.reproduce, without=("matplotlib",))
command(app, "sweep", sweep.OPTIONS, sweep.sweep, without=sweep.WITHOUT)
command(app, "search", search.OPTIONS, search.search, without=search.WITHOUT)
command(app, "wires", wires.OPTIONS, wires.wires, without=wires.WITHOUT)
