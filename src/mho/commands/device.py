"""``mho device``: the page of one memory cell, and a device fitted to your own measurement."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from mho.commands.common import fail, named, needs, save_figure, typer, write_text
from mho.commands.options import Given, Option, flag
from mho.config import kinds, load, save, unknown_key
from mho.devices import (
    Device,
    Fit,
    Fusion,
    JumpTable,
    Loop,
    Measurement,
    PulseTrain,
    Retention,
    States,
    fit,
)
from mho.devices.dynamics import SwitchingModel
from mho.experiments.machine import versions
from mho.report import render
from mho.report.device_page import device_page, device_pictures, switching_wave
from mho.report.docstrings import plain

FIT = "fit"
LAYOUTS: dict[str, Any] = {
    "pulses": PulseTrain,
    "states": States,
    "cells": partial(States, degree=None),
    "jumps": JumpTable,
    "fusion": Fusion,
    "retention": Retention,
    "loop": Loop,
}
LISTED = "pulses, states, cells, jumps, fusion, retention or loop"
FILES = (".json", ".yaml", ".yml")


def _unit(option: str, text: str) -> float | str:
    """A unit that is a number becomes one."""
    try:
        return float(text)
    except ValueError:
        return text


WITHOUT = ("sklearn", "rich", "yaml")  # packages that this command does not use
OPTIONS = (
    Option("NAME", "A device or switching model, a description (.json, .yaml), or the word fit."),
    Option("TABLE", "After fit: the measured table (.csv); for jumps perhaps a folder of three files.", Path),
    flag("list", "List all devices and switching models, and end."),
    Option("layout", f"What the table holds: {LISTED}; or a saved measurement (.json)."),
    Option(
        "unit", "Unit of the cells, where the heads of the table say none: uS, kohm, nA, or the siemens of "
        "the number 1, such as 1e-6; siemens if not given (fusion: uS).", parse=_unit,
    ),
    Option(
        "v-read", "Volts at which the cells were read; a table of currents needs it, or a column.", float
    ),
    Option("target", "For fusion: the exported file, of which the table is the result.", Path),
    Option("model", "Switching model of a loop, to start from: a name or a description."),
    Option("free", "Parameters of a loop to fit, with commas between."),
    Option("amplitude", "Volts of the sine for a switching model; found if not given.", float),
    Option("frequency", "Hertz of the slowest sine; found if not given.", float),
    Option("output", "Folder for the results; in runs/ if not given.", Path),
)  # fmt: skip


def device(given: Given) -> None:
    """Draw the page of a device, or fit one to a measured table and draw it.

    mho device PCM; mho device mine.json; mho device fit states.csv --layout states --unit uS.

    Layouts: pulses (conductance under identical pulses), states (mean and spread), cells (the same, kept as
    they are), jumps (what one pulse does), fusion (two Fusion CSVs), retention, loop (current and voltage).

    Units in the heads of the columns are read: c1_uS, c1 (kohm), current_nA. Ohms are inverted, amperes
    divided by the read voltage.
    """
    name = given.name
    if given.list:
        return _list()
    if name is None:
        fail("say which device; mho device --list lists them")
    if name != FIT:
        _refuse(
            given, "layout unit model free TABLE target v-read", f"only mho device {FIT} reads a measurement"
        )
    found: Any = _fitted(given) if name == FIT else _described(name)
    fitted = found if isinstance(found, Fit) else None
    described = found if fitted is None else fitted.device
    folder = given.output or Path("runs", f"device-{_stem(name, described, given.table)}")
    pictures = device_pictures(described, _wave(described, given), fitted)
    for file, picture in pictures.items():
        save_figure(picture.figure, folder / f"{file}.png")
    page = device_page(described, pictures, fitted, [given.line], versions())
    write_text(render(page), folder / "report.html")
    if fitted is None:
        save(described, folder / "device.json")
    else:
        fitted.save(folder / "device.json")
        typer.echo(str(fitted))
    typer.echo(f"{folder / 'report.html'}  (also device.json and the pictures)")


def _refuse(given: Given, names: str, why: str) -> None:
    """Say that options do not belong there."""
    found = given.names(*names.split())
    if found:
        fail(f"{', '.join(found)}: {why}")


def _stem(name: str, described: Any, table: Path | None) -> str:
    if table is not None:
        return table.stem
    return Path(name).stem.lower() if Path(name).suffix else type(described).__name__.lower()


# --- which device --------------------------------------------------------------------------------


def _list() -> None:
    for title, base in (("Devices", Device), ("Switching models", SwitchingModel)):
        typer.echo(f"{title}:")
        for cls in kinds(base).values():
            summary, bare = plain((cls.__doc__ or "").strip().partition("\n")[0]), needs(cls)
            typer.echo(
                f"  {cls.__name__:<20} {summary}{f' (needs {bare}: give a description)' if bare else ''}"
            )


def _described(name: str) -> Any:
    """A device by its name, or from a file: a fit if its card lies beside it."""
    path, cells = Path(name), (Device, SwitchingModel)
    if path.suffix not in FILES:
        found = named("mho device", name, cells)
        if needs(found):
            raise ValueError(
                f"{found.__name__} needs {needs(found)}: make it in Python, save it with mho.config.save, "
                "and give the file"
            )
        return found()
    if path.suffix == ".json" and path.with_suffix(".card.json").exists():
        return Fit.load(path)
    described = load(path)
    inside = getattr(described, "device", None)
    if not isinstance(described, cells) and isinstance(inside, Device):
        return inside  # of a whole Hardware
    if not isinstance(described, cells):
        raise ValueError(f"{path} describes a {type(described).__name__}, no device and no switching model")
    return described


def _wave(described: Any, given: Given) -> Any:
    """The sine of a switching model; None for a device."""
    if not isinstance(described, SwitchingModel):
        _refuse(
            given, "amplitude frequency", f"{type(described).__name__} is no switching model, it has no wave"
        )
        return None
    for option in ("amplitude", "frequency"):
        value = given.get(option)
        if value is not None and not 0 < value < float("inf"):
            fail(f"--{option} = {value:g}: a positive number is needed")
    return switching_wave(described, given.amplitude, given.frequency)


# --- a fit ---------------------------------------------------------------------------------------


def _fitted(given: Given) -> Fit:
    table, target = given.table, given.target
    if table is None:
        fail("fit: give the measured table, mho device fit table.csv --layout ...")
    if given.layout is None:
        fail(f"--layout: say what the table holds: {LISTED}")
    measurement = _measurement(given)
    if isinstance(measurement, Fusion) and target is None:
        fail("--layout fusion: say --target, the exported file of which the table is the result")
    if not isinstance(measurement, Fusion):
        _refuse(given, "target", "only --layout fusion has one")
    return fit(table if target is None else {"target": target, "conductance": table}, measurement)


def _measurement(given: Given) -> Measurement:
    layout = given.layout
    if Path(layout).suffix in FILES:
        measurement = load(layout)
        if not isinstance(measurement, Measurement):
            raise ValueError(
                f"--layout {layout}: it describes a {type(measurement).__name__}, no measurement"
            )
        _refuse(
            given, "model free unit v-read", "the file given with --layout says that already; leave it out"
        )
        return measurement
    if layout not in LAYOUTS:
        raise ValueError(unknown_key(layout, list(LAYOUTS), "--layout"))
    if layout == "loop":
        if given.model is None or given.free is None:
            fail("--layout loop: say --model, to start from, and --free, the parameters to fit, r_on,r_off")
        _refuse(
            given, "unit v-read", "a loop has volts and amperes; name a column current_uA for microamperes"
        )
        model: Any = _described(given.model)
        start: Any = model.device if isinstance(model, Fit) else model
        return Loop(model=start, free=tuple(word.strip() for word in given.free.split(",")))
    _refuse(given, "model free", "only --layout loop takes a model")
    units = {"unit": given.unit, "v_read": given.v_read}
    made: Measurement = LAYOUTS[layout](**{name: value for name, value in units.items() if value is not None})
    return made
