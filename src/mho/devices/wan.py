"""Resistive memory of the NeuRRAM chip, two published fits."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from mho.config import NonNegative, Positive, config
from mho.devices._curves import polynomial
from mho.devices.base import Device

_DAY = 86_400.0
# Quartic fit: (time in seconds, coefficients in microsiemens, in powers of g/g_max), g_max 40 uS.
_QUARTIC = (
    (1.0, (0.348, 16.030, -43.853, 45.393, -16.815)),
    (_DAY, (0.701, 22.086, -50.773, 47.095, -16.458)),
    (2 * _DAY, (0.782, 20.274, -43.507, 37.062, -11.934)),
)
# Cubic fit: microsiemens, in powers of microsiemens up to 39.26 uS, 1 s after programming.
_CUBIC = (1.053, 0.2374, -1.167e-2, 1.536e-4)
_QUARTIC_REFERENCE = 40e-6  # siemens
_CUBIC_REFERENCE = 39.26e-6  # siemens


@config
class ReRAMWan2022(Device):
    """Resistive memory (HfOx) whose error was measured 1 s, 1 day and 2 days after programming.

    The published numbers are spreads ``sigma(t)`` around the *target*. One chip is one trajectory: a
    cell starts from the conductance it was programmed to and relaxation adds
    ``sqrt(sigma(t)^2 - sigma(1 s)^2) xi`` with one frozen ``xi``, so that the spread around the target
    is the published one at each time. Cells that programming cut off at zero continue from the mean of
    what the cut hid. There are no read-noise figures: ``read_std`` is zero.

    Source: W. Wan et al., Nature 608, 504 (2022), extended data figure 3. The two fits to it disagree
    by up to a factor of 3 at g = 0. ``g_min`` = 1 uS is a typical value, not of that paper; ``v_read`` =
    0.5 V.

    Attributes:
        fit: ``"quartic"``, as published with aihwkit, for g_max = 40 uS and 1 s to 2 days, taken linear
            in ln t in between (our choice); ``"cubic"``, as published with CrossSim, for
            g_max = 39.26 uS and 1 s only. Both scale with g_max. ``seconds`` = 0 is the fit at 1 s.
    """

    g_min: NonNegative = 1e-6
    g_max: Positive = 40e-6
    v_read: Positive = 0.5
    program_scale: NonNegative = 1.0
    drift_scale: NonNegative = 1.0
    read_scale: NonNegative = 1.0
    fit: Literal["quartic", "cubic"] = "quartic"

    @property
    def times(self) -> tuple[float, float]:
        """1 s to 2 days for the quartic, 1 s for the cubic."""
        return (1.0, 2 * _DAY if self.fit == "quartic" else 1.0)

    def std(self, g_target: Tensor, seconds: float = 1.0) -> Tensor:
        """Published spread around the target ``seconds`` after programming, siemens."""
        self.check_time(seconds)
        if self.fit == "cubic":
            scale = self.g_max / _CUBIC_REFERENCE
            microsiemens = polynomial(g_target * (1e6 / scale), _CUBIC)
        else:
            scale = self.g_max / _QUARTIC_REFERENCE
            microsiemens = polynomial(g_target / self.g_max, _quartic_at(max(seconds, 1.0)))
        return microsiemens.clamp_min(0) * (1e-6 * scale)

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """``max(g_target + sigma(1 s) eps, 0)``."""
        return (g_target + self.program_scale * self.std(g_target) * eps).clamp_min(0)

    def drift_state(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """Two parameters: the target and the draw of the relaxation."""
        return torch.stack((g_target, eps))

    def aged(self, g: Tensor, cells: Tensor, seconds: float) -> Tensor:
        """``max(g + sqrt(sigma(t)^2 - sigma(1 s)^2) xi, 0)``."""
        target, eps = cells[0], cells[1]
        first, now = self.std(target), self.std(target, seconds)
        growth = (now - first).clamp_min(0) * (now + first)
        start = _before_the_cut(g, target, (self.program_scale * first).clamp_min(1e-9 * self.g_max))
        return (start + self.drift_scale * growth.sqrt() * eps).clamp_min(0)

    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        """Zero: not published."""
        self.check_time(seconds)
        return torch.zeros_like(g_now)


def _quartic_at(seconds: float) -> tuple[float, ...]:
    """Coefficients at a time from 1 s to 2 days, linear in ln t between the measured ones."""
    early, late = _QUARTIC[:2] if seconds <= _DAY else _QUARTIC[1:]
    part = math.log(seconds / early[0]) / math.log(late[0] / early[0])
    return tuple(a + part * (b - a) for a, b in zip(early[1], late[1], strict=True))


def _before_the_cut(g: Tensor, target: Tensor, std: Tensor) -> Tensor:
    """``g``, and for cells at zero the mean of ``target + std xi`` given that it is below zero."""
    a = target / std
    # phi(a) / Phi(-a), the inverse of Mills' ratio, without underflow
    inverse_mills = math.sqrt(2 / math.pi) / torch.special.erfcx(a / math.sqrt(2))
    return torch.where(g > 0, g, (target - std * inverse_mills).clamp_max(0))
