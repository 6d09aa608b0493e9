"""Jump tables: how far one pulse moves a cell, as a distribution for each conductance."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mho.config import Positive, config, later
from mho.devices.fitting.base import Estimate, Measurement, Outcome, Points, span
from mho.devices.fitting.heads import Unit
from mho.devices.fitting.jump_files import found_files, joined, read_quantiles
from mho.devices.fitting.naming import Columns
from mho.devices.fitting.siemens import V_READ, Reading, cell_column, changes, check_stated, conductances
from mho.devices.fitting.tables import CDF, CHANGE, CONDUCTANCE, Array, MeasuredTable, Quantity, read_table
from mho.devices.jumps import JumpCell, Jumps

DIRECTION = Quantity(("direction", "polarity"), "")
_UP, _DOWN = ("up", "set", "ltp", "potentiation", "1", "+1", "1.0"), ("down", "reset", "ltd", "depression")
_DIP = 1e-6  # of a chance that should rise: rounding of the file
_SHARP = 1e-9  # of the range of the changes: over it a step of a distribution rises


class _Row(NamedTuple):
    """The distribution at one conductance: changes, siemens, and chances."""

    g: float
    change: Array
    cdf: Array


@config
class JumpTable(Measurement):
    """What one pulse does at each conductance; gives a :class:`~mho.devices.JumpCell`.

    The table is kept as it is: nothing is fitted. The reported numbers are mean and standard deviation of
    the change at the lowest, the middle and the highest conductance.

    Layouts: columns ``conductance_S``, ``dG_S`` and ``CDF``, one row for each point of a distribution,
    perhaps with ``direction`` (up or down), or the three columns without heads; the three text files of
    each direction that XBTorch has (axis of G, axis of dG, and a matrix of chances with a row for each G):
    ``fit({"up": (g, dg, cdf), "down": (g, dg, cdf)}, JumpTable())``, or the folder that holds them, if it
    holds one set; or the quantile tables of CrossSim (``dG_increasing``, ``dG_decreasing``): a row of
    conductances, a row of chances, and a matrix of changes with a row for each chance,
    ``fit({"up": "dG_increasing.txt", "down": "dG_decreasing.txt"}, JumpTable())``. One table without
    direction is of pulses up if its median changes are positive on average. Equal changes with several
    chances are a step of the distribution: so many pulses do just that.

    Source: the jump tables of G. W. Burr et al., IEEE Trans. Electron Devices 62, 3498 (2015).

    Attributes:
        unit: of the conductances and changes, for numbers without unit: ``"uS"``, or the siemens of the
            number 1 (1e-6: microsiemens).
        v_read: read voltage, volts; currents are divided by it, unless a column says it; None: 0.2 for the
            device.
        columns: what columns hold that their heads do not say, by head or number from 1:
            ``{"time": "x-axis", "current_mA": 3}``.
    """

    unit: Unit = 1.0
    v_read: Positive | None = None
    columns: Columns = later(default=())

    @property
    def labels(self) -> tuple[str, str]:
        """Conductance and mean change."""
        return "conductance (S)", "mean change of a pulse (S)"

    def read(self, source: Any) -> MeasuredTable:
        """A table, or the files of each direction as one.

        Raises:
            ValueError: files that do not belong together.
        """
        if isinstance(source, (str, os.PathLike)) and Path(source).is_dir():
            source = found_files(Path(source))
        if isinstance(source, Mapping) and source and set(source) <= {"up", "down"}:
            return joined(source)
        quantiles = read_quantiles(source) if isinstance(source, (str, os.PathLike)) else None
        return read_table(source) if quantiles is None else quantiles

    def evaluate(self, table: MeasuredTable) -> Outcome:
        """See :meth:`Measurement.evaluate`."""
        laws = {name: _law(rows, f"{table.name}, {name}") for name, rows in self._rows(table).items()}
        v_read = V_READ if self.v_read is None else self.v_read
        device = JumpCell(up=laws.get("up"), down=laws.get("down"), v_read=v_read)
        points = _points(laws)
        changes = np.concatenate([np.array(law.change) for law in laws.values()])
        return Outcome(
            device,
            tuple(estimate for name, law in laws.items() for estimate in _estimates(name, law)),
            (span("conductance", points["x"], "S"), span("change", changes, "S")),
            points,
            0.0,
            1.0,
            None,
            0.0,
            _notes(laws),
            _left_out(laws),
        )

    def _rows(self, table: MeasuredTable) -> dict[str, list[_Row]]:
        """The distributions of each direction, by rising conductance."""
        how = Reading(self.unit, self.v_read)
        if not table.headed and len(table.columns) == 3:
            state, step, cdf = 0, 1, table.numbers(2)
        else:
            state, step = _place(table, CONDUCTANCE), _place(table, CHANGE)
            cdf = table.take(CDF)
            check_stated(table, state, step)
        g, change = conductances(table, how, state), changes(table, how, step)
        for line, chance in zip(table.lines(), cdf, strict=True):
            if not -_DIP <= chance <= 1 + _DIP:
                raise ValueError(f"{table.name}, line {line}: a chance of {chance:g}; it lies from 0 to 1")
        directions = _directions(table)
        found: dict[str, list[_Row]] = {}
        for name in ("up", "down"):
            of = np.array([d == name for d in directions])
            if of.any():
                found[name] = [
                    _row(table, float(x), change[of & (g == x)], cdf[of & (g == x)]) for x in np.unique(g[of])
                ]
        _check_not_swapped(table, found)
        if "" in directions:
            some = [_row(table, float(x), change[g == x], cdf[g == x]) for x in np.unique(g)]
            found["up" if _median(some) >= 0 else "down"] = some
        return found


def _median(rows: list[_Row]) -> float:
    """Mean over the conductances of the median change, siemens."""
    return float(np.mean([np.interp(0.5, row.cdf, row.change) for row in rows]))


def _check_not_swapped(table: MeasuredTable, found: dict[str, list[_Row]]) -> None:
    if set(found) == {"up", "down"} and _median(found["up"]) < 0 < _median(found["down"]):
        raise ValueError(
            f"{table.name}: pulses up lower the conductance and pulses down raise it; are the two swapped?"
        )


def _place(table: MeasuredTable, quantity: Quantity) -> int:
    place = cell_column(table, CHANGE) if quantity is CONDUCTANCE else table.place(quantity)
    if place is None:
        raise table.missing(quantity)
    return place


def _directions(table: MeasuredTable) -> list[str]:
    """``up`` or ``down`` for each row; empty if the table does not tell."""
    if not table.has(DIRECTION):
        return [""] * len(table.rows)
    found = []
    for line, word in zip(table.lines(), table.texts(DIRECTION), strict=True):
        if word.lower() not in (*_UP, *_DOWN, "-1", "-1.0"):
            raise ValueError(f"{table.name}, line {line}: direction {word!r}; say up or down")
        found.append("up" if word.lower() in _UP else "down")
    return found


def _row(table: MeasuredTable, g: float, change: Array, cdf: Array) -> _Row:
    order = np.lexsort((cdf, change))
    change, cdf = change[order], cdf[order]
    where = f"{table.name}: at {g:g} S"
    if len(change) < 2:
        raise ValueError(f"{where} a distribution needs at least two points")
    if bool((np.diff(cdf) < -_DIP).any()):
        k = int(np.argmax(np.diff(cdf) < -_DIP))
        raise ValueError(
            f"{where} the chance falls from {cdf[k]:g} to {cdf[k + 1]:g} as the change rises to "
            f"{change[k + 1]:g} S; a cumulative distribution rises"
        )
    return _Row(g, change, np.maximum.accumulate(cdf).clip(0, 1))


def _law(rows: list[_Row], name: str) -> Jumps:
    """Rows on one axis of changes; a broken line stays the same with more points on it."""
    if len(rows) < 2:
        raise ValueError(f"{name}: {len(rows)} conductance; distributions at two or more are needed")
    ends = (min(float(row.change[0]) for row in rows), max(float(row.change[-1]) for row in rows))
    rows = [_with_steps(row, ends) for row in rows]
    axis = np.unique(np.concatenate([row.change for row in rows]))
    cdf = [np.interp(axis, row.change, row.cdf, left=0.0) for row in rows]
    return Jumps(
        g=tuple(row.g for row in rows),
        change=tuple(axis.tolist()),
        cdf=tuple(tuple(row.tolist()) for row in cdf),
    )


def _with_steps(row: _Row, ends: tuple[float, float]) -> _Row:
    """The row with each change once: equal ones with several chances are a step, risen to within a hair.

    Chances that the first and the last change have by themselves are steps too, where other rows go further.
    """
    change, first = np.unique(row.change, return_index=True)
    low = row.cdf[first]
    high = row.cdf[np.append(first[1:], len(row.cdf)) - 1]
    if change[0] > ends[0]:
        low[0] = 0.0
    if change[-1] < ends[1]:
        high[-1] = 1.0
    hair = _SHARP * (ends[1] - ends[0] or abs(ends[0]) or 1e-9)
    before = np.maximum(change - hair, np.append(-np.inf, (change[1:] + change[:-1]) / 2))
    step = high > low
    step[0] &= bool(change[0] > ends[0]) or len(change) == 1 or bool(low[0] == 0)
    axis = np.concatenate([before[step], change])
    order = np.argsort(axis, kind="stable")
    return _Row(row.g, axis[order], np.concatenate([low[step], high])[order])


def _moments(law: Jumps) -> tuple[Array, Array]:
    """Mean and standard deviation of the change at each conductance, of broken lines with ends."""
    x, cdf = np.array(law.change), np.array(law.cdf)
    mass, low, high = np.diff(cdf, axis=1), x[:-1], x[1:]
    first, last = cdf[:, 0], 1 - cdf[:, -1]
    mean = mass @ ((low + high) / 2) + first * x[0] + last * x[-1]
    square = mass @ ((low**2 + low * high + high**2) / 3) + first * x[0] ** 2 + last * x[-1] ** 2
    return mean, np.sqrt(np.maximum(square - mean**2, 0))


def _estimates(name: str, law: Jumps) -> tuple[Estimate, ...]:
    mean, std = _moments(law)
    return tuple(
        Estimate(name=f"{name}.{kind}({law.g[k]:.4g} S)", value=float(values[k]), error=0.0, unit="S")
        for k in sorted({0, len(law.g) // 2, len(law.g) - 1})
        for kind, values in (("mean", mean), ("std", std))
    )


def _points(laws: dict[str, Jumps]) -> Points:
    g = np.concatenate([np.array(law.g) for law in laws.values()])
    mean, std = (np.concatenate(v) for v in zip(*map(_moments, laws.values()), strict=True))
    series = np.concatenate([np.full(len(law.g), 1.0 if n == "up" else -1.0) for n, law in laws.items()])
    return {"x": g, "measured": mean, "fitted": mean, "residual": 0 * mean, "std": std, "series": series}


def _notes(laws: dict[str, Jumps]) -> tuple[str, ...]:
    notes = ["a table as it was given: nothing was fitted, and the errors of its numbers are not known"]
    if len(laws) == 1:
        notes.append(f"only pulses {next(iter(laws))} were measured; a verified write needs both directions")
    return tuple(notes)


def _left_out(laws: dict[str, Jumps]) -> tuple[str, ...]:
    """The pulses that go beyond the changes of the table."""
    found = []
    for name, law in laws.items():
        cdf = np.array(law.cdf)
        outside = float(np.maximum(cdf[:, 0], 1 - cdf[:, -1]).max())
        if outside > 0.01:
            found.append(
                f"the jumps {name} beyond the changes of the table (up to {100 * outside:.0f} % of the "
                "pulses count as its first or last change)"
            )
    return tuple(found)
