"""``mho device``: the page of one memory cell, and a device fitted to your own measurement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mho.commands.common import fail, named, needs, save_figure, typer, write_text
from mho.commands.fitting import FILES, MEASURED, MEASURED_NAMES, fitted, refuse
from mho.commands.options import Given, Option, flag
from mho.config import kinds, load, save
from mho.devices import Device, Fit
from mho.devices.dynamics import SwitchingModel
from mho.experiments.machine import versions
from mho.report import render
from mho.report.device_page import device_page, device_pictures, switching_wave
from mho.report.docstrings import plain

FIT = "fit"
WITHOUT = ("sklearn", "rich", "yaml")  # packages that this command does not use
OPTIONS = (
    Option("NAME", "A device or switching model, a description (.json, .yaml), or the word fit."),
    Option("TABLE", "After fit: the measured table (.csv); for jumps perhaps a folder of three files.", Path),
    flag("list", "List all devices and switching models, and end."),
    *MEASURED,
    Option("amplitude", "Volts of the sine for a switching model; found if not given.", float),
    Option("frequency", "Hertz of the slowest sine; found if not given.", float),
    Option("output", "Folder for the results; in runs/ if not given.", Path),
)  # fmt: skip


def device(given: Given) -> None:
    """Draw the page of a device, or fit one to a measured table and draw it.

    mho device PCM; mho device mine.json; mho device fit states.csv --unit uS.

    mho device fit does what mho fit does.
    """
    name = given.name
    if given.list:
        return _list()
    if name is None:
        fail("say which device; mho device --list lists them")
    if name != FIT:
        refuse(given, f"{MEASURED_NAMES} TABLE", f"only mho device {FIT} reads a measurement")
    found: Any = fitted(given, described) if name == FIT else described(name)
    cell = found.device if isinstance(found, Fit) else found
    folder = given.output or Path("runs", f"device-{_stem(name, cell, given.table)}")
    drawn(given, found, wave_of(cell, given), folder)


def drawn(given: Given, found: Any, wave: Any, folder: Path) -> None:
    """Draw the page of a device, or of a fit, into a folder."""
    fit_ = found if isinstance(found, Fit) else None
    cell = found if fit_ is None else fit_.device
    pictures = device_pictures(cell, wave, fit_)
    for file, picture in pictures.items():
        save_figure(picture.figure, folder / f"{file}.png")
    page = device_page(cell, pictures, fit_, [given.line], versions())
    write_text(render(page), folder / "report.html")
    if fit_ is None:
        save(cell, folder / "device.json")
    else:
        fit_.save(folder / "device.json")
        typer.echo(str(fit_))
    typer.echo(f"{folder / 'report.html'}  (also device.json and the pictures)")


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


def described(name: str) -> Any:
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


def wave_of(described: Any, given: Given) -> Any:
    """The sine of a switching model; None for a device."""
    if not isinstance(described, SwitchingModel):
        refuse(
            given, "amplitude frequency", f"{type(described).__name__} is no switching model, it has no wave"
        )
        return None
    for option in ("amplitude", "frequency"):
        value = given.get(option)
        if value is not None and not 0 < value < float("inf"):
            fail(f"--{option} = {value:g}: a positive number is needed")
    return switching_wave(described, given.get("amplitude"), given.get("frequency"))
