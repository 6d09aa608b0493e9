"""The noise that no cell is without: of heat, and of the charge of electrons."""

from __future__ import annotations

from abc import abstractmethod

from pydantic import InstanceOf
from torch import Tensor

from mho.config import Fraction, Positive, config
from mho.devices.base import Device
from mho.devices.effects.base import Noise
from mho.devices.ideal import Ideal

BOLTZMANN = 1.380649e-23  # J/K, exact by definition of the SI
CHARGE = 1.602176634e-19  # C, exact by definition of the SI


class CurrentNoise(Noise):
    """A noise of the cell's current, as that of its conductance at the read voltage.

    The variance of a cell's current at ``v_read`` is exact. A cell driven at a smaller input gets this noise
    in proportion to its input, as all noise of a conductance; the real one falls as its square root (shot)
    or not at all (thermal). Where inputs are small, take the noise of the ADC for it.

    Attributes:
        bandwidth: hertz; that of an integration over a time t is ``1 / (2 t)``.
    """

    bandwidth: Positive

    @abstractmethod
    def variance(self, g_now: Tensor) -> Tensor:
        """Variance of the current of cells at the read voltage, in square amperes per hertz."""

    def read_moments(self, g: Tensor, cells: Tensor, g_now: Tensor, seconds: float) -> tuple[Tensor, Tensor]:
        """The mean inside, and a larger variance."""
        mean, std = self.device.read_moments(g, cells, g_now, seconds)
        own = self.bandwidth**0.5 / self.v_read * self.read_scale * self.variance(g_now).sqrt()
        return mean, (std * std + own * own).sqrt()


@config
class ThermalNoise(CurrentNoise):
    """Johnson noise, ``4 k T G df``, at the read voltage (see :class:`CurrentNoise`).

    Attributes:
        device: the device inside.
        bandwidth: hertz; that of an integration over a time t is ``1 / (2 t)``.
        temperature: kelvin.

    Source: H. Nyquist, Phys. Rev. 32, 110 (1928).
    """

    device: InstanceOf[Device] = Ideal()
    bandwidth: Positive
    temperature: Positive = 300.0

    def variance(self, g_now: Tensor) -> Tensor:
        """``4 k T G``."""
        return 4 * BOLTZMANN * self.temperature * g_now


@config
class ShotNoise(CurrentNoise):
    """Shot noise, ``2 q F I df``, at the read voltage (see :class:`CurrentNoise`).

    Attributes:
        device: the device inside.
        bandwidth: hertz; that of an integration over a time t is ``1 / (2 t)``.
        fano: factor F from 0 to 1; 1 where charges cross a barrier one by one.

    Source: W. Schottky, Ann. Phys. 362, 541 (1918).
    """

    device: InstanceOf[Device] = Ideal()
    bandwidth: Positive
    fano: Fraction = 1.0

    def variance(self, g_now: Tensor) -> Tensor:
        """``2 q F G v_read``."""
        return 2 * CHARGE * self.fano * self.v_read * g_now
