"""``mho wires``: what line resistance takes, and how large an array may be."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mho.commands.common import clean_errors, fail, need_study, replaced, save_figure, typer

if TYPE_CHECKING:
    import mho.array
    from mho.experiments.wires import WireStudy

OHM = 1.0  # of a segment, if nothing else is said
FACTORS = (0.5, 1.0, 2.0, 5.0, 10.0)  # of the sweep, times the resistance that was asked for
SMALLEST = 16  # array of the sweep
OTHERS = ("sklearn", "pandas", "rich", "yaml", "jinja2")  # packages that this command does not use


def wires(
    rows: Annotated[int, typer.Option(help="Word lines of the array.")] = 128,
    columns: Annotated[int, typer.Option(help="Bit lines of the array.")] = 128,
    row_ohm: Annotated[
        float | None, typer.Option(help="Ohms of a word line from one cell to the next; 1 if not given.")
    ] = None,
    column_ohm: Annotated[
        float | None, typer.Option(help="Ohms of a bit line; those of a word line if not given.")
    ] = None,
    node: Annotated[
        str | None, typer.Option(help="Technology node, 14nm to 200nm, instead of the two above.")
    ] = None,
    driver_ohm: Annotated[float, typer.Option(help="Ohms between a word line and its driver.")] = 0.0,
    sense_ohm: Annotated[float, typer.Option(help="Ohms between a bit line and its sense amplifier.")] = 0.0,
    conductance: Annotated[
        float | None, typer.Option(help="Largest conductance of a cell, siemens; 25e-6 if not given.")
    ] = None,
    least_conductance: Annotated[
        float | None, typer.Option(help="Smallest conductance, siemens; 0 if not given.")
    ] = None,
    sizes: Annotated[
        str | None, typer.Option(help="Square arrays of the sweep; 16,32 ... up to the array if not given.")
    ] = None,
    ohms: Annotated[
        str | None, typer.Option(help="Resistances of the sweep; half to ten times the wires if not given.")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Error of a product that is good enough; 0.01 if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights and inputs.")] = 0,
    threads: Annotated[int, typer.Option(help="Threads on the CPU; more help large arrays only.")] = 1,
    output: Annotated[Path, typer.Option(help="The picture (.png, .svg, .pdf).")] = Path("runs/wires.png"),
) -> None:
    """Line resistance: voltages over an array, error against size and resistance, the size to choose.

    The array has random weights on differential pairs. The sweep has the same resistance in both lines.
    """
    with clean_errors():
        need_study(without=OTHERS)
        from mho.experiments.fitting import limited_threads
        from mho.experiments.wires import WireStudy, wires_figure, wires_text

        lines = _lines(row_ohm, column_ohm, node, driver_ohm, sense_ohm)
        study = replaced(
            WireStudy(rows=rows, columns=columns, wires=lines, seed=seed),
            g_min=least_conductance,
            g_max=conductance,
            tolerance=tolerance,
        )
        study = replaced(study, sizes=_sizes(sizes, study), ohms=_ohms(ohms, lines))
        with limited_threads(threads):
            result = study.run()
        save_figure(wires_figure(result, _title(lines, node)), output)
        typer.echo(wires_text(result))
        typer.echo(str(output))


def _lines(
    row: float | None, column: float | None, node: str | None, driver: float, sense: float
) -> mho.array.Wires:
    from mho.array import Wires

    given = {"--row-ohm": row, "--column-ohm": column, "--driver-ohm": driver, "--sense-ohm": sense}
    for option, value in given.items():
        if value is not None and not 0 <= value < math.inf:
            fail(f"{option} = {value:g}: a resistance is finite and 0 or more")
    if node is None:
        row = OHM if row is None else row
        return Wires(row=row, column=row if column is None else column, driver=driver, sense=sense)
    for option, value in {"--row-ohm": row, "--column-ohm": column}.items():
        if value is not None:
            fail(f"{option}: --node says the resistance of the lines already; leave one out")
    return Wires.from_node(node, driver=driver, sense=sense)


def _sizes(text: str | None, study: WireStudy) -> tuple[int, ...]:
    """As given, or in powers of two up to the larger side of the array."""
    if text is not None:
        try:
            return tuple(int(word) for word in text.split(","))
        except ValueError:
            fail(f"--sizes = {text!r}: give whole numbers with commas between, such as 16,32,64")
    largest = max(study.rows, study.columns)
    powers = (SMALLEST << k for k in range(largest.bit_length()))
    return (*(n for n in powers if n < largest), largest)


def _ohms(text: str | None, lines: mho.array.Wires) -> tuple[float, ...]:
    """As given, or around the mean of word and bit line."""
    if text is not None:
        try:
            return tuple(float(word) for word in text.split(","))
        except ValueError:
            fail(f"--ohms = {text!r}: give numbers with commas between, such as 0.5,1,2")
    row, column = lines.row, lines.column
    assert isinstance(row, float) and isinstance(column, float)
    mean = (row + column) / 2
    return tuple(float(f"{factor * (mean or OHM):.3g}") for factor in FACTORS)


def _title(lines: mho.array.Wires, node: str | None) -> str:
    return f"What line resistance takes: {node or f'{lines.row:g} and {lines.column:g} ohm'}"
