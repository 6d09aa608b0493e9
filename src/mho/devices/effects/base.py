"""An effect is a device around a device: it changes what the cell inside it does.

Effects compose in any order and number, and act in the order in which they were put around the device: the
innermost first. Each keeps parameters of its own for each cell, from draws of its own, so that adding one
moves no other's. What the chip was programmed to stays; the effects act on it anew each time. A chip that is
programmed with an effect and one that gets the effect later are therefore the same.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.devices.base import Device
from mho.devices.ideal import Ideal

E = TypeVar("E", bound="Effect")
Spans = tuple[tuple[int, int], ...]
Stages = tuple[tuple[float, float], ...]  # seconds and kelvin of each, one after the other
Bounds = tuple[float, float] | tuple[Tensor, Tensor]


class Tiles(NamedTuple):
    """Where the tiles of a logical array lie.

    Attributes:
        rows, columns: first and last + 1 line of each tile.
    """

    rows: Spans
    columns: Spans


class Effect(Device):
    """A non-ideality of the cells of another device; the same interface as the device itself.

    A subclass overrides what its mechanism changes: :meth:`settled`, :meth:`moved`, :meth:`fixed` or
    :meth:`read_moments`. The rest is that of the device inside; :attr:`bounds` are those of each cell.

    Attributes:
        device: the device inside, perhaps an effect too.
    """

    device: InstanceOf[Device]

    draws: ClassVar[int] = 0
    """Standard normal numbers that :meth:`own_state` takes for each cell."""

    temperatures: ClassVar[tuple[str, ...]] = ()
    """Fields, also of parts (``law.temperature``), that :attr:`chip_temperature` stands in for."""

    _settles: ClassVar[bool] = True
    _bounds: ClassVar[tuple[Tensor, Tensor] | None] = None
    _kelvin: ClassVar[float | None] = None
    _past: ClassVar[Stages] = ()

    @property
    def parameters(self) -> int:
        """Numbers that :meth:`own_state` gives for each cell."""
        return 0

    @property
    def streams(self) -> list[str]:
        """Names of the random streams of the draws, one for each."""
        return [stream(self) if k == 0 else f"{stream(self)}/{k}" for k in range(self.draws)]

    @property
    def alone(self) -> bool:
        """Whether each cell is on its own: no exact counts, no lines."""
        return True

    def own_state(self, eps: Tensor, tiles: Tiles | None = None) -> Tensor:
        """The effect's own parameters of each cell, made once.

        Args:
            eps: standard normal draws, ``[draws, ..., row, column]``.
            tiles: where the tiles lie; one tile if None.

        Returns:
            ``[parameters, ..., row, column]``.
        """
        return eps[:0]

    @property
    def own_bounds(self) -> bool:
        """Whether the cells have bounds of their own."""
        return isinstance(self.device, Effect) and self.device.own_bounds

    @property
    def bounds(self) -> Bounds:
        """Lowest and highest conductance of the cells inside, siemens; of each cell where they differ."""
        return (self.g_min, self.g_max) if self._bounds is None else self._bounds

    @property
    def sets_temperature(self) -> float | None:
        """The temperature, kelvin, that this effect gives the chip; None if it gives none."""
        return None

    @property
    def sets_past(self) -> Stages:
        """The temperatures at which it says that the chip was kept before, from programming on."""
        return ()

    @property
    def feels_heat(self) -> bool:
        """Whether the temperature of the chip makes a difference to it."""
        return bool(self.temperatures)

    @property
    def chip_temperature(self) -> float | None:
        """The temperature of the chip, kelvin, whose cells all have one; None if no effect gives it one.

        It is that of the outermost effect that gives one, wherever an effect that asks for it stands.
        """
        return temperature_of(self) if self._kelvin is None else self._kelvin

    @property
    def chip_past(self) -> Stages:
        """The temperatures at which the chip was kept before that one, from programming on."""
        return past_of(self) if self._kelvin is None else self._past

    def inside_seconds(self, seconds: float) -> float:
        """Time that has passed for the device inside, ``seconds`` after programming."""
        return seconds

    @property
    def mechanism(self) -> str:
        """The name under which it is counted among the mechanisms that make errors."""
        return type(self).__name__

    def check_degrade(self) -> None:
        """Raise ``ValueError`` if a chip that is programmed cannot get the effect any more."""

    def as_programmed(self) -> Effect:
        """The effect as it was just after programming: without what happens to a chip only afterwards."""
        return self

    def of_cells(self, own: Tensor) -> Device:
        """The device inside as it is for cells with these parameters of the effect."""
        return self.device

    def settled(self, g: Tensor, own: Tensor) -> Tensor:
        """Conductance that the cell really takes at programming, siemens.

        Args:
            g: what the device inside takes; of the innermost effect, what was written to the cell.
            own: what :meth:`own_state` gave.
        """
        return g

    def moved(self, g: Tensor, own: Tensor, now: Tensor, seconds: float) -> Tensor:
        """Conductance with the effect, siemens, from that of the device inside at the same time.

        Args:
            g: conductance that the cell took at programming, after all effects, siemens.
            own: what :meth:`own_state` gave.
            now: conductance of the device inside at ``seconds``, siemens.
            seconds: time since the end of programming.
        """
        return now

    def fixed(self, g: Tensor, own: Tensor) -> tuple[Tensor, Tensor] | None:
        """Which cells do not move any more, and the conductance that each of them has; None for none."""
        return None

    # --- the interface of a device ---------------------------------------------------------------

    @property
    def g_min(self) -> float:  # type: ignore[override]
        """Lowest programmable conductance of the device inside, siemens."""
        return self.device.g_min

    @property
    def g_max(self) -> float:  # type: ignore[override]
        """Highest programmable conductance of the device inside, siemens."""
        return self.device.g_max

    @property
    def v_read(self) -> float:  # type: ignore[override]
        """Read voltage of the device inside, volts."""
        return self.device.v_read

    @property
    def program_scale(self) -> float:  # type: ignore[override]
        """Factor on the programming error of the device inside."""
        return self.device.program_scale

    @property
    def drift_scale(self) -> float:  # type: ignore[override]
        """Factor on all drift."""
        return self.device.drift_scale

    @property
    def read_scale(self) -> float:  # type: ignore[override]
        """Factor on all read noise."""
        return self.device.read_scale

    @property
    def times(self) -> tuple[float, float]:
        """The valid times of the device inside."""
        return self.device.times

    def check_time(self, seconds: float) -> None:
        """Raise ``ValueError`` unless the device inside is valid ``seconds`` after programming."""
        self.device.check_time(self.inside_seconds(seconds))

    def validate(self) -> None:
        """The effect fits the device inside; the default device stands for one still to come."""
        if self.device != Ideal():
            self.check_inside()

    def check_inside(self) -> None:
        """Raise ``ValueError`` unless the effect fits the device inside."""

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """What the device inside is programmed to."""
        return self.device.programmed(g_target, eps)

    def drift_state(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """The effect's own parameters and, after them, those of the device inside.

        ``eps`` are draws ``[draw_count(self), *g_target.shape]``: the effect's own, then those inside.
        """
        rest = eps[self.draws :]
        inside = self.device.drift_state(g_target, rest if isinstance(self.device, Effect) else rest[0])
        return torch.cat((self.own_state(eps[: self.draws]), inside))

    def bounds_of(self, cells: Tensor) -> tuple[Tensor, Tensor] | None:
        """Those of the device inside."""
        own, rest = self._split(cells)
        return self.of_cells(own).bounds_of(rest)

    def settle(self, g: Tensor, cells: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the cells take at programming, the innermost effect first.

        Args:
            g: what was written to the cells, siemens.
            cells: what :meth:`drift_state` returned.

        Returns:
            Conductances, siemens, and the mask of the cells that nothing moves any more (None: no such).
        """
        own, rest = self._split(cells)
        inside = self.of_cells(own)
        first, held = inside.settle(g, rest) if isinstance(inside, Effect) else (g, inside.held(g, rest))
        effect = self._on(inside, rest)
        taken = effect.settled(first, own)
        fixed = effect.fixed(taken, own)
        if fixed is not None:
            taken = torch.where(fixed[0], fixed[1], taken)
        if held is None:
            return taken, None if fixed is None else fixed[0]
        return torch.where(held, first, taken), held if fixed is None else held | fixed[0]

    def aged(self, g: Tensor, cells: Tensor, seconds: float) -> Tensor:
        """Conductance ``seconds`` after programming; at 0 what the effects make of ``g``."""
        own, rest = self._split(cells)
        taken, held = self.settle(g, cells) if self._settles else (g, None)
        inside = self.of_cells(own)
        now = at_rest(inside).aged(taken, rest, self.inside_seconds(seconds))
        changed = self._on(inside, rest).moved(taken, own, now, seconds)
        return changed if held is None else torch.where(held, taken, changed)

    def held(self, g: Tensor, cells: Tensor) -> Tensor | None:
        """The cells that this effect or the device inside holds."""
        return self.settle(g, cells)[1]

    @property
    def holds(self) -> bool:
        """Not if it does anything to them."""
        return False

    @property
    def noisy(self) -> bool:
        """Whether the device inside is."""
        return self.device.noisy

    def fluctuation(self, g: Tensor, cells: Tensor, seconds: float) -> Tensor:
        """The standard deviation of a read."""
        return self.read_moments(g, cells, self.aged(g, cells, seconds), seconds)[1]

    def written_span(self) -> tuple[float, float]:
        """That of the device inside."""
        return self.device.written_span()

    def written_spans(self, g: Tensor, cells: Tensor) -> tuple[Tensor, Tensor] | None:
        """Those of the device inside."""
        own, rest = self._split(cells)
        return self.of_cells(own).written_spans(g, rest)

    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        """The read noise of the device inside; :meth:`read_moments` has that of the effect too."""
        return self.device.read_std(g, g_now, self.inside_seconds(seconds))

    def verify_std(self, g: Tensor, delay: float) -> Tensor:
        """That of the device inside."""
        return self.device.verify_std(g, delay)

    def read_moments(self, g: Tensor, cells: Tensor, g_now: Tensor, seconds: float) -> tuple[Tensor, Tensor]:
        """Those of the device inside, as if it were programmed to the conductance that the cell took."""
        inside, taken, rest = self.inside(g, cells)
        return inside.read_moments(taken, rest, g_now, self.inside_seconds(seconds))

    def one_read(self, g: Tensor, cells: Tensor, g_now: Tensor, seconds: float, eps: Tensor) -> Tensor:
        """That of the device inside, as if it were programmed to the conductance that the cell took."""
        inside, taken, rest = self.inside(g, cells)
        return inside.one_read(taken, rest, g_now, self.inside_seconds(seconds), eps)

    def inside(self, g: Tensor, cells: Tensor) -> tuple[Device, Tensor, Tensor]:
        """The device inside, and conductance and parameters of the cells that it works with."""
        own, rest = self._split(cells)
        taken = self.settle(g, cells)[0] if self._settles else g
        return at_rest(self.of_cells(own)), taken, rest

    def _split(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        return cells[: self.parameters], cells[self.parameters :]

    def _on(self, inside: Device, rest: Tensor) -> Effect:
        """The effect as it is on cells with bounds of their own."""
        bounds = inside.bounds_of(rest)
        return self if bounds is None else modified(self, _bounds=bounds)


def at_rest(device: Device) -> Device:
    """The device for conductances that its cells have taken already: no effect settles them once more."""
    if not isinstance(device, Effect) or not device._settles:
        return device
    return modified(device, _settles=False, device=at_rest(device.device))


def temperature_of(device: Device) -> float | None:
    """The temperature that the effects around a device give the chip, kelvin; None if they give none."""
    given = (effect.sets_temperature for effect in effects(device))
    return next((kelvin for kelvin in given if kelvin is not None), None)


def past_of(device: Device) -> Stages:
    """The temperatures before that one, from the effect that gives it; none if none does."""
    given = (effect for effect in effects(device) if effect.sets_temperature is not None)
    return next((effect.sets_past for effect in given), ())


def at_temperature(device: Device, kelvin: float | None, past: Stages = ()) -> Device:
    """The device in a chip of this temperature, kelvin, and past; None leaves each part at its own."""
    if kelvin is None or not isinstance(device, Effect):
        return device
    inside = at_temperature(device.device, kelvin, past)
    return modified(device, _kelvin=kelvin, _past=past, device=inside)


def as_programmed(device: Device) -> Device:
    """The device as it was just after programming (see :meth:`Effect.as_programmed`)."""
    if not isinstance(device, Effect):
        return device
    return modified(device.as_programmed(), device=as_programmed(device.device))


def modified(effect: E, **values: object) -> E:
    """The effect with other attributes; it computes like a description and is none."""
    made = copy.copy(effect)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


def effects(device: Device) -> Iterator[Effect]:
    """The effects around a device, the outermost first."""
    while isinstance(device, Effect):
        yield device
        device = device.device


def innermost(device: Device) -> Device:
    """The device that all effects are around."""
    while isinstance(device, Effect):
        device = device.device
    return device


def stream(effect: Effect) -> str:
    """The name of an effect's random stream: its class, and how many such ones are inside it."""
    name = type(effect).__name__
    return f"{name}/{sum(type(e).__name__ == name for e in effects(effect.device))}"


def draw_count(device: Device) -> int:
    """Standard normal numbers that ``device.drift_state`` takes for each cell."""
    return 1 + sum(effect.draws for effect in effects(device))


def around(effect: Effect, device: Device) -> Effect:
    """The effect, with another device inside."""
    changes: dict[str, Any] = {"device": device}
    return dataclasses.replace(effect, **changes)  # type: ignore[type-var]
