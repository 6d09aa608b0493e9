"""Steps under identical pulses: the conductance itself is the state, each pulse moves it a little less."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from mho.config import Finite, NonNegative, Positive, config
from mho.devices.dynamics._numbers import Negative, Number, clip, either
from mho.devices.dynamics.base import SwitchingModel

_FAR = 60.0  # a growth by exp(60) has met the wall


@config
class LinearStep(SwitchingModel):
    """Potentiation and depression by identical pulses, with steps linear in the conductance.

    A pulse of ``v_up`` or more raises the conductance, at g, by ``step_up - slope_up (g - g_low)`` for
    each ``width`` that it lasts; one of ``v_down`` or less lowers it by
    ``step_down - slope_down (g_high - g)``; voltages between do nothing. Over P pulses this is the
    exponential of :class:`mho.devices.PulseTrain`, ``1 - exp(-slope P)``. Whoever measures one amplitude
    knows no other: the step does not depend on the voltage beyond the threshold.

    Source: the exponential law of P.-Y. Chen, X. Peng, S. Yu, IEEE TCAD 37, 3067 (2018), as the
    difference equation of soft bounds (T. Gokmen and Y. Vlasov, Front. Neurosci. 10, 333, 2016, for
    constant steps). The defaults are an example, not a device.

    Attributes:
        g_low: lowest conductance, siemens.
        g_high: highest conductance, siemens.
        step_up: rise at ``g_low``, siemens for each pulse; 0 for a cell that only falls.
        step_down: fall at ``g_high``, siemens for each pulse; 0 for a cell that only rises.
        slope_up: loss of the rise for each siemens climbed, 1/pulse; negative if the steps grow.
        slope_down: loss of the fall for each siemens fallen, 1/pulse; negative if the steps grow.
        width: length of a pulse, seconds.
        v_up: threshold of rising pulses, volts.
        v_down: threshold of falling pulses, volts.
        v_read: read voltage, volts.

    Example:
        >>> cell = LinearStep(g_low=1e-6, g_high=9e-6, step_up=1e-6, slope_up=0.1)
        >>> g = torch.tensor(1e-6, dtype=torch.float64)
        >>> round(1e6 * float(cell.step(g, 1.0, 10e-6)), 4)  # ten pulses of 1 us
        7.3212
    """

    g_low: Positive = 1e-6
    g_high: Positive = 10e-6
    step_up: NonNegative = 0.3e-6
    step_down: NonNegative = 0.3e-6
    slope_up: Finite = 0.02
    slope_down: Finite = 0.02
    width: Positive = 1e-6
    v_up: Positive = 0.5
    v_down: Negative = -0.5
    v_read: Positive = 0.1

    ordered: ClassVar[tuple[tuple[str, str], ...]] = (("g_low", "g_high"),)
    state_label: ClassVar[str] = "conductance"
    state_unit: ClassVar[str] = "S"

    @property
    def bounds(self) -> tuple[Number, Number]:
        """``g_low`` and ``g_high``, siemens."""
        return self.g_low, self.g_high

    @property
    def initial(self) -> Number:
        """``g_low``."""
        return self.g_low

    @property
    def has_exact(self) -> bool:
        """Always."""
        return True

    def rate(self, state: Tensor, voltage: Tensor) -> Tensor:
        """Siemens per second."""
        return self._per_pulse(state, voltage) / self.width

    def exact(self, state: Tensor, voltage: Tensor, dt: Number) -> Tensor:
        """``g + step (1 - exp(-slope n)) / slope`` after n = dt / width pulses."""
        count = dt / self.width
        slope = either(voltage > 0, self.slope_up, self.slope_down, state)
        z = (slope * count).clamp(min=-_FAR)
        small = z.abs() < 1e-6
        mean = torch.where(small, 1 - 0.5 * z, -torch.expm1(-z) / torch.where(small, 1.0, z))
        return clip(state + self._per_pulse(state, voltage) * (count * mean), *self.bounds)

    def current(self, voltage: Tensor, state: Tensor) -> Tensor:
        """Ohm's law."""
        return voltage * state

    def inverse(self, conductance: Tensor) -> Tensor:
        """The state is the conductance."""
        return conductance

    def _per_pulse(self, g: Tensor, voltage: Tensor) -> Tensor:
        up = (self.step_up - self.slope_up * (g - self.g_low)).clamp(min=0)
        down = (self.step_down - self.slope_down * (self.g_high - g)).clamp(min=0)
        return torch.where(voltage >= self.v_up, up, torch.where(voltage <= self.v_down, -down, 0.0))
