"""Cells whose pulses were measured, or follow from a switching model."""

from __future__ import annotations

from abc import abstractmethod

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import Finite, Positive, config
from mho.devices.dynamics import VTEAM, SwitchingModel
from mho.devices.jumps import JumpCell, Jumps
from mho.devices.pulsed.base import Parameters, PulsedCell

_LEAST = 1e-9  # of half the range: steps below it are rounding


class _OfConductances(PulsedCell):
    """A cell that is known by its conductance: the states -1 and 1 are its lowest and highest one."""

    @abstractmethod
    def bounds_of_g(self) -> tuple[float, float]:
        """Lowest and highest conductance, siemens."""

    @abstractmethod
    def changed(self, g: Tensor, direction: Tensor, eps: Tensor) -> Tensor:
        """Conductances after a pulse; without chance where ``eps`` is 0."""

    def validate(self) -> None:
        """Alike cells from -1 to 1, whose step is that in the middle."""
        for name, value in (("w_max", 1.0), ("w_min", -1.0), ("dw_min_std", 1.0)):
            object.__setattr__(self, name, value)
        for name in ("w_max_dtod", "w_min_dtod", "dw_min_dtod", "up_down_dtod"):
            object.__setattr__(self, name, 0.0)
        up, down = self.steps(torch.zeros((), dtype=torch.float64), {})
        step = (abs(float(up)) + abs(float(down))) / 2
        if not step > _LEAST:
            raise ValueError(
                "a pulse moves nothing in the middle of the range: give pulses of more volts or seconds, or "
                "a table with steps"
            )
        object.__setattr__(self, "dw_min", step)
        super().validate()

    def steps(self, w: Tensor, cells: Parameters) -> tuple[Tensor, Tensor]:
        """Of a pulse without chance."""
        nothing, one = torch.zeros_like(w), torch.ones_like(w)
        return self._moved(w, one, nothing) - w, w - self._moved(w, -one, nothing)

    def pulsed(self, w: Tensor, direction: Tensor, cells: Parameters, eps: Tensor) -> Tensor:
        """As measured."""
        moved = self._moved(w + cells["reference"], direction, eps) - cells["reference"]
        return torch.where(direction == 0, w, self.kept(moved, cells))

    def _moved(self, state: Tensor, direction: Tensor, eps: Tensor) -> Tensor:
        low, high = self.bounds_of_g()
        unit = (high - low) / 2
        g = low + unit * (1 + state)
        return (self.changed(g, direction, eps) - low) / unit - 1


@config
class JumpSteps(_OfConductances):
    """A cell that each pulse moves by a chance that a measured table tells.

    The states -1 and 1 are the ends of the table. ``mho.devices.fit`` reads such tables.

    Attributes:
        jumps: the cell, with tables of both directions.

    >>> from mho.devices import JumpCell, Jumps
    >>> up = Jumps(g=(0.0, 1e-5), change=(0.0, 1e-6), cdf=((0.0, 1.0), (0.5, 1.0)))
    >>> down = Jumps(g=(0.0, 1e-5), change=(-1e-6, 0.0), cdf=((0.5, 1.0), (1.0, 1.0)))
    >>> cell = JumpSteps(jumps=JumpCell(up=up, down=down))
    >>> cell.dw_min
    0.125
    """

    jumps: InstanceOf[JumpCell] = JumpCell(
        up=Jumps(g=(0.0, 25e-6), change=(0.0, 1e-6), cdf=((0.0, 1.0), (0.0, 1.0))),
        down=Jumps(g=(0.0, 25e-6), change=(-1e-6, 0.0), cdf=((0.0, 1.0), (0.0, 1.0))),
    )

    def validate(self) -> None:
        """Tables of both directions."""
        for name in ("up", "down"):
            if getattr(self.jumps, name) is None:
                raise ValueError(
                    f"jumps.{name} = None: training pulses cells both ways; measure pulses {name} too"
                )
        super().validate()

    def bounds_of_g(self) -> tuple[float, float]:
        """Ends of the table."""
        return self.jumps.g_min, self.jumps.g_max

    def changed(self, g: Tensor, direction: Tensor, eps: Tensor) -> Tensor:
        """A change that is drawn from the table; the median one without chance."""
        return self.jumps.jumped(g, direction, eps)


@config
class SwitchingSteps(_OfConductances):
    """A cell that is a switching model, pulsed with one voltage up and one down.

    The states -1 and 1 are the ends of its conductance. A fitted pulse train is such a model. Where its
    pulses scatter, each of them does on its own.

    Attributes:
        model: how the state moves under voltage.
        up_voltage, down_voltage: volts of a pulse that raises the conductance, and of one that lowers it.
        up_width, down_width: seconds.

    >>> model = VTEAM(r_on=50.0, r_off=1000.0)
    >>> widths = {"up_width": 1e-9, "down_width": 1e-9}
    >>> cell = SwitchingSteps(model=model, up_voltage=-0.6, down_voltage=0.4, **widths)
    >>> up, down = cell.steps(torch.zeros(()), {})
    >>> bool(up > 0), bool(down > 0)
    (True, True)
    """

    model: InstanceOf[SwitchingModel] = VTEAM(r_on=50.0, r_off=1000.0)
    up_voltage: Finite = -0.6
    down_voltage: Finite = 0.4
    up_width: Positive = 1e-9
    down_width: Positive = 1e-9

    def validate(self) -> None:
        """A model of one cell, and pulses that go where they are said to."""
        if self.model.cells:
            raise ValueError("model has parameters that differ by cell: give a model with numbers")
        up, down = self.steps(torch.zeros((), dtype=torch.float64), {})
        if min(float(up), float(down)) < -_LEAST:
            raise ValueError(
                f"up_voltage = {self.up_voltage!r} V, down_voltage = {self.down_voltage!r} V: pulses up "
                "lower the conductance of this model, or those down raise it; swap their signs"
            )
        super().validate()

    def bounds_of_g(self) -> tuple[float, float]:
        """Ends of the conductance of the model."""
        return float(self.model.g_min), float(self.model.g_max)

    def changed(self, g: Tensor, direction: Tensor, eps: Tensor) -> Tensor:
        """One pulse on the state that has this conductance, with the scatter of the model."""
        low, high = self.bounds_of_g()
        state = self.model.state_of(g.clamp(low, high))
        up = self._after(state, self.up_voltage, self.up_width, eps)
        down = self._after(state, self.down_voltage, self.down_width, eps)
        return self.model.conductance(torch.where(direction > 0, up, down))

    def _after(self, state: Tensor, volts: float, seconds: float, eps: Tensor) -> Tensor:
        voltage, width = (state.new_tensor(value) for value in (volts, seconds))
        after = self.model.step(state, voltage, width)
        found = self.model.scatter(state, voltage, width)
        return after if found is None else self.model.deviated(after, found[1] * eps)
