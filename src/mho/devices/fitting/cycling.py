"""Endurance: set and reset levels against the number of cycles, and when cells fail."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import numpy as np

from mho.config import NonNegative, Positive, config
from mho.devices.effects.worn import Worn
from mho.devices.fitting.base import Estimate, Measurement, Outcome, Points, span
from mho.devices.fitting.heads import Unit
from mho.devices.fitting.least_squares import neighbour_correlation, r_squared
from mho.devices.fitting.naming import Columns
from mho.devices.fitting.population import Population, population
from mho.devices.fitting.siemens import V_READ, Reading, check_alike, conductances
from mho.devices.fitting.tables import CELL, Array, MeasuredTable, Quantity
from mho.devices.generic import Generic

CYCLE = Quantity(("cycle", "cycles", "number of cycles", "cycle number", "n", "count"), "")
SET = Quantity(("set", "lrs", "on", "set level", "g set", "g on", "g lrs"), "S")
RESET = Quantity(("reset", "hrs", "off", "reset level", "g reset", "g off", "g hrs"), "S")
_LEAST = 3  # points of a cell before it fails


class _Cell(NamedTuple):
    """One cell, in order of its cycles.

    Attributes:
        cycle: counted from 1.
        low, high: reset and set level, siemens.
        alive: rows before it fails.
    """

    cycle: Array
    low: Array
    high: Array
    alive: int

    @property
    def failed(self) -> bool:
        """Whether it fails within the measurement."""
        return self.alive < len(self.cycle)

    @property
    def lifetime(self) -> float:
        """Between the last cycle at which it works and the next; the last of all for one that outlives it."""
        if not self.failed:
            return float(self.cycle[-1])
        return math.sqrt(float(self.cycle[self.alive - 1]) * float(self.cycle[self.alive]))


class Weibull(NamedTuple):
    """Lifetimes: scale and shape, with the errors of their logarithms."""

    scale: float
    shape: float
    scale_error: float
    shape_error: float


@config
class Cycling(Measurement):
    """Set and reset levels over cycles; gives a worn cell (:class:`~mho.devices.Worn`).

    Each level goes as a power of the cycles: the slope of ln g over ln n, of each cell, whose mean over cells
    is that of restricted maximum likelihood. A cell has failed from the cycle on after which its set level
    stays below ``window`` times its reset level; its points from there on count for no slope. The lifetimes,
    those of cells that outlived the measurement as bounds, give the Weibull distribution of greatest
    likelihood.

    Layouts: columns ``cycle``, ``set_S`` and ``reset_S`` (``lrs_ohm``, ``hrs_kohm``, ...), with ``cell`` for
    several.

    Attributes:
        window: set over reset level below which a cell has failed.
        cycles: wear of the device, cycles; None: the last ones measured.
        unit: of the cells, for a table whose heads have none: ``"uS"``, ``"kohm"``, ``"nA"``, or the siemens
            of the number 1 (1e-6: microsiemens).
        v_read: read voltage, volts; currents are divided by it, unless a column says it; None: 0.2 for the
            device.
        columns: what columns hold that their heads do not say, by head or number from 1:
            ``{"time": "x-axis", "current_mA": 3}``.
    """

    remedy: ClassVar[str] = "measure more cycles or more cells"

    window: Positive = 2.0
    cycles: NonNegative | None = None
    unit: Unit = 1.0
    v_read: Positive | None = None
    columns: Columns = ()

    @property
    def labels(self) -> tuple[str, str]:
        """Cycle and conductance."""
        return "cycle", "conductance (S)"

    def evaluate(self, table: MeasuredTable) -> Outcome:
        """See :meth:`Measurement.evaluate`."""
        cells = self._cells(table)
        lines = [(_line(c, c.low), _line(c, c.high)) for c in cells]
        slopes = [population(*_each(lines, k)) for k in (0, 1)]
        starts = [math.exp(float(np.mean([pair[k].start for pair in lines]))) for k in (0, 1)]
        if not starts[0] < starts[1]:
            raise ValueError(
                f"{table.name}: the set level starts at {starts[1]:.3g} S, the reset level at "
                f"{starts[0]:.3g} S; "
                "the set level conducts more: are the columns swapped?"
            )
        lifetimes = _weibull([c.lifetime for c in cells], [c.failed for c in cells])
        points = _points(cells, lines)
        left = np.log(points["measured"] / points["fitted"])
        noise = math.sqrt(float(left @ left) / max(len(left) - 4 * len(cells), 1))
        device = Worn(
            device=Generic(g_min=starts[0], g_max=starts[1], v_read=self.v_read or V_READ),
            cycles=float(max(c.cycle[-1] for c in cells)) if self.cycles is None else self.cycles,
            set_slope=slopes[1].mean,
            reset_slope=slopes[0].mean,
            lifetime=None if lifetimes is None else lifetimes.scale,
            shape=1.0 if lifetimes is None else lifetimes.shape,
            stuck=_stuck(cells),
        )
        return Outcome(
            device,
            _estimates(slopes, lifetimes, noise, len(left) - 4 * len(cells)),
            (span("cycle", points["x"]), span("conductance", points["measured"], "S")),
            points,
            noise,
            r_squared(np.log(points["measured"]), np.log(points["fitted"])),
            None,
            neighbour_correlation(left),
            _notes(cells, lifetimes),
            (f"the scatter of the levels from cycle to cycle ({100 * noise:.2g} % of the conductance)",),
        )

    def _cells(self, table: MeasuredTable) -> list[_Cell]:
        cycle, low, high = self._levels(table)
        names = table.texts(CELL) if table.has(CELL) else ["1"] * len(cycle)
        found = []
        for name in dict.fromkeys(names):
            keep = np.flatnonzero(np.array([n == name for n in names]))
            keep = keep[np.argsort(cycle[keep], kind="stable")]
            one = _Cell(cycle[keep], low[keep], high[keep], _alive(high[keep] / low[keep], self.window))
            if len(np.unique(one.cycle[: one.alive])) < _LEAST:
                raise ValueError(
                    f"{table.name}, cell {name!r}: {one.alive} cycles before its window is below "
                    f"{self.window:g}; at least {_LEAST} are needed"
                )
            found.append(one)
        return found

    def _levels(self, table: MeasuredTable) -> tuple[Array, Array, Array]:
        places = [table.place(quantity) for quantity in (CYCLE, RESET, SET)]
        for place, quantity in zip(places, (CYCLE, RESET, SET), strict=True):
            if place is None:
                raise table.missing(quantity)
        counter, reset, set_ = (place for place in places if place is not None)
        check_alike(table, [reset, set_])
        how = Reading(self.unit, self.v_read, steady=True)
        cycle, low, high = table.numbers(counter), *(conductances(table, how, k) for k in (reset, set_))
        if bool((cycle < 0).any()) or bool((low <= 0).any()) or bool((high <= 0).any()):
            raise ValueError(f"{table.name}: cycles count from 0 or 1, and levels are above 0 S")
        return cycle + (1.0 if cycle.min() < 1 else 0.0), low, high


class _Line(NamedTuple):
    """ln g over ln n of one level of one cell."""

    start: float  # at the first cycle
    slope: float
    variance: float  # of the slope


def _line(cell: _Cell, g: Array) -> _Line:
    x, y = np.log(cell.cycle[: cell.alive]), np.log(g[: cell.alive])
    dx = x - x.mean()
    slope = float(dx @ y) / float(dx @ dx)
    left = y - y.mean() - slope * dx
    variance = float(left @ left) / max(len(x) - 2, 1) / float(dx @ dx)
    return _Line(float(y.mean()) - slope * float(x.mean()), slope, variance)


def _each(lines: list[tuple[_Line, _Line]], which: int) -> tuple[Array, Array]:
    slopes = np.array([pair[which].slope for pair in lines])
    return slopes, np.array([pair[which].variance for pair in lines])


def _alive(ratio: Array, window: float) -> int:
    """Rows before the window is below the limit for good."""
    above = np.flatnonzero(ratio >= window)
    return int(above[-1]) + 1 if len(above) else 0


def _stuck(cells: list[_Cell]) -> float:
    """The middle conductance of cells after they failed, siemens."""
    after = [level[c.alive :] for c in cells if c.failed for level in (c.low, c.high)]
    return float(np.exp(np.log(np.concatenate(after)).mean())) if after else 0.0


def _weibull(lifetimes: list[float], failed: list[bool]) -> Weibull | None:
    """The distribution of greatest likelihood, cells that did not fail as bounds; None below two failures."""
    from scipy.optimize import minimize

    n, died = np.array(lifetimes), np.array(failed)
    if died.sum() < 2:
        return None
    middle = float(np.log(n[died]).mean())

    def loss(values: Array) -> float:
        log_scale, log_shape = map(float, values)
        z = math.exp(log_shape) * (np.log(n) - middle - log_scale)
        return float(np.exp(np.minimum(z, 700)).sum() - (log_shape + z)[died].sum())

    found = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10})
    h = 1e-3
    at = [[loss(found.x + h * np.array([a, b])) for b in (-1, 0, 1)] for a in (-1, 0, 1)]
    aa, bb = (at[2][1] - 2 * at[1][1] + at[0][1]) / h**2, (at[1][2] - 2 * at[1][1] + at[1][0]) / h**2
    ab = (at[2][2] - at[2][0] - at[0][2] + at[0][0]) / (4 * h**2)
    errors = np.sqrt(np.diag(np.linalg.inv(np.array([[aa, ab], [ab, bb]]))))
    log_scale, log_shape = map(float, found.x)
    return Weibull(math.exp(middle + log_scale), math.exp(log_shape), float(errors[0]), float(errors[1]))


def _estimates(
    slopes: list[Population], lifetimes: Weibull | None, noise: float, freedom: int
) -> tuple[Estimate, ...]:
    made = [
        Estimate(name=name, value=one.mean, error=one.mean_error, scale=max(abs(one.mean), 0.1))
        for name, one in zip(("reset slope", "set slope"), slopes, strict=True)
    ]
    made.append(Estimate(name="level noise", value=noise, error=noise / math.sqrt(2 * max(freedom, 1))))
    if lifetimes is not None:
        log_scale, log_shape = math.log(lifetimes.scale), math.log(lifetimes.shape)
        made += [
            Estimate(name="ln lifetime", value=log_scale, error=lifetimes.scale_error, scale=3.0),
            Estimate(name="ln shape", value=log_shape, error=lifetimes.shape_error, scale=3.0),
        ]
    return tuple(made)


def _points(cells: list[_Cell], lines: list[tuple[_Line, _Line]]) -> Points:
    parts = []
    for n, (c, pair) in enumerate(zip(cells, lines, strict=True)):
        for level, line in zip((c.low, c.high), pair, strict=True):
            x = c.cycle[: c.alive]
            parts.append(
                (x, level[: c.alive], np.exp(line.start + line.slope * np.log(x)), np.full(len(x), float(n)))
            )
    x, measured, fitted, series = (np.concatenate(column) for column in zip(*parts, strict=True))
    return {"x": x, "measured": measured, "fitted": fitted, "residual": measured - fitted, "series": series}


def _notes(cells: list[_Cell], lifetimes: Weibull | None) -> tuple[str, ...]:
    failed = sum(c.failed for c in cells)
    told = [f"{failed} of {len(cells)} cells failed"]
    if lifetimes is None:
        told.append("fewer than two cells failed: the device has no lifetimes")
    return tuple(told)
