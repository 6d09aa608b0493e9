"""One drift exponent for all conductances: the textbook power law."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mho.config import Finite, NonNegative, Positive, config
from mho.devices._curves import polynomial
from mho.devices.base import Device


@config
class ConstantDrift(Device):
    """A cell that drifts with one exponent, ``g(t) = g (t / t0)^-nu`` for ``t >= t0``.

    Here t counts from programming and the programmed conductance is the one at t0 (in
    :class:`~mho.devices.PCM`, ``seconds`` counts from t0 instead). Without spread all cells fall by
    one factor, which a single gain undoes exactly: a drift study that shows no loss then shows
    nothing. Set ``nu_std``, or use a device whose exponent depends on the state.

    With the defaults: the programming error of V. Joshi et al., Nat. Commun. 11, 2473 (2020), at
    25 uS, and ``nu = 0.06`` from t0 = 1 s, a typical value of doped Ge2Sb2Te5 that hardware-aware
    training is often studied with. ``v_read`` = 0.2 V is a typical value too.

    Attributes:
        nu, nu_std: mean and standard deviation of the exponent; each cell draws ``|nu + nu_std xi|``.
        t0: time at which the cell has its programmed conductance, seconds.
        program: coefficients c_i of ``sigma_prog / g_max = sum_i c_i (g_target / g_max)^i``.
        read: coefficients c_i of ``sigma_read / g_max = sum_i c_i (g / g_max)^i``, with g at the time
            of the read.

    Example:
        >>> g = torch.tensor([25e-6], dtype=torch.float64)
        >>> device = ConstantDrift()
        >>> round(float(device.aged(g, device.drift_state(g, torch.zeros(1)), 86_400) / g), 6)
        0.505602
    """

    g_min: NonNegative = 0.0
    g_max: Positive = 25e-6
    v_read: Positive = 0.2
    program_scale: NonNegative = 1.0
    drift_scale: NonNegative = 1.0
    read_scale: NonNegative = 1.0
    nu: NonNegative = 0.06
    nu_std: NonNegative = 0.0
    t0: Positive = 1.0
    program: tuple[Finite, ...] = (0.26348 / 25, 1.9650 / 25, -1.1731 / 25)
    read: tuple[Finite, ...] = (0.0,)

    @property
    def times(self) -> tuple[float, float]:
        """From ``t0`` on."""
        return (self.t0, math.inf)

    def validate(self) -> None:
        """The bounds, and at least one coefficient of each polynomial."""
        self.check_bounds()
        for name in ("program", "read"):
            if not getattr(self, name):
                raise ValueError(f"{name} = (): give at least one coefficient; (0.0,) is no error")

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """``max(g_target + sigma_prog eps, 0)``."""
        return (g_target + self.program_scale * self._std(g_target, self.program) * eps).clamp_min(0)

    def drift_state(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """One parameter: the drift exponent."""
        return self.drift_scale * (self.nu + self.nu_std * eps).abs().unsqueeze(0)

    def aged(self, g: Tensor, cells: Tensor, seconds: float) -> Tensor:
        """``g (seconds / t0)^-nu``."""
        self.check_time(seconds)
        return g * torch.exp(-math.log(max(seconds, self.t0) / self.t0) * cells[0])

    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        """The polynomial ``read`` at ``g_now``."""
        self.check_time(seconds)
        return self.read_scale * self._std(g_now, self.read)

    def _std(self, g: Tensor, coefficients: tuple[float, ...]) -> Tensor:
        return polynomial(g / self.g_max, coefficients).clamp_min(0) * self.g_max
