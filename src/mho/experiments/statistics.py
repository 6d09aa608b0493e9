"""Mean, spread and confidence interval over chips, and tests of paired differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

SAME = 1e-12  # of the values: beyond it two float64 results of some operations are different numbers
SAME32 = 1e-6  # the same for results that were computed in float32


@dataclass(frozen=True)
class MeanEstimate:
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

    @property
    def varies(self) -> bool:
        """Whether the values differ by more than their rounding; else the width of the interval says nothing.

        >>> estimate([0.1 + 0.2, 0.3]).varies, estimate([0.30, 0.31]).varies, estimate([0.3]).varies
        (False, True, False)
        """
        return self.std > SAME * abs(self.mean)


def estimate(values: Sequence[float], confidence: float = 0.95, share: bool = False) -> MeanEstimate:
    """Mean, standard deviation and Student's t interval of the mean.

    Args:
        values: the sample; at least one finite value.
        confidence: probability that the interval covers the mean of a normal population.
        share: the values are shares, such as accuracies: the interval ends at 0 and 1, as the mean does.

    Raises:
        ValueError: no value, a value that is not finite, or a confidence outside (0, 1).

    >>> e = estimate([0.95, 0.97, 0.96])
    >>> round(e.mean, 4), round(e.std, 4), round(e.high - e.mean, 4)
    (0.96, 0.01, 0.0248)
    >>> estimate([0.95, 0.999], share=True).high
    1.0
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence = {confidence!r}: a probability between 0 and 1, for example 0.95")
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0 or not np.isfinite(sample).all():
        raise ValueError(f"values = {list(values)!r}: at least one value is needed and all must be finite")
    n, mean = int(sample.size), float(sample.mean())
    if n == 1:
        return MeanEstimate(n, mean, math.nan, math.nan, math.nan)
    std = float(sample.std(ddof=1))
    half = float(special.stdtrit(n - 1, 0.5 + confidence / 2)) * std / math.sqrt(n)
    low, high = mean - half, mean + half
    return MeanEstimate(n, mean, std, *((max(low, 0.0), min(high, 1.0)) if share else (low, high)))


@dataclass(frozen=True)
class Paired:
    """What two samples of the same chips say about their difference.

    A test compares a difference with how much it varies. One pair, or pairs that all differ by the same up
    to the rounding of their values, do not say how much that is: there is no test and no interval.

    Attributes:
        difference: of the first sample minus the second; its interval is NaN without a test.
        t: Student's statistic of the paired test; NaN without a test.
        p: probability of a difference at least as large if there is none; NaN without a test.
        tied: the means of both samples are the same up to the rounding of their values.
    """

    difference: MeanEstimate
    t: float
    p: float
    tied: bool


def paired(first: Sequence[float], second: Sequence[float], rounding: float = SAME) -> Paired:
    """Student's paired test, two-sided.

    Args:
        first, second: values in pairs.
        rounding: values that differ by less, relative to the largest one, are the same; ``SAME32`` for
            values that were computed in float32.

    Raises:
        ValueError: not as many of both, none, or a value that is not finite.

    >>> result = paired([0.9, 0.8, 0.85], [0.7, 0.71, 0.66])
    >>> round(result.t, 3), round(result.p, 4)
    (4.556, 0.045)
    >>> paired([520 / 600, 518 / 600], [519 / 600, 517 / 600]).p  # one image more, twice
    nan
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} values: a paired test needs as many of both")
    differences = [a - b for a, b in zip(first, second, strict=True)]
    e = estimate(differences)
    same = rounding * max(map(abs, (*first, *second)))
    tied = abs(e.mean) <= same
    if max(differences) - min(differences) <= same:
        return Paired(replace(e, low=math.nan, high=math.nan), math.nan, math.nan, tied)
    t = e.mean / (e.std / math.sqrt(e.n))
    return Paired(e, t, float(2 * special.stdtr(e.n - 1, -abs(t))), tied)


def holm(p: Sequence[float]) -> list[float]:
    """Probabilities of several tests, corrected so that one false alarm among all is as rare as in one.

    NaN, of what could not be tested, stays NaN and does not count.

    Source: S. Holm, Scand. J. Statist. 6, 65 (1979).

    >>> [round(v, 3) for v in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted((i for i in range(len(p)) if not math.isnan(p[i])), key=lambda i: p[i])
    corrected, highest = [math.nan] * len(p), 0.0
    for place, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - place) * p[i]))
        corrected[i] = highest
    return corrected
