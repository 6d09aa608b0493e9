"""Conductance over time: how fast cells drift, and how much they differ in it."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import numpy as np

from mho.config import Count, Positive, config, later
from mho.devices.error_laws import Independent, Proportional
from mho.devices.exponents import ConstantNu, Exponent, SignedNu, TableNu
from mho.devices.fitting.base import Estimate, Measurement, Outcome, Points, span
from mho.devices.fitting.heads import Unit
from mho.devices.fitting.least_squares import r_squared
from mho.devices.fitting.naming import Columns
from mho.devices.fitting.population import population
from mho.devices.fitting.siemens import V_READ, Reading, cell_columns, conductances, named_column, passed_over
from mho.devices.fitting.tables import CELL, TIME, Array, MeasuredTable
from mho.devices.generic import Generic

_FEW = 2.0  # standard deviations of the exponent from 0, below which some cells rise
_LEAST = 3  # points of a cell
_LARGE = 0.1  # exponent larger than those of memory cells: an error of it says nothing


class RetentionSeries(NamedTuple):
    """One cell.

    Attributes:
        name: of the cell.
        time: seconds since programming, rising.
        g: conductance at each time, siemens.
    """

    name: str
    time: Array
    g: Array


class _Line(NamedTuple):
    """The straight line of ln g over ln(t / t0) of one cell."""

    nu: float
    log_g: float  # at t0
    spread: float  # sum of the squared distances of ln(t / t0) from their mean


@config
class Retention(Measurement):
    """Conductance of cells over time; gives a :class:`~mho.devices.Generic` that drifts.

    Each cell falls as ``g(t) = g(t0) (t / t0)^-nu``, t counted from its programming pulse, or rises, with an
    exponent below 0. Its exponent is the slope of ln g over ln t. The spread of the slopes is that of the
    cells and that of the noise: mean and standard deviation of ``nu`` over cells are those of greatest
    restricted likelihood (REML) of a normal population, so the noise does not count as a difference between
    cells. What is left around the lines is the read noise, relative to the conductance.

    Layouts: columns ``time_s`` and ``conductance_S`` (or ``resistance_ohm``, or ``current_A``), with ``cell``
    for several cells; or ``time_s`` and one column for each cell, where empty cells are left out. Columns of
    volts, kelvins, cycles or addresses are no cells.

    Attributes:
        unit: of the cells, for a table whose heads have none: ``"uS"``, ``"kohm"``, ``"nA"``, or the siemens
            of the number 1 (1e-6: microsiemens).
        t0: time after the pulse at which the device has its programmed conductance, seconds: ``seconds`` = 0
            of the device; None: the first time measured.
        groups: cells in so many groups of rising conductance, each with its own law; 1: one for all.
        v_read: read voltage, volts; currents are divided by it, unless a column says it; None: 0.2 for the
            device.
        columns: what columns hold that their heads do not say, by head or number from 1:
            ``{"time": "x-axis", "current_mA": 3}``.
    """

    remedy: ClassVar[str] = "measure over a longer time, more cells or with less noise"

    unit: Unit = 1.0
    t0: Positive | None = None
    groups: Count = 1
    v_read: Positive | None = None
    columns: Columns = later(default=())

    @property
    def labels(self) -> tuple[str, str]:
        """Time and conductance."""
        return "time (s)", "conductance (S)"

    def evaluate(self, table: MeasuredTable) -> Outcome:
        """See :meth:`Measurement.evaluate`."""
        cells = self.cells(table)
        t0 = min(float(c.time.min()) for c in cells) if self.t0 is None else self.t0
        lines = [_line(c, t0) for c in cells]
        points = _points(cells, lines, t0)
        left = np.log(points["measured"] / points["fitted"])
        freedom = len(left) - 2 * len(cells)
        noise = math.sqrt(float(left @ left) / freedom)
        law, parameters = self._law(table, lines, noise)
        parameters = (
            *parameters,
            Estimate(name="read noise", value=noise, error=noise / math.sqrt(2 * freedom)),
        )
        device = Generic(
            g_min=0.0,
            g_max=float(max(math.exp(line.log_g) for line in lines)),
            v_read=V_READ if self.v_read is None else self.v_read,
            program=Independent(sigma=0.0),
            nu=law,
            read=Proportional(sigma=noise),
            t0=t0,
        )
        return Outcome(
            device,
            parameters,
            (span("time", points["x"], "s"), span("conductance", points["measured"], "S")),
            points,
            noise,
            r_squared(np.log(points["measured"]), np.log(points["fitted"])),
            None,
            _correlation(points["series"], left),
            _notes(parameters, len(cells), _passed_over(table)),
            _left_out(lines, _correlation(points["series"], left), len(left)),
        )

    # --- reading ---------------------------------------------------------------------------------

    def cells(self, table: MeasuredTable) -> list[RetentionSeries]:
        """The cells of a table, each in order of time.

        Raises:
            ValueError: as :meth:`evaluate`.
        """
        place = table.only(TIME) if table.headed else 0
        if place is None:
            raise table.missing(TIME)
        time = table.si(place)
        for line, t in zip(table.lines(), time, strict=True):
            if t <= 0:
                raise ValueError(
                    f"{table.name}, line {line}: a time of {t:g} s; times count from the programming pulse "
                    "and are positive"
                )
        how = Reading(self.unit, self.v_read, steady=True)
        column = named_column(table)
        if column is None and table.has(CELL):
            column, *others = cell_columns(table, place)
            if others:
                raise ValueError(
                    f"{table.name}: several columns of conductances beside one of cells; give each cell its "
                    "rows, or its column"
                )
        if column is not None:
            names = table.texts(CELL) if table.has(CELL) else ["1"] * len(time)
            long = conductances(table, how, column)
            columns = [(name, long, np.array([n == name for n in names])) for name in dict.fromkeys(names)]
        else:
            places = cell_columns(table, place)
            wide = [(table.columns[k], conductances(table, how, k, blanks=True)) for k in places]
            columns = [(name, g, ~np.isnan(g)) for name, g in wide]
        return [self._series(table, name, time[keep], g[keep]) for name, g, keep in columns]

    def _series(self, table: MeasuredTable, name: str, time: Array, g: Array) -> RetentionSeries:
        if len(np.unique(time)) < _LEAST:
            raise ValueError(
                f"{table.name}, cell {name!r}: {len(np.unique(time))} times; an exponent with its noise "
                f"needs at least {_LEAST}"
            )
        if bool((g <= 0).any()):
            when = float(time[int(np.argmax(g <= 0))])
            raise ValueError(
                f"{table.name}, cell {name!r}: no conductance at {when:g} s; a power law never reaches 0: "
                "leave the cell out"
            )
        order = np.argsort(time, kind="stable")
        return RetentionSeries(name, time[order], g[order])

    # --- the law ---------------------------------------------------------------------------------

    def _law(
        self, table: MeasuredTable, lines: list[_Line], noise: float
    ) -> tuple[Exponent, tuple[Estimate, ...]]:
        if len(lines) < 2 * self.groups and self.groups > 1:
            raise ValueError(
                f"groups = {self.groups}: {table.name} has {len(lines)} cells; each group needs at least two"
            )
        rising = sorted(lines, key=lambda line: line.log_g)
        parts = [list(part) for part in np.array_split(np.arange(len(rising)), self.groups)]
        found, where = [], []
        for part in parts:
            some = [rising[int(k)] for k in part]
            nu = np.array([line.nu for line in some])
            found.append(population(nu, np.array([noise**2 / line.spread for line in some])))
            where.append(float(np.mean([math.exp(line.log_g) for line in some])))
        parameters: list[Estimate] = []
        for g, one in zip(where, found, strict=True):
            at = "" if self.groups == 1 else f"({g:.4g} S)"
            for name, value, error in (("nu", one.mean, one.mean_error), ("nu_std", one.std, one.std_error)):
                scale = max(abs(value), _LARGE)
                parameters.append(Estimate(name=f"{name}{at}", value=value, error=error, scale=scale))
        law: Exponent = ConstantNu(mean=found[0].mean, std=found[0].std)
        if self.groups > 1:
            law = TableNu(g=tuple(where), mean=tuple(p.mean for p in found), std=tuple(p.std for p in found))
        if any(one.mean < _FEW * one.std for one in found if one.mean or one.std):
            law = SignedNu(law=law)
        return law, tuple(parameters)


def _line(cell: RetentionSeries, t0: float) -> _Line:
    x, y = np.log(cell.time / t0), np.log(cell.g)
    dx = x - x.mean()
    spread = float(dx @ dx)
    nu = -float(dx @ y) / spread
    return _Line(nu, float(y.mean()) + nu * float(x.mean()), spread)


def _points(cells: list[RetentionSeries], lines: list[_Line], t0: float) -> Points:
    fitted = [
        np.exp(line.log_g - line.nu * np.log(c.time / t0)) for c, line in zip(cells, lines, strict=True)
    ]
    measured = np.concatenate([c.g for c in cells])
    return {
        "x": np.concatenate([c.time for c in cells]),
        "measured": measured,
        "fitted": np.concatenate(fitted),
        "residual": measured - np.concatenate(fitted),
        "series": np.concatenate([np.full(len(c.g), float(n)) for n, c in enumerate(cells)]),
    }


def _correlation(series: Array, left: Array) -> float:
    """Of neighbouring residuals of one cell."""
    together = series[1:] == series[:-1]
    total = float(left @ left)
    return float((left[1:] * left[:-1])[together].sum()) / total if total > 0 else 0.0


def _passed_over(table: MeasuredTable) -> list[str]:
    place = table.only(TIME) if table.headed else 0
    return [] if place is None or named_column(table) is not None else passed_over(table, place)


def _notes(parameters: tuple[Estimate, ...], cells: int, others: list[str]) -> tuple[str, ...]:
    notes = []
    if others:
        notes.append(f"columns that hold no conductances were passed over: {', '.join(map(repr, others))}")
    if cells == 1:
        notes.append("one cell: the spread over cells is not known and is 0 in the device")
    by = {e.name: e.value for e in parameters}
    for name, value in by.items():
        std = by.get(name.replace("nu", "nu_std", 1), 0.0) if name.startswith("nu") else 0.0
        if name.startswith("nu") and not name.startswith("nu_std"):
            notes += _about_rising(name, value, std)
    return tuple(notes)


def _about_rising(name: str, nu: float, std: float) -> list[str]:
    if nu < 0:
        return [
            f"{name}: the conductance rises with time, and so does that of the device; is the time counted "
            "from programming?"
        ]
    return (
        [f"{name}: some cells would rise by this law; those of the device do"] if 0 < nu < _FEW * std else []
    )


def _left_out(lines: list[_Line], correlation: float, points: int) -> tuple[str, ...]:
    """What the cells show and the device has not."""
    found = []
    start = np.array([line.log_g for line in lines])
    if len(lines) > 1 and float(start.std(ddof=1)) > 0:
        found.append(
            f"the spread of the cells at t0 ({100 * float(start.std(ddof=1)):.2g} % of their conductance): "
            "their targets are not known"
        )
    if abs(correlation) > 2 / math.sqrt(points):
        found.append(f"the correlation of the read noise in time ({correlation:.2f})")
    return tuple(found)
