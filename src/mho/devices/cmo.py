"""Resistive memory with a conductive metal oxide on HfOx."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from mho.config import NonNegative, Positive, config
from mho.devices._curves import polynomial
from mho.devices.base import Device
from mho.devices.dynamics._numbers import clip

_FIRST, _LAST = 9e-6, 88.2e-6  # siemens: the measured range
# Programming error for each acceptance range: microsiemens, in powers of microsiemens.
_PROGRAM = {"0.2%": (0.00081107, 0.00106879), "2%": (0.0112185391, 0.01129027418)}


@config
class ReRAMCMO(Device):
    """Resistive memory of conductive metal oxide on HfOx (CMO/HfOx), 9 to 88.2 uS.

    ==================  ===================================================================
    programmed          sigma_prog = c0 + c1 g_target for the acceptance range of the writing loop
    drift               g(t) = g - 0.08900206 ln t + (0.04201137 ln t + 0.41183342) xi, microsiemens,
                        for each cell with its own frozen xi, the same at all conductances
    read noise (std)    0.0277316483 log10(g) sqrt(ln((t + 1 us) / (2 us))), microsiemens
    ==================  ===================================================================

    t is in seconds and at least 1. Conductances stay in [g_min, g_max], which must lie in the measured
    range.

    Source: D. F. Falcone et al., arXiv:2502.04524 (2025), fits as published with aihwkit. ``v_read`` =
    0.2 V is a typical value, not of that paper.

    Attributes:
        acceptance: how near to the target the writing loop stops, relative to it.
    """

    g_min: NonNegative = 9e-6
    g_max: Positive = 88.2e-6
    v_read: Positive = 0.2
    program_scale: NonNegative = 1.0
    drift_scale: NonNegative = 1.0
    read_scale: NonNegative = 1.0
    acceptance: Literal["0.2%", "2%"] = "0.2%"

    @property
    def times(self) -> tuple[float, float]:
        """From 1 s on."""
        return (1.0, math.inf)

    def validate(self) -> None:
        """Bounds inside the measured range."""
        self.check_bounds()
        self.check_range(_FIRST, _LAST)

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """``g_target + sigma_prog eps``, clipped to the bounds."""
        std = 1e-6 * polynomial(g_target * 1e6, _PROGRAM[self.acceptance])
        return clip(g_target + self.program_scale * std * eps, self.g_min, self.g_max)

    def drift_state(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """One parameter: the draw of the relaxation."""
        return eps.unsqueeze(0)

    def aged(self, g: Tensor, cells: Tensor, seconds: float) -> Tensor:
        """The programmed conductance plus the relaxation, clipped to the bounds."""
        self.check_time(seconds)
        if seconds == 0:
            return g
        decades = math.log(seconds)
        change = (0.04201137 * decades + 0.41183342) * cells[0] - 0.08900206 * decades
        return clip(g + 1e-6 * self.drift_scale * change, self.g_min, self.g_max)

    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        """The published curve at ``g_now``; at ``seconds`` = 0 the one of 1 s, below 1 uS zero."""
        self.check_time(seconds)
        noise = math.sqrt(math.log((max(seconds, 1.0) + 1e-6) / 2e-6))
        decades = torch.log10((g_now * 1e6).clamp_min(1.0))
        return (1e-6 * 0.0277316483 * noise * self.read_scale) * decades
