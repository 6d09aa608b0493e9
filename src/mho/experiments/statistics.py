"""Mean, spread and confidence interval over chips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special


@dataclass(frozen=True)
class Estimate:
    """What a sample says about a mean.

    Attributes:
        n: size of the sample.
        mean: sample mean.
        std: sample standard deviation (n - 1 in the denominator); NaN for one value.
        low: lower end of the confidence interval of the mean; NaN for one value.
        high: upper end of the confidence interval of the mean; NaN for one value.
    """

    n: int
    mean: float
    std: float
    low: float
    high: float


def estimate(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Mean, standard deviation and Student's t interval of the mean.

    Args:
        values: the sample; at least one finite value.
        confidence: probability that the interval covers the mean of a normal population.

    Raises:
        ValueError: no value, a value that is not finite, or a confidence outside (0, 1).

    >>> e = estimate([0.95, 0.97, 0.96])
    >>> round(e.mean, 4), round(e.std, 4), round(e.high - e.mean, 4)
    (0.96, 0.01, 0.0248)
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence = {confidence!r}: a probability between 0 and 1, for example 0.95")
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0 or not np.isfinite(sample).all():
        raise ValueError(f"values = {list(values)!r}: at least one value is needed and all must be finite")
    n, mean = int(sample.size), float(sample.mean())
    if n == 1:
        return Estimate(n, mean, math.nan, math.nan, math.nan)
    std = float(sample.std(ddof=1))
    half = float(special.stdtrit(n - 1, 0.5 + confidence / 2)) * std / math.sqrt(n)
    return Estimate(n, mean, std, mean - half, mean + half)
