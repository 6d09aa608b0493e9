"""Noise of single reads that may have several levels: traps, and normal noise around them."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from mho.devices.base import Device
from mho.devices.effects.base import Effect
from mho.devices.effects.noise import Noise


class ReadNoise(Noise):
    """An effect on the noise of a read alone; once the levels of all traps are known, it is normal."""

    @abstractmethod
    def on_level(
        self, g: Tensor, cells: Tensor, g_now: Tensor, seconds: float, eps: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and standard deviation of a read on the level that ``eps`` chooses, and draws still unused.

        Arguments are those of :meth:`one_read`; the draws that come back are standard normal and independent
        of the level.
        """


def on_level(
    device: Device, g: Tensor, cells: Tensor, g_now: Tensor, seconds: float, eps: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What :meth:`ReadNoise.on_level` gives, for any device."""
    if isinstance(device, ReadNoise):
        return device.on_level(g, cells, g_now, seconds, eps)
    if isinstance(device, Effect):
        return on_level(*device.inside(g, cells), g_now, seconds, eps)
    return *device.read_moments(g, cells, g_now, seconds), eps
