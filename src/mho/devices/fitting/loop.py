"""Current under a voltage sweep: the parameters of a switching model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, get_type_hints

import numpy as np
import torch
from pydantic import InstanceOf

from mho.config import Count, Fraction, Positive, config, field_names, later, unknown_key
from mho.devices.dynamics.base import SwitchingModel
from mho.devices.dynamics.integrate import ErrorBounded, Method, StepError
from mho.devices.dynamics.trace import Trace
from mho.devices.fitting.base import Estimate, Measurement, Outcome, check_explained, span
from mho.devices.fitting.least_squares import FitSolution, r_squared, solve
from mho.devices.fitting.loop_starts import best, drawn_starts, promising
from mho.devices.fitting.naming import Columns
from mho.devices.fitting.tables import CURRENT, TIME, VOLTAGE, Array, MeasuredTable, Quantity
from mho.errors import ConfigError

START = "start"  # the state at the first row, as if it were a parameter
ERROR = Quantity(("error", "sigma", "std"), "A")
_LARGEST = 1.0  # amperes
_STEEPEST = 0.1  # siemens: most that is believed of currents whose unit nobody names
_ACCURATE = 1e-4  # of the span: far below the noise of a measured current
_FLAT = 12**-0.5  # of a range: the spread of a value of which nothing but the range is known
_EXACT = 1e-4  # of the largest current: a scatter below it is that of the integrator
_STEP = 1e-3  # of a difference quotient, in a transformed parameter


class _Free(NamedTuple):
    """A free parameter and how it is searched: any real number is an allowed value.

    ``log`` for a parameter of one sign, ``logit`` for one between two bounds, ``linear`` for any other.
    """

    name: str
    start: float
    kind: str
    low: float
    high: float

    def inner(self) -> float:
        """The starting value on the scale that is searched."""
        if self.kind == "log":
            return math.log(abs(self.start))
        if self.kind == "logit":
            u = (self.start - self.low) / (self.high - self.low)
            u = min(max(u, 1e-4), 1 - 1e-4)  # from an end there is no way back
            return math.log(u / (1 - u))
        return self.start / self.size

    def outer(self, z: Array) -> Array:
        """Values of the parameter."""
        with np.errstate(over="ignore"):  # infinity makes no model, and is refused as one
            if self.kind == "log":
                return np.asarray(math.copysign(1.0, self.start) * np.exp(z), dtype=np.float64)
            if self.kind == "logit":
                return np.asarray(self.low + (self.high - self.low) / (1 + np.exp(-z)), dtype=np.float64)
        return np.asarray(z * self.size, dtype=np.float64)

    def slope(self, z: float) -> float:
        """Derivative of the value on the scale that is searched."""
        value = float(self.outer(np.array(z)))
        if self.kind == "log":
            return abs(value)
        if self.kind == "logit":
            return (value - self.low) * (self.high - value) / (self.high - self.low)
        return self.size

    def largest_error(self, value: float) -> float:
        """The largest standard error with which a measurement still tells the parameter."""
        if self.kind == "logit":
            return (self.high - self.low) * _FLAT
        return abs(value) / 2 if self.kind == "log" else max(abs(value), self.size)

    @property
    def size(self) -> float:
        """What counts as one, for a parameter of any sign."""
        return abs(self.start) or 1.0


@config
class Loop(Measurement):
    """Current and voltage over time; gives the switching model with its free parameters fitted.

    The model is simulated under the measured voltage (straight lines between rows) and the squares of
    the differences of the current are made least, starting from the model as it is given, and from others
    around it where that leaves a trend.
    A parameter of one sign is searched on a logarithmic scale, one between two bounds on a logistic one.

    Layouts: columns ``time_s``, ``voltage_V`` and ``current_A``, in order of time; with ``error_A``, the
    standard error of each current, the rows are weighed and the reduced chi^2 is known.

    Attributes:
        model: a model from :mod:`mho.devices.dynamics` with the values to start from.
        free: names of the parameters to fit; ``"start"`` is the state at the first row.
        start: state at the first row, as a fraction of its span; None: the model's own.
        sample_time: seconds from row to row, for a table without time.
        method: integrator; None: the model's own, with steps that are right to 1e-4 of the span.
        evaluations: most simulations before the fit gives up.
        starts: where the law leaves a trend from the model as it is given, or finds no minimum, so many less
            one are tried beside it: the nearest to the measurement of eight times as many, drawn up to a
            factor of ten around it. 1: none.
        columns: what columns hold that their heads do not say, by head or number from 1:
            ``{"time": "x-axis", "current_mA": 3}``.

    Example:
        >>> from mho.devices.dynamics import LinearIonDrift
        >>> Loop(model=LinearIonDrift(), free=("r_on", "mobility")).free
        ('r_on', 'mobility')
    """

    remedy: ClassVar[str] = (
        "fix it at a value that you know (leave it out of free), start nearer to the measurement, or measure "
        "a loop in which it shows"
    )

    model: InstanceOf[SwitchingModel]
    free: tuple[str, ...]
    start: Fraction | None = None
    sample_time: Positive | None = None
    method: InstanceOf[Method] | None = None
    evaluations: Count = 100
    starts: Count = later(default=4)
    columns: Columns = later(default=())

    def validate(self) -> None:
        """The free parameters exist, are numbers, and are named once."""
        known = [*(n for n in field_names(type(self.model)) if _is_number(getattr(self.model, n))), START]
        if not self.free or len(set(self.free)) != len(self.free):
            raise ConfigError(
                f"free = {self.free!r}: name at least one parameter, each once: {', '.join(known)}"
            )
        for name in self.free:
            if name not in known:
                raise ConfigError(unknown_key(name, known, f"{type(self.model).__name__} (free)"))
            if name == START and self.start is None:
                raise ConfigError(
                    "free names 'start': give the value to begin with, start = 0.5 for the middle"
                )
        for name in self.free:
            self._free(name)

    @property
    def labels(self) -> tuple[str, str]:
        """Voltage and current."""
        return "voltage (V)", "current (A)"

    def evaluate(self, table: MeasuredTable) -> Outcome:
        """See :meth:`Measurement.evaluate`."""
        time, voltage, current = self._read(table)
        error = table.take(ERROR) if table.has(ERROR) else None
        if error is not None and bool((error <= 0).any()):
            line = table.lines()[int(np.argmax(error <= 0))]
            raise ValueError(f"{table.name}, line {line}: the error of a current is positive")
        weight = 1 / error if error is not None else np.full_like(current, 1 / np.abs(current).max())
        free = [self._free(name) for name in self.free]
        run = _Simulation(
            self, free, torch.as_tensor(time), torch.as_tensor(voltage), current, weight, self._method()
        )

        def solve_from(start: Array) -> FitSolution:
            return solve(
                run.residuals,
                start.tolist(),
                self.free,
                known=error is not None,
                jacobian=run.jacobian,
                evaluations=self.evaluations,
            )

        given, others = np.array([f.inner() for f in free]), self.starts - 1

        def more() -> Array:
            drawn = drawn_starts(given, [f.kind for f in free], others)
            return promising(run.residuals, drawn, others)

        found = best(solve_from, given, more) if others else solve_from(given)
        values = {f.name: float(f.outer(z)) for f, z in zip(free, found.values, strict=True)}
        model = _replaced(self.model, values)
        fitted = run.current(found.values[None, :])[:, 0]
        residual = current - fitted
        points = {"x": voltage, "measured": current, "fitted": fitted, "residual": residual, "time": time}
        if error is not None:
            points["error"] = error
        noise = math.sqrt(float(residual @ residual) / (len(current) - len(free)))
        explained = r_squared(current, fitted)
        check_explained(table.name, self.free, explained, len(current), self.remedy)
        return Outcome(
            model,
            _estimates(free, found),
            (span("voltage", voltage, "V"), span("current", current, "A"), span("time", time, "s")),
            points,
            noise,
            explained,
            found.reduced_chi2,
            found.correlation,
            _notes(found, len(current)),
            _left_out(noise, explained, current),
        )

    def _read(self, table: MeasuredTable) -> tuple[Array, Array, Array]:
        places = {quantity: table.only(quantity) for quantity in (VOLTAGE, CURRENT, TIME)}
        voltage, current = (_taken(table, places[q], q) for q in (VOLTAGE, CURRENT))
        if places[TIME] is not None:
            time = _taken(table, places[TIME], TIME)
        elif self.sample_time is not None:
            time = np.arange(len(voltage), dtype=np.float64) * self.sample_time
        else:
            raise ValueError(
                f"{table.name}: no column 'time_s'; how far a cell switches depends on the time: add the "
                "column, or say sample_time, the seconds from row to row"
            )
        late = np.flatnonzero(np.diff(time) <= 0)
        if len(late):
            raise ValueError(
                f"{table.name}, line {table.lines()[int(late[0]) + 1]}: the time does not rise; rows are in "
                "order of time, each time once"
            )
        if float(np.abs(current).max()) > _LARGEST:
            raise ValueError(
                f"{table.name}: a current above {_LARGEST:g} A; name the column current_mA or current_uA"
            )
        named = table.heads[places[CURRENT] or 0].unit
        if not named and float(np.abs(current).max()) > _STEEPEST * float(np.abs(voltage).max()):
            raise ValueError(
                f"{table.name}: currents up to {np.abs(current).max():g} A under {np.abs(voltage).max():g} "
                "V; name their unit in the head of the column: current_A, current_mA or current_uA"
            )
        if not bool((current != 0).any()):
            raise ValueError(f"{table.name}: the current is 0 in every row; nothing to fit")
        return time - time[0], voltage, current

    def _method(self) -> Method:
        if self.method is not None:
            return self.method
        own = self.model.method
        if not isinstance(own, ErrorBounded) or own.tolerance >= _ACCURATE:
            return own
        coarser: Method = replace(own, tolerance=_ACCURATE)  # type: ignore[type-var]
        return coarser

    def _free(self, name: str) -> _Free:
        if name == START:
            assert self.start is not None
            return _Free(START, self.start, "logit", 0.0, 1.0)
        value = float(getattr(self.model, name))
        low, high = _limits(type(self.model), name)
        if math.isfinite(low) and math.isfinite(high):
            return _Free(name, value, "logit", low, high)
        if low == 0 or high == 0:
            if value == 0:
                raise ConfigError(
                    f"free names {name!r}, which starts at 0: start from a value above, or fix it"
                )
            return _Free(name, value, "log", low, high)
        return _Free(name, value, "linear", low, high)


class _Simulation(NamedTuple):
    """The model under the measured voltage; many sets of parameters at once, one cell for each."""

    loop: Loop
    free: list[_Free]
    time: torch.Tensor
    voltage: torch.Tensor
    measured: Array
    weight: Array
    method: Method

    def current(self, inner: Array) -> Array:
        """Amperes ``[time, set]`` for the transformed parameters ``[set, p]``."""
        values = {f.name: torch.as_tensor(f.outer(inner[:, k])) for k, f in enumerate(self.free)}
        fraction = values.pop(START, None)
        if fraction is None and self.loop.start is not None:
            fraction = torch.full((len(inner),), self.loop.start, dtype=torch.float64)
        model = self.loop.model.replaced(**values)
        if fraction is None:
            state = torch.as_tensor(model.initial, dtype=torch.float64).expand(len(inner))
        else:
            low, high = (torch.as_tensor(b, dtype=torch.float64) for b in model.bounds)
            state = low + (high - low) * fraction
        with torch.no_grad():
            trace: Trace = model.simulate(self.voltage, self.time, state, self.method, seed=None)
        return np.asarray(trace.current.numpy(), dtype=np.float64)

    def residuals(self, z: Array) -> Array:
        """Weighed differences, or large ones where the parameters make no model."""
        try:
            _replaced(self.loop.model, {f.name: float(f.outer(v)) for f, v in zip(self.free, z, strict=True)})
            current = self.current(z[None, :])[:, 0]
        except (ConfigError, StepError, OverflowError):
            current = np.full_like(self.measured, np.nan)
        far = 1e3 * np.abs(self.weight * self.measured).max()
        return np.nan_to_num(self.weight * (self.measured - current), nan=far, posinf=far, neginf=-far)

    def jacobian(self, z: Array) -> Array:
        """Central difference quotients, all in one simulation."""
        steps = _STEP * np.eye(len(z))
        current = self.current(np.concatenate([z + steps, z - steps]))
        change = (current[:, : len(z)] - current[:, len(z) :]) / (2 * _STEP)
        return np.asarray(-self.weight[:, None] * change, dtype=np.float64)


def _taken(table: MeasuredTable, place: int | None, quantity: Quantity) -> Array:
    if place is None:
        raise table.missing(quantity)
    return table.si(place)


def _is_number(value: Any) -> bool:
    return isinstance(value, float)


def _limits(model: type, field: str) -> tuple[float, float]:
    """The bounds that the field of a description allows."""
    low, high = -math.inf, math.inf
    pending = list(getattr(get_type_hints(model, include_extras=True)[field], "__metadata__", ()))
    while pending:
        rule = pending.pop()
        pending += getattr(rule, "metadata", [])
        lows = (getattr(rule, name, None) for name in ("gt", "ge"))
        highs = (getattr(rule, name, None) for name in ("lt", "le"))
        low = max([low, *(float(v) for v in lows if v is not None)])
        high = min([high, *(float(v) for v in highs if v is not None)])
    return low, high


def _replaced(model: SwitchingModel, values: dict[str, float]) -> SwitchingModel:
    """The description with other values, checked."""
    changed: SwitchingModel = replace(
        model,  # type: ignore[type-var]
        **{name: value for name, value in values.items() if name != START},
    )
    return changed


def _estimates(free: list[_Free], found: FitSolution) -> tuple[Estimate, ...]:
    made = []
    for f, z, e in zip(free, found.values, found.errors, strict=True):
        value, error = float(f.outer(z)), f.slope(float(z)) * float(e)
        made.append(Estimate(name=f.name, value=value, error=error, scale=f.largest_error(value)))
    return tuple(made)


def _left_out(noise: float, explained: float, current: Array) -> tuple[str, ...]:
    """What the loop shows and the model has not."""
    if noise <= _EXACT * float(np.abs(current).max()):
        return ()
    part = f", {100 * (1 - explained):.2g} % of its variance"
    return (f"the scatter of the current around the law ({noise:.2g} A{part})",)


def _notes(found: FitSolution, points: int) -> tuple[str, ...]:
    if found.correlation <= 2 / math.sqrt(points):
        return ()
    return (
        f"neighbouring residuals are alike (correlation {found.correlation:.2f}): the model leaves a trend; "
        "the errors are widened for it",
    )
