"""Pulses that move a cell by chance, as a measured table says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from mho.config import NonNegative, config
from mho.programming.base import Cell
from mho.programming.pulse import Drive, Memory, Moved, Pulse, joules


@config
class JumpPulses(Pulse):
    """Identical pulses on a :class:`mho.devices.JumpCell`: each draws its change from the cell's table.

    A fresh cell has the lowest conductance. The sign of the wanted step chooses the direction; how far the
    cell goes is a matter of chance, so that a tolerance below the size of a jump takes many pulses.

    The defaults of ``voltage`` and ``width`` are typical values, not verified for any one device; they
    count for energy and time only, ``voltage^2 (g_before + g_after) / 2 width``.

    Attributes:
        voltage: of a pulse, volts.
        width: of a pulse, seconds.
    """

    voltage: NonNegative = 1.0
    width: NonNegative = 100e-9

    def check(self, device: Cell) -> None:
        """A cell with tables of both directions."""
        if not hasattr(device, "jumped"):
            raise ValueError(
                f"pulse = JumpPulses(...): {type(device).__name__} has no table of jumps; use "
                "device=devices.JumpCell(up=..., down=...), or another pulse"
            )
        for name in ("up", "down"):
            if getattr(device, name) is None:
                raise ValueError(
                    f"device.{name} = None: a write that is verified goes both ways; measure pulses "
                    f"{name} too"
                )

    @property
    def disturbs(self) -> bool:
        """Never."""
        return False

    def start(self, device: Cell, g_target: Tensor, eps: Tensor) -> Moved:
        """Fresh cells, no pulse yet."""
        zero = torch.zeros_like(g_target)
        return Moved((torch.full_like(g_target, device.g_min),), zero, zero)

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
        after = cast("Any", device).jumped(before, step.sign(), draw())
        pulsed = step != 0
        energy = joules(self.voltage, self.width, before, after)
        return Moved((after,), energy * pulsed, self.width * pulsed.to(before.dtype))

    # --- for a board -----------------------------------------------------------------------------

    def begin(self, like: Tensor) -> Memory:
        """See :meth:`mho.programming.Driven.begin`: nothing is kept."""
        return ()

    def following(self, memory: Memory, step: Tensor, number: Tensor, span: float) -> Drive:
        """See :meth:`mho.programming.Driven.following`: ``voltage`` up, its opposite down."""
        pulsed = (step != 0).to(step.dtype)
        return Drive((), step.sign() * self.voltage, pulsed * self.width)
