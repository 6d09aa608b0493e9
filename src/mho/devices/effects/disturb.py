"""Cells whose state was moved by reading them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import InstanceOf
from torch import Tensor

from mho.config import Finite, NonNegative, config
from mho.devices.base import Device
from mho.devices.dynamics.base import SwitchingModel
from mho.devices.effects.base import Effect, modified
from mho.devices.ideal import Ideal


@config
class ReadDisturb(Effect):
    """The trace that reads leave in a cell, as a switching model has it.

    Each cell takes the state in which the model has its conductance, and the pulses of all reads move it from
    there. Pulses of one voltage add up: n of them are one that lasts n times as long. A voltage below the
    thresholds of the model moves nothing. Reads come after programming. Where the model has an ambient
    temperature and a :class:`~mho.devices.Temperature` says that of the chip, states move at the chip's.

    Attributes:
        device: the device inside.
        model: how the state moves; all conductances of the device are among its own.
        reads: number of reads since programming.
        pulse: duration of one read, seconds.
        voltage: of the pulses, volts, the sign as the model has it; None for the device's ``v_read``.

    Example:
        >>> import torch
        >>> from mho.devices.dynamics import VTEAM
        >>> model = VTEAM(r_on=1e4, r_off=1e6, v_read=0.2)
        >>> inside = Ideal(g_min=2e-6, g_max=50e-6)
        >>> cell = ReadDisturb(model=model, reads=100.0, pulse=1e-9, voltage=0.1, device=inside)
        >>> g = torch.tensor([10e-6, 50e-6])
        >>> bool((cell.aged(g, torch.empty(0, 2), 0.0) < g).all())
        True
    """

    device: InstanceOf[Device] = Ideal()
    model: InstanceOf[SwitchingModel]
    reads: NonNegative
    pulse: NonNegative
    voltage: Finite | None = None

    temperatures: ClassVar[tuple[str, ...]] = ("model.t_ambient",)

    def validate(self) -> None:
        """One model for all cells, which has all conductances of the device."""
        super().validate()
        if self.model.cells:
            raise ValueError("model has parameters that differ by cell: give a model with numbers")

    def check_inside(self) -> None:
        """The model has all conductances of the device."""
        low, high = float(self.model.g_min), float(self.model.g_max)
        slack = 1e-6 * high
        if self.g_min < low - slack or self.g_max > high + slack:
            raise ValueError(
                f"the device has {self.g_min:g} to {self.g_max:g} S, the model {low:g} to {high:g} S: "
                "reads can move only states that the model has; narrow the device or widen the model"
            )

    def as_programmed(self) -> ReadDisturb:
        """Before the first read."""
        return modified(self, reads=0.0)

    def moved(self, g: Tensor, own: Tensor, now: Tensor, seconds: float) -> Tensor:
        """``now`` times what the pulses make of the model's conductance."""
        if self.reads * self.pulse == 0:
            return now
        inside = now.double().clamp(float(self.model.g_min), float(self.model.g_max))
        voltage = self.v_read if self.voltage is None else self.voltage
        kelvin = self.chip_temperature
        warm = self.model
        if kelvin is not None and hasattr(warm, "t_ambient"):
            warm = warm.replaced(t_ambient=kelvin)
        state = warm.step(self.model.inverse(inside), voltage, self.reads * self.pulse)
        return now * (self.model.conductance(state) / inside).to(now.dtype)
