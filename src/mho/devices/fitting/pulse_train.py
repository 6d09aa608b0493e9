"""Conductance against the number of identical pulses: potentiation and depression."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mho.config import Count, Finite, Positive, config
from mho.devices.dynamics._numbers import Negative
from mho.devices.dynamics.linear_step import LinearStep
from mho.devices.fitting.base import Estimate, Measurement, Outcome, Points, span
from mho.devices.fitting.heads import Unit
from mho.devices.fitting.least_squares import Solution, r_squared, solve
from mho.devices.fitting.siemens import Reading, cell_column, check_alike, conductances
from mho.devices.fitting.tables import VOLTAGE, Array, Quantity, Table

PULSE = Quantity(("pulse", "pulses", "n"), "")
UP, DOWN = Quantity(("up", "ltp", "potentiation"), "S"), Quantity(("down", "ltd", "depression"), "S")
WORDLINE, BITLINE = Quantity(("wordline", "wl", "word line"), ""), Quantity(("bitline", "bl", "bit line"), "")
WIDTH = Quantity(("pulse width", "pulsewidth", "width"), "s")
NDBool = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
_TURN = 0.15  # of the range of the conductances: a change back that noise does not explain
V_READ = 0.1  # volts, of a model whose read voltage is not told
_FAR = 60.0  # largest curvature looked for: all the change within the first pulses


class _Sweep(NamedTuple):
    """Pulses of one direction: number of the pulse, counted from the first point, and conductance."""

    pulse: Array
    g: Array


class _Branch(NamedTuple):
    """The fitted law of one direction."""

    sweep: _Sweep
    solution: Solution
    fitted: Array
    pulses: float

    @property
    def slope(self) -> float:
        """Loss of the step for each siemens moved, 1/pulse."""
        return float(self.solution.values[2]) / self.pulses

    @property
    def step(self) -> float:
        """Change of the conductance at the first point, siemens for each pulse."""
        first, last, c = map(float, self.solution.values)
        return (last - first) / self.pulses * (c / -math.expm1(-c) if abs(c) > 1e-6 else 1 + c / 2)


@config
class PulseTrain(Measurement):
    """Conductance after each of many identical pulses; gives a :class:`~mho.devices.dynamics.LinearStep`.

    The law of each direction, with p the pulse number over the last one, from 0 to 1, is::

        g(p) = g_first + (g_last - g_first) (1 - exp(-c p)) / (1 - exp(-c))

    Reported are ``g_first``, ``g_last``, the curvature ``c`` (0: a straight line; negative: the steps grow),
    the non-linearity label of NeuroSim, and the noise. The label is 1/0.07 of the largest distance of the
    normalised curve from its diagonal: with A = 1/c and B = 1/(1 - exp(-c)) it is
    ``(B - A - A ln(B/A)) sqrt(2) / 0.14``.

    Layouts: two columns ``up`` and ``down`` (with or without heads, as in the examples of aihwkit; one may
    be longer); a column ``conductance_S`` (or ``resistance_ohm``), in order of time, perhaps with ``pulse``;
    the same with ``voltage_V``, whose sign is the direction of each pulse (rows at 0 V, or with a
    ``pulse width`` of 0, are no pulses); with ``wordline`` and ``bitline``, name the cell (the raw logs of
    ArC instruments, with their heads or without). Several trains one after the other, told apart by the
    sign, are fitted together.

    Source: P.-Y. Chen, X. Peng, S. Yu, IEEE TCAD 37, 3067 (2018).

    Attributes:
        unit: of the cells, for a table whose heads have none: ``"uS"``, ``"kohm"``, ``"nA"``, or the siemens
            of the number 1 (1e-6: microsiemens).
        zero: the number that means no conductance, for normalised weights.
        up: the first so many points of a single column rise, the others fall; None: all go one way (a column
            that goes both ways is refused).
        cell: (word line, bit line) of the cell, where the table has several.
        width: length of a pulse, seconds.
        v_up, v_down: amplitude of the pulses, volts.
        v_read: read voltage, volts; currents are divided by it, unless a column says it; None: 0.1 for the
            model.
    """

    unit: Unit = 1.0
    zero: Finite = 0.0
    up: Count | None = None
    cell: tuple[int, int] | None = None
    width: Positive = 1e-6
    v_up: Positive = 1.0
    v_down: Negative = -1.0
    v_read: Positive | None = None

    @property
    def labels(self) -> tuple[str, str]:
        """Pulse number and conductance."""
        return "pulse", "conductance (S)"

    def evaluate(self, table: Table) -> Outcome:
        """See :meth:`Measurement.evaluate`."""
        rising, falling = self._sweeps(table)
        branches = {
            name: _fitted(sweep, f"{table.name}, {name}")
            for name, sweep in (("up", rising), ("down", falling))
            if len(sweep.g)
        }
        _check_directions(table, branches)
        points = _points(branches)
        residuals, fitted = points["residual"], points["fitted"]
        freedom = sum(len(b.fitted) - 3 for b in branches.values())
        worst = max((b.solution.correlation for b in branches.values()), key=abs)
        return Outcome(
            self._model(branches),
            tuple(estimate for name, branch in branches.items() for estimate in _estimates(name, branch)),
            (span("conductance", points["measured"], "S"), span("pulse", points["x"])),
            points,
            math.sqrt(float(residuals @ residuals) / freedom),
            r_squared(points["measured"], fitted),
            None,
            worst,
            _notes(branches),
        )

    # --- reading ---------------------------------------------------------------------------------

    def _sweeps(self, table: Table) -> tuple[_Sweep, _Sweep]:
        two = _two_columns(table)
        if two is not None:
            check_alike(table, list(two))
            rising, falling = (_counted(conductances(table, self._how, k, blanks=True)) for k in two)
            return rising, falling
        g = self._one_column(table)
        keep = self._rows(table)
        pulse = table.take(PULSE) if table.has(PULSE) else np.arange(len(g), dtype=np.float64)
        pulse, g = pulse[keep], g[keep]
        if table.has(VOLTAGE):
            return _by_sign(pulse if table.has(PULSE) else None, g, table.take(VOLTAGE)[keep])
        if self.up is None:
            _check_one_way(table, g)
            turn = len(g) if g[-1] >= g[0] else 0
        else:
            turn = min(self.up, len(g))
        return _from_zero(pulse[:turn], g[:turn]), _from_zero(pulse[turn:], g[turn:])

    @property
    def _how(self) -> Reading:
        return Reading(self.unit, self.v_read, self.zero)

    def _one_column(self, table: Table) -> Array:
        if table.headed or len(table.columns) > 1:
            return conductances(table, self._how, cell_column(table, UP, DOWN))
        return conductances(table, self._how, 0, blanks=True)

    def _rows(self, table: Table) -> NDBool:
        """The rows that are pulses of the chosen cell."""
        keep = np.ones(len(table.rows), dtype=bool)
        if table.has(WORDLINE) and table.has(BITLINE):
            cells = list(zip(table.take(WORDLINE).astype(int), table.take(BITLINE).astype(int), strict=True))
            known = sorted({(int(w), int(b)) for w, b in cells})
            if self.cell is None and len(known) > 1:
                raise ValueError(
                    f"{table.name}: {len(known)} cells, such as {known[0]}; say which: "
                    "cell = (wordline, bitline)"
                )
            cell = known[0] if self.cell is None else self.cell
            if cell not in known:
                raise ValueError(f"{table.name}: no cell {cell}; there are {known[:10]}")
            keep &= np.array([(int(w), int(b)) == cell for w, b in cells])
        if table.has(VOLTAGE):
            keep &= table.take(VOLTAGE) != 0
        if table.has(WIDTH):
            keep &= table.take(WIDTH) > 0
        if not keep.any():
            raise ValueError(f"{table.name}: no row is a pulse (voltage and pulse width other than 0)")
        return keep

    # --- the model -------------------------------------------------------------------------------

    def _model(self, branches: dict[str, _Branch]) -> LinearStep:
        ends = [float(v) for b in branches.values() for v in b.solution.values[:2]]
        high = max(ends)
        low = (
            min(ends)
            if min(ends) > 0
            else min(float(b.sweep.g[b.sweep.g > 0].min()) for b in branches.values())
        )
        up, down = branches.get("up"), branches.get("down")
        rise = 0.0 if up is None else up.step + up.slope * (float(up.solution.values[0]) - low)
        fall = 0.0 if down is None else -down.step + down.slope * (high - float(down.solution.values[0]))
        return LinearStep(
            g_low=low,
            g_high=high,
            step_up=max(rise, 0.0),
            step_down=max(fall, 0.0),
            slope_up=0.0 if up is None else up.slope,
            slope_down=0.0 if down is None else down.slope,
            width=self.width,
            v_up=self.v_up,
            v_down=self.v_down,
            v_read=V_READ if self.v_read is None else self.v_read,
        )


def curve(p: Array, c: float) -> Array:
    """The normalised law ``(1 - exp(-c p)) / (1 - exp(-c))``, p from 0 to 1; the diagonal at c = 0."""
    if abs(c) < 1e-5:
        return np.asarray(p * (1 + 0.5 * c * (1 - p)), dtype=np.float64)
    return np.asarray(np.expm1(-c * p) / math.expm1(-c), dtype=np.float64)


def non_linearity(c: float) -> float:
    """The label of NeuroSim, signed like the curvature ``c``.

    >>> round(non_linearity(1 / 0.499181), 3)
    2.4
    """
    size = abs(c)
    if size < 0.01:
        return c / 8 * math.sqrt(2) / 0.14
    a, b = 1 / size, -1 / math.expm1(-size)
    return math.copysign((b - a - a * math.log(b / a)) * math.sqrt(2) / 0.14, c)


def _check_one_way(table: Table, g: Array) -> None:
    """Raise ``ValueError`` at a train that clearly rises and then falls, or falls and then rises."""
    width = max(1, len(g) // 20)
    if len(g) < 3 * width:
        return
    smooth = np.convolve(g, np.ones(width) / width, mode="valid")
    span_, noise = float(np.ptp(smooth)), 0.0
    if len(g) > 4:
        noise = float(np.median(np.abs(np.diff(g, 2)))) / 0.6745 / math.sqrt(6 * width)
    for sign, words in ((1.0, ("rises", "falls")), (-1.0, ("falls", "rises"))):
        peak = int(np.argmax(sign * smooth))
        there, back = (abs(float(smooth[peak] - smooth[end])) for end in (0, -1))
        if min(there, back) > max(_TURN * span_, 6 * noise):
            raise ValueError(
                f"{table.name}: the conductance {words[0]} for about {peak + width // 2 + 1} points and then "
                f"{words[1]}; say which pulses go up: up = how many of the first points, a column voltage_V "
                "with the sign of each pulse, or two columns up and down"
            )


def _two_columns(table: Table) -> tuple[int, int] | None:
    """Places of the columns up and down."""
    up, down = table.place(UP), table.place(DOWN)
    if up is not None and down is not None:
        return up, down
    if not table.headed and len(table.columns) == 2:
        return 0, 1
    if (up is None) != (down is None) and cell_column(table, UP, DOWN) is None:
        missing = UP if up is None else DOWN
        raise ValueError(
            f"{table.name}: no column {missing.wanted!r} beside the other direction; it has "
            f"{', '.join(map(repr, table.columns))}. A train of one direction is a column 'conductance_S'"
        )
    return None


def _counted(g: Array) -> _Sweep:
    """The points of a column, without its empty cells."""
    keep = np.flatnonzero(~np.isnan(g))
    return _from_zero(keep.astype(np.float64), g[keep])


def _from_zero(pulse: Array, g: Array) -> _Sweep:
    return _Sweep(pulse - pulse[0] if len(pulse) else pulse, g)


def _by_sign(pulse: Array | None, g: Array, voltage: Array) -> tuple[_Sweep, _Sweep]:
    """Runs of pulses of one sign; each run counts its pulses from 0."""
    runs = np.split(np.arange(len(g)), np.flatnonzero(np.diff(np.sign(voltage))) + 1)
    rising = [np.sign(np.median(g[r][-1] - g[r][0])) * np.sign(voltage[r[0]]) for r in runs if len(r) > 1]
    set_sign = 1.0 if sum(rising) >= 0 else -1.0  # which polarity raises the conductance
    parts: dict[bool, list[tuple[Array, Array]]] = {True: [], False: []}
    for r in runs:
        count = np.arange(len(r), dtype=np.float64) if pulse is None else pulse[r] - pulse[r][0]
        parts[bool(np.sign(voltage[r[0]]) == set_sign)].append((count, g[r]))
    made = []
    for up in (True, False):
        some = parts[up] or [(np.empty(0), np.empty(0))]
        made.append(_Sweep(np.concatenate([n for n, _ in some]), np.concatenate([x for _, x in some])))
    return made[0], made[1]


def _fitted(sweep: _Sweep, name: str) -> _Branch:
    if len(sweep.g) < 5:
        raise ValueError(
            f"{name}: {len(sweep.g)} points; the law has three parameters, give at least 5 pulses"
        )
    last = float(sweep.pulse.max())
    if last <= 0 or bool((np.diff(np.unique(sweep.pulse)) <= 0).any()):
        raise ValueError(f"{name}: the pulse numbers do not rise")
    p, size = sweep.pulse / last, float(np.abs(sweep.g).max())
    y = sweep.g / size

    def law(values: Array) -> Array:
        return np.asarray(values[0] + (values[1] - values[0]) * curve(p, float(values[2])), dtype=np.float64)

    found = solve(
        lambda values: y - law(values),
        _start(p, y),
        ("g_first", "g_last", "curvature"),
        bounds=((-np.inf, -np.inf, -2 * _FAR), (np.inf, np.inf, 2 * _FAR)),
    )
    scale = np.array([size, size, 1.0])
    solution = found._replace(
        values=found.values * scale,
        covariance=found.covariance * np.outer(scale, scale),
        residuals=found.residuals * size,
        noise=found.noise * size,
    )
    return _Branch(sweep, solution, law(found.values) * size, last)


def _start(p: Array, y: Array) -> tuple[float, float, float]:
    """The best of many curvatures; the two ends follow by linear least squares."""
    best, start = math.inf, (float(y[0]), float(y[-1]), 0.0)
    for c in np.linspace(-_FAR, _FAR, 61):
        shape = curve(p, float(c))
        columns = np.stack([1 - shape, shape], axis=1)
        ends, *_ = np.linalg.lstsq(columns, y, rcond=None)
        error = float(((y - columns @ ends) ** 2).sum())
        if error < best:
            best, start = error, (float(ends[0]), float(ends[1]), float(c))
    return start


def _check_directions(table: Table, branches: dict[str, _Branch]) -> None:
    for name, sign in (("up", 1), ("down", -1)):
        if name in branches:
            first, last, _ = branches[name].solution.values
            if sign * (last - first) <= 0:
                raise ValueError(
                    f"{table.name}: the train {name!r} goes from {first:g} S to {last:g} S, the other way; "
                    "are the columns swapped?"
                )


def _estimates(name: str, branch: _Branch) -> tuple[Estimate, ...]:
    values, errors = branch.solution.values, branch.solution.errors
    c, h = float(values[2]), 1e-3
    bent = abs(non_linearity(c + h) - non_linearity(c - h)) / (2 * h)
    noise, freedom = branch.solution.noise, len(branch.fitted) - 3
    return (
        Estimate(name=f"{name}.g_first", value=float(values[0]), error=float(errors[0]), unit="S"),
        Estimate(name=f"{name}.g_last", value=float(values[1]), error=float(errors[1]), unit="S"),
        Estimate(name=f"{name}.curvature", value=c, error=float(errors[2])),
        Estimate(name=f"{name}.non_linearity", value=non_linearity(c), error=bent * float(errors[2])),
        Estimate(name=f"{name}.noise", value=noise, error=noise / math.sqrt(2 * freedom), unit="S"),
    )


def _points(branches: dict[str, _Branch]) -> Points:
    parts = [(1.0 if name == "up" else -1.0, b) for name, b in branches.items()]
    return {
        "x": np.concatenate([b.sweep.pulse for _, b in parts]),
        "measured": np.concatenate([b.sweep.g for _, b in parts]),
        "fitted": np.concatenate([b.fitted for _, b in parts]),
        "residual": np.concatenate([b.sweep.g - b.fitted for _, b in parts]),
        "series": np.concatenate([np.full(len(b.fitted), sign) for sign, b in parts]),
    }


def _notes(branches: dict[str, _Branch]) -> tuple[str, ...]:
    notes = []
    for name, branch in branches.items():
        if branch.solution.correlation > 2 / math.sqrt(len(branch.fitted)):
            notes.append(
                f"{name}: neighbouring residuals are alike (correlation {branch.solution.correlation:.2f}): "
                "the law leaves a trend, or the noise adds up from pulse to pulse; "
                "the errors are widened for it"
            )
        if min(branch.solution.values[:2]) <= 0:
            notes.append(
                f"{name}: the fitted law begins at 0 S or below; the model's g_low is the least measured"
            )
        if abs(float(branch.solution.values[2])) > _FAR:
            notes.append(f"{name}: almost all of the change is in the first pulses; the curvature is a bound")
    if len(branches) == 1:
        notes.append(
            f"only pulses {next(iter(branches))} were measured; the model does not move the other way"
        )
    return tuple(notes)
