"""Voltage pulses on a switching model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, NamedTuple, cast

import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from mho.config import Finite, NonNegative, Positive, config
from mho.programming.base import Cell
from mho.programming.pulse import Drive, Memory, Moved, Pulse
from mho.programming.pulsed_model import PulsedModel, Scheme

_PARTS = 4  # of a pulse: its energy is a Simpson sum over them
_PATIENCE = 2  # pulses in one direction, after a turn, before the width grows again
_NARROWEST, _WIDEST = 2.0**-20, 2.0**10  # factors on the first width


_OWN = 6  # tensors that are kept of each cell, besides parameters that change from pulse to pulse


@config
class Train:
    """Pulses of one polarity.

    Attributes:
        voltage: of the first pulse, volts; its sign is that of the model.
        width: of the first pulse, seconds.
        increment: volts added to the magnitude with each pulse that the cell had before.
    """

    voltage: Finite
    width: Positive
    increment: NonNegative = 0.0

    def validate(self) -> None:
        """A pulse has a voltage."""
        if self.voltage == 0:
            raise ValueError("voltage = 0.0: a pulse of no volts moves nothing")

    def amplitude(self, number: int) -> float:
        """Volts of a pulse after ``number`` others."""
        more = number * self.increment
        return self.voltage + (more if self.voltage > 0 else -more)

    def amplitudes(self, numbers: Tensor) -> Tensor:
        """:meth:`amplitude` of several numbers."""
        more = numbers * self.increment
        return self.voltage + (more if self.voltage > 0 else -more)


class _Cells(NamedTuple):
    """What is kept of each cell.

    Attributes:
        state: of the model.
        raising, lowering: factors on the widths of both trains.
        run: number of the last pulses in one direction, with its sign; 0 for a fresh cell.
        turns: how often the direction changed.
        deviation: from the law of the model, where its pulses scatter; in the unit of the state.
    """

    state: Tensor
    raising: Tensor
    lowering: Tensor
    run: Tensor
    turns: Tensor
    deviation: Tensor


class _Chance(NamedTuple):
    """What pulses do by chance.

    Attributes:
        scale: factor on it.
        draw: standard normal draws in the shape of the cells, by names.
    """

    scale: float
    draw: Callable[..., Tensor]

    def draws(self, *names: str, index: Tensor | None = None) -> Tensor:
        """Those of some cells of the flattened array, or of all."""
        eps = self.draw("scatter", *names)
        return eps if index is None else eps.reshape(-1)[index]

    def after(
        self,
        model: PulsedModel,
        state: Tensor,
        deviation: Tensor,
        volts: float,
        width: Tensor,
        eps: Callable[[], Tensor],
    ) -> Tensor:
        """Deviations of cells from the law after a pulse of each cell's own width."""
        found = None
        if self.scale > 0:
            voltage = torch.tensor(volts, dtype=state.dtype, device=state.device)
            found = model.scatter(state, voltage, width)
        return deviation if found is None else found[0] * deviation + self.scale * found[1] * eps()


@config
class VoltagePulses(Pulse):
    """Rectangular voltage pulses that move the state of a switching model, from a fresh cell.

    The sign of the wanted step chooses the train. Each cell has a width of its own for each train: it grows
    from pulse to pulse until the target is passed, and shrinks each time that the cell comes back to the
    train, so that the pulses bisect the way; a third pulse in one direction grows again. ``growth=1,
    shrink=1`` keeps the width. A width grows to at most 1024 times that of the train.

    The model integrates each pulse (in closed form where it has one), without the noise of the velocity that
    some models have; ``spread`` stands for it. Where the pulses of a model scatter
    (:meth:`~mho.devices.dynamics.SwitchingModel.scatter`), each pulse leaves its cell off the law by chance;
    ``program_scale`` of the device is a factor on that. The energy is that of the
    current, by Simpson's rule over four parts of the pulse.

    With a ``scheme`` the array has no transistors. Cells are then pulsed one at a time, row by row, first
    all that must rise, then all that must fall, and each other cell feels each pulse with the voltage
    that the scheme leaves on it. The model depends on time through its state alone, so that all the
    pulses which a cell feels before its own are one long pulse, and likewise those after it: exact for
    the cells on the selected lines. Those on neither line follow them, where a scheme leaves
    them a voltage. Wires have no resistance.

    Attributes:
        up: pulses that raise the conductance.
        down: pulses that lower it.
        growth: factor on the width after a pulse in the same direction.
        shrink: factor on the width when a direction comes back.
        spread: standard deviation of each pulse's effective width, as a fraction of it: the variation from
            pulse to pulse.
        scheme: what the unselected lines of an array without transistors do, such as
            ``mho.array.HalfVoltage()``; None where transistors protect the neighbours.

    Example:
        >>> pulses = VoltagePulses(up=Train(voltage=-0.3, width=1e-11), down=Train(voltage=0.1, width=1e-9))
        >>> pulses.up.voltage
        -0.3
    """

    up: Train
    down: Train
    growth: Annotated[float, Field(ge=1, le=16)] = 2.0
    shrink: Annotated[float, Field(gt=0, le=1)] = 0.5
    spread: NonNegative = 0.0
    scheme: InstanceOf[Scheme] | None = None

    def validate(self) -> None:
        """The trains oppose each other, and the lines are held."""
        if self.up.voltage * self.down.voltage > 0:
            raise ValueError(
                f"up.voltage = {self.up.voltage!r}, down.voltage = {self.down.voltage!r}: the two trains "
                "need opposite signs"
            )
        if self.scheme is not None and self.scheme.unselected(1.0) is None:
            raise ValueError(
                f"scheme = {self.scheme!r}: floating lines make another network of each pulse; give a "
                "scheme that holds the lines, such as mho.array.HalfVoltage()"
            )

    def check(self, device: Cell) -> None:
        """A switching model, and trains that move it as they say."""
        name = type(device).__name__
        if not hasattr(device, "model"):
            raise ValueError(
                f"pulse = VoltagePulses(...): {name} has no state that a voltage moves; use "
                "device=devices.Switching(model=...), or pulse=Correction()"
            )
        model = _model(device)
        middle = sum(torch.as_tensor(b, dtype=torch.float64) for b in model.bounds) / 2
        assert isinstance(middle, Tensor)
        slope = self._slope(model)
        for train, sign, way in ((self.up, 1, "raise"), (self.down, -1, "lower")):
            voltage = torch.tensor(train.voltage, dtype=torch.float64)
            direction = sign * slope * float(model.rate(middle, voltage))
            if direction < 0:
                raise ValueError(
                    f"{'up' if sign > 0 else 'down'}.voltage = {train.voltage!r} V does not {way} the "
                    f"conductance of {type(model).__name__}, it does the opposite: swap the signs of "
                    "up.voltage and down.voltage"
                )
            if direction == 0 and train.increment == 0:
                raise ValueError(
                    f"{'up' if sign > 0 else 'down'}.voltage = {train.voltage!r} V does not move "
                    f"{type(model).__name__}: it is below the threshold; give a higher one, or an increment"
                )

    @staticmethod
    def _slope(model: PulsedModel) -> float:
        """1 if the conductance grows with the state, else -1."""
        low, high = (torch.as_tensor(b, dtype=torch.float64) for b in model.bounds)
        return 1.0 if float(model.conductance(high)) > float(model.conductance(low)) else -1.0

    @property
    def disturbs(self) -> bool:
        """In an array without transistors."""
        return self.scheme is not None

    def start(self, device: Cell, g_target: Tensor, eps: Tensor) -> Moved:
        """Fresh cells, no pulse yet."""
        fresh = torch.as_tensor(_model(device).initial, dtype=g_target.dtype, device=g_target.device)
        one, zero = torch.ones_like(g_target), torch.zeros_like(g_target)
        cells = _Cells(fresh.expand(g_target.shape).clone(), one, one, zero, zero, zero)
        return Moved((*cells, *_before_pulses(device, g_target)), zero, zero)

    def conductance(self, device: Cell, memory: Memory) -> Tensor:
        """That of the state with its deviation from the law."""
        model, cells = _model(device, memory), _Cells(*memory[:_OWN])
        exact = not bool(cells.deviation.any())
        return model.conductance(cells.state if exact else model.deviated(cells.state, cells.deviation))

    def apply(
        self,
        device: Cell,
        memory: Memory,
        g_target: Tensor,
        step: Tensor,
        number: int,
        draw: Callable[..., Tensor],
    ) -> Moved:
        """See :meth:`Pulse.apply`."""
        now = _cycled(device, memory, step != 0, draw)
        model = _model(device, (*memory[:_OWN], *now))
        cells = self._widths(_Cells(*memory[:_OWN]), step.sign())
        factor = (1 + self.spread * draw()).clamp(min=0) if self.spread > 0 else torch.ones_like(step)
        state, deviation = cells.state, cells.deviation
        energy, seconds = torch.zeros_like(state), torch.zeros_like(state)
        chance = _Chance(getattr(device, "program_scale", 1.0), draw)
        for train, sign, scale in ((self.up, 1, cells.raising), (self.down, -1, cells.lowering)):
            pulsed = step.sign() == sign
            if not bool(pulsed.any()):
                continue
            width = torch.where(pulsed, train.width * scale, 0.0)
            volts = train.amplitude(number)
            if self.scheme is None:
                index = pulsed.reshape(-1).nonzero().squeeze(1)
                some = (width * factor).reshape(-1)[index]
                few, old = model.take(index, state.shape), state.reshape(-1)[index]
                eps = partial(chance.draws, str(sign), index=index)
                off = chance.after(few, old, deviation.reshape(-1)[index], volts, some, eps)
                moved, heat = fire(few, old, volts, some)
                state = state.reshape(-1).index_copy(0, index, moved).view_as(state)
                deviation = deviation.reshape(-1).index_copy(0, index, off).view_as(state)
                heat = torch.zeros_like(state).reshape(-1).index_copy(0, index, heat).view_as(state)
            else:
                dose = width * factor
                state, deviation, heat = self._in_array(model, state, deviation, volts, dose, chance)
            energy = energy + heat
            seconds = seconds + width
        return Moved((*cells._replace(state=state, deviation=deviation), *now), energy, seconds)

    def sent(
        self, device: Cell, memory: Memory, volts: Tensor, seconds: Tensor, draw: Callable[..., Tensor]
    ) -> Moved:
        """Cells after pulses of each cell's own volts and seconds; 0 V for none. There are no neighbours."""
        now = _cycled(device, memory, volts != 0, draw)
        cells = _Cells(*memory[:_OWN])
        index = (volts != 0).reshape(-1).nonzero().squeeze(1)
        few = _model(device, (*memory[:_OWN], *now)).take(index, volts.shape)
        old, off = cells.state.reshape(-1)[index], cells.deviation.reshape(-1)[index]
        v, dt = volts.reshape(-1)[index], seconds.reshape(-1)[index]
        scale = getattr(device, "program_scale", 1.0)
        found = few.scatter(old, v, dt) if scale > 0 and index.numel() else None
        if found is not None:
            off = found[0] * off + scale * found[1] * draw("scatter").reshape(-1)[index]
        moved, heat = fire(few, old, v, dt)
        zero = torch.zeros_like(cells.state)
        state = cells.state.reshape(-1).index_copy(0, index, moved).view_as(zero)
        deviation = cells.deviation.reshape(-1).index_copy(0, index, off).view_as(zero)
        energy = zero.reshape(-1).index_copy(0, index, heat).view_as(zero)
        return Moved((*cells._replace(state=state, deviation=deviation), *now), energy, seconds)

    # --- for a board -----------------------------------------------------------------------------

    def begin(self, like: Tensor) -> Memory:
        """See :meth:`mho.programming.Driven.begin`: widths, and which way the last pulses went."""
        one, zero = torch.ones_like(like), torch.zeros_like(like)
        return one, one, zero, zero

    def following(self, memory: Memory, step: Tensor, number: Tensor, span: float) -> Drive:
        """See :meth:`mho.programming.Driven.following`: the pulses that :meth:`apply` gives a model."""
        zero = torch.zeros_like(step)
        cells = self._widths(_Cells(zero, memory[0], memory[1], memory[2], memory[3], zero), step.sign())
        up = step > 0
        volts = torch.where(up, self.up.amplitudes(number), self.down.amplitudes(number))
        seconds = torch.where(up, self.up.width * cells.raising, self.down.width * cells.lowering)
        kept = (cells.raising, cells.lowering, cells.run, cells.turns)
        pulsed = step != 0
        return Drive(kept, torch.where(pulsed, volts, 0.0), torch.where(pulsed, seconds, 0.0))

    def _widths(self, cells: _Cells, direction: Tensor) -> _Cells:
        """The factors on the widths for pulses in these directions."""
        pulsed, fresh = direction != 0, cells.run == 0
        again = direction == cells.run.sign()
        turns = cells.turns + (pulsed & ~again & ~fresh)
        growing = again & ((turns < 2) | (cells.run.abs() >= _PATIENCE))
        factor = torch.where(growing, self.growth, torch.where(again | (turns < 2), 1.0, self.shrink))
        used = {1: cells.raising, -1: cells.lowering}
        for sign, scale in used.items():
            used[sign] = torch.where(direction == sign, (scale * factor).clamp(_NARROWEST, _WIDEST), scale)
        run = torch.where(again, cells.run, 0) + direction
        run = torch.where(pulsed, run, cells.run)
        return _Cells(cells.state, used[1], used[-1], run, turns, cells.deviation)

    def _in_array(
        self,
        model: PulsedModel,
        state: Tensor,
        deviation: Tensor,
        volts: float,
        width: Tensor,
        chance: _Chance,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One phase in arrays ``[..., row, column]``: each cell feels all others' pulses and its own."""
        assert self.scheme is not None
        held = self.scheme.unselected(volts)
        assert held is not None
        word, bit = held
        along = width.cumsum(-1) - width  # cells of the same row that were pulsed before
        above = width.cumsum(-2) - width
        flat = width.flatten(-2)
        earlier = (flat.cumsum(-1) - flat).view_as(width)
        total = flat.sum(-1)[..., None, None]
        before = (along, above, earlier - along - above)
        rest = (width.sum(-1, keepdim=True) - width, width.sum(-2, keepdim=True) - width)
        everything = (*rest, total - width - rest[0] - rest[1])
        after = tuple(a - b for a, b in zip(everything, before, strict=True))
        energy = torch.zeros_like(state)
        voltages = (volts - bit, word, word - bit)
        phases = (*_felt(before, voltages), (volts, width), *_felt(after, voltages))
        for number, (voltage, dt) in enumerate(phases):
            eps = partial(chance.draws, f"{volts:g}", str(number))
            deviation = chance.after(model, state, deviation, voltage, dt, eps)
            state, heat = fire(model, state, voltage, dt)
            energy = energy + heat
        return state, deviation, energy


def _felt(exposures: tuple[Tensor, ...], voltages: tuple[float, float, float]) -> list[tuple[float, Tensor]]:
    """What cells feel of pulses in their row, in their column and elsewhere: voltages and durations."""
    row, column, other = voltages
    along, above, elsewhere = (e.clamp(min=0) for e in exposures)  # differences of sums round below 0
    if row == column:
        felt = [(row, along + above), (other, elsewhere)]
    else:
        felt = [(row, along), (column, above), (other, elsewhere)]
    return [(voltage, dt) for voltage, dt in felt if voltage != 0]


def fire(model: PulsedModel, state: Tensor, volts: float | Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
    """State after a pulse of each cell's own width, and the energy that it turns into heat, joules."""
    voltage = torch.as_tensor(volts, dtype=state.dtype, device=state.device)
    part = width / _PARTS
    charge = model.current(voltage, state)
    for n in range(1, _PARTS + 1):
        state = model.step(state, voltage, part)
        weight = 1 if n == _PARTS else 4 if n % 2 else 2
        charge = charge + weight * model.current(voltage, state)
    return state, volts * charge * part / 3


def _model(device: Cell, memory: Memory = ()) -> PulsedModel:
    """The switching model, with the parameters that change from pulse to pulse as they are kept."""
    cells, now = cast("Any", device), memory[_OWN:]
    return cast("PulsedModel", cells.model_now(now) if now else cells.model)


def _before_pulses(device: Cell, like: Tensor) -> Memory:
    """The parameters that change from pulse to pulse, before the first one; none for most devices."""
    values = getattr(device, "before_pulses", None)
    return () if values is None else tuple(values(like))


def _cycled(device: Cell, memory: Memory, pulsed: Tensor, draw: Callable[..., Tensor]) -> Memory:
    """Those parameters drawn anew where a pulse comes."""
    before = memory[_OWN:]
    if not before:
        return ()
    fresh = cast("Any", device).cycled(draw, memory[0])
    return tuple(torch.where(pulsed, new, old) for new, old in zip(fresh, before, strict=True))
