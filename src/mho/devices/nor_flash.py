"""Floating-gate cells of a NOR flash array that was redesigned for analog tuning."""

from __future__ import annotations

import torch
from torch import Tensor

from mho.config import NonNegative, Positive, config
from mho.devices.base import Steady


@config
class NORFlash(Steady):
    """Floating-gate NOR flash, 180 nm, tuned cell by cell: ``sigma_prog = precision g``.

    "Automatically tuned, with ~1% precision, to any desired subthreshold readout current value within an
    almost three-orders-of-magnitude dynamic range" (the first source); the second confirms the 1 %, and says
    "long-term analog-level retention and low noise" without figures: drift and read noise are zero here. The
    precision is taken as a standard deviation, the range as a factor of 1,000. Absolute currents were not
    seen: ``g_max`` and ``v_read`` are typical values, on which no result of an ideal array depends.

    Source: F. Merrikh Bayat et al., arXiv:1410.4781 (2014), and arXiv:1610.02091 (2016); read as abstracts,
    not in full.

    Attributes:
        precision: of a tuned cell, relative to its target.

    Example:
        >>> import torch
        >>> g = torch.tensor([0.1e-6, 10e-6])
        >>> (NORFlash().programmed(g, torch.ones(2)) / g - 1).tolist()  # alike at both ends
        [0.00999..., 0.00999...]
    """

    g_min: NonNegative = 10e-9
    g_max: Positive = 10e-6
    v_read: Positive = 0.2
    program_scale: NonNegative = 1.0
    drift_scale: NonNegative = 1.0
    read_scale: NonNegative = 1.0
    precision: NonNegative = 0.01

    def validate(self) -> None:
        """Bounds within the range in which cells were tuned."""
        self.check_bounds()
        if self.g_min < self.g_max / 1e3 * (1 - 1e-9):
            raise ValueError(
                f"g_min = {self.g_min!r} S is less than a thousandth of g_max = {self.g_max!r} S: cells were "
                "tuned over three orders of magnitude; raise g_min"
            )

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """``max(g_target (1 + precision eps), 0)``."""
        return (g_target * (1 + self.program_scale * self.precision * eps)).clamp_min(0)

    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        """Zero: not published in figures."""
        self.check_time(seconds)
        return torch.zeros_like(g_now)
