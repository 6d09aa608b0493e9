"""A device that ages faster the hotter its chip is."""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic import InstanceOf

from mho.config import NonNegative, Positive, config
from mho.devices.base import Device
from mho.devices.effects.base import Effect
from mho.devices.effects.heat import acceleration, passed
from mho.devices.ideal import Ideal


@config
class Accelerated(Effect):
    """Time goes faster for the device inside, as Arrhenius' law has it: ``exp(E / k (1/T_ref - 1/T))``.

    Its drift, its lost retention and the growth of its read noise with time are those of a chip that is as
    many times older. One activation energy belongs to one mechanism: what has another one, or none, goes
    around this effect and not inside.

    Activation energies to go by, not verified: 1 to 1.5 eV for retention in hafnium and tantalum oxide, 2.3
    to 2.6 eV for crystallisation of Ge2Sb2Te5. Measure yours: :class:`mho.devices.Bake` fits one.

    Attributes:
        device: the device inside.
        activation: activation energy E, electronvolts.
        kelvin: temperature T at which the chip is kept, unless a :class:`~mho.devices.Temperature` or
            ``mho.age(..., kelvin=...)`` says it.
        reference: temperature T_ref at which the device inside is described, kelvin.

    Example:
        >>> import torch
        >>> from mho.devices import RetentionLoss
        >>> oven = Accelerated(activation=1.0, kelvin=358.15, reference=298.15, device=RetentionLoss(nu=0.02))
        >>> g = torch.tensor([25e-6])
        >>> [round(float(oven.aged(g, torch.empty(0, 1), hours * 3600.0)) * 1e6, 3) for hours in (0, 1, 1000)]
        [25.0, 18.629, 16.225]
    """

    device: InstanceOf[Device] = Ideal()
    activation: NonNegative
    kelvin: Positive = 300.0
    reference: Positive = 300.0

    temperatures: ClassVar[tuple[str, ...]] = ("kelvin",)

    @property
    def mechanism(self) -> str:
        """Goes with the scale of all drift."""
        return "drift"

    @property
    def feels_heat(self) -> bool:
        """If it has an activation energy."""
        return self.activation > 0

    @property
    def holds(self) -> bool:
        """If the device inside does."""
        return self.device.holds

    @property
    def times(self) -> tuple[float, float]:
        """Those of the device inside, in seconds of a chip that was never kept at another temperature."""
        kelvin = self.kelvin if self.chip_temperature is None else self.chip_temperature
        faster = acceleration(self.activation, kelvin, self.reference)
        first, last = self.device.times
        return (first / faster, last / faster) if faster > 0 else (0.0 if first == 0 else math.inf, math.inf)

    def inside_seconds(self, seconds: float) -> float:
        """Time at the reference temperature that ages the device as much."""
        return passed(self, seconds, self.activation, self.kelvin, self.reference)
