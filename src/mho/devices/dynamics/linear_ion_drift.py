"""Linear ion drift: a doped region of a titanium-dioxide film grows and shrinks with the charge."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import Fraction, NonNegative, Positive, config
from mho.devices.dynamics._numbers import Number, clip
from mho.devices.dynamics.base import SwitchingModel
from mho.devices.dynamics.windows import Rectangular, Window


@config
class LinearIonDrift(SwitchingModel):
    """Linear ion drift (Strukov et al., Nature 453, 80, 2008, equations 5 and 6).

    ``R(x) = r_on x + r_off (1 - x)``, ``dx/dt = mobility r_on / thickness^2 * I * window(x)``, with the
    doped fraction ``x`` in [0, 1]. Positive voltage raises ``x`` and the conductance.

    The defaults are the customary set for 10 nm of titanium dioxide (as in MemTorch, Lammie et al.,
    Neurocomputing 485, 124, 2022).

    Attributes:
        r_on: resistance of the fully doped film, ohms.
        r_off: resistance of the undoped film, ohms.
        mobility: of the dopants, m^2 / (V s).
        thickness: of the film, metres.
        v_set, v_reset: no motion for ``-v_reset < V < v_set``, volts. 0 in the paper.
        window: how the motion slows down near the ends.
        x_init: state of a cell when none is given.
        v_read: read voltage, volts.
    """

    r_on: Positive = 100.0
    r_off: Positive = 16e3
    mobility: Positive = 1e-14
    thickness: Positive = 10e-9
    v_set: NonNegative = 0.0
    v_reset: NonNegative = 0.0
    window: InstanceOf[Window] = Rectangular()
    x_init: Fraction = 0.1
    v_read: Positive = 0.1

    ordered: ClassVar[tuple[tuple[str, str], ...]] = (("r_on", "r_off"),)
    state_label: ClassVar[str] = "doped fraction"

    @property
    def bounds(self) -> tuple[Number, Number]:
        """0 and 1, less the margin of the window."""
        return self.window.margin, 1.0 - self.window.margin

    @property
    def initial(self) -> Number:
        """``x_init``."""
        return self.x_init

    def resistance(self, state: Tensor) -> Tensor:
        """Ohms."""
        return self.r_off - (self.r_off - self.r_on) * state

    def current(self, voltage: Tensor, state: Tensor) -> Tensor:
        """Ohm's law."""
        return voltage / self.resistance(state)

    def rate(self, state: Tensor, voltage: Tensor) -> Tensor:
        """1/s."""
        return self._drift * self._driving(voltage) / self.resistance(state) * self.window(state, voltage)

    @property
    def has_exact(self) -> bool:
        """Without a window."""
        return isinstance(self.window, Rectangular)

    def exact(self, state: Tensor, voltage: Tensor, dt: Number) -> Tensor:
        """``R^2`` falls linearly with the flux: ``R^2 = R_0^2 - 2 (r_off - r_on) k V dt``.

        Raises:
            TypeError: the model has a window.
        """
        if not self.has_exact:
            return super().exact(state, voltage, dt)
        range_ = self.r_off - self.r_on
        squared = self.resistance(state) ** 2 - 2 * range_ * self._drift * self._driving(voltage) * dt
        r = clip(squared, self.r_on**2, self.r_off**2).sqrt()
        return (self.r_off - r) / range_

    @property
    def _drift(self) -> float:
        """Velocity per ampere, 1 / (A s)."""
        return self.mobility * self.r_on / self.thickness**2

    def _driving(self, voltage: Tensor) -> Tensor:
        """The voltage where it moves ions, else 0."""
        moves = (voltage >= self.v_set) | (voltage <= -self.v_reset)
        return torch.where(moves, voltage, 0.0)

    def inverse(self, conductance: Tensor) -> Tensor:
        """The resistance is linear in the state."""
        return clip((self.r_off - 1 / conductance) / (self.r_off - self.r_on), *self.bounds)
