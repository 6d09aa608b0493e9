"""Jump tables: how far one pulse moves a cell, as a distribution for each conductance."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mho.config import Positive, config
from mho.devices.fitting.base import Estimate, Measurement, Outcome, Points, span
from mho.devices.fitting.heads import SIEMENS, Unit
from mho.devices.fitting.siemens import V_READ, Reading, cell_column, changes, check_stated, conductances
from mho.devices.fitting.tables import CONDUCTANCE, Array, MeasuredTable, Quantity, read_table
from mho.devices.jumps import JumpCell, Jumps

CHANGE = Quantity(("dg", "change", "step", "jump", "delta g"), "S")
CDF = Quantity(("cdf", "probability", "p"), "")
DIRECTION = Quantity(("direction", "polarity"), "")
_UP, _DOWN = ("up", "set", "ltp", "potentiation", "1", "+1", "1.0"), ("down", "reset", "ltd", "depression")
_DIP = 1e-6  # of a chance that should rise: rounding of the file
_PARTS = ("conductances", "changes", "chances")
_FILES = (r"axis(_level)?_G$", r"axis(_level)?_dG$", r"cdf$")  # endings of the three files, without suffix


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
    holds one set. One table without direction is of pulses up if its median changes are positive on average.

    Source: the jump tables of G. W. Burr et al., IEEE Trans. Electron Devices 62, 3498 (2015).

    Attributes:
        unit: of the conductances and changes, for numbers without unit: ``"uS"``, or the siemens of the
            number 1 (1e-6: microsiemens).
        v_read: read voltage, volts; currents are divided by it, unless a column says it; None: 0.2 for the
            device.
    """

    unit: Unit = 1.0
    v_read: Positive | None = None

    @property
    def labels(self) -> tuple[str, str]:
        """Conductance and mean change."""
        return "conductance (S)", "mean change of a pulse (S)"

    def read(self, source: Any) -> MeasuredTable:
        """A table, or three files of each direction as one.

        Raises:
            ValueError: files that do not belong together.
        """
        if isinstance(source, (str, os.PathLike)) and Path(source).is_dir():
            source = _found(Path(source))
        if isinstance(source, Mapping) and source and set(source) <= {"up", "down"}:
            return _joined(source)
        return read_table(source)

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
        if "" in directions:
            some = [_row(table, float(x), change[g == x], cdf[g == x]) for x in np.unique(g)]
            median = np.mean([np.interp(0.5, row.cdf, row.change) for row in some])
            found["up" if median >= 0 else "down"] = some
        return found


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
    order = np.argsort(change, kind="stable")
    change, cdf = change[order], cdf[order]
    where = f"{table.name}: at {g:g} S"
    if len(change) < 2 or bool((np.diff(change) <= 0).any()):
        raise ValueError(f"{where} a distribution needs at least two different changes, each once")
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
    axis = np.unique(np.concatenate([row.change for row in rows]))
    cdf = [np.interp(axis, row.change, row.cdf, left=0.0) for row in rows]
    return Jumps(
        g=tuple(row.g for row in rows),
        change=tuple(axis.tolist()),
        cdf=tuple(tuple(row.tolist()) for row in cdf),
    )


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


# --- three files of each direction ---------------------------------------------------------------


def _found(folder: Path) -> dict[str, tuple[Path, ...]]:
    """The files of a folder, by direction."""
    names = sorted(p for p in folder.iterdir() if p.suffix in (".txt", ".csv", ".dat"))
    found: dict[str, tuple[Path, ...]] = {}
    for direction, word in (("up", r"(?<!re)set|up|ltp"), ("down", r"reset|down|ltd")):
        mine = [p for p in names if re.search(word, p.stem, re.IGNORECASE)]
        files = [[p for p in mine if re.search(end, p.stem)] for end in _FILES]
        if any(len(some) > 1 for some in files):
            several = next(some for some in files if len(some) > 1)
            raise ValueError(
                f"{folder}: {len(several)} files for the same part of pulses {direction}, such as "
                f"{several[0].name} and {several[1].name}; name three of each direction, "
                '{"up": (g, dg, cdf), "down": (g, dg, cdf)}'
            )
        if all(files):
            found[direction] = tuple(some[0] for some in files)
    if not found:
        raise ValueError(
            f"{folder}: no three files of a jump table, such as set_axis_level_G.txt, set_axis_level_dG.txt "
            "and set_cdf.txt"
        )
    return found


def _joined(source: Mapping[str, Any]) -> MeasuredTable:
    """One table of all files: direction, conductance, change and chance."""
    rows: list[tuple[int, tuple[Any, ...]]] = []
    names, digest, stated = [], hashlib.sha256(), set[str]()
    for direction, three in source.items():
        if not isinstance(three, (tuple, list)) or len(three) != 3:
            raise ValueError(f"{direction} = {three!r}: give three files, of {', '.join(_PARTS)}")
        tables = [read_table(part if not _is_list(part) else np.asarray(part)[:, None]) for part in three]
        g, change = (_axis(table) for table in tables[:2])
        stated |= {table.heads[0].unit for table in tables[:2]}
        if len(tables[2].rows) != len(g) or len(tables[2].columns) != len(change):
            raise ValueError(
                f"{tables[2].name}: {len(tables[2].rows)} rows of {len(tables[2].columns)} chances, for "
                f"{len(g)} conductances ({tables[0].name}) and {len(change)} changes ({tables[1].name})"
            )
        chances = np.stack([tables[2].numbers(k) for k in range(len(change))], axis=1)
        for line, x, cdf in zip(tables[2].lines(), g, chances, strict=True):
            rows += [(line, (direction, x, d, c)) for d, c in zip(change, cdf, strict=True)]
        names.append(Path(tables[2].name).name)
        for table in tables:
            digest.update(table.sha256.encode())
    if stated not in ({""}, {SIEMENS}):
        raise ValueError(
            f"{' and '.join(names)}: the heads of the axes say {sorted(stated)}; name siemens in all of "
            "them, or in none"
        )
    unit = "_S" if SIEMENS in stated else ""
    columns = ("direction", CONDUCTANCE.names[0] + unit, CHANGE.names[0] + unit, CDF.names[0])
    return MeasuredTable(" and ".join(names), digest.hexdigest(), columns, True, tuple(rows))


def _is_list(part: Any) -> bool:
    return not isinstance(part, (str, os.PathLike, MeasuredTable)) and np.asarray(part).ndim == 1


def _axis(table: MeasuredTable) -> Array:
    """The numbers of a file, one in each line or all in one line; in SI units if its head says a unit."""
    if len(table.rows) == 1:
        return np.array([table.numbers(k)[0] for k in range(len(table.columns))])
    if len(table.columns) != 1:
        raise ValueError(f"{table.name}: an axis has one number in each line, not {len(table.columns)}")
    factor = table.heads[0].factor
    return table.numbers(0) * (1.0 if factor is None else factor)
