"""The noise that no cell is without: of heat, and of the charge of electrons."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import Fraction, Positive, config
from mho.devices.base import Device
from mho.devices.effects.base import at_temperature, effects, innermost, modified, past_of, temperature_of
from mho.devices.effects.levels import ReadNoise, on_level
from mho.devices.effects.varied import Varied
from mho.devices.ideal import Ideal

BOLTZMANN = 1.380649e-23  # J/K, exact by definition of the SI
CHARGE = 1.602176634e-19  # C, exact by definition of the SI


class CurrentNoise(ReadNoise):
    """A noise of the cell's current, not of its conductance.

    It does not grow as the input does: a cell driven at half of the read voltage has half of the variance of
    shot noise, and all of that of heat; so does a cell that is not driven at all. A product draws it with
    that law, for each column: the variances of its cells add up. The moments of a cell on its own, here and
    in reports, are those at the read voltage.

    The read voltage belongs to a full-scale input of the DAC. In an array without a DAC, or with one that
    has no range yet, an input of one is taken for it. Inputs that come as groups of bits, one after the
    other, have this noise in each group, and the bandwidth is that of one of them.

    Where :class:`~mho.devices.Varied` gives each cell a temperature, bandwidth or Fano factor of its own, the
    noise goes with the input as noise of conductances does.

    Attributes:
        bandwidth: hertz; that of an integration over a time t is ``1 / (2 t)``.
    """

    bandwidth: Positive

    of_current: ClassVar[bool]
    """Whether the variance goes with the magnitude of the current, or is there without one too."""

    @abstractmethod
    def variance(self, g_now: Tensor) -> Tensor:
        """Variance of the current of cells at the read voltage, in square amperes per hertz.

        It is in proportion to the conductance.
        """

    def read_moments(self, g: Tensor, cells: Tensor, g_now: Tensor, seconds: float) -> tuple[Tensor, Tensor]:
        """The mean inside, and a larger variance: at the read voltage."""
        mean, std = self.device.read_moments(g, cells, g_now, seconds)
        return mean, self._larger(std, mean)

    def on_level(
        self, g: Tensor, cells: Tensor, g_now: Tensor, seconds: float, eps: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The level inside, and a larger variance."""
        mean, std, rest = on_level(self.device, g, cells, g_now, seconds, eps)
        return mean, self._larger(std, mean), rest

    def one_read(self, g: Tensor, cells: Tensor, g_now: Tensor, seconds: float, eps: Tensor) -> Tensor:
        """At the read voltage; a current may be below zero."""
        mean, std, rest = self.on_level(g, cells, g_now, seconds, eps)
        return mean + std * rest

    def _larger(self, std: Tensor, mean: Tensor) -> Tensor:
        own: Tensor = self.bandwidth**0.5 / self.v_read * self.read_scale * self.variance(mean).sqrt()
        return (std * std + own * own).sqrt()


@config
class ThermalNoise(CurrentNoise):
    """Johnson noise of a cell, ``4 k T G df`` whatever its voltage (see :class:`CurrentNoise`).

    Attributes:
        device: the device inside.
        bandwidth: hertz; that of an integration over a time t is ``1 / (2 t)``.
        temperature: of the chip, kelvin, unless a :class:`~mho.devices.Temperature` says it.

    Source: H. Nyquist, Phys. Rev. 32, 110 (1928).
    """

    device: InstanceOf[Device] = Ideal()
    bandwidth: Positive
    temperature: Positive = 300.0

    of_current: ClassVar[bool] = False
    temperatures: ClassVar[tuple[str, ...]] = ("temperature",)

    def check_inside(self) -> None:
        """One temperature for all heat."""
        if self.chip_temperature is not None:
            return
        for effect in effects(self.device):
            if isinstance(effect, ThermalNoise) and effect.temperature != self.temperature:
                raise ValueError(
                    f"temperature = {self.temperature!r} K around one of {effect.temperature!r} K: a chip "
                    "has one temperature at a time; give both the same, or let a Temperature effect say it"
                )

    def variance(self, g_now: Tensor) -> Tensor:
        """``4 k T G``."""
        kelvin = self.chip_temperature
        return 4 * BOLTZMANN * (self.temperature if kelvin is None else kelvin) * g_now


@config
class ShotNoise(CurrentNoise):
    """Shot noise of a cell, ``2 q F |I| df`` (see :class:`CurrentNoise`).

    Attributes:
        device: the device inside.
        bandwidth: hertz; that of an integration over a time t is ``1 / (2 t)``.
        fano: factor F from 0 to 1; 1 where charges cross a barrier one by one.

    Source: W. Schottky, Ann. Phys. 362, 541 (1918).
    """

    device: InstanceOf[Device] = Ideal()
    bandwidth: Positive
    fano: Fraction = 1.0

    of_current: ClassVar[bool] = True

    def variance(self, g_now: Tensor) -> Tensor:
        """``2 q F G v_read``."""
        return 2 * CHARGE * self.fano * self.v_read * g_now


def without_current_noise(device: Device) -> tuple[Device, float, float]:
    """The device without shot and thermal noise, and how large they are.

    Both have no parameters in the cells: the cells of the device are those of the one that comes back.

    Returns:
        The device, and the variance of shot and of thermal noise of a cell of ``g_max`` at the read voltage,
        over the square of its current. Those of other cells are in proportion to their conductance.

    >>> _, shot, heat = without_current_noise(ThermalNoise(bandwidth=1e6))
    >>> shot, f"{heat ** 0.5 * 0.2 * 25e-6:.4e}"
    (0.0, '6.4358e-10')
    """
    shot = thermal = 0.0
    device = at_temperature(device, temperature_of(device), past_of(device))
    made: Device = innermost(device)
    best = torch.tensor(device.g_max, dtype=torch.float64)
    full = (device.v_read * device.g_max / device.read_scale) ** 2 if device.read_scale else math.inf
    chain = list(effects(device))
    for k, effect in reversed(list(enumerate(chain))):
        own = k > 0 and isinstance(chain[k - 1], Varied)  # parameters that differ from cell to cell
        if own or not isinstance(effect, CurrentNoise):
            made = modified(effect, device=made)
        elif effect.of_current:
            shot += float(effect.variance(best)) * effect.bandwidth / full
        else:
            thermal += float(effect.variance(best)) * effect.bandwidth / full
    return made, shot, thermal
