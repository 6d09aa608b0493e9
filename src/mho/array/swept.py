"""Arrays whose cells follow the current-voltage curve of one slow sweep."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Annotated, Protocol, runtime_checkable

import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from mho.array.cells import NonlinearCells, warmed
from mho.config import Positive, config


class _Trace(Protocol):
    @property
    def current(self) -> Tensor:
        """Amperes, ``[time, *cells]``."""


@runtime_checkable
class Sweepable(Protocol):
    """What a switching model must have; those of ``mho.devices.dynamics`` have it."""

    @property
    def g_min(self) -> float:
        """Lowest conductance, siemens."""

    @property
    def g_max(self) -> float:
        """Highest conductance, siemens."""

    def state_of(self, conductance: Tensor) -> Tensor:
        """State with that conductance at the model's read voltage."""

    def simulate(self, voltage: Tensor, time: Tensor, state: Tensor) -> _Trace:
        """Response to a waveform."""


@config
class Swept(NonlinearCells):
    """Each cell has the current that it had at that voltage in one sweep, from its programmed state.

    The sweep is the first quarter of a sine, simulated cell by cell; its curve is continued as an odd
    function. Where the sweep moves the state before the read voltage is reached, the curve bends with it,
    as a measured one would: a sweep slower than the cell switches gives all cells the same curve. Reads
    themselves move nothing.

    Attributes:
        model: a model of ``mho.devices.dynamics`` whose ``v_read`` is the device's.
        amplitude: crest of the sine, volts, at least the read voltage. Its sign is the direction of the
            sweep: that of a RESET raises the resistance.
        frequency: of the sine, hertz.
        points: voltages of each sign.

    Example:
        >>> from mho.devices.dynamics import VTEAM
        >>> cell = VTEAM(v_read=0.3)
        >>> g = torch.tensor([0.01])
        >>> fast, slow = (Swept(model=cell, amplitude=1.0, frequency=f) for f in (1e9, 1e3))
        >>> [f"{float(next(a.chords(g, [1.0], 0.3))):.4f}" for a in (fast, slow)]
        ['0.0100', '0.0010']
    """

    model: InstanceOf[Sweepable]
    amplitude: float
    frequency: Positive
    points: Annotated[int, Field(ge=1)] = 32

    def validate(self) -> None:
        """A sweep goes somewhere."""
        if not math.isfinite(self.amplitude) or self.amplitude == 0:
            raise ValueError(f"amplitude = {self.amplitude!r}: give volts, of the sign of the sweep")

    def check(self, g_min: float, g_max: float, v_read: float) -> None:
        """The model has the device's read voltage and conductances, and the sweep reaches that voltage."""
        own = getattr(self.model, "v_read", v_read)
        if own != v_read:
            raise ValueError(
                f"model.v_read = {own!r} V and device.v_read = {v_read!r} V: conductances belong to one read "
                "voltage; give both the same"
            )
        if abs(self.amplitude) < v_read:
            raise ValueError(
                f"amplitude = {self.amplitude!r} V: the sweep must reach the read voltage of {v_read!r} V"
            )
        self.model.state_of(torch.tensor([g_min, g_max], dtype=torch.float64))

    def at_temperature(self, kelvin: float | None) -> Swept:
        """With the chip's temperature as the ambient one of the model, where that has one."""
        return dataclasses.replace(self, model=warmed(self.model, kelvin))

    def chords(self, g: Tensor, places: Sequence[float], v_read: float) -> Iterator[Tensor]:
        """The currents of the sweep over ``v_read``; cells beyond the model's bounds are at them."""
        state = self.model.state_of(g.double().clamp(self.model.g_min, self.model.g_max))
        sizes = sorted({abs(p) for p in places} | {0.0})
        levels = math.copysign(v_read, self.amplitude) * torch.tensor(sizes, dtype=torch.float64)
        time = torch.asin(levels / self.amplitude) / (2 * math.pi * self.frequency)
        curve = self.model.simulate(levels.to(g.device), time.to(g.device), state).current.abs().to(g.dtype)
        for place in places:
            yield math.copysign(1 / v_read, place) * curve[sizes.index(abs(place))]
