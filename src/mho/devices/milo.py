"""Resistive memory programmed with the IGVVA-100 algorithm."""

from __future__ import annotations

import torch
from torch import Tensor

from mho.config import NonNegative, Positive, config
from mho.devices._curves import polynomial
from mho.devices.base import Steady

_FIRST, _LAST = 50e-6, 225e-6  # siemens: the measured range


@config
class ReRAMMilo2021(Steady):
    """Resistive memory (HfO2) with the programming error of a verified pulse train.

    ``sigma_prog = 4.782321 uS - 0.009107 g``, measured from 50 to 225 uS; the bounds must lie in that
    range. Neither drift nor read noise was published: both are zero.

    Source: V. Milo et al., IEEE IRPS 2021, figure 4 (IGVVA-100), fit as published with CrossSim.
    ``v_read`` = 0.2 V is a typical value, not of that paper.
    """

    g_min: NonNegative = 50e-6
    g_max: Positive = 225e-6
    v_read: Positive = 0.2
    program_scale: NonNegative = 1.0
    drift_scale: NonNegative = 1.0
    read_scale: NonNegative = 1.0

    def validate(self) -> None:
        """Bounds inside the measured range."""
        self.check_bounds()
        self.check_range(_FIRST, _LAST)

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """``max(g_target + sigma_prog eps, 0)``."""
        std = 1e-6 * polynomial(g_target * 1e6, (4.782321, -0.009107)).clamp_min(0)
        return (g_target + self.program_scale * std * eps).clamp_min(0)

    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        """Zero: not published."""
        self.check_time(seconds)
        return torch.zeros_like(g_now)
