"""Stanford-PKU: a filament whose gap to the electrode grows and shrinks, heated by its current."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from mho.config import NonNegative, Positive, config
from mho.devices.dynamics._numbers import Number, clip, log, sinh
from mho.devices.dynamics.base import SwitchingModel


@config
class StanfordPKU(SwitchingModel):
    """Metal-oxide RRAM with a tunnelling gap.

    Guan et al., IEEE Electron Device Lett. 33, 1405, 2012; Jiang et al., IEEE Trans. Electron Devices 63,
    1884, 2016. With the gap ``x``::

        I     = i_0 exp(-x / x_0) sinh(V / v_0)
        T     = t_ambient + |V I| r_th
        gamma = gamma_0 - beta (x / 1 nm)^3,  0 where gamma |V| / t_ox < f_min
        dx/dt = -speed exp(-q e_a / (k T)) sinh(gamma a_0 q V / (t_ox k T))

    Positive voltage closes the gap. The bounds of the gap are those whose resistance at ``v_read`` is
    ``r_on`` and ``r_off``.

    With draws ``eps`` passed to :meth:`simulate` the velocity has a normal part of standard deviation
    :meth:`rate_std`, constant during each interval between samples: the variance that builds up in a given
    time therefore goes with the length of the interval, which belongs to the calibration of ``delta_gap``.

    The defaults are those of MemTorch 1.1.6 (Lammie et al., Neurocomputing 485, 124, 2022), with today's
    values of the physical constants.

    Attributes:
        r_on: resistance of the smallest gap, ohms.
        r_off: resistance of the largest gap, ohms.
        i_0: current scale, amperes.
        x_0: decay length of the tunnelling current, metres.
        v_0: voltage scale of the current, volts.
        speed: attempt velocity, metres per second.
        e_a: activation energy, electronvolts.
        a_0: hopping distance, metres.
        t_ox: oxide thickness, metres.
        gamma_0: local field enhancement of a vanishing gap.
        beta: its decrease with the cube of the gap in nanometres.
        f_min: smallest field that moves the gap, volts per metre.
        r_th: thermal resistance, kelvin per watt.
        t_ambient: ambient temperature, kelvin.
        delta_gap: scale of the velocity noise, metres per second; used with ``eps`` only.
        t_crit: temperature of half the noise, kelvin.
        t_smooth: width of its transition, kelvin.
        gap_init: gap of a cell when none is given, metres; kept inside the bounds.
        v_read: read voltage, volts.
        k_b: Boltzmann constant, J/K (SI, exact).
        q: elementary charge, C (SI, exact).
    """

    r_on: Positive = 542.0
    r_off: Positive = 218586.0
    i_0: Positive = 1e-3
    x_0: Positive = 0.25e-9
    v_0: Positive = 0.25
    speed: Positive = 10.0
    e_a: Positive = 0.6
    a_0: Positive = 0.25e-9
    t_ox: Positive = 12e-9
    gamma_0: Positive = 16.0
    beta: Positive = 0.8
    f_min: NonNegative = 1.4e9
    r_th: NonNegative = 2.1e3
    t_ambient: Positive = 298.0
    delta_gap: NonNegative = 0.02
    t_crit: Positive = 450.0
    t_smooth: Positive = 500.0
    gap_init: Positive = 0.2e-9
    v_read: Positive = 0.1
    k_b: Positive = 1.380649e-23
    q: Positive = 1.602176634e-19

    ordered: ClassVar[tuple[tuple[str, str], ...]] = (("r_on", "r_off"),)
    state_label: ClassVar[str] = "gap"
    state_unit: ClassVar[str] = "m"

    @property
    def bounds(self) -> tuple[Number, Number]:
        """Gaps of ``r_on`` and ``r_off``, metres."""
        return self._gap(self.r_on), self._gap(self.r_off)

    @property
    def initial(self) -> Number:
        """``gap_init``, inside the bounds."""
        low, high = self.bounds
        return clip(torch.as_tensor(self.gap_init, dtype=torch.float64), low, high)

    def current(self, voltage: Tensor, state: Tensor) -> Tensor:
        """Amperes."""
        return self.i_0 * torch.exp(-state / self.x_0) * torch.sinh(voltage / self.v_0)

    def temperature(self, state: Tensor, voltage: Tensor, current: Tensor | None = None) -> Tensor:
        """Temperature of the filament, kelvin.

        Args:
            state: gap, metres.
            voltage: volts.
            current: amperes; default the model's own at this voltage and gap.
        """
        i = self.current(voltage, state) if current is None else current
        return self.t_ambient + (voltage * i).abs() * self.r_th

    def rate(self, state: Tensor, voltage: Tensor, temperature: Tensor | None = None) -> Tensor:
        """Metres per second.

        Args:
            state: gap, metres.
            voltage: volts.
            temperature: kelvin; default :meth:`temperature`.
        """
        t = self.temperature(state, voltage) if temperature is None else temperature
        gamma = self.gamma_0 - self.beta * (state * 1e9) ** 3
        gamma = torch.where(gamma * voltage.abs() / self.t_ox < self.f_min, 0.0, gamma)
        thermal = self.k_b * t / self.q  # volts
        jump = gamma * voltage * (self.a_0 / self.t_ox) / thermal
        return -self.speed * torch.exp(-self.e_a / thermal) * torch.sinh(jump)

    def limits(self, state: Tensor, v0: Tensor, v1: Tensor) -> tuple[Number, Number]:
        """A RESET widens the gap no farther than where the field falls to ``f_min``."""
        low, high = self.bounds
        strongest = torch.maximum(v0.abs(), v1.abs()).clamp(min=1e-3)
        spare = (self.gamma_0 - self.f_min * self.t_ox / strongest).clamp(min=1e-6)
        edge = 1e-9 * (spare / self.beta) ** (1 / 3)  # where gamma |V| / t_ox = f_min
        # A hair inside, where the velocity has not dropped yet.
        return low, clip(torch.maximum(state, edge * (1 - 1e-9)), low, high)

    def rate_std(self, state: Tensor, voltage: Tensor) -> Tensor:
        """``delta_gap / (1 + exp((t_crit - T) / t_smooth))``, metres per second."""
        hotter = (self.temperature(state, voltage) - self.t_crit) / self.t_smooth
        return self.delta_gap * torch.sigmoid(hotter)

    def _gap(self, resistance: Number) -> Number:
        """Gap of a resistance at ``v_read``, metres."""
        scale = self.i_0 / self.v_read * sinh(self.v_read / self.v_0)
        return self.x_0 * log(scale * resistance)

    def inverse(self, conductance: Tensor) -> Tensor:
        """The logarithm of the current is linear in the gap."""
        gap = self._gap(1 / conductance)
        assert isinstance(gap, Tensor)
        return clip(gap, *self.bounds)
