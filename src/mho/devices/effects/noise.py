"""Effects that change nothing but the noise of a read."""

from __future__ import annotations

from torch import Tensor

from mho.devices.effects.base import Effect


class Noise(Effect):
    """An effect on the noise of a read alone."""

    @property
    def noisy(self) -> bool:
        """Unless all noise is off."""
        return self.read_scale > 0

    @property
    def mechanism(self) -> str:
        """Goes with the scale of all read noise."""
        return "read noise"

    def one_read(self, g: Tensor, cells: Tensor, g_now: Tensor, seconds: float, eps: Tensor) -> Tensor:
        """A normal number with the mean and the standard deviation of a read."""
        mean, std = self.read_moments(g, cells, g_now, seconds)
        return mean + std * eps
