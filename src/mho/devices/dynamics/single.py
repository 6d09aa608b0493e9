"""One cell, or a few, on their way through a waveform: the integrator as plain Python of numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mho.devices.dynamics.integrate import (
    ErrorBounded,
    Exact,
    Flow,
    Method,
    StepError,
    step_factor,
    too_small,
)
from mho.devices.dynamics.symbols import Unrecorded, recorded

MOST = 16  # cells; more go faster together, as tensors

Step = Callable[[float, float, float, float], tuple[float, float]]


class _Path(NamedTuple):
    """How a cell goes through an interval.

    Attributes:
        flow: the cell.
        method: the integrator, for an interval that the step cannot follow.
        step: state, first and last voltage and length to the new state and its error in units of the bound.
        held: whether the voltage holds through an interval.
    """

    flow: Flow
    method: Method
    step: Step
    held: bool

    def states(self, state: float, volts: Sequence[float], lengths: Sequence[float]) -> list[float]:
        """The state at each sample."""
        found = [state]
        for n, dt in enumerate(lengths):
            try:
                state = self.after(state, volts[n], volts[n] if self.held else volts[n + 1], dt)
            except StepError as error:
                error.interval = n
                raise
            found.append(state)
        return found

    def after(self, state: float, v0: float, v1: float, dt: float) -> float:
        """The state after an interval."""
        new, error = self.step(state, v0, v1, dt)
        if error <= 1:
            return new
        fine = self.refined(state, v0, v1, dt, step_factor(error))
        return self.as_tensors(state, v0, v1, dt) if fine is None else fine

    def refined(self, state: float, v0: float, v1: float, dt: float, h: float) -> float | None:
        """The state after many steps; None where they end before the interval does."""
        assert isinstance(self.method, ErrorBounded)
        done, way = 0.0, v1 - v0
        for _ in range(self.method.max_steps):
            last = h >= 1 - done
            h = 1 - done if last else h
            new, error = self.step(state, v0 + way * done, v0 + way * (done + h), h * dt)
            if error <= 1:
                state, done = new, done + h
                if last:
                    return state
            h *= step_factor(error)
            if too_small(h):
                return None
        return None

    def as_tensors(self, state: float, v0: float, v1: float, dt: float) -> float:
        """The state after an interval as the integrator finds it, or its error."""
        x, first = (torch.tensor([value], dtype=torch.float64) for value in (state, v0))
        last = first if self.held else torch.tensor([v1], dtype=torch.float64)
        return float(self.method.advance(self.flow, x, first, last, dt))


def single_states(
    flow: Any, voltage: Tensor, lengths: Sequence[float], state: Tensor, method: Method, held: bool
) -> Tensor | None:
    """States at each sample, ``[time, cell]``; None for many cells, or where no plain step can be written.

    Args:
        flow: the model of the cells.
        voltage: volts, ``[time]`` or ``[time, cell]``.
        lengths: of the intervals, seconds.
        state: at the first sample, ``[cell]``.
        method: the integrator.
        held: whether the voltage of a sample holds.

    Raises:
        StepError: the integrator cannot follow the waveform.
    """
    graph = state.requires_grad or voltage.requires_grad
    if graph or state.numel() > MOST or state.dtype != torch.float64 or state.device.type != "cpu":
        return None
    paths = [_path(flow, k, state.shape, method, held) for k in range(state.numel())]
    if any(path is None for path in paths):
        return None
    volts = voltage.reshape(len(voltage), -1).double().expand(-1, state.numel()).T.tolist()
    found = [p.states(x, v, lengths) for p, x, v in zip(paths, state.tolist(), volts, strict=True) if p]
    return torch.tensor(found, dtype=state.dtype).T


def _path(flow: Any, cell: int, shape: torch.Size, method: Method, held: bool) -> _Path | None:
    """The path of one of the cells."""
    alone = flow.take(torch.tensor([cell]), shape)
    if any(isinstance(v, Tensor) and v.requires_grad for v in vars(alone).values()):
        return None
    step = _step(alone, method, held)
    return None if step is None else _Path(alone, method, step, held)


def _step(flow: Flow, method: Method, held: bool) -> Step | None:
    """One step of the integrator as plain Python; None where it cannot be written."""

    def of(state: Tensor, v0: Tensor, v1: Tensor, dt: Any) -> Any:
        last = v0 if held else v1
        if isinstance(method, Exact):
            return method.advance(flow, state, v0, last, dt), torch.zeros_like(state)
        assert isinstance(method, ErrorBounded)
        return method.one_step(flow, state, v0, last, dt)

    if not isinstance(method, (ErrorBounded, Exact)):
        return None
    try:
        return recorded(of, 4)
    except Unrecorded:
        return None
