"""Steps under identical pulses: the conductance itself is the state, each pulse moves it a little less."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mho.config import Finite, NonNegative, Positive, config
from mho.devices.dynamics._numbers import Number, clip, either
from mho.devices.dynamics.base import SwitchingModel

_Kept = Annotated[float, Field(ge=0, lt=1)]
_FAR = 60.0  # a growth by exp(60) has met the wall


@config
class LinearStep(SwitchingModel):
    """Potentiation and depression by identical pulses, with steps linear in the conductance.

    A pulse of ``v_up`` or beyond raises the conductance, at g, by ``step_up - slope_up (g - g_low)`` for
    each ``width`` that it lasts; one of ``v_down`` or beyond lowers it by
    ``step_down - slope_down (g_high - g)``; voltages between do nothing. Over P pulses this is the
    exponential of :class:`mho.devices.PulseTrain`, ``1 - exp(-slope P)``. Whoever measures one amplitude
    knows no other: the step does not depend on the voltage beyond the threshold.

    Pulses scatter: the conductance that is seen lies off this law by a normal deviation, in the long run of
    standard deviation ``noise_up`` or ``noise_down``, by the last pulse. A pulse keeps the part ``memory_up``
    or ``memory_down`` of the deviation before it and draws the rest anew: 0 makes each pulse independent of
    the last one, near 1 the noise adds up from pulse to pulse. A pulse of n widths counts as n pulses, and a
    shorter one renews the part n of what a pulse renews. The deviation is not bound to ``g_low`` and
    ``g_high``, the ends of the law; a conductance stays at 0 or above.

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
        noise_up: standard deviation of the conductance around the law after pulses up, siemens.
        noise_down: the same after pulses down.
        memory_up: correlation of the deviations after a pulse up and before it, from 0 to below 1.
        memory_down: the same of a pulse down.
        width: length of a pulse, seconds.
        v_up: threshold of rising pulses, volts, of either sign.
        v_down: threshold of falling pulses, volts, of the other sign.
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
    noise_up: NonNegative = 0.0
    noise_down: NonNegative = 0.0
    memory_up: _Kept = 0.0
    memory_down: _Kept = 0.0
    width: Positive = 1e-6
    v_up: Finite = 0.5
    v_down: Finite = -0.5
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
        slope = either(self._raised(voltage), self.slope_up, self.slope_down, state)
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
        return torch.where(self._raised(voltage), up, torch.where(self._lowered(voltage), -down, 0.0))

    # ── pulses that scatter ──────────────────────────────────────────────────────────────────────

    def scatter(self, state: Tensor, voltage: Tensor, dt: Number) -> tuple[Tensor, Tensor] | None:
        """What a pulse keeps of the deviation, and the standard deviation of what it draws anew."""
        if all(isinstance(n, float) and n == 0 for n in (self.noise_up, self.noise_down)):
            return None
        up, down = self._raised(voltage), self._lowered(voltage)
        count = torch.as_tensor(dt, dtype=state.dtype, device=state.device) / self.width
        memory = either(up, self.memory_up, self.memory_down, state)
        kept = torch.where(count < 1, 1 - (1 - memory) * count, memory ** count.clamp(min=1))
        kept = torch.where(up | down, kept, 1.0)
        noise = either(up, self.noise_up, self.noise_down, state)
        return kept, noise * (1 - kept**2).clamp(min=0).sqrt()

    def deviated(self, state: Tensor, deviation: Tensor) -> Tensor:
        """The conductance with its deviation, at least 0."""
        return (state + deviation).clamp(min=0)

    def pulse_std(self, conductance: Tensor) -> Tensor | None:
        """``noise_up``; ``noise_down`` for a cell that only falls."""
        rises = torch.as_tensor(self.step_up, device=conductance.device) > 0
        return torch.zeros_like(conductance) + either(rises, self.noise_up, self.noise_down, conductance)

    def _raised(self, voltage: Tensor) -> Tensor:
        return _beyond(voltage, self.v_up)

    def _lowered(self, voltage: Tensor) -> Tensor:
        return _beyond(voltage, self.v_down)

    def validate(self) -> None:
        """Also: pulses up and down have opposite signs."""
        super().validate()
        if bool((torch.as_tensor(self.v_up * self.v_down) >= 0).any()):
            raise ValueError(
                f"v_up = {self.v_up!r}, v_down = {self.v_down!r}: pulses up and down need opposite signs, "
                "and no threshold is 0"
            )


def _beyond(voltage: Tensor, threshold: Number) -> Tensor:
    """Where a voltage is at a threshold or further from 0, on the same side."""
    if isinstance(threshold, Tensor):
        return voltage * threshold.sign() >= threshold.abs()
    return voltage * math.copysign(1.0, threshold) >= abs(threshold)
