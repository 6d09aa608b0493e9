"""What a simulation gives back, and the loop over the samples of a waveform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from typing_extensions import Self

from mho import random
from mho.config import python_number
from mho.devices.dynamics._numbers import Number, joint_shape, tensor
from mho.devices.dynamics.integrate import Flow, Method, StepError
from mho.devices.dynamics.single import single_states


class SimulatedModel(Flow, Protocol):
    """What the loop over a waveform sees of a model, beside what an integrator does."""

    @property
    def initial(self) -> Number:
        """State of a cell when none is given."""

    @property
    def cells(self) -> torch.Size:
        """Shape of the parameters that differ from cell to cell."""

    def rate_std(self, state: Tensor, voltage: Tensor) -> Tensor:
        """Standard deviation of the velocity, unit of the state per second."""

    def scatter(self, state: Tensor, voltage: Tensor, dt: Number) -> tuple[Tensor, Tensor] | None:
        """How an interval changes the deviation of a cell from its law; None where pulses do not scatter."""

    def deviated(self, state: Tensor, deviation: Tensor) -> Tensor:
        """State of a cell with its deviation."""

    def current(self, voltage: Tensor, state: Tensor) -> Tensor:
        """Amperes."""

    def conductance(self, state: Tensor) -> Tensor:
        """Siemens, at the read voltage."""

    def like(self, x: Tensor) -> Self:
        """The model in the dtype and on the device of ``x``."""

    def take(self, index: Tensor, shape: torch.Size) -> Self:
        """The model of the cells ``index`` of a flattened array of ``shape``."""


@dataclass(frozen=True, eq=False)
class Trace:
    """The samples of a simulation.

    Attributes:
        time: seconds, ``[time]``.
        voltage: volts, ``[time]`` or ``[time, *cells]``.
        current: amperes, ``[time, *cells]``, with what pulses scatter.
        state: the model's state, ``[time, *cells]``; by the law alone where pulses scatter.
        conductance: at the read voltage of the model, siemens, ``[time, *cells]``, with what pulses scatter.
    """

    time: Tensor
    voltage: Tensor
    current: Tensor
    state: Tensor
    conductance: Tensor


class Noisy(NamedTuple):
    """A stochastic model during one interval: its velocity with frozen noise added."""

    model: SimulatedModel
    eps: Tensor

    @property
    def bounds(self) -> tuple[Number, Number]:
        """The model's bounds."""
        return self.model.bounds

    def limits(self, state: Tensor, v0: Tensor, v1: Tensor) -> tuple[Number, Number]:
        """The model's bounds: noise crosses any other edge."""
        return self.model.bounds

    def rate(self, state: Tensor, voltage: Tensor) -> Tensor:
        """Mean velocity plus ``eps`` standard deviations."""
        return self.model.rate(state, voltage) + self.model.rate_std(state, voltage) * self.eps

    def exact(self, state: Tensor, voltage: Tensor, dt: Number) -> Tensor:
        """No closed form with noise."""
        raise TypeError("a noisy velocity has no closed-form step; use Adaptive(), Implicit() or Euler()")

    def take(self, index: Tensor, shape: torch.Size) -> Noisy:
        """The noisy model of some cells."""
        return Noisy(self.model.take(index, shape), self.eps.expand(shape).reshape(-1)[index])


class _Scatter(NamedTuple):
    """The deviation of cells from their law, from interval to interval.

    Attributes:
        model: of these cells.
        places: of the cells among all, flattened; a cell has its draws whichever others are simulated.
        seed: of the draws.
    """

    model: SimulatedModel
    places: Tensor
    seed: int

    def after(
        self, deviation: Tensor | None, state: Tensor, voltage: Tensor, dt: float, number: int
    ) -> Tensor | None:
        """The deviation after an interval, by its number; None as long as there is none."""
        found = self.model.scatter(state, voltage, dt)
        if found is None:
            return deviation
        kept, std = found
        before = torch.zeros_like(state) if deviation is None else deviation
        draws = random.normal_at(self.places, self.seed, "simulate", str(number)).to(state)
        return kept * before + std * draws


def run(
    model: SimulatedModel,
    voltage: Tensor,
    time: Tensor,
    state: Tensor | None,
    method: Method,
    *,
    held: bool,
    every: int,
    chunk: int,
    eps: Tensor | None,
    seed: int | None,
) -> Trace:
    """See :meth:`mho.devices.dynamics.SwitchingModel.simulate`."""
    _check(voltage, time, eps, every, chunk)
    if state is None:
        state = torch.as_tensor(model.initial, dtype=voltage.dtype, device=voltage.device)
    voltage = tensor(voltage, state)
    noise_cells = torch.Size() if eps is None else eps.shape[1:]
    cells = joint_shape(state.shape, voltage.shape[1:], model.cells, noise_cells)
    start = state.expand(cells).reshape(-1)
    shared = voltage.dim() == 1
    flat = voltage if shared else voltage.expand(-1, *cells).reshape(len(time), -1)
    noise = None if eps is None else tensor(eps, state).expand(-1, *cells).reshape(len(time) - 1, -1)
    kept = sorted({*range(0, len(time), every), len(time) - 1})
    out = [start.new_empty((len(kept), start.numel())) for _ in range(3)]
    for first in range(0, start.numel(), chunk):
        part = slice(first, first + chunk)
        index = torch.arange(start.numel(), device=start.device)[part]
        some = model.like(state).take(index, cells)
        v = flat if shared else flat[:, part]
        eps_of_part = noise if noise is None else noise[:, part]
        scatter = None if seed is None else _Scatter(some, index, seed)
        states, off = _states(some, v, time, start[part], method, held, kept, eps_of_part, scatter)
        seen = states if off is None else some.deviated(states, off)
        v_kept = v[kept].reshape(len(kept), -1)
        for whole, piece in zip(
            out, (some.current(v_kept, seen), states, some.conductance(seen)), strict=True
        ):
            whole[:, part] = piece
    current, states, conductance = (x.reshape(len(kept), *cells) for x in out)
    return Trace(time[kept], voltage[kept], current, states, conductance)


def _states(
    model: SimulatedModel,
    voltage: Tensor,
    time: Tensor,
    state: Tensor,
    method: Method,
    held: bool,
    kept: list[int],
    eps: Tensor | None,
    scatter: _Scatter | None,
) -> tuple[Tensor, Tensor | None]:
    """States of a flat list of cells at the kept samples, and their deviations, ``[kept, cell]``."""
    samples = voltage.unbind(0)
    lengths = time.double().diff().tolist()
    if eps is None and (scatter is None or model.scatter(state, samples[0], 1.0) is None):
        try:
            quick = single_states(model, voltage, lengths, state, method, held)
        except StepError as error:
            raise _located(error, error.interval, time, voltage) from None
        if quick is not None:
            return quick[kept], None
    wanted = set(kept)
    states = [state]
    off: list[Tensor | None] = [None]
    flow: Flow = model
    deviation: Tensor | None = None
    for n, dt in enumerate(lengths):
        if eps is not None:
            flow = Noisy(model, eps[n])
        v0 = samples[n]
        v1 = v0 if held else samples[n + 1]
        if scatter is not None:
            deviation = scatter.after(deviation, state, v0 if held else 0.5 * (v0 + v1), dt, n)
        try:
            state = method.advance(flow, state, v0, v1, dt)
        except StepError as error:
            raise _located(error, n, time, voltage) from None
        if n + 1 in wanted:
            states.append(state)
            off.append(deviation)
    if deviation is None:
        return torch.stack(states), None
    return torch.stack(states), torch.stack([torch.zeros_like(state) if d is None else d for d in off])


def _located(error: StepError, n: int, time: Tensor, voltage: Tensor) -> StepError:
    """The error with where it happened."""
    return StepError(
        f"between samples {n} and {n + 1} (t = {float(time[n]):g} s to {float(time[n + 1]):g} s, "
        f"|voltage| up to {float(voltage[n : n + 2].abs().max()):g} V): {error}"
    )


def _check(voltage: Tensor, time: Tensor, eps: Tensor | None, every: int, chunk: int) -> None:
    if time.dim() != 1 or len(time) == 0:
        raise ValueError(
            f"time has shape {tuple(time.shape)}: it is a list of at least one sample, in seconds"
        )
    if voltage.dim() == 0 or voltage.shape[0] != len(time):
        raise ValueError(
            f"voltage has shape {tuple(voltage.shape)} and time {tuple(time.shape)}: the first dimension of "
            "the voltage is time, [time] for all cells or [time, *cells]"
        )
    if not voltage.is_floating_point():
        raise TypeError(f"voltage has dtype {voltage.dtype}: volts are float32 or float64")
    if not bool(torch.isfinite(time).all()) or float(time[0]) < 0:
        bad = int((~torch.isfinite(time) | (time < 0)).nonzero()[0])
        raise ValueError(f"time[{bad}] = {float(time[bad])!r}: times are finite and not negative, in seconds")
    late = (time.diff() <= 0).nonzero()
    if len(late):
        n = int(late[0])
        raise ValueError(
            f"time[{n + 1}] = {float(time[n + 1])!r} does not come after time[{n}] = {float(time[n])!r}: "
            "samples are in increasing order, each time once"
        )
    if not bool(torch.isfinite(voltage).all()):
        where = tuple((~torch.isfinite(voltage)).nonzero()[0].tolist())
        raise ValueError(
            f"voltage[{', '.join(map(str, where))}] = {float(voltage[where])!r}: volts are finite"
        )
    if eps is not None and eps.shape[:1] != (len(time) - 1,):
        raise ValueError(
            f"eps has shape {tuple(eps.shape)}: one draw per interval and cell, [{len(time) - 1}, *cells]"
        )
    for name, value in (("every", every), ("chunk", chunk)):
        value = python_number(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(
                f"{name} = {value!r}: a number of {'samples' if name == 'every' else 'cells'}, 1 or more"
            )
