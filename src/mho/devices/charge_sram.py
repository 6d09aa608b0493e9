"""SRAM cells that compute with the charge on a capacitor."""

from __future__ import annotations

import torch
from torch import Tensor

from mho.config import NonNegative, Positive, config
from mho.devices.base import Steady


@config
class ChargeSRAM(Steady):
    """Charge-domain SRAM, 28 nm: capacitors that the bits of a weight connect.

    A column adds charges ``C v`` as one of resistors adds currents ``g v``; conductances stand for
    capacitances, ``g_max`` for ``capacitance``. Capacitors of one size scatter by
    ``sigma_C = 2.1 10^-2.5 sqrt(C)``, both in femtofarads: 0.66 % at 1 fF. A cell at ``g`` is that part
    ``g / g_max`` of a capacitor, and its area scatters likewise:
    ``sigma_prog = g_max 2.1 10^-2.5 sqrt((g / g_max) / C)``. A cell that is off has none.

    A cell of one bit is a capacitor or none: take ``BitSlicing(bits=8, slices=7)``, which asks for nothing
    else. (``FiniteStates`` around it would round the scatter away.) The scatter is frozen in the chip that a
    seed makes; bits neither drift nor fluctuate. What a read adds, thermal noise of the column and of its
    comparator, is the same whatever the cells hold, and is the converter's: :class:`~mho.ADC` with ``noise``.

    Source: the model of charge redistribution in 28 nm CMOS in the code of M. Kavishwar and N. Shanbhag,
    arXiv:2507.09776 (2025), file ``imc_dp_unit.py``; the paper itself was not at hand. ``v_read`` is its
    supply of 0.9 V. ``g_max`` = 1 uS is ``C / T`` of 1 fF switched each nanosecond: a unit, no measurement.

    Attributes:
        capacitance: of a cell that is on, farads.

    Example:
        >>> import torch
        >>> on, eps = torch.tensor([1e-6]), torch.ones(1)
        >>> for capacitance in (1e-15, 4e-15):  # half the scatter at four times the area
        ...     g = ChargeSRAM(capacitance=capacitance).programmed(on, eps)
        ...     print(f"{float(g / on - 1):.2%}")
        0.66%
        0.33%
    """

    g_min: NonNegative = 0.0
    g_max: Positive = 1e-6
    v_read: Positive = 0.9
    program_scale: NonNegative = 1.0
    drift_scale: NonNegative = 1.0
    read_scale: NonNegative = 1.0
    capacitance: Positive = 1e-15

    def validate(self) -> None:
        """The bounds."""
        self.check_bounds()

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """``max(g_target + sigma_prog eps, 0)``."""
        of_a_whole_cell = 2.1 * 10**-2.5 / (self.capacitance * 1e15) ** 0.5
        part = g_target / self.g_max
        root = part / part.clamp_min(1e-12).sqrt()  # the square root, with a finite slope at 0
        std: Tensor = self.g_max * of_a_whole_cell * root
        return (g_target + self.program_scale * std * eps).clamp_min(0)

    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        """Zero: a bit does not fluctuate."""
        self.check_time(seconds)
        return torch.zeros_like(g_now)
