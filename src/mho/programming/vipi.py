"""Pulses whose amplitude a proportional-integral controller sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from mho.config import NonNegative, Positive, config
from mho.programming.base import Cell
from mho.programming.pulse import Drive, Memory, Moved, Pulse
from mho.programming.voltage import Train, VoltagePulses

_OWN = 2  # tensors that the controller keeps


class _Control(NamedTuple):
    """What the controller keeps of each cell.

    Attributes:
        total: sum of the errors since the last turn, of the whole range.
        way: sign of the last pulse; 0 before the first.
    """

    total: Tensor
    way: Tensor


@config
class VIPI(Pulse):
    """Voltage-incremental proportional-integral programming: the error sets the amplitude of each pulse.

    With e = |g_target - g| / (g_max - g_min) at each read and the sum of e since the last turn, the next
    pulse has::

        |V| = voltage + proportional e + integral sum(e),   at most ``most``

    and the width of its train. Far from the target pulses are strong, near it weak, and a cell that does not
    answer gets more volts each time; when the target is passed, the sum begins anew in the other train.

    Source: the idea and the name are of OpenMENA, A. Safa et al., arXiv 2511.03747 (2025), abstract. The
    paper's own gains and its treatment of turns were not available; the law above, its turns and the defaults
    are mho's.

    Attributes:
        up, down: trains; the first ``voltage`` and the ``width`` of each. They have no ``increment`` here.
        proportional: volts for an error of the whole range.
        integral: volts for each read at an error of the whole range.
        most: largest magnitude, volts.

    Example:
        >>> rule = VIPI(up=Train(voltage=0.5, width=1e-6), down=Train(voltage=-0.5, width=1e-6), most=1.0)
        >>> one = torch.ones(1)
        >>> first = rule.following(rule.begin(one), step=0.5 * one, number=one, span=1.0)
        >>> round(float(first.volts), 3)
        0.65
    """

    up: Train
    down: Train
    proportional: NonNegative = 0.2
    integral: NonNegative = 0.1
    most: Positive

    def validate(self) -> None:
        """The trains oppose each other, and leave room for the controller."""
        self._as_pulses()
        for name, train in (("up", self.up), ("down", self.down)):
            if train.increment:
                raise ValueError(
                    f"{name}.increment = {train.increment!r}: the controller raises the volts; give 0"
                )
            if abs(train.voltage) > self.most:
                raise ValueError(
                    f"most = {self.most!r} V is below {name}.voltage = {train.voltage!r} V; raise it"
                )

    def _as_pulses(self) -> VoltagePulses:
        return VoltagePulses(up=self.up, down=self.down, growth=1.0, shrink=1.0)

    def check(self, device: Cell) -> None:
        """A switching model that the strongest pulses move as the trains say."""
        strongest = [
            Train(voltage=self.most if train.voltage > 0 else -self.most, width=train.width)
            for train in (self.up, self.down)
        ]
        VoltagePulses(up=strongest[0], down=strongest[1]).check(device)

    @property
    def disturbs(self) -> bool:
        """Never: transistors protect the neighbours."""
        return False

    # --- the controller --------------------------------------------------------------------------

    def begin(self, like: Tensor) -> Memory:
        """See :meth:`mho.programming.Driven.begin`."""
        return torch.zeros_like(like), torch.zeros_like(like)

    def following(self, memory: Memory, step: Tensor, number: Tensor, span: float) -> Drive:
        """See :meth:`mho.programming.Driven.following`."""
        before, way = _Control(*memory), step.sign()
        error, pulsed = step.abs() / span, step != 0
        total = torch.where(way == before.way, before.total, 0.0) + error
        first = torch.where(way > 0, abs(self.up.voltage), abs(self.down.voltage))
        size = (first + self.proportional * error + self.integral * total).clamp(max=self.most)
        up, down = (1.0 if train.voltage > 0 else -1.0 for train in (self.up, self.down))
        volts = torch.where(way > 0, up * size, down * size)
        seconds = torch.where(way > 0, self.up.width, self.down.width).to(step.dtype)
        kept = (torch.where(pulsed, total, before.total), torch.where(pulsed, way, before.way))
        return Drive(kept, torch.where(pulsed, volts, 0.0), torch.where(pulsed, seconds, 0.0))

    # --- on a model ------------------------------------------------------------------------------

    def start(self, device: Cell, g_target: Tensor, eps: Tensor) -> Moved:
        """Fresh cells, no pulse yet."""
        cells = self._as_pulses().start(device, g_target, eps)
        return cells._replace(memory=(*self.begin(g_target), *cells.memory))

    def conductance(self, device: Cell, memory: Memory) -> Tensor:
        """That of the state with its deviation from the law."""
        return self._as_pulses().conductance(device, memory[_OWN:])

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
        span = device.g_max - device.g_min
        drive = self.following(memory[:_OWN], step, torch.full_like(step, number), span)
        moved = self._as_pulses().sent(device, memory[_OWN:], drive.volts, drive.seconds, draw)
        return moved._replace(memory=(*drive.memory, *moved.memory))
