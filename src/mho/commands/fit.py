"""``mho fit``: a device fitted to a measured table, as :func:`mho.devices.fit` does it."""

from __future__ import annotations

from pathlib import Path

from mho.commands.device import described, drawn, wave_of
from mho.commands.fitting import MEASURED, fitted
from mho.commands.options import Given, Option

OPTIONS = (
    Option("TABLE", "The table (.csv, .txt, .xlsx); for jumps perhaps a folder of three files.", Path, ...),
    *MEASURED,
    Option("output", "Folder for the results; in runs/ if not given.", Path),
)
WITHOUT = ("sklearn", "rich", "yaml")


def fit_command(given: Given) -> None:
    """Fit a device to a measured table, and draw its page.

    mho fit my.csv; mho fit currents.csv --v-read 0.2; mho fit loop.csv --model VTEAM --free r_on,r_off,k_off.

    Layouts: pulses (conductance under identical pulses), states (mean and spread), cells (the same, kept as
    they are), jumps (what one pulse does), fusion (two Fusion CSVs), retention, loop (current and voltage).

    Units in the heads of the columns are read: c1_uS, c1 (kohm), current_nA. Ohms are inverted, amperes
    divided by the read voltage. mho drift --device runs/fit-my/device.json is a year on a chip of it.
    """
    found = fitted(given, described)
    folder = given.output or Path("runs", f"fit-{given.table.stem}")
    drawn(given, found, wave_of(found.device, given), folder)
