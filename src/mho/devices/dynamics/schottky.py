"""A tunnelling current that the state carries, beside a Schottky contact that rectifies."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from mho.config import Finite, NonNegative, Positive, config
from mho.devices.dynamics._numbers import clip, either
from mho.devices.dynamics.yakopcic import Yakopcic


@config
class Schottky(Yakopcic):
    """A rectifying cell: ``I = a x^n sinh(b V) + chi (exp(gamma V) - 1)``.

    The first term is the tunnelling through what the state leaves of the barrier, the second the
    Schottky-like contact that is left in the off state (J. J. Yang et al., Nat. Nanotechnol. 3, 429, 2008,
    equation 1). For loops whose high-resistance branch is an exponential, on which the laws of
    :class:`Yakopcic` and :class:`~mho.devices.dynamics.VTEAM` leave a trend. The paper has no law of motion;
    the state moves as in :class:`Yakopcic`, above its two thresholds. ``a`` is ``a_1`` for V >= 0 and ``a_2``
    below.

    The defaults are an example, not a device.

    Attributes:
        a_1: current scale of the tunnelling for V >= 0, amperes.
        a_2: current scale of the tunnelling for V < 0, amperes.
        b: steepness of the tunnelling, 1/volts.
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
        chi: saturation current of the contact, amperes.
        gamma: steepness of the contact, 1/volts; below 0 it conducts at negative voltage, and the whole term
            has the other sign.
        power: of the state in the tunnelling.

    Example:
        >>> cell = Schottky(a_1=1e-4, chi=1e-6, gamma=4.0, b=2.0)
        >>> off, volt = torch.tensor(0.0), torch.tensor([-1.0, 1.0])
        >>> [round(1e6 * i, 3) for i in cell.current(volt, off).tolist()]
        [-0.982, 53.598]
    """

    chi: NonNegative = 1e-4
    gamma: Finite = 3.0
    power: Positive = 1.0

    state_label: ClassVar[str] = "state x"

    def current(self, voltage: Tensor, state: Tensor) -> Tensor:
        """Amperes."""
        scale = either(voltage >= 0, self.a_1, self.a_2, state)
        return scale * state**self.power * torch.sinh(self.b * voltage) + self._contact(voltage)

    def _contact(self, voltage: Tensor) -> Tensor:
        way = torch.as_tensor(self.gamma, dtype=voltage.dtype, device=voltage.device).sign()
        return self.chi * way * torch.expm1(self.gamma * voltage)

    def inverse(self, conductance: Tensor) -> Tensor:
        """The tunnelling is what the contact leaves of the current."""
        v = torch.as_tensor(self.v_read, dtype=conductance.dtype, device=conductance.device)
        full = self.a_1 * torch.sinh(self.b * v)
        left = (conductance * v - self._contact(v)) / full
        return clip(left.clamp(min=0) ** (1 / self.power), 0.0, 1.0)
