"""SONOS charge-trap memory in subthreshold, from measured currents."""

from __future__ import annotations

import torch
from numpy.polynomial import Chebyshev, Polynomial
from torch import Tensor

from mho.config import NonNegative, Positive, config
from mho.devices.base import Device

_DAY = 86_400.0
_NANOAMPERES = 0.1 * 1e9  # per siemens: the cells were read at 0.1 V
_LAST = 1800.0  # nanoamperes: the drift was measured up to here
_LAST_WITHOUT_DRIFT = 3200.0  # nanoamperes
# Spread A (1 - exp(-I/B)): (A, B) in nanoamperes on days 0 to 5, and for one read.
_SPREAD = (
    (19.88665, 176.3115),
    (25.59102, 186.85544),
    (28.72753, 193.56834),
    (31.04318, 198.90332),
    (33.76214, 204.77023),
    (34.57909, 207.34309),
)
_READ = (12.58037, 215.36557)
# Mean change of the current: nanoamperes, in powers 0 to 10 of nanoamperes, on days 1 to 5.
# fmt: off
_CHANGE = (
    (1.72684e-01, 5.72552e-02, -6.85715e-04, 3.50271e-06, -9.37682e-09, 1.40575e-11,
     -1.19803e-14, 5.41293e-18, -8.85448e-22, -1.66869e-25, 5.95180e-29),
    (2.50712e-01, 6.62195e-02, -6.83218e-04, 2.99442e-06, -6.78255e-09, 7.70482e-12,
     -3.04983e-15, -2.15919e-18, 2.94617e-21, -1.23359e-24, 1.85329e-28),
    (-1.75300e-02, 9.76883e-02, -9.63791e-04, 4.55551e-06, -1.22391e-08, 1.93786e-11,
     -1.85899e-14, 1.07659e-17, -3.58211e-21, 5.96785e-25, -3.30410e-29),
    (4.03338e-02, 1.03111e-01, -1.04740e-03, 4.83961e-06, -1.28132e-08, 1.99484e-11,
     -1.85139e-14, 1.00008e-17, -2.84944e-21, 3.01008e-25, 1.18747e-29),
    (3.19927e-01, 1.06596e-01, -1.04054e-03, 4.50290e-06, -1.10352e-08, 1.56477e-11,
     -1.27592e-14, 5.45513e-18, -7.26841e-22, -2.43893e-25, 7.14608e-29),
)
# fmt: on


def _chebyshev(coefficients: tuple[float, ...]) -> tuple[float, ...]:
    """The same polynomial in Chebyshev form on [0, _LAST].

    The powers cancel to five digits at the upper end, which float32 cannot afford; this form does not.
    """
    series = Polynomial(coefficients).convert(kind=Chebyshev, domain=[0.0, _LAST])
    return tuple(float(c) for c in series.coef)


_SERIES = (tuple(0.0 for _ in range(11)), *(_chebyshev(c) for c in _CHANGE))  # days 0 to 5


@config
class SONOS(Device):
    """Charge-trap memory (SONOS, 40 nm) in subthreshold, days 0 to 5.

    The published numbers are currents I at 0.1 V, in nanoamperes, around the target; ``g = I / 0.1 V``.

    ==================  ========================================================================
    programmed          I = max(I_target + sigma_0(I_target) xi, 0)
    drift               the mean moves by a polynomial ``dI_t(I_target)`` and the spread grows to
                        ``sigma_t(I_target + dI_t)``
    spread              sigma = A (1 - exp(-I/B)), A and B for each day
    read noise (std)    the same form with its own A and B
    ==================  ========================================================================

    All coefficients are linear in time between the days. One chip is one trajectory: a cell starts
    from the current it was programmed to, and the growth ``sqrt(sigma_t^2 - sigma_0^2) xi`` is added
    with one frozen ``xi``, so that the spread around the moved target is the published one at each time.

    The drift was measured up to 1800 nA (18 uS), the rest up to 3200 nA; 1600 nA is recommended.

    Source: V. Agrawal et al., IEEE IEDM 2022, 21.7, figures 10 and 11, fits as published with CrossSim.
    """

    g_min: NonNegative = 0.0
    g_max: Positive = 16e-6
    v_read: Positive = 0.1
    program_scale: NonNegative = 1.0
    drift_scale: NonNegative = 1.0
    read_scale: NonNegative = 1.0

    @property
    def times(self) -> tuple[float, float]:
        """Up to 5 days."""
        return (0.0, 5 * _DAY)

    def validate(self) -> None:
        """Bounds inside the measured range."""
        self.check_bounds()
        last = _LAST if self.drift_scale > 0 else _LAST_WITHOUT_DRIFT
        self.check_range(0.0, last / _NANOAMPERES)

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """``max(g_target + sigma_0 eps, 0)``."""
        std = _spread(g_target * _NANOAMPERES, *_SPREAD[0]) / _NANOAMPERES
        return (g_target + self.program_scale * std * eps).clamp_min(0)

    def drift_state(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """Two parameters: the target and the draw of the growing spread."""
        return torch.stack((g_target, eps))

    def aged(self, g: Tensor, cells: Tensor, seconds: float) -> Tensor:
        """``max(g + dg_t + sqrt(sigma_t^2 - sigma_0^2) xi, 0)``."""
        self.check_time(seconds)
        current, eps = cells[0] * _NANOAMPERES, cells[1]
        day = min(int(seconds / _DAY), 4)
        part = seconds / _DAY - day
        move = _series_sum(current * (2 / _LAST) - 1, _between(_SERIES[day], _SERIES[day + 1], part))
        first = _spread(current, *_SPREAD[0])
        moved = (current + move).clamp_min(0)
        now = _spread(moved, *_between(_SPREAD[day], _SPREAD[day + 1], part))
        growth = (now - first).clamp_min(0) * (now + first)
        change = (move + growth.sqrt() * eps) * (self.drift_scale / _NANOAMPERES)
        return (g + change).clamp_min(0)

    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        """``A (1 - exp(-I/B))`` at the current of ``g_now``."""
        self.check_time(seconds)
        return _spread(g_now * _NANOAMPERES, *_READ) * (self.read_scale / _NANOAMPERES)


def _between(early: tuple[float, ...], late: tuple[float, ...], part: float) -> tuple[float, ...]:
    return tuple(a + part * (b - a) for a, b in zip(early, late, strict=True))


def _spread(current: Tensor, a: float, b: float) -> Tensor:
    """``a (1 - exp(-current/b))``, nanoamperes."""
    return -a * torch.expm1(-current / b)


def _series_sum(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    """Sum of a Chebyshev series at x in [-1, 1] (Clenshaw's recurrence)."""
    last = before = torch.zeros_like(x)
    for coefficient in reversed(coefficients[1:]):
        last, before = 2 * x * last - before + coefficient, last
    return x * last - before + coefficients[0]
