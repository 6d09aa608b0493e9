"""Whether standard errors are what they say, over many synthetic measurements."""

from __future__ import annotations

import numpy as np
from scipy import stats

ALPHA = 1e-4  # that a right fit fails one of the checks


def check_coverage(found: np.ndarray, errors: np.ndarray, true: float, normal: bool = True) -> None:
    """The distances from the truth, in standard errors, are standard normal numbers.

    found, errors: of many independent measurements. The mean and the sum of squares always, the whole
    distribution where it is normal.
    """
    z = (found - true) / errors
    assert abs(z.mean()) * np.sqrt(len(z)) < stats.norm.isf(ALPHA / 2), f"biased by {z.mean():.2f} errors"
    low, high = stats.chi2.ppf([ALPHA / 2, 1 - ALPHA / 2], len(z))
    assert low < float(z @ z) < high, f"the errors are wrong by a factor {np.sqrt(z @ z / len(z)):.2f}"
    if normal:
        assert stats.kstest(z, "norm").pvalue > ALPHA
