"""VTEAM: a state that moves above a threshold voltage, with a power law."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from pydantic import InstanceOf
from torch import Tensor

from mho.config import Finite, Positive, config
from mho.devices.dynamics._numbers import Negative, Number, clip, log
from mho.devices.dynamics.base import SwitchingModel
from mho.devices.dynamics.windows import Rectangular, Window


class ResistanceLaw(ABC):
    """Resistance between the two ends as a function of the normalised state, and its inverse."""

    @abstractmethod
    def resistance(self, u: Tensor, r_on: float, r_off: float) -> Tensor:
        """Ohms at ``u`` = 0 (on) to 1 (off)."""

    @abstractmethod
    def position(self, resistance: Tensor, r_on: float, r_off: float) -> Tensor:
        """``u`` of a resistance in ohms."""


@config
class LinearResistance(ResistanceLaw):
    """``R = r_on + (r_off - r_on) u``."""

    def resistance(self, u: Tensor, r_on: float, r_off: float) -> Tensor:
        """Ohms."""
        return r_on + (r_off - r_on) * u

    def position(self, resistance: Tensor, r_on: float, r_off: float) -> Tensor:
        """The inverse."""
        return (resistance - r_on) / (r_off - r_on)


@config
class ExponentialResistance(ResistanceLaw):
    """``R = r_on exp(u ln(r_off / r_on))``."""

    def resistance(self, u: Tensor, r_on: float, r_off: float) -> Tensor:
        """Ohms."""
        return r_on * (u * log(r_off / r_on)).exp()

    def position(self, resistance: Tensor, r_on: float, r_off: float) -> Tensor:
        """The inverse."""
        return (resistance / r_on).log() / log(r_off / r_on)


@config
class VTEAM(SwitchingModel):
    """Voltage threshold adaptive memristor (Kvatinsky et al., IEEE TCAS-II 62, 786, 2015).

    ``dx/dt = k_off (V / v_off - 1)^alpha_off`` above ``v_off``, ``k_on (V / v_on - 1)^alpha_on`` below
    ``v_on``, else 0, times the window. **Positive voltage raises the resistance.**

    The defaults are those of MemTorch 1.1.6 (Lammie et al., Neurocomputing 485, 124, 2022).

    Attributes:
        r_on: resistance at ``x_on``, ohms.
        r_off: resistance at ``x_off``, ohms.
        x_on, x_off: ends of the state, metres.
        k_on: velocity at ``V = 2 v_on``, metres per second, negative.
        k_off: velocity at ``V = 2 v_off``, metres per second.
        alpha_on, alpha_off: exponents, at least 1 for a smooth threshold.
        v_on, v_off: thresholds, volts; ``v_on`` is negative.
        law: resistance as a function of the state.
        window: how the motion slows down near the ends.
        v_read: read voltage, volts.

    Example:
        >>> import torch
        >>> cell = VTEAM()
        >>> float(cell.rate(torch.tensor(1e-9), torch.tensor(-0.5)))
        -33.75
    """

    r_on: Positive = 50.0
    r_off: Positive = 1000.0
    x_on: Finite = 0.0
    x_off: Finite = 3e-9
    k_on: Negative = -10.0
    k_off: Positive = 5e-4
    alpha_on: Positive = 3.0
    alpha_off: Positive = 1.0
    v_on: Negative = -0.2
    v_off: Positive = 0.02
    law: InstanceOf[ResistanceLaw] = LinearResistance()
    window: InstanceOf[Window] = Rectangular()
    v_read: Positive = 0.01

    ordered: ClassVar[tuple[tuple[str, str], ...]] = (("r_on", "r_off"), ("x_on", "x_off"))
    state_label: ClassVar[str] = "position"
    state_unit: ClassVar[str] = "m"

    @property
    def bounds(self) -> tuple[Number, Number]:
        """``x_on`` and ``x_off``, less the margin of the window."""
        margin = self.window.margin * (self.x_off - self.x_on)
        return self.x_on + margin, self.x_off - margin

    @property
    def initial(self) -> Number:
        """The low-resistance end."""
        return self.bounds[0]

    def resistance(self, state: Tensor) -> Tensor:
        """Ohms."""
        return self.law.resistance(self._normalised(state), self.r_on, self.r_off)

    def current(self, voltage: Tensor, state: Tensor) -> Tensor:
        """Ohm's law at the resistance of the state."""
        return voltage / self.resistance(state)

    def rate(self, state: Tensor, voltage: Tensor) -> Tensor:
        """Metres per second."""
        speed = self._speed(voltage)
        if isinstance(self.window, Rectangular):
            return speed
        return speed * self.window(self._normalised(state), voltage)

    @property
    def has_exact(self) -> bool:
        """Without a window: the velocity depends on the voltage alone."""
        return isinstance(self.window, Rectangular)

    def exact(self, state: Tensor, voltage: Tensor, dt: Number) -> Tensor:
        """A straight line that stops at the walls.

        Raises:
            TypeError: the model has a window.
        """
        if not self.has_exact:
            return super().exact(state, voltage, dt)
        return clip(state + self._speed(voltage) * dt, *self.bounds)

    def _speed(self, voltage: Tensor) -> Tensor:
        off = self.k_off * (voltage / self.v_off - 1).clamp(min=0) ** self.alpha_off
        on = self.k_on * (voltage / self.v_on - 1).clamp(min=0) ** self.alpha_on
        return off + on

    def _normalised(self, state: Tensor) -> Tensor:
        return (state - self.x_on) / (self.x_off - self.x_on)

    def inverse(self, conductance: Tensor) -> Tensor:
        """The inverse of the resistance law."""
        u = self.law.position(1 / conductance, self.r_on, self.r_off)
        return clip(self.x_on + (self.x_off - self.x_on) * u, *self.bounds)
