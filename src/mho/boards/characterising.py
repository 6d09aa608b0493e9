"""A characterisation run, and its log as a measurement that ``mho.devices.fit`` reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from mho.boards.base import Cells, Pulses
from mho.boards.bench import Bench
from mho.boards.errors import BoardError
from mho.boards.log import Log, answer_of, cells_of, read_log, tensor
from mho.programming import Train

Table = dict[str, Sequence[object]]


def characterise(
    bench: Bench, cells: Cells, up: Train, down: Train, pulses: int = 50, cycles: int = 1
) -> None:
    """Identical pulses up, then identical ones down, and a read after each: a train for :func:`pulse_table`.

    Args:
        bench: the board; its log is the result.
        cells: which cells.
        up: pulses that raise the conductance.
        down: pulses that lower it.
        pulses: of each direction in a cycle.
        cycles: how many.

    Raises:
        BoardError: a pulse was not answered: whether it was sent, a train of identical pulses cannot tell,
            and the measurement would be of another train; take a connection that does not lose replies, or
            begin again.
    """
    bench.read(cells)
    for _ in range(cycles):
        for train in (up, down):
            volts = torch.full((cells.number,), train.voltage, dtype=torch.float64)
            sent = Pulses(cells, volts, torch.full_like(volts, train.width))
            for _ in range(pulses):
                if not bool(bench.pulse(sent).all()):
                    raise BoardError("a train has to be known to its last pulse", "pulse", cells.words(), 1)
                bench.read(cells)


class _Step(NamedTuple):
    """A pulse or none, and the read after it."""

    volts: float
    seconds: float
    siemens: float


def pulse_table(source: str | Path | Log) -> Table:
    """The pulses of a log, with the read after each: a table for ``fit(table, PulseTrain(...))``.

    Rows are of one cell after the other, in the order of time: the cell, the voltage of the pulse before (0
    for a read without a pulse), its width, the conductance. Reads at 0 V are left out; so are pulses after
    which the cell was not read.

    Args:
        source: the log of a :class:`mho.boards.Bench`, or its file.

    Raises:
        DamagedFileError: it is no log, or not as it was written.
        ValueError: no cell was pulsed and read.
    """
    steps: dict[tuple[int, int], list[_Step]] = {}
    pending: dict[tuple[int, int], tuple[float, float]] = {}
    arguments = None
    for entry in read_log(source):
        if entry["verb"] == "pulse":
            arguments = entry.get("arguments", arguments)
            if "answer" in entry and arguments is not None:
                cells = cells_of(arguments)
                volts, seconds = tensor(arguments["volts"]), tensor(arguments["seconds"])
                pending.update(
                    zip(_places(cells), zip(volts.tolist(), seconds.tolist(), strict=True), strict=True)
                )
        elif entry["verb"] == "read" and "answer" in entry and float(entry["arguments"]["volts"]) != 0:
            cells = cells_of(entry["arguments"])
            g: Tensor = answer_of(entry["answer"]).amperes / float(entry["arguments"]["volts"])
            for place, siemens in zip(_places(cells), g.tolist(), strict=True):
                steps.setdefault(place, []).append(_Step(*pending.pop(place, (0.0, 0.0)), siemens))
    pulsed = {place: s for place, s in steps.items() if any(step.seconds > 0 for step in s)}
    if not pulsed:
        raise ValueError("no cell was pulsed and read in this log: run characterise(bench, ...) first")
    rows = [(f"{r}-{c}", *step) for (r, c), train in pulsed.items() for step in train]
    names = ("cell", "voltage_V", "pulse width_s", "conductance_S")
    return dict(zip(names, (list(column) for column in zip(*rows, strict=True)), strict=True))


def _places(cells: Cells) -> list[tuple[int, int]]:
    return list(zip(cells.rows.tolist(), cells.columns.tolist(), strict=True))
