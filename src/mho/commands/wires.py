"""``mho wires``: what line resistance takes, and how large an array may be."""

from __future__ import annotations

import math
from pathlib import Path

from mho.array import Wires
from mho.commands.common import fail, save_figure, typer
from mho.commands.options import THREADS, Given, Option, fields, numbers
from mho.experiments.fitting import limited_threads
from mho.experiments.wires import WireStudy
from mho.report.wires import wires_figure, wires_text

OHM = 1.0  # of a segment, if nothing else is said
FACTORS = (0.5, 1.0, 2.0, 5.0, 10.0)  # of the sweep, times the resistance that was asked for
SMALLEST = 16  # array of the sweep
WITHOUT = ("sklearn", "pandas", "rich", "yaml", "jinja2")  # packages that this command does not use
OPTIONS = (
    *fields(WireStudy(), "rows columns conductance=g_max least-conductance=g_min tolerance seed"),
    Option(
        "sizes", "Square arrays of the sweep; 16,32 ... up to the array if not given.", parse=numbers(int),
        paths=("sizes",),
    ),
    Option(
        "ohms", "Resistances of the sweep; half to ten times the wires if not given.", parse=numbers(float),
        paths=("ohms",),
    ),
    Option("row-ohm", "Ohms of a word line from one cell to the next; 1 if not given.", float),
    Option("column-ohm", "Ohms of a bit line; those of a word line if not given.", float),
    Option("node", "Technology node, 14nm to 200nm, instead of the two above."),
    Option("driver-ohm", "Ohms between a word line and its driver.", float, 0.0),
    Option("sense-ohm", "Ohms between a bit line and its sense amplifier.", float, 0.0),
    THREADS,
    Option("output", "The picture (.png, .svg, .pdf).", Path, Path("runs/wires.png")),
)  # fmt: skip


def wires(given: Given) -> None:
    """Line resistance: voltages over an array, error against size and resistance, the size to choose.

    The array has random weights on differential pairs. The sweep has the same resistance in both lines.
    """
    lines = _lines(given)
    study = given.study(WireStudy(), wires=lines)
    study = given.study(study, sizes=given.sizes or _sizes(study), ohms=given.ohms or _ohms(lines))
    with limited_threads(given.threads):
        result = study.run()
    what = given.node or f"{lines.row:g} and {lines.column:g} ohm"
    save_figure(wires_figure(result, f"What line resistance takes: {what}"), given.output)
    typer.echo(wires_text(result))
    typer.echo(str(given.output))


def _lines(given: Given) -> Wires:
    ends = {"driver": given.driver_ohm, "sense": given.sense_ohm}
    for name, value in {"row": given.row_ohm, "column": given.column_ohm, **ends}.items():
        if value is not None and not 0 <= value < math.inf:
            fail(f"--{name}-ohm = {value:g}: a resistance is finite and 0 or more")
    if given.node is None:
        row = OHM if given.row_ohm is None else given.row_ohm
        return Wires(row=row, column=row if given.column_ohm is None else given.column_ohm, **ends)
    for option in given.names("row-ohm", "column-ohm"):
        fail(f"{option}: --node says the resistance of the lines already; leave one out")
    return Wires.from_node(given.node, **ends)


def _sizes(study: WireStudy) -> tuple[int, ...]:
    """In powers of two up to the larger side of the array."""
    largest = max(study.rows, study.columns)
    powers = (SMALLEST << k for k in range(largest.bit_length()))
    return (*(n for n in powers if n < largest), largest)


def _ohms(lines: Wires) -> tuple[float, ...]:
    """Around the mean of word and bit line."""
    row, column = lines.row, lines.column
    assert isinstance(row, float) and isinstance(column, float)
    mean = (row + column) / 2
    return tuple(float(f"{factor * (mean or OHM):.3g}") for factor in FACTORS)
