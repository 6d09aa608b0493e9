"""Pulses on a statistical device: a wanted step and its error."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from mho.config import Fraction, NonNegative, config
from mho.programming.base import Cell, kept
from mho.programming.pulse import Memory, Moved, Pulse, joules


@config
class Correction(Pulse):
    """Pulses that move the conductance by a wanted step, with the error of the device.

    The first pulse is the device's single shot, ``device.programmed(g_target)``. Each further pulse is a
    small write: of the error of a write it takes the part that its step is of the whole range, drawn anew::

        error = device.programmed(g_target) - g_target
        g     = clip(g + step + scale |step| / (g_max - g_min) error, g_min, g_max)

    so that the error of a step is in proportion to the step, dG (1 + s xi).

    The defaults of ``voltage`` and ``width`` are typical values, not verified for any one device; they
    count for energy and time only, ``voltage^2 (g_before + g_after) / 2 width``, the expression
    that NeuroSim (the simulator DNN+NeuroSim V2.1) uses.

    Attributes:
        scale: factor on the error of the corrections, not of the first pulse.
        disturb: in an array without transistors, the part of each step that all other cells of the same
            row and of the same column make too.
        voltage: of a pulse, volts.
        width: of a pulse, seconds.
    """

    scale: NonNegative = 1.0
    disturb: Fraction = 0.0
    voltage: NonNegative = 1.0
    width: NonNegative = 100e-9

    first: ClassVar[int] = 1

    def check(self, device: Cell) -> None:
        """Any device but one whose pulses are known: a switching model, a cell with a table of jumps."""
        if hasattr(device, "model"):
            raise ValueError(
                f"pulse = Correction(...): {type(device).__name__} is a switching model, which pulses of "
                "voltage move; give pulse=VoltagePulses(up=..., down=...)"
            )
        if hasattr(device, "jumped"):
            raise ValueError(
                f"pulse = Correction(...): {type(device).__name__} has a table of what its pulses do; give "
                "pulse=JumpPulses()"
            )

    @property
    def disturbs(self) -> bool:
        """With a disturbance."""
        return self.disturb > 0

    def start(self, device: Cell, g_target: Tensor, eps: Tensor) -> Moved:
        """The single shot, one cell after the other, row by row."""
        before = torch.full_like(g_target, device.g_min)
        g = device.programmed(g_target, eps)
        if self.disturbs:
            steps = g - before
            later = sum(steps.sum(axis, keepdim=True) - steps.cumsum(axis) for axis in (-1, -2))
            g = kept(device, g + self.disturb * later)
        return Moved((g,), *self._cost(before, g))

    def conductance(self, device: Cell, memory: Memory) -> Tensor:
        """As it is kept."""
        return memory[0]

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
        before = memory[0]
        moved = step
        if self.scale > 0:
            error = device.programmed(g_target, draw()) - g_target
            moved = step + (self.scale / (device.g_max - device.g_min)) * step.abs() * error
        g = kept(device, before + moved)
        g = torch.where(step == 0, before, g)
        energy, seconds = self._cost(before, g)
        if self.disturbs:
            own = g - before
            others = sum(own.sum(axis, keepdim=True) - own for axis in (-1, -2))
            g = kept(device, g + self.disturb * others)
        pulsed = step != 0
        return Moved((g,), energy * pulsed, seconds * pulsed)

    def _cost(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        return joules(self.voltage, self.width, before, after), torch.full_like(after, self.width)
