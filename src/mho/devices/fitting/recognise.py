"""What a table was measured of, by its heads, its numbers and its shape."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mho.devices.fitting.bake import TEMPERATURE, Bake, said_kelvin
from mho.devices.fitting.base import Measurement
from mho.devices.fitting.cycling import CYCLE, RESET, SET, Cycling
from mho.devices.fitting.fusion import Fusion
from mho.devices.fitting.heads import AMPERE, KELVIN, VOLT
from mho.devices.fitting.jump_files import read_quantiles
from mho.devices.fitting.jumps import JumpTable
from mho.devices.fitting.loop import Loop
from mho.devices.fitting.pulse_train import PulseTrain
from mho.devices.fitting.reading.instruments import LOG
from mho.devices.fitting.retention import Retention
from mho.devices.fitting.siemens import cell_column
from mho.devices.fitting.states import MEAN, STD, TARGET, States
from mho.devices.fitting.tables import CDF, CHANGE, TIME, Array, MeasuredTable, read_table
from mho.devices.fitting.trains import DOWN, PULSE, UP, train_columns

KINDS: dict[str, Callable[..., Measurement]] = {
    "pulses": PulseTrain,
    "states": States,
    "cells": partial(States, degree=None),
    "jumps": JumpTable,
    "fusion": Fusion,
    "retention": Retention,
    "bake": Bake,
    "cycling": Cycling,
    "loop": Loop,
}
"""The kinds of measurements by the words of the command line."""

_SWEPT = 0.05  # volts: a column that varies by more is a sweep, no read voltage
_APART = 5.0  # kelvin: temperatures that differ by less are one
_LATER = 1e3  # times of a table without heads are so much larger than its siemens


class Taken(NamedTuple):
    """What a table was taken for.

    Attributes:
        kind: a key of :data:`KINDS`.
        why: in a few words.
    """

    kind: str
    why: str


def taken_for(source: Any) -> Taken:
    """What a table was measured of.

    Args:
        source: what :func:`mho.devices.fit` takes.

    Raises:
        ValueError: it may be several, or none; the message says how to say which.

    Example:
        >>> taken_for({"time_s": [1.0, 2.0], "c1_uS": [3.0, 4.0]})
        Taken(kind='retention', why="conductances over the time in 'time_s'")
    """
    files = _of_files(source)
    if files is not None:
        return files
    table = read_table(source)
    found = _headed(table) if table.headed else _bare(table)
    if found is None:
        known = "PulseTrain(), States(), JumpTable(), Fusion(), Retention() or Loop(model=..., free=(...))"
        raise ValueError(
            f"{table.name}: cannot tell what was measured from the columns "
            f"{', '.join(map(repr, table.columns))}; say it: {known}"
        )
    return found


def recognised(source: Any) -> Measurement:
    """The measurement that a table is taken for, with its usual settings.

    Raises:
        ValueError: as :func:`taken_for`; or a loop, for which a model is asked for.
    """
    found = taken_for(source)
    if found.kind == "loop":
        raise ValueError(
            f"{found.why}: a loop, which is fitted to a model that you choose: Loop(model=Yakopcic(), "
            'free=("a_1", "a_2", "a_p", "a_n")), with values to start from'
        )
    return KINDS[found.kind]()


def _of_files(source: Any) -> Taken | None:
    """What several files, or a folder, are."""
    if isinstance(source, Mapping) and source and set(source) <= {"up", "down"}:
        if not all(
            isinstance(part, (list, np.ndarray)) and np.ndim(part[0]) == 0 for part in source.values()
        ):
            return Taken("jumps", "files of each direction")
    if isinstance(source, Mapping) and set(source) == {"target", "conductance"}:
        if all(isinstance(part, (str, os.PathLike)) for part in source.values()):
            return Taken("fusion", "two Fusion CSVs")
    if isinstance(source, (str, os.PathLike)):
        if Path(source).is_dir():
            return Taken("jumps", "a folder of three files for each direction")
        if read_quantiles(source) is not None:
            return Taken("jumps", "a row of conductances, a row of chances, a matrix of changes")
    return None


def _headed(table: MeasuredTable) -> Taken | None:
    """By the heads."""
    if table.has(CDF) and table.has(CHANGE):
        return Taken("jumps", "conductance, change and chance in each row")
    if table.has(CYCLE) and table.has(SET) and table.has(RESET):
        return Taken("cycling", "set and reset levels over cycles")
    if table.has(MEAN) and table.has(STD):
        return Taken("states", "mean and standard deviation of each state")
    if table.has(TARGET) and cell_column(table, TARGET) is not None:
        return Taken("states", "a target and a result in each row")
    if _is_sweep(table):
        return Taken("loop", "a current under a voltage that is swept")
    if table.has(UP) and table.has(DOWN):
        return Taken("pulses", "conductances after pulses up and down")
    if table.columns[: len(LOG)] == LOG or table.has(PULSE):
        return Taken("pulses", "conductances over the number of a pulse")
    time = table.only(TIME)
    if time is not None and _is_baked(table):
        return Taken(
            "bake", f"conductances over the time in {table.columns[time]!r}, at several temperatures"
        )
    if time is not None:
        return Taken("retention", f"conductances over the time in {table.columns[time]!r}")
    if cell_column(table) is not None or train_columns(table):
        return Taken("pulses", "conductances one after the other, without a time")
    return None


def _is_baked(table: MeasuredTable) -> bool:
    """Whether the cells were kept at several temperatures, far enough apart."""
    said = [kelvin for kelvin in map(said_kelvin, table.columns) if kelvin is not None]
    place = table.place(TEMPERATURE)
    if place is not None and table.heads[place].kind == KELVIN:
        said += table.numbers(place).tolist()
    return len(said) > 0 and max(said) - min(said) > _APART


def _is_sweep(table: MeasuredTable) -> bool:
    """Whether a current is measured under a voltage that varies from row to row, both signs or through 0."""
    volts = [k for k, head in enumerate(table.heads) if head.kind == VOLT]
    amperes = [k for k, head in enumerate(table.heads) if head.kind == AMPERE]
    if len(volts) != 1 or len(amperes) != 1 or table.has(PULSE):
        return False
    v = table.si(volts[0])
    return len(np.unique(v)) > 3 and float(np.ptp(v)) > _SWEPT


def _bare(table: MeasuredTable) -> Taken | None:
    """By the numbers, where there are no heads."""
    width = len(table.columns)
    if table.columns[:1] == LOG[:1]:
        return Taken("pulses", "a log of ArC instruments")
    columns = [table.numbers(k, blanks=True) for k in range(min(width, 4))]
    counted = bool((np.diff(columns[0]) == 1).all()) and columns[0][0] in (0, 1) and len(columns[0]) > 1
    if width == 1:
        return Taken("pulses", "one column of numbers, without heads")
    if width == 2:
        return _two(*columns)
    if width == 3 and counted:
        return Taken("states", "states that are counted, mean and standard deviation")
    if width == 3 and _are_chances(columns[2]):
        return Taken("jumps", "three columns without heads, the last of chances")
    return Taken("cells", "level, ohms, deviation, ohms in series") if width == 4 and counted else None


def _two(first: Array, second: Array) -> Taken | None:
    typical = [float(np.nanmedian(np.abs(column))) for column in (first, second)]
    if bool((np.diff(first) > 0).all()) and first[0] > 0 and typical[0] > _LATER * typical[1]:
        return Taken("retention", "a number that rises, like a time, and one of a cell")
    alike = 0.01 * typical[0] < typical[1] < 100 * typical[0]
    return Taken("pulses", "two columns alike, up and down, without heads") if alike else None


def _are_chances(column: Array) -> bool:
    return bool((column >= 0).all() and (column <= 1).all()) and float(column.max()) > 0.5
