"""Retention at several temperatures: drift that heat accelerates, by its activation energy."""

from __future__ import annotations

import math
import re
from typing import ClassVar, NamedTuple

import numpy as np

from mho.config import Positive, config
from mho.devices.effects.drifting import Drifting
from mho.devices.effects.heat import BOLTZMANN_EV
from mho.devices.error_laws import Independent, Proportional
from mho.devices.exponents import ConstantNu, Exponent, SignedNu
from mho.devices.fitting.base import Estimate, Measurement, Outcome, Points, span
from mho.devices.fitting.heads import KELVIN, Unit
from mho.devices.fitting.least_squares import FitSolution, r_squared, solve
from mho.devices.fitting.naming import Columns
from mho.devices.fitting.population import Population, population
from mho.devices.fitting.siemens import V_READ, Reading, cell_column, conductances
from mho.devices.fitting.tables import CELL, TIME, Array, MeasuredTable, Quantity
from mho.devices.generic import Generic

TEMPERATURE = Quantity(("temperature", "temp", "t", "bake temperature", "kelvin", "celsius", ""), "K")
ZERO_CELSIUS = 273.15  # kelvin
_CELSIUS = re.compile(r"°\s*c|deg\w*\s*c|celsius|[_\s(\[/]c[)\]]?\s*$", re.IGNORECASE)
_IN_HEAD = re.compile(r"(?<![\d.])(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>°?\s*c|k)(?![a-z])", re.IGNORECASE)
_FEW = 2.0  # standard deviations of the exponent from 0, below which some cells rise
NAMES = ("nu", "ln tau", "activation")


class _Baked(NamedTuple):
    """Reads of all cells, one behind the other.

    Attributes:
        cell: number of the cell of each read.
        time: seconds since programming.
        kelvin: at which the cell was kept.
        log_g: logarithm of its conductance.
    """

    cell: Array
    time: Array
    kelvin: Array
    log_g: Array

    def heat(self, activation: float, reference: float) -> Array:
        """How many times faster than at the reference temperature each read's time went."""
        return np.asarray(
            np.exp(activation / BOLTZMANN_EV * (1 / reference - 1 / self.kelvin)), dtype=np.float64
        )

    def centred(self, values: Array) -> Array:
        """Values less the mean of their cell."""
        index = self.cell.astype(int)
        means = np.bincount(index, values) / np.bincount(index)
        return np.asarray(values - means[index], dtype=np.float64)


@config
class Bake(Measurement):
    """Conductance over time at several temperatures; gives a cell whose drift heat accelerates.

    Each cell falls as ``g(t) = g (1 + t a(T) / tau)^-nu`` with ``a = exp(E / k (1/T_ref - 1/T))``: one
    activation energy for all, an exponent for each cell. ``nu``, ``tau`` (at the reference) and ``E`` are
    those of least squares of ln g, each cell with a start of its own; their covariance lets the reads of one
    cell be alike (K.-Y. Liang and S. L. Zeger, Biometrika 73, 13, 1986). The spread of the exponents over
    cells is that of restricted maximum likelihood, what is left around each cell's curve the read noise. A
    read before the bake, at t = 0, tells ``tau`` best.

    Source: Arrhenius' law, as retention is accelerated in JEDEC JESD22-A117.

    Layouts: columns ``time_s``, ``temperature_C`` (or ``_K``) and ``conductance_S`` (or ``resistance_ohm``,
    or ``current_A``), with ``cell``; or ``time_s`` and a column for each cell, whose head says its
    temperature, ``85C_uS``, ``cell 3 at 125 °C (kohm)``.

    Attributes:
        reference: temperature that ``tau`` is told for, and at which the device is, kelvin.
        unit: of the cells, for a table whose heads have none: ``"uS"``, ``"kohm"``, ``"nA"``, or the siemens
            of the number 1 (1e-6: microsiemens).
        v_read: read voltage, volts; currents are divided by it, unless a column says it; None: 0.2 for the
            device.
        columns: what columns hold that their heads do not say, by head or number from 1:
            ``{"time": "x-axis", "current_mA": 3}``.
    """

    remedy: ClassVar[str] = (
        "measure at more temperatures, longer, or before the bake too (a read at a time of 0)"
    )

    reference: Positive = 300.0
    unit: Unit = 1.0
    v_read: Positive | None = None
    columns: Columns = ()

    @property
    def labels(self) -> tuple[str, str]:
        """Time at the reference temperature and conductance."""
        return "time at the reference temperature (s)", "conductance (S)"

    def evaluate(self, table: MeasuredTable) -> Outcome:
        """See :meth:`Measurement.evaluate`."""
        baked = self._read(table)
        found = self._solved(table, baked)
        nu, log_tau, activation = map(float, found.values)
        grown = self._grown(baked, log_tau, activation)
        spread, log_g, noise = _exponents(baked, grown)
        law: Exponent = ConstantNu(mean=nu, std=spread.std)
        if nu < _FEW * spread.std:
            law = SignedNu(law=law)
        v_read = V_READ if self.v_read is None else self.v_read
        top = float(np.exp(log_g.max()))
        cell = Generic(
            g_max=top, v_read=v_read, program=Independent(sigma=0.0), read=Proportional(sigma=noise)
        )
        device = Drifting(
            device=cell,
            nu=law,
            t0=math.exp(log_tau),
            activation=activation,
            reference=self.reference,
            kelvin=self.reference,
        )
        points = _points(baked, grown, nu, baked.time * baked.heat(activation, self.reference))
        return Outcome(
            device,
            self._estimates(found, spread, noise, len(baked.time) - 2 * len(log_g)),
            (span("time", baked.time, "s"), span("temperature", baked.kelvin, "K")),
            points,
            noise,
            r_squared(baked.centred(baked.log_g), -nu * baked.centred(grown)),
            None,
            found.correlation,
            (f"extrapolated to other temperatures by one activation energy, {activation:.3g} eV",),
            ("the spread of the cells at the start: their targets are not known",),
        )

    # --- reading ---------------------------------------------------------------------------------

    def _read(self, table: MeasuredTable) -> _Baked:
        place = table.only(TIME)
        if place is None:
            raise table.missing(TIME)
        time = table.si(place)
        for line, t in zip(table.lines(), time, strict=True):
            if t < 0:
                raise ValueError(
                    f"{table.name}, line {line}: a time of {t:g} s; times count from programming"
                )
        how = Reading(self.unit, self.v_read, steady=True)
        kelvin = table.only(TEMPERATURE)
        baked = self._wide(table, time, how) if kelvin is None else self._long(table, time, kelvin, how)
        if len(np.unique(baked.kelvin)) < 2:
            raise ValueError(
                f"{table.name}: one temperature ({baked.kelvin[0]:g} K); an activation energy needs at least "
                "two. Retention() fits one"
            )
        return baked

    def _long(self, table: MeasuredTable, time: Array, place: int, how: Reading) -> _Baked:
        column = cell_column(table, TEMPERATURE)
        g = conductances(table, how, column)
        kelvin = _kelvin(table, place)
        names = table.texts(CELL) if table.has(CELL) else [f"{k:g}" for k in kelvin]
        order = {name: n for n, name in enumerate(dict.fromkeys(names))}
        return _checked(table, np.array([order[n] for n in names], dtype=np.float64), time, kelvin, g)

    def _wide(self, table: MeasuredTable, time: Array, how: Reading) -> _Baked:
        said = {k: said_kelvin(head) for k, head in enumerate(table.columns)}
        places = [k for k, kelvin in said.items() if kelvin is not None]
        if not places:
            raise ValueError(
                f"{table.name}: no column of temperatures, and no head says one; add temperature_C, or "
                "name the "
                f"cells by it, 85C_uS{table.option(TEMPERATURE)}"
            )
        parts = [(n, said[k], conductances(table, how, k, blanks=True)) for n, k in enumerate(places)]
        cell = np.concatenate([np.full(len(time), float(n)) for n, _, _ in parts])
        kelvin = np.concatenate([np.full(len(time), float(t or 0.0)) for _, t, _ in parts])
        g = np.concatenate([column for _, _, column in parts])
        kept = ~np.isnan(g)
        return _checked(table, cell[kept], np.tile(time, len(parts))[kept], kelvin[kept], g[kept])

    # --- the law ---------------------------------------------------------------------------------

    def _grown(self, baked: _Baked, log_tau: float, activation: float) -> Array:
        """``ln(1 + t a / tau)`` of each read."""
        heat = baked.heat(activation, self.reference)
        return np.asarray(np.log1p(baked.time * heat * math.exp(-log_tau)), dtype=np.float64)

    def _solved(self, table: MeasuredTable, baked: _Baked) -> FitSolution:
        y = baked.centred(baked.log_g)

        def residuals(values: Array) -> Array:
            return y + float(values[0]) * baked.centred(
                self._grown(baked, float(values[1]), float(values[2]))
            )

        longest = math.log(float(baked.time.max()))
        starts = [(0.05, longest - a, e) for a in (2.0, 6.0, 10.0, 16.0) for e in (0.2, 0.6, 1.2)]
        best = min(starts, key=lambda start: float(np.square(residuals(np.array(start))).sum()))
        bounds = ((-5.0, longest - 60.0, -1.0), (5.0, longest + 60.0, 6.0))
        try:
            found = solve(residuals, best, NAMES, bounds=bounds)
        except ValueError as error:
            raise ValueError(f"{table.name}: {error}; {self.remedy}") from None
        return found._replace(covariance=_by_cell(residuals, found, baked.cell))

    def _estimates(
        self, found: FitSolution, spread: Population, noise: float, freedom: int
    ) -> tuple[Estimate, ...]:
        values, errors = found.values, found.errors
        tau = math.exp(float(values[1]))
        return (
            Estimate(name="nu", value=float(values[0]), error=float(errors[0])),
            Estimate(name="nu_std", value=spread.std, error=spread.std_error, scale=max(spread.std, 0.1)),
            Estimate(name="ln tau", value=float(values[1]), error=float(errors[1]), scale=5.0),
            Estimate(name="tau", value=tau, error=tau * float(errors[1]), unit="s", scale=10 * tau),
            Estimate(name="activation", value=float(values[2]), error=float(errors[2]), unit="eV", scale=0.5),
            Estimate(name="read noise", value=noise, error=noise / math.sqrt(2 * max(freedom, 1))),
        )


def _checked(table: MeasuredTable, cell: Array, time: Array, kelvin: Array, g: Array) -> _Baked:
    if bool((g <= 0).any()):
        raise ValueError(
            f"{table.name}: a conductance of 0; a power law never reaches it: leave the cell out"
        )
    reads = np.bincount(cell.astype(int))
    if reads.min() < 3:
        raise ValueError(f"{table.name}: a cell with {reads.min()} reads; each needs at least 3")
    return _Baked(cell, time, kelvin, np.log(g))


def _kelvin(table: MeasuredTable, place: int) -> Array:
    head, values = table.heads[place], table.numbers(place)
    celsius = bool(_CELSIUS.search(table.columns[place])) or bool(_CELSIUS.search(head.text))
    if not celsius and head.unit != KELVIN and float(values.min()) < 200:
        raise ValueError(
            f"{table.name}: temperatures from {values.min():g}; are they kelvins or degrees Celsius? Name "
            "the "
            "column temperature_C or temperature_K"
        )
    return values + (ZERO_CELSIUS if celsius else 0.0)


def said_kelvin(head: str) -> float | None:
    """The temperature in the head of a cell, kelvin; None for none."""
    match = _IN_HEAD.search(head)
    if match is None:
        return None
    return float(match["number"]) + (0.0 if match["unit"].lower() == "k" else ZERO_CELSIUS)


def _by_cell(residuals: object, found: FitSolution, cell: Array) -> Array:
    """Covariance that lets the reads of one cell be alike: a sum of squares over cells."""
    assert callable(residuals)
    steps = 1e-4 * np.maximum(np.abs(found.values), 0.1)
    j = np.stack(
        [(residuals(found.values + h) - residuals(found.values - h)) / (2 * h.sum()) for h in np.diag(steps)],
        1,
    )
    inverse = np.linalg.inv(j.T @ j)
    index, r = cell.astype(int), residuals(found.values)
    scores = np.stack([np.bincount(index, j[:, k] * r) for k in range(j.shape[1])], 1)
    cells, points, count = len(scores), len(r), j.shape[1]
    small = cells / max(cells - count, 1) * (points - 1) / max(points - count, 1)
    return np.asarray(small * inverse @ (scores.T @ scores) @ inverse, dtype=np.float64)


def _exponents(baked: _Baked, grown: Array) -> tuple[Population, Array, float]:
    """The population of the exponents, the start of each cell (ln S), and the noise of a read."""
    index = baked.cell.astype(int)
    x, y = baked.centred(grown), baked.centred(baked.log_g)
    squares = np.bincount(index, x * x)
    nu = -np.bincount(index, x * y) / squares
    left = y + nu[index] * x
    noise = math.sqrt(float(left @ left) / max(len(y) - 2 * len(nu), 1))
    counts = np.bincount(index)
    start = np.bincount(index, baked.log_g) / counts + nu * np.bincount(index, grown) / counts
    return population(nu, noise**2 / squares), start, noise


def _points(baked: _Baked, grown: Array, nu: float, time: Array) -> Points:
    index = baked.cell.astype(int)
    start = (np.bincount(index, baked.log_g + nu * grown) / np.bincount(index))[index]
    measured, fitted = np.exp(baked.log_g), np.exp(start - nu * grown)
    return {
        "x": np.maximum(time, 1e-3),
        "measured": measured,
        "fitted": fitted,
        "residual": measured - fitted,
        "series": baked.cell,
        "kelvin": baked.kelvin,
    }
