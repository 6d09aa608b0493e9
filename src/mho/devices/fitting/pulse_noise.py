"""What pulses scatter around their law: how much, and how much of it one pulse leaves to the next."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mho.devices.fitting.tables import Array

_ROUNDING = 1e-6  # of the range: residuals below it are those of the computer
_LONGEST = 0.999  # memory from pulse to pulse: beyond it the noise is a trend
_SMOOTH = 0.5  # correlation of neighbouring changes of the residuals that only a trend has
_UNEVEN, _CHANCE = 1.5, 1e-4  # ratio of the noise of two halves, and the chance of it with even noise


class Scatter(NamedTuple):
    """Noise of pulses of one direction.

    Attributes:
        std: of the conductance around the law, siemens.
        memory: correlation of the deviations after a pulse and before it.
        memory_error: its standard error.
        trend: root mean square of a smooth trend that the law leaves and that is no noise, siemens.
        halves: noise in the lower and in the upper half of the conductances, siemens, where they differ.
        std_error: standard error of ``std``, siemens; None where it is not known.
    """

    std: float
    memory: float
    memory_error: float
    trend: float
    halves: tuple[float, float] | None
    std_error: float | None = None

    def times(self, size: float) -> Scatter:
        """With conductances in another unit."""
        halves = None if self.halves is None else (size * self.halves[0], size * self.halves[1])
        error = None if self.std_error is None else size * self.std_error
        return self._replace(std=size * self.std, trend=size * self.trend, halves=halves, std_error=error)


def scatter_of(pulse: Array, fitted: Array, residual: Array, noise: float) -> Scatter:
    """The noise that residuals show.

    The deviation of a cell from its law is a normal process with the standard deviation of the residuals,
    whose correlation falls from pulse to pulse by a factor, the memory. The factor is the one with which the
    changes between neighbouring pulses, ``std sqrt(2 (1 - memory))``, are those of the residuals. Residuals
    that are smooth, so that neighbouring changes are alike, are a trend; their noise is that of the second
    differences.

    Args:
        pulse: numbers of the pulses; they rise within a train and begin again with the next.
        fitted: the law at each of them, siemens.
        residual: measured minus fitted, siemens.
        noise: standard deviation of the residuals, siemens.
    """
    steps = np.diff(pulse)
    together = steps > 0
    if noise <= _ROUNDING * max(float(np.ptp(fitted)), 1e-300) or not together.any():
        return Scatter(0.0, 0.0, 0.0, 0.0, None)
    change = np.diff(residual)
    count = len(residual)
    both = together[1:] & together[:-1]
    left, right = change[:-1][both], change[1:][both]
    size = math.sqrt(float(left @ left) * float(right @ right)) if both.any() else 0.0
    alike = float(left @ right) / size if size > 0 else 0.0
    if count > 8 and alike > max(_SMOOTH, 3 / math.sqrt(count)):
        second = right - left
        std = math.sqrt(float(second @ second) / (6 * len(second)))
        return Scatter(std, 0.0, 0.0, math.sqrt(max(noise**2 - std**2, 0)), None)
    mean_square = float(np.mean(change[together] ** 2))
    kept = min(max(1 - mean_square / (2 * noise**2), 0.0), _LONGEST)
    gap = float(np.median(steps[together]))
    error = math.sqrt((1 - kept**2) / count)
    memory = kept ** (1 / gap)
    slope = memory / (gap * kept) if kept > 0 else 1.0
    return Scatter(noise, memory, min(slope * error, 1.0), 0.0, _halves(fitted, residual, kept))


def _halves(fitted: Array, residual: Array, kept: float) -> tuple[float, float] | None:
    """The noise of low and of high conductances, where the measurement shows that they differ."""
    from scipy import stats

    low = fitted <= np.median(fitted)
    if min(low.sum(), (~low).sum()) < 8:
        return None
    found = [float(np.sqrt(np.mean((residual[k] - residual[k].mean()) ** 2))) for k in (low, ~low)]
    if min(found) == 0:
        return (found[0], found[1]) if max(found) > 0 else None
    free = [max(2.0, float(k.sum()) * (1 - kept) / (1 + kept)) for k in (low, ~low)]
    big = int(found[1] > found[0])
    ratio = found[big] / found[1 - big]
    chance = 2 * float(stats.f.sf(ratio**2, free[big], free[1 - big]))
    return (found[0], found[1]) if ratio > _UNEVEN and chance < _CHANCE else None
