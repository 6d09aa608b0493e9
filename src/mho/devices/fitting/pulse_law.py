"""The law of conductance over identical pulses, fitted to the train of a cell."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from mho.devices.fitting.correlated import Remembering, remembering
from mho.devices.fitting.least_squares import FitSolution, solve
from mho.devices.fitting.population import Population, population
from mho.devices.fitting.pulse_noise import Scatter, scatter_of
from mho.devices.fitting.tables import Array

NAMES = ("g_first", "g_last", "curvature")
_ROUNDS = 2  # the law is not linear: the second one is at the parameters of the first
_STEP = 1e-4  # of difference quotients
_KNOWN = 0.5  # relative error of a noise, above which the train is too short to tell it
FAR = 60.0  # largest curvature looked for: all the change within the first pulses


class Sweep(NamedTuple):
    """Pulses of one direction.

    Attributes:
        pulse: number of each pulse, counted from the first point.
        g: conductance after it, siemens.
        volts, width: amplitude and length of each pulse, volts and seconds; None where the table has none.
    """

    pulse: Array
    g: Array
    volts: Array | None = None
    width: Array | None = None

    @property
    def threshold(self) -> float | None:
        """The weakest of the amplitudes, volts."""
        return None if self.volts is None else float(self.volts[np.argmin(np.abs(self.volts))])

    @property
    def length(self) -> float | None:
        """The middle one of the lengths, seconds."""
        return None if self.width is None else float(np.median(self.width))


class Branch(NamedTuple):
    """The fitted law of one direction.

    Attributes:
        sweep: the pulses.
        solution: ``g_first``, ``g_last`` and the curvature.
        fitted: the law at each pulse, siemens.
        pulses: number of the last pulse.
        scatter: of the pulses around the law.
        spread: of the three parameters over cells; empty for one cell.
    """

    sweep: Sweep
    solution: FitSolution
    fitted: Array
    pulses: float
    scatter: Scatter
    spread: tuple[Population, ...] = ()

    @property
    def slope(self) -> float:
        """Loss of the step for each siemens moved, 1/pulse."""
        return float(self.solution.values[2]) / self.pulses

    @property
    def step(self) -> float:
        """Change of the conductance at the first point, siemens for each pulse."""
        first, last, c = map(float, self.solution.values)
        return (last - first) / self.pulses * (c / -math.expm1(-c) if abs(c) > 1e-6 else 1 + c / 2)


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


def fitted_branch(sweep: Sweep, name: str) -> Branch:
    """The law of a train.

    Args:
        sweep: the train.
        name: of it, for messages.

    Raises:
        ValueError: fewer than five points, or pulses that are not counted.
    """
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
        NAMES,
        bounds=((-np.inf, -np.inf, -2 * FAR), (np.inf, np.inf, 2 * FAR)),
    )
    fitted = law(found.values)
    scatter = scatter_of(sweep.pulse, fitted, y - fitted, found.noise)
    if scatter.std > 0 and scatter.trend == 0:
        better, noise = _remembered(found, law, y, sweep.pulse)
        if noise.std_error < _KNOWN * noise.std:
            found = better
            scatter = scatter._replace(
                std=noise.std, std_error=noise.std_error, memory=noise.memory, memory_error=noise.memory_error
            )
        else:  # it adds up over the whole train: a trend, or nearly one, of which only the errors are taken
            found = found._replace(covariance=better.covariance)
            scatter = scatter._replace(std_error=scatter.std, memory_error=noise.memory_error)
    scale = np.array([size, size, 1.0])
    solution = found._replace(
        values=found.values * scale,
        covariance=found.covariance * np.outer(scale, scale),
        residuals=found.residuals * size,
        noise=found.noise * size,
    )
    return Branch(sweep, solution, law(found.values) * size, last, scatter.times(size))


def _remembered(
    found: FitSolution, law: Callable[[Array], Array], y: Array, pulse: Array
) -> tuple[FitSolution, Remembering]:
    """The law again, with noise that one pulse leaves to the next."""
    for _ in range(_ROUNDS):
        noise = remembering(y - law(found.values), -_slopes(law, found.values), pulse)
        values = found.values + noise.shift
        values[2] = np.clip(values[2], -2 * FAR, 2 * FAR)  # as far as the first fit may go
        found = found._replace(values=values, covariance=noise.covariance)
    return found._replace(residuals=y - law(found.values)), noise


def _slopes(law: Callable[[Array], Array], values: Array) -> Array:
    """Derivatives of the law by its parameters, ``[n, p]``."""
    steps = _STEP * np.maximum(np.abs(values), 1e-3)
    return np.stack(
        [(law(values + h) - law(values - h)) / (2 * float(h.sum())) for h in np.diag(steps)], axis=1
    )


def _start(p: Array, y: Array) -> tuple[float, float, float]:
    """The best of many curvatures; the two ends follow by linear least squares."""
    best, start = math.inf, (float(y[0]), float(y[-1]), 0.0)
    for c in np.linspace(-FAR, FAR, 61):
        shape = curve(p, float(c))
        columns = np.stack([1 - shape, shape], axis=1)
        ends, *_ = np.linalg.lstsq(columns, y, rcond=None)
        error = float(((y - columns @ ends) ** 2).sum())
        if error < best:
            best, start = error, (float(ends[0]), float(ends[1]), float(c))
    return start


def _mean_error(errors: Sequence[float | None]) -> float | None:
    """Standard error of a mean; None where one is not known."""
    known = [error for error in errors if error is not None]
    return math.sqrt(sum(e**2 for e in known)) / len(known) if len(known) == len(errors) else None


def together(cells: Sequence[Branch]) -> Branch:
    """The law of the mean cell: its parameters are the means over cells, which differ in them."""
    values = np.array([cell.solution.values for cell in cells])
    variances = np.array([np.diag(cell.solution.covariance) for cell in cells])
    spread = tuple(population(v, e) for v, e in zip(values.T, variances.T, strict=True))
    solution = FitSolution(
        np.array([one.mean for one in spread]),
        np.diag([one.mean_error**2 for one in spread]),
        np.concatenate([cell.solution.residuals for cell in cells]),
        math.sqrt(float(np.mean([cell.solution.noise**2 for cell in cells]))),
        None,
        float(np.mean([cell.solution.correlation for cell in cells])),
    )
    parts = [cell.scatter for cell in cells]
    scatter = Scatter(
        math.sqrt(float(np.mean([one.std**2 for one in parts]))),
        float(np.mean([one.memory for one in parts])),
        math.sqrt(float(np.mean([one.memory_error**2 for one in parts])) / len(parts)),
        math.sqrt(float(np.mean([one.trend**2 for one in parts]))),
        next((one.halves for one in parts if one.halves is not None), None),
        _mean_error([one.std_error for one in parts]),
    )

    def joined(values: list[Array | None]) -> Array | None:
        known = [v for v in values if v is not None]
        return np.concatenate(known) if len(known) == len(values) else None

    sweep = Sweep(
        np.concatenate([cell.sweep.pulse for cell in cells]),
        np.concatenate([cell.sweep.g for cell in cells]),
        joined([cell.sweep.volts for cell in cells]),
        joined([cell.sweep.width for cell in cells]),
    )
    pulses = float(np.mean([cell.pulses for cell in cells]))
    return Branch(sweep, solution, np.concatenate([c.fitted for c in cells]), pulses, scatter, spread)
