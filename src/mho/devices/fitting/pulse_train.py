"""Conductance against the number of identical pulses: potentiation and depression."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from mho.config import Count, Finite, Positive, config, later
from mho.devices.dynamics.linear_step import LinearStep
from mho.devices.fitting.base import Estimate, Measurement, Outcome, Points, check_explained, span
from mho.devices.fitting.heads import Unit
from mho.devices.fitting.least_squares import r_squared
from mho.devices.fitting.naming import Columns
from mho.devices.fitting.pulse_law import (
    FAR,
    NAMES,
    Branch,
    Sweep,
    fitted_branch,
    non_linearity,
    together,
)
from mho.devices.fitting.siemens import Reading, cell_column, check_alike, conductances
from mho.devices.fitting.tables import VOLTAGE, Array, MeasuredTable, Quantity
from mho.devices.fitting.trains import (
    DOWN,
    PULSE,
    UP,
    by_sign,
    cells_of,
    counted,
    from_zero,
    joined,
    train_columns,
    turns,
    two_columns,
)

WORDLINE, BITLINE = Quantity(("wordline", "wl", "word line"), ""), Quantity(("bitline", "bl", "bit line"), "")
WIDTH = Quantity(("pulse width", "pulsewidth", "width"), "s")
NDBool = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
_ALIKE = 1e-3  # of the largest: pulses of amplitudes or lengths that differ by less are identical
V_READ = 0.1  # volts, of a model whose read voltage is not told
_BENT = (
    4.0  # error of a curvature near 0 that leaves no shape: from e^-4 to e^4 of the first step at the last
)


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
    sign or by ``up`` and ``down``, are fitted together, and so are columns ``cycle 1``, ``cycle 2`` ...
    Other columns of conductances are of a cell each, and a column ``cell`` or ``device`` names the cell of a
    row: each cell has a fit of its own, and the model is the mean cell, with the noise within cells; the
    spread over cells (restricted maximum likelihood) is reported.

    Source: P.-Y. Chen, X. Peng, S. Yu, IEEE TCAD 37, 3067 (2018).

    Attributes:
        unit: of the cells, for a table whose heads have none: ``"uS"``, ``"kohm"``, ``"nA"``, or the siemens
            of the number 1 (1e-6: microsiemens).
        zero: the number that means no conductance, for normalised weights.
        up: the first so many points of each cycle in a column rise; None: all go one way (a column that goes
            both ways is refused).
        down: so many fall before it rises again; None: all the others, or as many as rise where these go both
            ways.
        cell: (word line, bit line) of the cell, where the table has several.
        width: length of a pulse, seconds; None: that of the table, or 1e-6.
        v_up, v_down: amplitude of the pulses that raise and that lower the conductance, volts, of opposite
            signs; None: those of the table, or 1 and -1.
        v_read: read voltage, volts; currents are divided by it, unless a column says it; None: 0.1 for the
            model.
        columns: what columns hold that their heads do not say, by head or number from 1:
            ``{"time": "x-axis", "current_mA": 3}``.
    """

    remedy: ClassVar[str] = (
        "measure more pulses, over a larger part of the way, or leave out what is no part of the train"
    )

    unit: Unit = 1.0
    zero: Finite = 0.0
    up: Count | None = None
    down: Count | None = later(default=None)
    cell: tuple[int, int] | None = None
    width: Positive | None = None
    v_up: Finite | None = None
    v_down: Finite | None = None
    v_read: Positive | None = None
    columns: Columns = later(default=())

    @property
    def labels(self) -> tuple[str, str]:
        """Pulse number and conductance."""
        return "pulse", "conductance (S)"

    def evaluate(self, table: MeasuredTable) -> Outcome:
        """See :meth:`Measurement.evaluate`."""
        cells = [self._branches(part) for part in cells_of(table)]
        branches = cells[0] if len(cells) == 1 else _mean_cell(table, cells)
        for name, branch in branches.items():
            names = [f"{name}.{of}" for of in NAMES]
            explained = r_squared(branch.sweep.g, branch.fitted)
            check_explained(table.name, names, explained, len(branch.fitted), self.remedy)
        _check_directions(table, branches)
        points = _points(branches)
        residuals, fitted = points["residual"], points["fitted"]
        freedom = sum(len(b.fitted) - 3 * len(cells) for b in branches.values())
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
            _left_out(branches),
        )

    # --- reading ---------------------------------------------------------------------------------

    def _branches(self, table: MeasuredTable) -> dict[str, Branch]:
        """The laws of one cell, by direction."""
        rising, falling = self._sweeps(table)
        return {
            name: fitted_branch(sweep, f"{table.name}, {name}")
            for name, sweep in (("up", rising), ("down", falling))
            if len(sweep.g)
        }

    def _sweeps(self, table: MeasuredTable) -> tuple[Sweep, Sweep]:
        two = two_columns(table)
        if two is not None:
            check_alike(table, list(two))
            rising, falling = (counted(conductances(table, self._how, k, blanks=True)) for k in two)
            return rising, falling
        cycles = train_columns(table)
        if cycles:
            both = [self._one_train(table, conductances(table, self._how, k, blanks=True)) for k in cycles]
            return joined([up for up, _ in both]), joined([down for _, down in both])
        return self._one_train(table, self._one_column(table))

    def _one_train(self, table: MeasuredTable, g: Array) -> tuple[Sweep, Sweep]:
        """The pulses up and down of a column of conductances."""
        keep = self._rows(table) & ~np.isnan(g)
        pulse = table.take(PULSE) if table.has(PULSE) else np.arange(len(g), dtype=np.float64)
        pulse, g = pulse[keep], g[keep]
        width = table.take(WIDTH)[keep] if table.has(WIDTH) else None
        if table.has(VOLTAGE):
            return by_sign(pulse if table.has(PULSE) else None, g, table.take(VOLTAGE)[keep], width)

        def part(first: int, last: int) -> Sweep:
            some = slice(first, last)
            return from_zero(pulse[some], g[some])._replace(width=None if width is None else width[some])

        cycles = turns(table.name, g, self.up, self.down)
        return joined([part(a, b) for a, b, _ in cycles]), joined([part(b, c) for _, b, c in cycles])

    @property
    def _how(self) -> Reading:
        return Reading(self.unit, self.v_read, self.zero)

    def _one_column(self, table: MeasuredTable) -> Array:
        if table.headed or len(table.columns) > 1:
            return conductances(table, self._how, cell_column(table, UP, DOWN))
        return conductances(table, self._how, 0, blanks=True)

    def _rows(self, table: MeasuredTable) -> NDBool:
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

    def _model(self, branches: dict[str, Branch]) -> LinearStep:
        ends = [float(v) for b in branches.values() for v in b.solution.values[:2]]
        high = max(ends)
        low = (
            min(ends)
            if min(ends) > 0
            else min(float(b.sweep.g[b.sweep.g > 0].min()) for b in branches.values())
        )
        lengths = {n: b.sweep.length for n, b in branches.items() if b.sweep.length is not None}
        width = self.width or next(iter(lengths.values()), 1e-6)
        volts = {n: b.sweep.threshold for n, b in branches.items() if b.sweep.threshold is not None}
        v_up = self.v_up or volts.get("up", -volts["down"] if "down" in volts else 1.0)
        v_down = self.v_down or volts.get("down", -v_up if self.v_up or "up" in volts else -1.0)
        found: dict[str, float] = {}
        for name, branch in branches.items():
            start = float(branch.solution.values[0])
            step, slope = branch.step, branch.slope
            step = step + slope * (start - low) if name == "up" else -step + slope * (high - start)
            part = 1.0 if self.width else width / (branch.sweep.length or width)  # of its own pulse
            found[f"step_{name}"], found[f"slope_{name}"] = part * max(step, 0.0), part * slope
            found[f"noise_{name}"] = branch.scatter.std
            found[f"memory_{name}"] = branch.scatter.memory**part
        missing = {f"{k}_{name}": 0.0 for name in ("up", "down") for k in ("step", "slope")}
        ends_and_pulses = {"g_low": low, "g_high": high, "width": width, "v_up": v_up, "v_down": v_down}
        v_read = V_READ if self.v_read is None else self.v_read
        return LinearStep(**ends_and_pulses, **(missing | found), v_read=v_read)


def _mean_cell(table: MeasuredTable, cells: list[dict[str, Branch]]) -> dict[str, Branch]:
    """The laws of the mean of several cells."""
    if any(set(cell) != set(cells[0]) for cell in cells):
        raise ValueError(f"{table.name}: some cells have pulses up and down, others of one direction only")
    return {name: together([cell[name] for cell in cells]) for name in cells[0]}


def _check_directions(table: MeasuredTable, branches: dict[str, Branch]) -> None:
    for name, sign in (("up", 1), ("down", -1)):
        if name in branches:
            first, last, _ = branches[name].solution.values
            if sign * (last - first) <= 0:
                raise ValueError(
                    f"{table.name}: the train {name!r} goes from {first:g} S to {last:g} S, the other way; "
                    "are the columns swapped?"
                )


def _estimates(name: str, branch: Branch) -> tuple[Estimate, ...]:
    values, errors = branch.solution.values, branch.solution.errors
    c, h = float(values[2]), 1e-3
    bent = abs(non_linearity(c + h) - non_linearity(c - h)) / (2 * h)
    noise, freedom, memory = branch.solution.noise, len(branch.fitted) - 3, branch.scatter.memory
    alike = math.sqrt((1 + memory**2) / (1 - memory**2))  # deviations that are alike tell less of their size
    noise_error = min(alike * noise / math.sqrt(2 * freedom), noise)
    if branch.scatter.std_error is not None:
        noise, noise_error = branch.scatter.std, branch.scatter.std_error
    way, most = abs(float(values[1] - values[0])) / 2, max(abs(c), _BENT)

    def siemens(of: str, value: float, error: float, scale: float = way) -> Estimate:
        return Estimate(name=f"{name}.{of}", value=value, error=error, unit="S", scale=scale)

    spread = [
        Estimate(
            name=f"{name}.{of}_std",
            value=one.std,
            error=one.std_error,
            unit=unit,
            scale=max(one.std, scale),
        )
        for of, unit, scale, one in zip(NAMES, ("S", "S", ""), (way, way, most), branch.spread, strict=False)
    ]

    def number(of: str, value: float, error: float, scale: float) -> Estimate:
        return Estimate(name=f"{name}.{of}", value=value, error=error, scale=scale)

    return (
        siemens("g_first", float(values[0]), float(errors[0])),
        siemens("g_last", float(values[1]), float(errors[1])),
        number("curvature", c, float(errors[2]), most),
        number("non_linearity", non_linearity(c), bent * float(errors[2]), max(bent, 1.0) * most),
        *spread,
        siemens("noise", noise, noise_error, noise),
        number("memory", memory, branch.scatter.memory_error, 1.0),
    )


def _points(branches: dict[str, Branch]) -> Points:
    parts = [(1.0 if name == "up" else -1.0, b) for name, b in branches.items()]
    return {
        "x": np.concatenate([b.sweep.pulse for _, b in parts]),
        "measured": np.concatenate([b.sweep.g for _, b in parts]),
        "fitted": np.concatenate([b.fitted for _, b in parts]),
        "residual": np.concatenate([b.sweep.g - b.fitted for _, b in parts]),
        "series": np.concatenate([np.full(len(b.fitted), sign) for sign, b in parts]),
    }


def _left_out(branches: dict[str, Branch]) -> tuple[str, ...]:
    """What the trains show and the model has not."""
    found = []
    for name, branch in branches.items():
        scatter, sweep = branch.scatter, branch.sweep
        if branch.spread:
            first, last, curvature = (one.std for one in branch.spread)
            found.append(
                f"the spread of the cells in pulses {name} (standard deviation {first:.2g} S at the first, "
                f"{last:.2g} S at the last pulse, {curvature:.2g} of the curvature)"
            )
        if scatter.trend > 0:
            found.append(f"the trend that the law leaves in pulses {name} ({scatter.trend:.2g} S)")
        if scatter.halves is not None:
            low, high = scatter.halves
            found.append(
                f"the change of the noise of pulses {name} (from {low:.2g} S at low to {high:.2g} S at high "
                "conductances)"
            )
        for values, what, unit in ((sweep.volts, "voltage", "V"), (sweep.width, "width", "s")):
            if values is not None and float(np.ptp(values)) > _ALIKE * float(np.abs(values).max()):
                found.append(
                    f"the effect of the {what} of pulses {name} ({values.min():g} to {values.max():g} {unit} "
                    "count as alike)"
                )
    return tuple(found)


def _notes(branches: dict[str, Branch]) -> tuple[str, ...]:
    notes = []
    for name, branch in branches.items():
        if branch.solution.correlation > 2 / math.sqrt(len(branch.fitted)):
            notes.append(
                f"{name}: neighbouring residuals are alike (correlation {branch.solution.correlation:.2f}): "
                "the law leaves a trend, or the noise adds up from pulse to pulse; "
                "the errors are widened for it, and the noise of the model is alike from pulse to pulse too"
            )
        if min(branch.solution.values[:2]) <= 0:
            notes.append(
                f"{name}: the fitted law begins at 0 S or below; the model's g_low is the least measured"
            )
        if abs(float(branch.solution.values[2])) > FAR:
            notes.append(f"{name}: almost all of the change is in the first pulses; the curvature is a bound")
    if len(branches) == 1:
        notes.append(
            f"only pulses {next(iter(branches))} were measured; the model does not move the other way"
        )
    return tuple(notes)
