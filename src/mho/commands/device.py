"""``mho device``: the page of one memory cell, and a device fitted to your own measurement."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mho.commands.common import (
    clean_errors,
    command_line,
    fail,
    need_study,
    save_figure,
    typer,
    write_page,
)

if TYPE_CHECKING:
    from mho.devices import Device, Fit, Measurement
    from mho.devices.dynamics import SwitchingModel

FIT = "fit"
LAYOUTS = "pulses, states, cells, jumps, fusion, retention or loop"
_OPTIONS = {"unit": "--unit", "v_read": "--v-read"}
OTHERS = ("sklearn", "rich", "yaml")  # packages that this command does not use


def device(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(help="A device or switching model, a description (.json, .yaml), or the word fit."),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Argument(
            help="After fit: the measured table (.csv); for jumps perhaps a folder of three files.",
            show_default=False,
        ),
    ] = None,
    list_all: Annotated[
        bool, typer.Option("--list", help="List all devices and switching models, and end.")
    ] = False,
    layout: Annotated[
        str | None, typer.Option(help=f"What the table holds: {LAYOUTS}; or a saved measurement (.json).")
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(
            help="Unit of the cells, where the heads of the table say none: uS, kohm, nA, or the siemens of "
            "the number 1, such as 1e-6; siemens if not given (fusion: uS)."
        ),
    ] = None,
    v_read: Annotated[
        float | None,
        typer.Option(help="Volts at which the cells were read; a table of currents needs it, or a column."),
    ] = None,
    target: Annotated[
        Path | None, typer.Option(help="For fusion: the exported file, of which the table is the result.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Switching model of a loop, to start from: a name or a description.")
    ] = None,
    free: Annotated[
        str | None, typer.Option(help="Parameters of a loop to fit, with commas between.")
    ] = None,
    amplitude: Annotated[
        float | None, typer.Option(help="Volts of the sine for a switching model; found if not given.")
    ] = None,
    frequency: Annotated[
        float | None, typer.Option(help="Hertz of the slowest sine; found if not given.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the results; in runs/ if not given.")
    ] = None,
) -> None:
    """Draw the page of a device, or fit one to a measured table and draw it.

    mho device PCM; mho device mine.json; mho device fit states.csv --layout states --unit uS.

    Layouts: pulses (conductance under identical pulses), states (mean and spread), cells (the same, kept as
    they are), jumps (what one pulse does), fusion (two Fusion CSVs), retention, loop (current and voltage).

    Units in the heads of the columns are read: c1_uS, c1 (kohm), current_nA. Ohms are inverted, amperes
    divided by the read voltage.
    """
    with clean_errors():
        if list_all:
            _list()
            return
        if name is None:
            fail("say which device; mho device --list lists them")
        need_study(without=OTHERS)
        from mho.config import save

        fits: dict[str, Any] = {"--layout": layout, "--unit": unit, "--model": model, "--free": free}
        fits |= {"TABLE": table, "--target": target, "--v-read": v_read}
        if name == FIT:
            fitted: Fit | None = _fitted(table, target, layout, _reading(unit, v_read), model, free)
            assert fitted is not None
            described = fitted.device
        else:
            given = [option for option, value in fits.items() if value is not None]
            if given:
                fail(f"{', '.join(given)}: only mho device {FIT} reads a measurement")
            described, fitted = _described(name)
        folder = output if output is not None else Path("runs", _folder(name, described, table))
        wave = _wave(described, amplitude, frequency)
        _write(described, fitted, wave, folder, command_line(context))
        if fitted is None:
            save(described, folder / "device.json")
        else:
            fitted.save(folder / "device.json")
            typer.echo(str(fitted))
        typer.echo(f"{folder / 'report.html'}  (also device.json and the pictures)")


def _write(
    described: Device | SwitchingModel, fitted: Fit | None, wave: Any, folder: Path, command: str
) -> None:
    """Pictures and page."""
    from mho.experiments.machine import versions
    from mho.report import render
    from mho.report.device_page import device_page, device_pictures

    pictures = device_pictures(described, wave, fitted)
    for file, picture in pictures.items():
        save_figure(picture.figure, folder / f"{file}.png")
    page = device_page(described, pictures, fitted, [command], versions())
    write_page(render(page), folder / "report.html")


# --- which device --------------------------------------------------------------------------------


def _kinds() -> dict[str, type]:
    """All devices and switching models by name."""
    from mho.config import kinds
    from mho.devices import Device
    from mho.devices.dynamics import SwitchingModel

    return {cls.__name__: cls for base in (Device, SwitchingModel) for cls in kinds(base).values()}


def _needs(cls: Any) -> list[str]:
    """Fields of a description without a default."""
    missing = dataclasses.MISSING
    return [f.name for f in dataclasses.fields(cls) if f.default is missing and f.default_factory is missing]


def _list() -> None:
    from mho.devices import Device
    from mho.report.docstrings import plain

    for title, switching in (("Devices", False), ("Switching models", True)):
        typer.echo(f"{title}:")
        for name, cls in _kinds().items():
            if issubclass(cls, Device) is switching:
                continue
            summary = plain((cls.__doc__ or "").strip().partition("\n")[0])
            needs = _needs(cls)
            note = f" (needs {', '.join(needs)}: give a description)" if needs else ""
            typer.echo(f"  {name:<20} {summary}{note}")


def _by_name(name: str, option: str) -> Any:
    """The description with its defaults; case, hyphens and underscores do not matter."""
    from mho.config import unknown_key

    def simple(text: str) -> str:
        return text.lower().replace("-", "").replace("_", "")

    known = _kinds()
    found = [cls for other, cls in known.items() if simple(other) == simple(name)]
    if not found:
        near = {simple(other): other for other in known}
        raise ValueError(unknown_key(near.get(simple(name), name), list(known), option))
    needs = _needs(found[0])
    if needs:
        raise ValueError(
            f"{found[0].__name__} needs {', '.join(needs)}: make it in Python, save it with mho.config.save, "
            "and give the file"
        )
    return found[0]()


def _described(name: str) -> tuple[Device | SwitchingModel, Fit | None]:
    """A device by its name, or from a file, with the card beside it if there is one."""
    from mho.config import load
    from mho.devices import Device, Fit
    from mho.devices.dynamics import SwitchingModel

    path = Path(name)
    if path.suffix not in (".json", ".yaml", ".yml"):
        return _by_name(name, "mho device"), None
    if path.suffix == ".json" and path.with_suffix(".card.json").exists():
        fitted = Fit.load(path)
        return fitted.device, fitted
    described = load(path)
    inside = getattr(described, "device", None)
    if not isinstance(described, (Device, SwitchingModel)) and isinstance(inside, Device):
        described = inside  # a whole Hardware
    if not isinstance(described, (Device, SwitchingModel)):
        raise ValueError(f"{path} describes a {type(described).__name__}, no device and no switching model")
    return described, None


def _wave(described: Any, amplitude: float | None, frequency: float | None) -> Any:
    """The sine of a switching model; None for a device."""
    from mho.devices.dynamics import SwitchingModel
    from mho.report.device_page import switching_wave

    for option, value in {"--amplitude": amplitude, "--frequency": frequency}.items():
        if value is not None and not isinstance(described, SwitchingModel):
            fail(f"{option}: {type(described).__name__} is no switching model, it has no wave")
        if value is not None and not 0 < value < float("inf"):
            fail(f"{option} = {value:g}: a positive number is needed")
    return switching_wave(described, amplitude, frequency) if isinstance(described, SwitchingModel) else None


# --- a fit ---------------------------------------------------------------------------------------


def _fitted(
    table: Path | None,
    target: Path | None,
    layout: str | None,
    reading: dict[str, Any],
    model: str | None,
    free: str | None,
) -> Fit:
    from mho.devices import Fusion, fit

    if table is None:
        fail("fit: give the measured table, mho device fit table.csv --layout ...")
    if layout is None:
        fail(f"--layout: say what the table holds: {LAYOUTS}")
    measurement = _measurement(layout, reading, model, free)
    if isinstance(measurement, Fusion) != (target is not None):
        fail(
            "--layout fusion: say --target, the exported file of which the table is the result"
            if target is None
            else "--target: only --layout fusion has one"
        )
    return fit(table if target is None else {"target": target, "conductance": table}, measurement)


def _reading(unit: str | None, v_read: float | None) -> dict[str, Any]:
    """What was given of unit and read voltage; a unit that is a number becomes one."""
    given: dict[str, Any] = {} if v_read is None else {"v_read": v_read}
    if unit is not None:
        try:
            given["unit"] = float(unit)
        except ValueError:
            given["unit"] = unit
    return given


def _measurement(layout: str, reading: dict[str, Any], model: str | None, free: str | None) -> Measurement:
    from mho.config import load, unknown_key
    from mho.devices import Fusion, JumpTable, Loop, Measurement, PulseTrain, Retention, States

    named: dict[str, Any] = {
        "pulses": PulseTrain,
        "states": States,
        "cells": partial(States, degree=None),
        "jumps": JumpTable,
        "fusion": Fusion,
        "retention": Retention,
        "loop": Loop,
    }
    loop = {"--model": model, "--free": free}
    if Path(layout).suffix in (".json", ".yaml", ".yml"):
        measurement = load(layout)
        if not isinstance(measurement, Measurement):
            raise ValueError(
                f"--layout {layout}: it describes a {type(measurement).__name__}, no measurement"
            )
        given = [option for option, value in loop.items() if value is not None]
        given += [_OPTIONS[name] for name in reading]
        if given:
            fail(f"{', '.join(given)}: the file given with --layout says that already; leave it out")
        return measurement
    if layout not in named:
        raise ValueError(unknown_key(layout, list(named), "--layout"))
    if layout == "loop":
        if model is None or free is None:
            fail("--layout loop: say --model, to start from, and --free, the parameters to fit, r_on,r_off")
        if reading:
            options = ", ".join(_OPTIONS[name] for name in reading)
            fail(f"{options}: a loop has volts and amperes; name a column current_uA for microamperes")
        start, _ = _described(model)
        names = tuple(word.strip() for word in free.split(","))
        return Loop(model=start, free=names)  # type: ignore[arg-type]  # checked there, in words
    given = [option for option, value in loop.items() if value is not None]
    if given:
        fail(f"{', '.join(given)}: only --layout loop takes a model")
    made: Measurement = named[layout](**reading)
    return made


def _folder(name: str, described: Any, table: Path | None) -> str:
    if table is not None:
        return f"device-{table.stem}"
    return f"device-{Path(name).stem.lower() if Path(name).suffix else type(described).__name__.lower()}"
