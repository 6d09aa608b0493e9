"""An effect is a device around a device: it changes what the cell inside it does.

Effects compose in any order and number. Each keeps parameters of its own for each cell, made once from
draws of its own, so that adding one moves no other's. What the chip was programmed to stays as it is: an
effect acts on it anew each time, in :meth:`Effect.aged` and :meth:`Effect.read_moments`. A chip that is
programmed with an effect and one that gets the effect later are therefore the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.devices.base import Device
from mho.devices.ideal import Ideal

Spans = tuple[tuple[int, int], ...]


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
    :meth:`read_moments`. Bounds, read voltage, scales and valid times are those of the device inside.

    Attributes:
        device: the device inside, perhaps an effect too.
    """

    device: InstanceOf[Device]

    draws: ClassVar[int] = 0
    """Standard normal numbers that :meth:`own_state` takes for each cell."""

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

    def settled(self, g: Tensor, own: Tensor) -> Tensor:
        """Conductance that the cell really takes at programming, siemens, from the one written to it."""
        return g

    def moved(self, g: Tensor, own: Tensor, now: Tensor, seconds: float) -> Tensor:
        """Conductance with the effect, siemens, from that of the device inside at the same time.

        Args:
            g: what :meth:`settled` gave, siemens.
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
        self.device.check_time(seconds)

    def validate(self) -> None:
        """The effect fits the device inside; the default device stands for one still to come."""
        if self.device != Ideal():
            self.check_inside()

    def check_inside(self) -> None:
        """Raise ``ValueError`` unless the effect fits the device inside, which has checked its own fields."""

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """What the device inside is programmed to."""
        return self.device.programmed(g_target, eps)

    def drift_state(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """The effect's own parameters and, after them, those of the device inside.

        Args:
            g_target: wanted conductance, siemens, any shape.
            eps: draws ``[draw_count(self), *g_target.shape]``: the effect's own, then those inside.
        """
        rest = eps[self.draws :]
        inside = self.device.drift_state(g_target, rest if isinstance(self.device, Effect) else rest[0])
        return torch.cat((self.own_state(eps[: self.draws]), inside))

    def aged(self, g: Tensor, cells: Tensor, seconds: float) -> Tensor:
        """Conductance ``seconds`` after programming; at 0 what the effect makes of ``g``."""
        own, rest = self._split(cells)
        settled = self.settled(g, own)
        now = self.device.aged(settled, rest, seconds)
        changed = self.moved(settled, own, now, seconds)
        fixed = self.fixed(settled, own)
        if fixed is not None:
            changed = torch.where(fixed[0], fixed[1], changed)
        held = None if changed is now else self.device.held(settled, rest)
        return changed if held is None else torch.where(held, now, changed)

    def held(self, g: Tensor, cells: Tensor) -> Tensor | None:
        """The cells that this effect or the device inside holds."""
        own, rest = self._split(cells)
        settled = self.settled(g, own)
        fixed, held = self.fixed(settled, own), self.device.held(settled, rest)
        if fixed is None or held is None:
            return held if fixed is None else fixed[0]
        return fixed[0] | held

    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        """The read noise of the device inside; :meth:`read_moments` has that of the effect too."""
        return self.device.read_std(g, g_now, seconds)

    def read_moments(self, g: Tensor, cells: Tensor, g_now: Tensor, seconds: float) -> tuple[Tensor, Tensor]:
        """Those of the device inside, as if it were programmed to the conductance that the cell took."""
        return self.device.read_moments(*self._inside(g, cells), g_now, seconds)

    def one_read(self, g: Tensor, cells: Tensor, g_now: Tensor, seconds: float, eps: Tensor) -> Tensor:
        """That of the device inside, as if it were programmed to the conductance that the cell took."""
        return self.device.one_read(*self._inside(g, cells), g_now, seconds, eps)

    def _split(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        return cells[: self.parameters], cells[self.parameters :]

    def _inside(self, g: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Conductance and parameters that the device inside works with."""
        own, rest = self._split(cells)
        settled = self.settled(g, own)
        fixed = self.fixed(settled, own)
        return settled if fixed is None else torch.where(fixed[0], fixed[1], settled), rest


class Noise(Effect):
    """An effect on the noise of a read alone."""

    def one_read(self, g: Tensor, cells: Tensor, g_now: Tensor, seconds: float, eps: Tensor) -> Tensor:
        """A normal number with the mean and the standard deviation of a read."""
        mean, std = self.read_moments(g, cells, g_now, seconds)
        return mean + std * eps


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
