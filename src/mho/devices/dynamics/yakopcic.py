"""Yakopcic: a sinh current and exponential motion above two thresholds."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mho.config import Finite, Fraction, Positive, config
from mho.devices.dynamics._numbers import Number, clip, either, exp
from mho.devices.dynamics.base import SwitchingModel

_Inside = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


@config
class Yakopcic(SwitchingModel):
    """Generalised model of Yakopcic et al. (IEEE Electron Device Lett. 32, 1436, 2011).

    ``I = a_1 x sinh(b V)`` for V >= 0 and ``a_2 x sinh(b V)`` below; ``dx/dt = eta g(V) f(V, x)`` with
    ``g = a_p (e^V - e^v_p)`` above ``v_p``, ``-a_n (e^-V - e^v_n)`` below ``-v_n``, else 0, and a window
    ``f`` that is 1 until the state comes within reach of the wall ahead.

    The defaults are those of the authors' SPICE file.

    Attributes:
        a_1: current scale for V >= 0, amperes.
        a_2: current scale for V < 0, amperes.
        b: steepness of the current, 1/volts.
        v_p: positive threshold, volts.
        v_n: negative threshold (its magnitude), volts.
        a_p: speed above the positive threshold, 1/s.
        a_n: speed below the negative threshold, 1/s.
        x_p: a rising state slows down above it.
        x_n: a falling state slows down below ``1 - x_n``.
        alpha_p: decay of the speed of a rising state.
        alpha_n: decay of the speed of a falling state.
        eta: direction: 1, positive voltage raises the state; -1, it lowers it.
        x_init: state of a cell when none is given.
        v_read: read voltage, volts.
    """

    a_1: Positive = 0.17
    a_2: Positive = 0.17
    b: Positive = 0.05
    v_p: Positive = 0.16
    v_n: Positive = 0.15
    a_p: Positive = 4000.0
    a_n: Positive = 4000.0
    x_p: _Inside = 0.3
    x_n: _Inside = 0.5
    alpha_p: Positive = 1.0
    alpha_n: Positive = 5.0
    eta: Finite = 1.0
    x_init: Fraction = 0.11
    v_read: Positive = 0.1

    state_label: ClassVar[str] = "state x"

    @property
    def bounds(self) -> tuple[Number, Number]:
        """0 and 1."""
        return 0.0, 1.0

    @property
    def initial(self) -> Number:
        """``x_init``."""
        return self.x_init

    def current(self, voltage: Tensor, state: Tensor) -> Tensor:
        """Amperes."""
        scale = either(voltage >= 0, self.a_1, self.a_2, state)
        return scale * state * torch.sinh(self.b * voltage)

    def rate(self, state: Tensor, voltage: Tensor) -> Tensor:
        """1/s."""
        up = self.a_p * ((voltage - self.v_p).clamp(min=0).expm1() * exp(self.v_p))
        down = self.a_n * ((-voltage - self.v_n).clamp(min=0).expm1() * exp(self.v_n))
        return self.eta * (up - down) * self._window(state, self.eta * voltage)

    def _window(self, x: Tensor, direction: Tensor) -> Tensor:
        over = (x - self.x_p).clamp(min=0)  # how far a rising state is inside its slow zone
        under = (1 - self.x_n - x).clamp(min=0)
        rising = torch.exp(-self.alpha_p * over) * (1 - over / (1 - self.x_p))
        falling = torch.exp(-self.alpha_n * under) * (1 - under / (1 - self.x_n))
        return torch.where(direction >= 0, rising, falling)

    def inverse(self, conductance: Tensor) -> Tensor:
        """The current is proportional to the state."""
        g_full = self.conductance(torch.ones_like(conductance))
        return clip(conductance / g_full, 0.0, 1.0)
