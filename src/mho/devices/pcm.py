"""Phase-change memory after Joshi and Nandakumar: the reference model of the field."""

from __future__ import annotations

from pydantic import InstanceOf
from torch import Tensor

from mho.config import NonNegative, Positive, config
from mho.devices._curves import polynomial
from mho.devices.exponents import Exponent, JoshiNu
from mho.devices.phase_change import PhaseChange

G_REFERENCE = 25e-6  # siemens: the g_max of the measured cells


@config
class PCM(PhaseChange):
    """Mushroom-type phase-change memory of doped Ge2Sb2Te5.

    With r = g/g_max: ``sigma_prog = (0.26348 + 1.9650 r - 1.1731 r^2) uS`` at ``r`` of the target and
    ``Q = min(0.0088 / r^0.65, 0.2)`` at ``r`` of the programmed conductance. The error is measured at
    g_max = 25 uS and scales with g_max; ``nu`` belongs to the target.

    Source: V. Joshi et al., Nat. Commun. 11, 2473 (2020); S. R. Nandakumar et al., IEEE ICECS 2019;
    used in M. J. Rasch et al., Nat. Commun. 14, 5282 (2023). ``v_read`` = 0.2 V is a typical value,
    not one of these papers.

    Attributes:
        nu: law of the drift exponent; :class:`~mho.devices.TableNu` takes your own measured one.

    Example:
        >>> import torch
        >>> g = torch.tensor([25e-6])
        >>> cells = PCM().drift_state(g, torch.zeros(1))
        >>> round(float(PCM().aged(g, cells, 86_400) / g), 4)  # after one day
        0.6635
    """

    g_min: NonNegative = 0.0
    g_max: Positive = 25e-6
    v_read: Positive = 0.2
    program_scale: NonNegative = 1.0
    drift_scale: NonNegative = 1.0
    read_scale: NonNegative = 1.0
    t0: Positive = 20.0
    t_read: Positive = 250e-9
    nu: InstanceOf[Exponent] = JoshiNu()

    def program_std(self, g_target: Tensor) -> Tensor:
        """The published polynomial, microsiemens at 25 uS, rescaled to ``g_max``."""
        microsiemens = polynomial(g_target / self.g_max, (0.26348, 1.9650, -1.1731))
        return microsiemens.clamp_min(0) * (1e-6 * self.g_max / G_REFERENCE)

    def exponents(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """From the law ``nu``."""
        return self.nu.drawn(g_target, eps, self.g_max)

    def read_fraction(self, g: Tensor) -> Tensor:
        """``min(0.0088 / r^0.65, 0.2)``, also at r = 0."""
        # The curve passes 0.2 at r = 0.0082; the floor only keeps its slope finite.
        return (0.0088 * (g / self.g_max).clamp_min(1e-4) ** -0.65).clamp_max(0.2)
