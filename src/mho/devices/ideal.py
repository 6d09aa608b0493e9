"""A cell that holds exactly what is written."""

from __future__ import annotations

import torch
from torch import Tensor

from mho.config import NonNegative, Positive, config
from mho.devices.base import Steady


@config
class Ideal(Steady):
    """A cell without programming error, drift or noise."""

    g_min: NonNegative = 0.0
    g_max: Positive = 25e-6
    v_read: Positive = 0.2
    program_scale: NonNegative = 1.0
    drift_scale: NonNegative = 1.0
    read_scale: NonNegative = 1.0

    @property
    def noisy(self) -> bool:
        """No."""
        return False

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """``g_target`` itself."""
        return g_target

    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        """Zero."""
        self.check_time(seconds)
        return torch.zeros_like(g_now)
