"""Options that say what a measured table holds, and the fit that they ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from mho.commands.common import fail, typer
from mho.commands.options import Given, Option
from mho.config import load, unknown_key
from mho.devices import Fit, Fusion, Loop, Measurement, fit
from mho.devices.fitting.recognise import KINDS, taken_for

LISTED = f"{', '.join(list(KINDS)[:-1])} or {list(KINDS)[-1]}"
FILES = (".json", ".yaml", ".yml")
Read = Callable[[str], Any]


def _unit(option: str, text: str) -> float | str:
    """A unit that is a number becomes one."""
    try:
        return float(text)
    except ValueError:
        return text


def _columns(option: str, text: str) -> dict[str, str | int]:
    """What columns hold: ``time=x-axis,current_mA=3``."""
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(key.strip() and mark and head.strip() for key, mark, head in pairs):
        raise ValueError(
            f"{option} = {text!r}: say what each column holds, by its head or its number from 1, with commas "
            "between: time=x-axis,current_mA=3"
        )
    return {key.strip(): int(head) if head.strip().isdigit() else head.strip() for key, _, head in pairs}


MEASURED = (
    Option(
        "layout", f"What the table holds: {LISTED}; or a saved measurement (.json). Found by the heads and "
        "the numbers of the table if not given.",
    ),
    Option(
        "unit", "Unit of the cells, where the heads of the table say none: uS, kohm, nA, or the siemens of "
        "the number 1, such as 1e-6; siemens if not given (fusion: uS).", parse=_unit,
    ),
    Option(
        "v-read", "Volts at which the cells were read; a table of currents needs it, or a column.", float
    ),
    Option(
        "columns", "What columns hold whose heads do not say it, by head or by number: "
        "time=x-axis,current_mA=3.", parse=_columns,
    ),
    Option("up", "Pulses: so many points of each cycle rise.", int),
    Option("down", "Pulses: so many fall, before it rises again.", int),
    Option("target", "For fusion: the exported file, of which the table is the result.", Path),
    Option("model", "Switching model of a loop, to start from: a name or a description."),
    Option("free", "Parameters of a loop to fit, with commas between."),
)  # fmt: skip
MEASURED_NAMES = " ".join(option.name for option in MEASURED)


def fitted(given: Given, described: Read) -> Fit:
    """The fit that the options ask for; what the table was taken for is said first.

    Args:
        given: the options.
        described: reads the description that an option names.
    """
    table, target = given.table, given.target
    if table is None:
        fail("fit: give the measured table, mho fit table.csv")
    source = table if target is None else {"target": target, "conductance": table}
    layout = given.layout
    if layout is None:
        found = taken_for(source)
        layout = found.kind
        typer.echo(f"{table} was taken for {layout}: {found.why}. If it is not, say --layout")
    measurement = _measurement(given, layout, described)
    if isinstance(measurement, Fusion) and target is None:
        fail("--layout fusion: say --target, the exported file of which the table is the result")
    if not isinstance(measurement, Fusion):
        refuse(given, "target", "only --layout fusion has one")
    return fit(source, measurement)


def refuse(given: Given, names: str, why: str) -> None:
    """Say that options do not belong there."""
    found = given.names(*names.split())
    if found:
        fail(f"{', '.join(found)}: {why}")


def _measurement(given: Given, layout: str, described: Read) -> Measurement:
    if Path(layout).suffix in FILES:
        return _saved(given, layout)
    if layout not in KINDS:
        raise ValueError(unknown_key(layout, list(KINDS), "--layout"))
    if layout == "loop":
        return _loop(given, described)
    refuse(given, "model free", "only --layout loop takes a model")
    return _with_options(given, KINDS[layout](), layout)


def _saved(given: Given, layout: str) -> Measurement:
    measurement = load(layout)
    if not isinstance(measurement, Measurement):
        raise ValueError(f"--layout {layout}: it describes a {type(measurement).__name__}, no measurement")
    names = "model free unit v-read columns up down"
    refuse(given, names, "the file given with --layout says that already; leave it out")
    return measurement


def _loop(given: Given, described: Read) -> Measurement:
    if given.model is None or given.free is None:
        fail("--layout loop: say --model, to start from, and --free, the parameters to fit, r_on,r_off")
    refuse(given, "unit v-read", "a loop has volts and amperes; name a column current_uA for microamperes")
    model = described(given.model)
    start: Any = model.device if isinstance(model, Fit) else model
    free = tuple(word.strip() for word in given.free.split(","))
    return _with_options(given, Loop(model=start, free=free), "loop")


def _with_options(given: Given, measurement: Any, layout: str) -> Measurement:
    """The measurement with the options that it has; the others are refused."""
    known = {field.name for field in fields(measurement)}
    words = ("unit", "v_read", "columns", "up", "down")
    said = {name: given.get(name) for name in words if given.get(name) is not None}
    foreign = [name for name in said if name not in known]
    if foreign:
        refuse(given, " ".join(name.replace("_", "-") for name in foreign), f"--layout {layout} has none")
    made: Measurement = replace(measurement, **said)
    return made
