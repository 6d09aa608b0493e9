"""Phase-change memory of the 14 nm HERMES chip, one or two cells for each polarity."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from mho.config import NonNegative, Positive, config
from mho.devices._curves import clipped_log, polynomial
from mho.devices.phase_change import PhaseChange


class _Piecewise(NamedTuple):
    """A clipped logarithm of r = g/g_max below a threshold, a polynomial above it."""

    threshold: float
    log: tuple[float, float, float, float]
    polynomial: tuple[float, ...]

    def at(self, r: Tensor) -> Tensor:
        return torch.where(r < self.threshold, clipped_log(r, *self.log), polynomial(r, self.polynomial))


_NU_MEAN = _Piecewise(0.0945, (-0.0387, -0.0182, 0.072, 0.13), (0.0736, -0.0126, -0.0436))


class _Hermes(PhaseChange):
    """The shared form of the two fits."""

    _g_reference: ClassVar[float]  # siemens
    _program: ClassVar[tuple[float, ...]]  # microsiemens, in powers of r
    _nu_std: ClassVar[_Piecewise]
    _read: ClassVar[_Piecewise]

    def program_std(self, g_target: Tensor) -> Tensor:
        """The published cubic, rescaled to ``g_max``."""
        microsiemens = polynomial(g_target / self.g_max, self._program)
        return microsiemens.clamp_min(0) * (1e-6 * self.g_max / self._g_reference)

    def exponents(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """The published distribution at the target."""
        r = g_target / self.g_max
        return (_NU_MEAN.at(r) + self._nu_std.at(r) * eps).abs()

    def read_fraction(self, g: Tensor) -> Tensor:
        """The published curve at the programmed conductance."""
        return self._read.at(g / self.g_max)


@config
class HermesPCM(_Hermes):
    """HERMES phase-change memory, two cells in parallel for each polarity (g_max 20.7 uS).

    The error is measured at g_max = 20.7 uS and scales with g_max.

    Source: M. Le Gallo et al., Nat. Electron. 6, 680 (2023); R. Khaddam-Aljameh et al., IEEE JSSC 57,
    1027 (2022); the fits as published with aihwkit's Hermes noise model. ``v_read`` = 0.2 V is a
    typical value, not one of these papers.
    """

    g_min: NonNegative = 0.0
    g_max: Positive = 20.7e-6
    v_read: Positive = 0.2
    program_scale: NonNegative = 1.0
    drift_scale: NonNegative = 1.0
    read_scale: NonNegative = 1.0
    t0: Positive = 300.0
    t_read: Positive = 512e-9

    _g_reference: ClassVar[float] = 20.7e-6
    _program: ClassVar[tuple[float, ...]] = (0.16603222, 4.71806468, -8.48101252, 4.68961419)
    _nu_std: ClassVar[_Piecewise] = _Piecewise(
        0.3055, (-0.0117, -0.0057, 0.0091, 0.04), (0.0073, 0.0093, -0.0118)
    )
    _read: ClassVar[_Piecewise] = _Piecewise(
        0.16, (-0.0117, -0.0069, 0.015, 0.04), (0.0123, 0.0211, -0.0280, 0.0069)
    )


@config
class HermesPCMSingle(_Hermes):
    """HERMES phase-change memory, one cell for each polarity (g_max 10.35 uS).

    The error is measured at g_max = 10.35 uS and scales with g_max. Source: as :class:`HermesPCM`.
    """

    g_min: NonNegative = 0.0
    g_max: Positive = 10.35e-6
    v_read: Positive = 0.2
    program_scale: NonNegative = 1.0
    drift_scale: NonNegative = 1.0
    read_scale: NonNegative = 1.0
    t0: Positive = 200.0
    t_read: Positive = 512e-9

    _g_reference: ClassVar[float] = 10.35e-6
    _program: ClassVar[tuple[float, ...]] = (0.15781817, 2.32443916, -2.16310839, 0.68841818)
    _nu_std: ClassVar[_Piecewise] = _Piecewise(
        0.3039, (-0.0120, -0.0023, 0.0124, 0.04), (0.0104, 0.0116, -0.0165)
    )
    _read: ClassVar[_Piecewise] = _Piecewise(
        0.1591, (-0.0078, 0.0038, 0.0179, 0.04), (0.0088, 0.0768, -0.1352, 0.0664)
    )
