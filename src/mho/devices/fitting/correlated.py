"""A law under noise that one point leaves to the next: restricted maximum likelihood of an AR(1) process."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mho.devices.fitting.tables import Array

_LONGEST = 0.999  # memory from point to point: beyond it the noise is a trend
_STEP = 1e-3  # of difference quotients


class Remembering(NamedTuple):
    """What residuals tell of a law and of its noise.

    Attributes:
        shift: of the parameters, towards the best ones, ``[p]``.
        covariance: of the parameters, ``[p, p]``.
        std: standard deviation of the noise.
        std_error: its standard error.
        memory: correlation of the noise of two points whose numbers differ by 1.
        memory_error: its standard error.
    """

    shift: Array
    covariance: Array
    std: float
    std_error: float
    memory: float
    memory_error: float


class _Noise(NamedTuple):
    """The linear model ``residuals = -jacobian @ shift + noise`` with noise that is remembered."""

    residuals: Array
    jacobian: Array
    gaps: Array  # to the point before, in numbers; 0 where a train begins

    def white(self, x: Array, memory: float) -> tuple[Array, float]:
        """The numbers with independent noise, and the logarithm of the determinant of its correlation."""
        kept = np.where(self.gaps > 0, max(memory, 0.0) ** np.where(self.gaps > 0, self.gaps, 1.0), 0.0)
        before = np.concatenate([x[:1], x[:-1]])
        own = 1 - kept**2
        shaped = (slice(None), *(None,) * (x.ndim - 1))
        return (x - kept[shaped] * before) / np.sqrt(own)[shaped], float(np.log(own).sum())

    def solved(self, memory: float) -> tuple[Array, Array, float, float]:
        """Shift, its inverse information, squares left and the logarithms of the determinants."""
        r, log_r = self.white(self.residuals, memory)
        j, _ = self.white(self.jacobian, memory)
        information = j.T @ j
        inverse = np.linalg.inv(information)
        shift = -inverse @ (j.T @ r)
        left = float(np.square(r + j @ shift).sum())
        return shift, inverse, left, log_r + float(np.linalg.slogdet(information)[1])

    def loss(self, memory: float, log_std: float) -> float:
        """Twice the negative logarithm of the restricted likelihood."""
        _, _, left, log_det = self.solved(memory)
        freedom = self.jacobian.shape[0] - self.jacobian.shape[1]
        return float(2 * freedom * log_std + left * math.exp(-2 * log_std) + log_det)

    def profiled(self, memory: float) -> float:
        """The loss at the best standard deviation."""
        _, _, left, log_det = self.solved(memory)
        freedom = self.jacobian.shape[0] - self.jacobian.shape[1]
        return float(freedom * math.log(max(left, 1e-300)) + log_det)


def remembering(residuals: Array, jacobian: Array, numbers: Array) -> Remembering:
    """The best parameters near a least-squares solution, and the noise with its memory.

    Least squares of residuals that are alike from point to point give errors that are too small, and a
    memory and a noise that are too small as well; the restricted likelihood corrects all three (D. A.
    Harville, J. Am. Stat. Assoc. 72, 320, 1977, for the covariance of C. M. Beach and J. G. MacKinnon,
    Econometrica 46, 51, 1978).

    Args:
        residuals: measured minus fitted, in order of time, ``[n]``.
        jacobian: derivative of the residuals by the parameters, ``[n, p]``.
        numbers: of the points; they rise within a train and begin again with the next.
    """
    from scipy.optimize import minimize_scalar

    steps = np.diff(numbers, prepend=numbers[:1])
    scale = float(np.sqrt(np.mean(residuals**2)))
    norms = np.linalg.norm(jacobian, axis=0)
    model = _Noise(residuals / scale, jacobian / norms, np.where(steps > 0, steps, 0.0))
    gap = float(np.median(steps[steps > 0]))
    highest = _LONGEST ** (1 / gap)
    found = minimize_scalar(model.profiled, bounds=(0.0, highest), method="bounded", options={"xatol": 1e-6})
    memory = float(found.x) if float(found.fun) < model.profiled(0.0) else 0.0
    shift, inverse, left, _ = model.solved(memory)
    variance = left / (len(residuals) - jacobian.shape[1])
    std_error, memory_error = _errors(model, memory, 0.5 * math.log(variance), highest)
    return Remembering(
        scale * shift / norms,
        scale**2 * variance * inverse / np.outer(norms, norms),
        scale * math.sqrt(variance),
        scale * math.sqrt(variance) * std_error,
        memory,
        memory_error,
    )


def _errors(model: _Noise, memory: float, log_std: float, highest: float) -> tuple[float, float]:
    """Relative error of the standard deviation and error of the memory, from the curvature of the loss."""
    h = min(_STEP, (highest - memory) / 4) or _STEP / 4
    m = min(max(memory, h), highest - h)

    def at(a: float, b: float) -> float:
        return model.loss(m + a * h, log_std + b * _STEP)

    middle = at(0, 0)
    mm = (at(1, 0) - 2 * middle + at(-1, 0)) / h**2
    ss = (at(0, 1) - 2 * middle + at(0, -1)) / _STEP**2
    ms = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / (4 * h * _STEP)
    curvature = 0.5 * np.array([[mm, ms], [ms, ss]])
    try:
        variances = np.diag(np.linalg.inv(curvature))
    except np.linalg.LinAlgError:
        variances = np.array([1.0, 1.0])
    safe = [math.sqrt(v) if v > 0 else 1.0 for v in variances]
    return min(safe[1], 1.0), min(safe[0], 1.0)
