"""The CSV of the Fusion chip: conductances of whole networks, with a head for each layer."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import Field

from mho.config import Count, Positive, config, later
from mho.devices.fitting.base import Measurement, Outcome
from mho.devices.fitting.heads import Unit
from mho.devices.fitting.naming import Columns
from mho.devices.fitting.siemens import Reading, cell_column, check_stated, conductances
from mho.devices.fitting.states import TARGET, States, Statistics, mean_law, standardised
from mho.devices.fitting.tables import CONDUCTANCE, Array, MeasuredTable, read_table

MICRO = 1e-6  # siemens: the files are in microsiemens
HEAD = ("id", "class", "num_weights", "height", "width")


class FusionLayer(NamedTuple):
    """A layer of a Fusion CSV.

    Attributes:
        name: of the layer; its id where the file has no names.
        number: its id.
        kind: its class, such as ``AnalogConv2d``.
        shape: height and width of its matrix.
        g: conductances, siemens, as they follow each other in the file: the matrix row by row, if it is on
            one tile.
    """

    name: str
    number: int
    kind: str
    shape: tuple[int, int]
    g: Array


def read_fusion(path: str | os.PathLike[str], unit: float = MICRO) -> tuple[FusionLayer, ...]:
    """The layers of a Fusion CSV, as aihwkit exports them for the chip and reads them back.

    Five rows tell of each layer its id, class, number of weights, height and width; a sixth their names (it
    may be left out); then each layer has a row of conductances.

    Args:
        path: of the file.
        unit: siemens of the number 1; the files are in microsiemens.

    Raises:
        ValueError: a head that is not complete, a row of the wrong length, or a cell that is no number.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            lines = [(n, row) for n, row in enumerate(csv.reader(file), 1) if any(row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: this is no CSV file in UTF-8 ({error}); save it as one") from None
    rows = [(n, [cell.strip() for cell in row]) for n, row in lines]
    head = [row for _, row in rows[:5]]
    if len(rows) < 6 or len({len(row) for row in head}) != 1 or not all(map(str.isdigit, head[0])):
        raise ValueError(
            f"{path}: no Fusion CSV: it begins with five rows of one length ({', '.join(HEAD)}), a column "
            "for each layer"
        )
    count = len(rows[0][1])
    heads = {name: row for name, (_, row) in zip(HEAD, rows, strict=False)}
    sizes = {
        name: [_whole(path, line, cell, name) for cell in heads[name]]
        for line, name in ((1, "id"), (3, "num_weights"), (4, "height"), (5, "width"))
    }
    data = rows[5:]
    named = len(data) == count + 1 or (data and len(data[0][1]) == count != sizes["num_weights"][0])
    names = data.pop(0)[1] if named else heads["id"]
    if len(data) != count or len(names) != count:
        raise ValueError(
            f"{path}: {len(data)} rows of conductances for {count} layers; give each its row, perhaps "
            "after a row of names"
        )
    layers = []
    for k, (line, cells) in enumerate(data):
        wanted, shape = sizes["num_weights"][k], (sizes["height"][k], sizes["width"][k])
        if len(cells) != wanted or shape[0] * shape[1] != wanted:
            raise ValueError(
                f"{path}, line {line}: layer {names[k]!r} has {len(cells)} conductances; its head says "
                f"{wanted}, height {shape[0]} and width {shape[1]}"
            )
        g = unit * np.array([_number(path, line, n, cell) for n, cell in enumerate(cells, 1)])
        layers.append(FusionLayer(names[k], sizes["id"][k], heads["class"][k], shape, g))
    return tuple(layers)


@config
class Fusion(Measurement):
    """Exported and measured conductances of a network; gives a :class:`~mho.devices.Generic`.

    ``fit({"target": "exported.csv", "conductance": "measured.csv"}, Fusion())`` takes two Fusion CSVs of one
    network (:func:`read_fusion`). The targets go into groups of about equal size, each with its standard
    deviation and its mean; the laws through them, of scatter and of bias, are those of :class:`States`.

    Attributes:
        unit: of columns whose heads say none: ``"uS"``, ``"kohm"``, or the siemens of the number 1. Fusion
            CSVs are in microsiemens.
        degree: of the polynomial; None keeps the groups as a table law.
        groups: of targets.
        v_read: read voltage, volts; currents are divided by it, unless a column says it; None: 0.2 for the
            device.
        columns: what columns hold that their heads do not say, by head or number from 1:
            ``{"time": "x-axis", "current_mA": 3}``.
    """

    remedy: ClassVar[str] = States.remedy

    unit: Unit = MICRO
    degree: Annotated[int, Field(ge=0, le=6)] | None = 2
    groups: Count = 20
    v_read: Positive | None = None
    columns: Columns = later(default=())

    @property
    def labels(self) -> tuple[str, str]:
        """Target and standard deviation."""
        return "target conductance (S)", "standard deviation (S)"

    def read(self, source: Any) -> MeasuredTable:
        """Two Fusion CSVs as one table of targets and results.

        Raises:
            ValueError: one file, or files of different networks.
        """
        if isinstance(source, (str, os.PathLike)):
            raise ValueError(
                f"{source}: one Fusion CSV holds targets or results, a law needs both; give "
                '{"target": "exported.csv", "conductance": "measured.csv"}'
            )
        two = isinstance(source, Mapping) and set(source) == {"target", "conductance"}
        if not two or not all(isinstance(part, (str, os.PathLike)) for part in source.values()):
            return read_table(source)  # columns of targets and results
        paths = [Path(source[name]) for name in ("target", "conductance")]
        both = [read_fusion(path, 1.0) for path in paths]
        heads = [[(layer.name, layer.kind, layer.shape) for layer in layers] for layers in both]
        if heads[0] != heads[1]:
            known = [", ".join(f"{name} {shape}" for name, _, shape in head) for head in heads]
            raise ValueError(f"{paths[0]} has the layers {known[0]}; {paths[1]} has {known[1]}")
        target, g = (np.concatenate([layer.g for layer in layers]) for layers in both)
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
        rows = tuple((n, cells) for n, cells in enumerate(zip(target.tolist(), g.tolist(), strict=True), 1))
        return MeasuredTable(str(paths[1]), digest, ("target", "conductance"), True, rows)

    def evaluate(self, table: MeasuredTable) -> Outcome:
        """See :meth:`Measurement.evaluate`."""
        places = cell_column(table, TARGET), table.place(TARGET)
        for place, quantity in zip(places, (CONDUCTANCE, TARGET), strict=True):
            if place is None:
                raise table.missing(quantity)
        results, targets = (place for place in places if place is not None)
        check_stated(table, results, targets)
        own = table.heads[results].unit and self.unit == MICRO  # heads that say a unit come first
        how = Reading(1.0 if own else self.unit, self.v_read)
        g, target = conductances(table, how, results), conductances(table, how, targets)
        if len(g) < 2 * self.groups:
            raise ValueError(
                f"{table.name}: {len(g)} conductances for {self.groups} groups; at least two each: groups = "
                f"{max(1, len(g) // 2)}"
            )
        low, high = float(target.min()), float(target.max())
        raw = _grouped(target, g - target, self.groups)
        law = mean_law(raw, raw.std, high).law
        shift = law.shift(torch.as_tensor(target), high).numpy()
        clean = _grouped(target, g - target - shift, self.groups)  # the bias within a group is no scatter
        states = States(degree=self.degree, v_read=self.v_read)
        return states.outcome(table, clean._replace(mean=raw.mean), ends=(low, high))


def _grouped(target: Array, error: Array, groups: int) -> Statistics:
    """Groups of neighbouring targets."""
    order = np.argsort(target, kind="stable")
    parts = np.array_split(order, groups)
    edges = [target[part[0]] for part in parts]  # equal targets stay together
    place = np.searchsorted(np.unique(edges), target, side="right")
    rows, results = [], []
    for k in np.unique(place):
        some = error[place == k]
        if len(some) < 2:
            continue
        middle, off = float(target[place == k].mean()), float(some.mean())
        std = float(some.std(ddof=1))
        rows.append((middle, std, float(len(some)), middle + off))
        results.append(standardised(some - off, np.full_like(some, std), np.full_like(some, len(some))))
    g, std_, count, mean = np.array(rows).T
    return Statistics(g, std_, count, mean, np.concatenate(results))


def _whole(path: Any, line: int, cell: str, name: str) -> int:
    if not cell.isdigit():
        raise ValueError(f"{path}, line {line}: {name} = {cell!r} of a layer is not a whole number")
    return int(cell)


def _number(path: Any, line: int, place: int, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise ValueError(f"{path}, line {line}, conductance {place}: {cell!r} is not a finite number")
    return value
