import math

import numpy as np
import pytest
from scipy import stats

from mho.experiments.statistics import estimate


@pytest.mark.parametrize("n", [2, 5, 25])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_the_interval_is_that_of_student(n, confidence):
    values = np.random.default_rng(n).normal(0.9, 0.02, n)
    e = estimate(values, confidence)
    low, high = stats.t.interval(confidence, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert (e.n, e.mean) == (n, pytest.approx(values.mean()))
    assert e.std == pytest.approx(values.std(ddof=1))
    assert (e.low, e.high) == (pytest.approx(low), pytest.approx(high))


def test_the_interval_covers_the_mean_as_often_as_it_says():
    samples = np.random.default_rng(0).normal(3.0, 2.0, (2000, 5))
    covered = sum(e.low <= 3.0 <= e.high for e in map(estimate, samples))
    assert stats.binomtest(covered, 2000, 0.95).pvalue > 1e-3


def test_one_value_has_no_interval():
    e = estimate([0.9])
    assert (e.n, e.mean) == (1, 0.9)
    assert all(math.isnan(v) for v in (e.std, e.low, e.high))


@pytest.mark.parametrize("values", [[], [math.nan], [1.0, math.inf]])
def test_bad_values_are_refused(values):
    with pytest.raises(ValueError, match="must be finite"):
        estimate(values)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_bad_confidence_is_refused(confidence):
    with pytest.raises(ValueError, match="confidence"):
        estimate([1.0, 2.0], confidence)
