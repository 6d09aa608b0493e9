"""How a state moves over one interval: exact, adaptive, implicit or explicit Euler.

A method is a frozen description with one function, :meth:`Method.advance`. Over the interval the
voltage goes in a straight line from ``v0`` to ``v1`` (equal for a pulse).

====================  ===========================================  ======================================
method                error                                        use it for
====================  ===========================================  ======================================
:class:`Exact`        none at constant voltage; a slope is          pulses, where the model has it
                      replaced by its mean (order 2)
:class:`Adaptive`     each step below ``tolerance`` of the span    anything that is not stiff
:class:`Implicit`     the same                                     stiff models (long pulses, JART)
:class:`Euler`        unbounded, order 1                           comparison with other simulators
====================  ===========================================  ======================================
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from mho.config import Count, Positive, config
from mho.devices.dynamics._numbers import Number, clip, pick, somewhere

_SMALLEST = 1e-14  # of an interval: below it a step no longer moves the time in float64


class StepError(ValueError):
    """The integrator cannot follow the waveform within its error bound.

    Attributes:
        interval: which one of the waveform, where the error knows it.
    """

    interval: int = 0


class Flow(Protocol):
    """What an integrator sees of a model: the velocity of its state and the walls."""

    @property
    def bounds(self) -> tuple[Number, Number]:
        """Lowest and highest state."""

    def limits(self, state: Tensor, v0: Tensor, v1: Tensor) -> tuple[Number, Number]:
        """How far the motion of one interval can lead: the bounds or nearer, never beyond ``state``."""

    def rate(self, state: Tensor, voltage: Tensor) -> Tensor:
        """Velocity of the state, its unit per second."""

    def exact(self, state: Tensor, voltage: Tensor, dt: Number) -> Tensor:
        """State after ``dt`` seconds at a constant voltage."""

    def take(self, index: Tensor, shape: torch.Size) -> Flow:
        """The flow of the cells ``index`` of a flattened array of ``shape``."""


class Method(ABC):
    """One way to advance the state of many cells over one interval."""

    @abstractmethod
    def advance(self, flow: Flow, state: Tensor, v0: Tensor, v1: Tensor, dt: Number) -> Tensor:
        """State at the end of the interval.

        Args:
            flow: the model's velocity and bounds.
            state: state at the start, any shape.
            v0: voltage at the start, volts, scalar or broadcast to the state.
            v1: voltage at the end, volts; the same tensor as ``v0`` for a pulse.
            dt: length of the interval, seconds; a number, or a tensor that broadcasts to the state.
        """


@config
class Euler(Method):
    """Explicit Euler: ``x + dt f(x, v0)``, then the bounds. No error bound: for comparison only."""

    def advance(self, flow: Flow, state: Tensor, v0: Tensor, v1: Tensor, dt: Number) -> Tensor:
        """See :meth:`Method.advance`."""
        return clip(state + dt * flow.rate(state, v0), *flow.bounds)


@config
class Exact(Method):
    """The model's own solution at constant voltage; on a slope, at the mean of both ends (order 2)."""

    def advance(self, flow: Flow, state: Tensor, v0: Tensor, v1: Tensor, dt: Number) -> Tensor:
        """See :meth:`Method.advance`."""
        return flow.exact(state, v0 if v0 is v1 else 0.5 * (v0 + v1), dt)


class ErrorBounded(Method):
    """Steps chosen for each cell on its own so that the error of each step stays below a bound.

    The result of a cell does not depend on the cells beside it. Gradients go through the accepted
    steps; the step lengths count as constants.

    Attributes:
        tolerance: largest error of one step, as a fraction of the span of the state. Rounding of the
            dtype is the floor: about 1e-6 in float32.
        max_steps: most steps in one interval before :class:`StepError`.
    """

    tolerance: Positive
    max_steps: Count

    @abstractmethod
    def attempt(
        self, flow: Flow, state: Tensor, v0: Tensor, v1: Tensor, dt: Number
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """One step: the new state, and the state of a method of lower order."""

    def advance(self, flow: Flow, state: Tensor, v0: Tensor, v1: Tensor, dt: Number) -> Tensor:
        """See :meth:`Method.advance`.

        Raises:
            StepError: a cell needs more than ``max_steps`` steps, or its velocity is not finite.
        """
        new, error = self.one_step(flow, state, v0, v1, dt)
        good = error <= 1
        if bool(good.all()):
            return new
        cells = _Cells(flow, state.expand(new.shape), v0, v1, dt)
        bad = (~good).reshape(-1).nonzero().squeeze(1)
        fine = self._refine(cells.take(bad), _factor(error.reshape(-1)[bad]), new.requires_grad)
        if new.requires_grad:  # a refused step may hold infinities; out of the graph with it
            index = good.reshape(-1).nonzero().squeeze(1)
            new = _put(cells.state, index, self.one_step(*cells.take(index))[0])
        return _put(new, bad, fine)

    def one_step(
        self, flow: Flow, state: Tensor, v0: Tensor, v1: Tensor, dt: Number
    ) -> tuple[Tensor, Tensor]:
        """One step inside the bounds, and its error in units of the tolerance (NaN: not finite)."""
        low, high = flow.bounds
        walls = flow.limits(state, v0, v1)
        free, coarse, ends = self.attempt(flow, state, v0, v1, dt)
        new = clip(free, *walls)
        with torch.no_grad():
            error = free - coarse
            if somewhere(free != new):
                reached = _reaches(new - state, free - new, ends, dt)
                error = torch.where(reached, new - clip(coarse, *walls), error)
            error = torch.where(torch.isfinite(free), error.abs(), torch.nan)
            rounding = 8 * torch.finfo(new.dtype).eps * new.abs()
            return new, error / ((high - low) * self.tolerance + rounding)

    def _refine(self, cells: _Cells, h: Tensor, graph: bool) -> Tensor:
        """Many steps for a flat list of cells; ``h``: first step of each, as a fraction of the interval."""
        result = cells.state
        left = torch.arange(h.numel(), device=h.device)
        done = torch.zeros_like(h)
        for _ in range(self.max_steps):
            last = h >= 1 - done
            h = torch.where(last, 1 - done, h)
            state, error = self._accepted(cells.part(done, h), graph)
            cells = cells._replace(state=state)
            done = torch.where(error <= 1, torch.where(last, 1.0, done + h), done)
            h = h * _factor(error)
            over = (done >= 1).nonzero().squeeze(1)
            if over.numel():
                result = _put(result, left[over], state[over])
                rest = (done < 1).nonzero().squeeze(1)
                if not rest.numel():
                    return result
                cells, left, done, h = cells.take(rest), left[rest], done[rest], h[rest]
            if bool((h < _SMALLEST).any()):
                break
        slowest = done.argmin()
        raise StepError(
            f"{left.numel()} cell(s) cannot follow the voltage within tolerance = {self.tolerance:g} of the "
            f"span in max_steps = {self.max_steps} steps: the slowest, at state "
            f"{float(cells.state.detach()[slowest]):.6g}, is {float(done[slowest]):.3g} of the way. Sample "
            "the waveform more finely, shorten the pulse, raise tolerance or max_steps, or use Implicit()"
        )

    def _accepted(self, cells: _Cells, graph: bool) -> tuple[Tensor, Tensor]:
        """The state after one step, unchanged where the step is refused, and the error."""
        if not graph:
            new, error = self.one_step(*cells)
            return torch.where(error <= 1, new, cells.state), error
        with torch.no_grad():
            error = self.one_step(*cells)[1]
        index = (error <= 1).nonzero().squeeze(1)
        return _put(cells.state, index, self.one_step(*cells.take(index))[0]), error


@config
class Adaptive(ErrorBounded):
    """Explicit Runge-Kutta of order 3 with an error estimate.

    The pair of Bogacki and Shampine (Appl. Math. Lett. 2, 321, 1989).
    """

    tolerance: Positive = 1e-6
    max_steps: Count = 10_000

    def attempt(
        self, flow: Flow, state: Tensor, v0: Tensor, v1: Tensor, dt: Number
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """See :meth:`ErrorBounded.attempt`."""
        k1 = flow.rate(state, v0)
        k2 = _inside(flow, state, (0.5 * dt) * k1, v0, _between(v0, v1, 0.5))
        k3 = _inside(flow, state, (0.75 * dt) * k2, v0, _between(v0, v1, 0.75))
        move = dt * (2 / 9 * k1 + 1 / 3 * k2 + 4 / 9 * k3)
        k4 = _inside(flow, state, move, v0, v1)
        return state + move, state + dt * (7 / 24 * k1 + 0.25 * k2 + 1 / 3 * k3 + 0.125 * k4), (k1, k4)


@config
class Implicit(ErrorBounded):
    """Linearly implicit Rosenbrock method of order 2, stable for stiff models.

    The triple of Shampine and Reichelt (SIAM J. Sci. Comput. 18, 1, 1997, section 3: ode23s). One cell is
    one equation, so its linear solve is a division; the slopes are difference quotients.
    """

    tolerance: Positive = 1e-6
    max_steps: Count = 10_000

    def attempt(
        self, flow: Flow, state: Tensor, v0: Tensor, v1: Tensor, dt: Number
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """See :meth:`ErrorBounded.attempt`."""
        low, high = flow.limits(state, v0, v1)
        d, e32 = 1 / (2 + math.sqrt(2)), 6 + math.sqrt(2)
        small = math.sqrt(torch.finfo(state.dtype).eps)
        k_start = flow.rate(state, v0)
        # Backwards along the motion, away from the wall ahead.
        lowest, highest = flow.bounds
        backwards = torch.where(k_start > 0, -1.0, 1.0).to(state.dtype)
        delta = backwards * (highest - lowest) * small
        slope = (flow.rate(state + delta, v0) - k_start) / delta
        # A state that is pushed against a wall stays there, however fast its velocity would change elsewhere.
        pressed = ((state <= low) & (k_start < 0)) | ((state >= high) & (k_start > 0))
        slope = torch.where(pressed, 0.0, slope)
        drive = torch.zeros_like(k_start)  # change of the velocity over the interval through the voltage
        if v0 is not v1:
            drive = (flow.rate(state, _between(v0, v1, small)) - k_start) / small
        w = 1 - d * dt * slope
        k1 = (k_start + d * drive) / w
        f1 = _inside(flow, state, 0.5 * dt * k1, v0, _between(v0, v1, 0.5))
        k2 = (f1 - k1) / w + k1
        new = state + dt * k2
        f2 = _inside(flow, state, dt * k2, v0, v1)
        k3 = (f2 - e32 * (k2 - f1) - 2 * (k1 - k_start) + d * drive) / w
        return new, new - dt / 6 * (k1 - 2 * k2 + k3), (k_start, f2)


class _Cells(NamedTuple):
    """A flat list of cells on their way through one interval."""

    flow: Flow
    state: Tensor
    v0: Tensor
    v1: Tensor
    dt: Number

    def take(self, index: Tensor) -> _Cells:
        """The cells ``index`` of the flattened list."""
        flow, state, v0, v1, dt = self
        shape = state.shape
        first = _pick_voltage(v0, index, shape)
        return _Cells(
            flow.take(index, shape),
            state.reshape(-1)[index],
            first,
            first if v0 is v1 else _pick_voltage(v1, index, shape),
            pick(dt, index, shape),
        )

    def part(self, done: Tensor, h: Tensor) -> _Cells:
        """The stretch of the interval from the fraction ``done`` to ``done + h``."""
        flow, state, v0, v1, dt = self
        first = _between(v0, v1, done.to(state.dtype))
        last = first if v0 is v1 else _between(v0, v1, (done + h).to(state.dtype))
        return _Cells(flow, state, first, last, (h * dt).to(state.dtype))


def _pick_voltage(v: Tensor, index: Tensor, shape: torch.Size) -> Tensor:
    return v.reshape(()) if v.numel() == 1 else v.expand(shape).reshape(-1)[index]


def _inside(flow: Flow, state: Tensor, move: Tensor, v0: Tensor, v: Tensor) -> Tensor:
    """Velocity after ``move``, or at the wall that it meets; the voltage went from ``v0`` to ``v``."""
    return flow.rate(clip(state + move, *flow.limits(state, v0, v)), v)


def _between(v0: Tensor, v1: Tensor, fraction: Number) -> Tensor:
    """Voltage on the line at a fraction of the interval."""
    return v0 if v0 is v1 else v0 + (v1 - v0) * fraction


def _reaches(way: Tensor, beyond: Tensor, ends: tuple[Tensor, Tensor], dt: Number) -> Tensor:
    """Whether a step that ends beyond a wall does reach it: also at the slower of its end velocities.

    If not, the step has overshot (a state that slows down, or turns back) and its whole error counts.
    """
    up, down = torch.minimum(*ends) * dt, torch.maximum(*ends) * dt
    return ((beyond > 0) & (up >= way)) | ((beyond < 0) & (down <= way))


def _put(x: Tensor, index: Tensor, values: Tensor) -> Tensor:
    """``x`` with other values at the flat positions ``index``."""
    return x.reshape(-1).index_put((index,), values).reshape(x.shape)


def step_factor(error: float) -> float:
    """How much longer the next step of one cell may be; as :func:`_factor`."""
    safe = error if error == error and error < math.inf else math.inf
    return float(min(max(0.9 * max(safe, 1e-6) ** (-1 / 3), 0.2), 5.0))


def too_small(h: float) -> bool:
    """Whether a part of an interval no longer moves the time."""
    return h < _SMALLEST


def _factor(error: Tensor) -> Tensor:
    """How much longer the next step may be; both error estimates go with the third power."""
    safe = torch.nan_to_num(error.detach().double(), nan=torch.inf, posinf=torch.inf)
    return (0.9 * safe.clamp(min=1e-6) ** (-1 / 3)).clamp(0.2, 5.0)
