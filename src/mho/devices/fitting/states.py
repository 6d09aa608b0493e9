"""Programmed states with their spread: the law of the programming error."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from mho.config import Positive, config, later
from mho.devices.error_laws import Error, Polynomial
from mho.devices.error_laws import Table as TableLaw
from mho.devices.fitting.base import Estimate, Measurement, Outcome, span
from mho.devices.fitting.bias import MeanLaw, bias_of
from mho.devices.fitting.heads import Unit
from mho.devices.fitting.least_squares import FitSolution, r_squared, solve
from mho.devices.fitting.naming import Columns
from mho.devices.fitting.siemens import (
    V_READ,
    Reading,
    cell_column,
    check_alike,
    check_conductances,
    check_stated,
    conductances,
    deviations,
    unit_text,
)
from mho.devices.fitting.tables import Array, MeasuredTable, Quantity
from mho.devices.generic import Generic

MEAN, STD = Quantity(("mean", "mu"), "S"), Quantity(("std", "sigma"), "S")
COUNT = Quantity(("count", "n", "samples"), "")
TARGET = Quantity(("target", "state", "level"), "S")
DIRECTION = Quantity(("direction", "polarity"), "")
_TELLING = 10.0  # errors of coefficients, which make up for each other, in units of the largest deviation
_UNLIKELY, _FAR = 1e-4, 0.05  # chance of results under the law, and distance from it, that are told
_ROUNDS = 4  # the weights of the points follow the fit


class Statistics(NamedTuple):
    """One row for each state, in rising order.

    Attributes:
        g: target, siemens; the mean conductance where the table has no targets.
        std: standard deviation of the programmed conductances, siemens.
        cells: how many are behind each row; None where the table does not tell.
        mean: mean conductance of each target, siemens; None where the table has no targets.
        results: each result's distance from the mean, in standard deviations; None where they are not told.
    """

    g: Array
    std: Array
    cells: Array | None
    mean: Array | None = None
    results: Array | None = None


@config
class States(Measurement):
    """Programmed states with mean and standard deviation; gives a :class:`~mho.devices.Generic`.

    The law of the programming error is ``sigma = g_max sum_i c_i (g / g_max)^i`` with g_max the largest
    state; reported are the ``c_i``. A measured standard deviation s of n cells has itself a standard error
    of about ``s / sqrt(2 (n - 1))``, which weighs the points; where the table does not tell n, it is the
    same for all states and the reduced chi^2 is not known. With n the bias of s is divided out.

    Where the table has targets, both laws are laws of the target, and the device has the bias of the means
    too: the simplest law that the means allow, from none over a polynomial up to the third degree,
    ``g_max sum_i bias_i (g / g_max)^i``, to a table of them.

    Layouts: columns ``mean_S`` and ``std_S``, perhaps ``count`` and ``target_S`` (the states file of
    NeuroSim, ``states,mean,std``, is one, also without heads; the deviation of ``mean_ohm`` and ``std_ohm``
    is ``g^2 std``, to first order); each single result, in columns ``target_S`` and ``conductance_S``; or
    four columns without heads (the cell file of MICSim): level, resistance in ohms, relative standard
    deviation, resistance in series. Few states are kept with ``degree=None``.

    Attributes:
        unit: of the states, for a table whose heads have none: ``"uS"``, ``"kohm"``, ``"nA"``, or the siemens
            of the number 1 (1e-6: microsiemens).
        degree: of the polynomial; None keeps the measured points as a table law.
        v_read: read voltage, volts; currents are divided by it, unless a column says it; None: 0.2 for the
            device.
        columns: what columns hold that their heads do not say, by head or number from 1:
            ``{"time": "x-axis", "current_mA": 3}``.
    """

    remedy: ClassVar[str] = (
        "choose a lower degree, keep the states as a table (degree = None), or measure more states or cells"
    )

    unit: Unit = 1.0
    degree: Annotated[int, Field(ge=0, le=6)] | None = 2
    v_read: Positive | None = None
    columns: Columns = later(default=())

    @property
    def labels(self) -> tuple[str, str]:
        """Conductance of a state and standard deviation."""
        return "conductance (S)", "standard deviation (S)"

    def evaluate(self, table: MeasuredTable) -> Outcome:
        """See :meth:`Measurement.evaluate`."""
        return self.outcome(table, self.statistics(table))

    def outcome(
        self, table: MeasuredTable, states: Statistics, ends: tuple[float, float] | None = None
    ) -> Outcome:
        """The law through states.

        Args:
            table: where they come from, for messages.
            states: the states.
            ends: lowest and highest conductance of the device, siemens; those of the states if not given.
        """
        low, high = (float(states.g.min()), float(states.g.max())) if ends is None else ends
        law: Error
        if self.degree is None:
            law, fitted, solution, parameters = self._table_law(table, states)
        else:
            law, fitted, solution, parameters = self._polynomial(table, states, self.degree, high)
        means = mean_law(states, fitted, high)
        freedom = max(1, len(states.g) - len(solution.values)) if self.degree is not None else 1
        residual = states.std - fitted
        v_read = V_READ if self.v_read is None else self.v_read
        device = Generic(g_min=low, g_max=high, v_read=v_read, program=law, bias=means.law)
        points = {"x": states.g, "measured": states.std, "fitted": fitted, "residual": residual}
        if states.cells is not None:
            points["error"] = _relative_error(states) * fitted
        if states.mean is not None:
            points |= {"mean": states.mean, "fitted_mean": means.fitted}
        return Outcome(
            device,
            (*parameters, *means.parameters),
            (span("conductance", states.g, "S"),),
            points,
            math.sqrt(float(residual @ residual) / freedom),
            r_squared(states.std, fitted),
            solution.reduced_chi2,
            solution.correlation,
            _notes(means, fitted),
            _left_out(table, states, solution, residual, fitted),
        )

    # --- reading ---------------------------------------------------------------------------------

    def statistics(self, table: MeasuredTable) -> Statistics:
        """The states of a table.

        Raises:
            ValueError: as :meth:`evaluate`.
        """
        results = cell_column(table, TARGET, MEAN, STD)
        if table.has(TARGET) and results is not None and not table.has(STD):
            return self._single_results(table, results)
        if not table.headed and len(table.columns) == 4:
            return _rising(self._resistances(table))
        if not table.headed and len(table.columns) == 3:
            _check_counted(table)
            places = (1, 2)  # states, mean, std
        else:
            places = tuple(_needed(table, quantity) for quantity in (MEAN, STD))  # type: ignore[assignment]
        check_alike(table, list(places))
        how = Reading(self.unit, self.v_read)
        g = conductances(table, how, places[0], blanks=True)
        std = deviations(table, how, places[1], g)
        _no_blanks(table, g, std)
        count = table.take(COUNT) if table.has(COUNT) else None
        if count is not None and bool((count < 2).any()):
            line = table.lines()[int(np.argmax(count < 2))]
            raise ValueError(f"{table.name}, line {line}: a standard deviation needs a count of at least 2")
        target = self._targets(table)
        if target is None:
            return _rising(Statistics(g, std, count))
        return _rising(Statistics(target, std, count, g))

    def _targets(self, table: MeasuredTable) -> Array | None:
        """The targets beside means; a column of states or levels without a unit counts them."""
        named = table.place(Quantity(TARGET.names[:1], TARGET.unit))
        place = table.place(TARGET) if named is None else named
        if place is None or (named is None and not table.heads[place].unit):
            return None
        return conductances(table, Reading(self.unit, self.v_read), place)

    def _resistances(self, table: MeasuredTable) -> Statistics:
        """The cell file of MICSim: level, resistance, relative standard deviation, resistance in series."""
        _check_counted(table)
        if self.unit != 1:
            raise ValueError(
                f"{table.name}: four columns without heads are level, ohms, relative deviation, ohms in "
                f"series; leave unit = {unit_text(self.unit)} out"
            )
        ohms, relative, series = (table.numbers(k) for k in (1, 2, 3))
        for line, r, s, more in zip(table.lines(), ohms, relative, series, strict=True):
            if r <= 0 or s < 0 or more < 0:
                raise ValueError(
                    f"{table.name}, line {line}: {r:g} ohm, relative deviation {s:g}, {more:g} ohm in "
                    "series; resistances are positive, deviations not negative"
                )
        g = 1 / (ohms + series)
        check_conductances(table, g)
        return Statistics(g, relative * g, None)

    def _single_results(self, table: MeasuredTable, results: int) -> Statistics:
        place, how = _needed(table, TARGET), Reading(self.unit, self.v_read)
        check_stated(table, place, results)
        target, g = (conductances(table, how, column) for column in (place, results))
        wanted, group = np.unique(target, return_inverse=True)
        count = np.bincount(group).astype(np.float64)
        if bool((count < 2).any()):
            lonely = wanted[int(np.argmax(count < 2))]
            raise ValueError(
                f"{table.name}: the target {lonely:g} S has one result; a spread needs at least "
                "two of each target"
            )
        mean = np.bincount(group, g) / count
        std = np.sqrt(np.bincount(group, (g - mean[group]) ** 2) / (count - 1))
        return Statistics(wanted, std, count, mean, standardised(g - mean[group], std[group], count[group]))

    # --- laws ------------------------------------------------------------------------------------

    def _polynomial(
        self, table: MeasuredTable, states: Statistics, degree: int, g_max: float
    ) -> tuple[Polynomial, Array, FitSolution, tuple[Estimate, ...]]:
        names = [f"c{i}" for i in range(degree + 1)]
        powers = (states.g / g_max)[:, None] ** np.arange(degree + 1)
        std = _unbiased(states) / g_max
        spread = _relative_error(states)
        fitted = std
        for _ in range(_ROUNDS):
            weight = 1 / (spread * np.maximum(fitted, 1e-3 * max(float(std.max()), 1e-12)))
            solution = _linear(weight, powers, std, names, states.cells is not None, table.name)
            fitted = powers @ solution.values
        law = Polynomial(coefficients=tuple(map(float, solution.values)))
        scale = _TELLING * float(std.max())
        parameters = tuple(
            Estimate(name=name, value=float(value), error=float(error), scale=scale)
            for name, value, error in zip(names, solution.values, solution.errors, strict=True)
        )
        return law, fitted * g_max, solution, parameters

    def _table_law(
        self, table: MeasuredTable, states: Statistics
    ) -> tuple[TableLaw, Array, FitSolution, tuple[Estimate, ...]]:
        if len(states.g) < 2:
            raise ValueError(f"{table.name}: {len(states.g)} state; a table law needs at least two")
        std, g_max = _unbiased(states), states.g.max()
        error = _relative_error(states) * std if states.cells is not None else np.zeros_like(std)
        parameters = tuple(
            Estimate(name=f"sigma({g:.4g} S)", value=float(s), error=float(e), unit="S", scale=float(g_max))
            for g, s, e in zip(states.g, std, error, strict=True)
        )
        exact = FitSolution(std, np.diag(error**2), np.zeros_like(std), 0.0, None, 0.0)
        law = TableLaw(g=tuple(map(float, states.g)), sigma=tuple(map(float, std)))
        return law, std, exact, parameters


def _check_counted(table: MeasuredTable) -> None:
    """Raise ``ValueError`` unless the first column of a table without heads counts the states."""
    first = table.numbers(0)
    if not (bool((np.diff(first) == 1).all()) and first[0] in (0, 1)):
        raise ValueError(
            f"{table.name}: {len(table.columns)} columns without heads are states that are counted 0, 1, 2 "
            f"...; the first column begins {first[:4].tolist()}. Name the columns mean and std; a table "
            "of jumps (G, dG, CDF) is read with JumpTable()"
        )


def _needed(table: MeasuredTable, quantity: Quantity) -> int:
    place = table.place(quantity)
    if place is None:
        raise ValueError(
            f"{table.name}: no column {quantity.wanted!r}; it has {', '.join(map(repr, table.columns))}. "
            "Give mean_S and std_S, or target_S and conductance_S"
        )
    return place


def _no_blanks(table: MeasuredTable, *columns: Array) -> None:
    for column in columns:
        if bool(np.isnan(column).any()):
            line = table.lines()[int(np.argmax(np.isnan(column)))]
            raise ValueError(
                f"{table.name}, line {line}: a state without mean or std; mend or remove the line"
            )


def _rising(states: Statistics) -> Statistics:
    order = np.argsort(states.g, kind="stable")
    g = states.g[order]
    if bool((np.diff(g) <= 0).any()):
        twice, what = g[:-1][np.diff(g) <= 0][0], "mean" if states.mean is None else "target"
        raise ValueError(f"two states have the {what} {twice:g} S: merge them, or give the single results")
    count, mean = (None if v is None else v[order] for v in (states.cells, states.mean))
    return Statistics(g, states.std[order], count, mean)


def mean_law(states: Statistics, std: Array, g_max: float) -> MeanLaw:
    """The bias of states; none where the table has no targets.

    Args:
        states: the states.
        std: standard deviation of one result at each, by the law, siemens.
        g_max: highest conductance of the device, siemens.
    """
    mean = states.g if states.mean is None else states.mean
    if states.cells is None:
        return bias_of(states.g, mean, None, g_max)
    error = np.maximum(std, states.std) / np.sqrt(states.cells)
    return bias_of(states.g, mean, error, g_max, float((states.cells - 1).sum()))


def standardised(distance: Array, std: Array, count: Array) -> Array:
    """Distances from the mean of ``count`` results, in their own standard deviations."""
    expected = std * np.sqrt((count - 1) / count)  # of a result from a mean that contains it
    return np.asarray(distance[expected > 0] / expected[expected > 0], dtype=np.float64)


def _unbiased(states: Statistics) -> Array:
    """The standard deviation without the bias of small samples."""
    if states.cells is None:
        return states.std
    return np.asarray(states.std / _c4(states.cells), dtype=np.float64)


def _relative_error(states: Statistics) -> Array:
    """Standard error of each standard deviation, relative to it; 1 for all where no count is told."""
    if states.cells is None:
        return np.ones_like(states.std)
    c4 = _c4(states.cells)
    return np.asarray(np.sqrt(1 - c4**2) / c4, dtype=np.float64)


def _c4(n: Array) -> Array:
    """Mean of the standard deviation of n normal numbers, over the true one."""
    from scipy.special import gammaln

    return np.asarray(np.sqrt(2 / (n - 1)) * np.exp(gammaln(n / 2) - gammaln((n - 1) / 2)), dtype=np.float64)


def _linear(
    weight: Array, powers: Array, std: Array, names: list[str], known: bool, name: str
) -> FitSolution:
    if len(std) <= len(names):
        raise ValueError(
            f"{name}: {len(std)} states for a polynomial of degree {len(names) - 1}; at least "
            f"{len(names) + 1} are needed; or degree = {max(0, len(std) - 2)}, or degree = None, which keeps "
            "the states as a table"
        )
    return solve(
        lambda c: weight * (std - powers @ c),
        np.linalg.lstsq(powers * weight[:, None], weight * std, rcond=None)[0].tolist(),
        names,
        known=known,
        jacobian=lambda c: -powers * weight[:, None],
    )


def _notes(means: MeanLaw, fitted: Array) -> tuple[str, ...]:
    notes = []
    if means.parameters:
        far = "" if means.missed is None else f" by up to {means.missed:.1f} standard errors"
        notes.append(f"means miss their targets{far}; the device has this bias, {type(means.law).__name__}")
    if bool((fitted < 0).any()):
        notes.append(
            "the polynomial falls below zero at a state; it counts as 0 there: choose another degree"
        )
    return tuple(notes)


def _left_out(
    table: MeasuredTable, states: Statistics, solution: FitSolution, residual: Array, fitted: Array
) -> tuple[str, ...]:
    """What the states show and the device has not."""
    from scipy import stats

    found = []
    freedom = len(fitted) - len(solution.values)
    if solution.reduced_chi2 is not None and freedom > 0:
        if stats.chi2.sf(freedom * solution.reduced_chi2, freedom) < _UNLIKELY:
            most = float(np.abs(residual).max())
            found.append(
                f"the change of the standard deviation that the polynomial misses (up to {most:.2g} S)"
            )
    if states.results is not None and len(states.results) >= 50:
        test = stats.kstest(states.results, "norm")
        if test.pvalue < _UNLIKELY and test.statistic > _FAR:
            skewed = float(stats.skew(states.results))
            found.append(f"the shape of the scatter, which is not normal (skewness {skewed:.2g})")
    if table.has(DIRECTION) and len(set(table.texts(DIRECTION))) > 1:
        found.append("the direction of the write: results of both count as one")
    return tuple(found)
