import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from mho.experiments.statistics import SAME32, estimate, paired


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


# --- samples without a spread --------------------------------------------------------------------

hits = st.lists(st.integers(0, 10_000), min_size=2, max_size=30)


@given(hits, st.integers(-10_000, 10_000), st.integers(1, 10_000))
def test_images_that_differ_by_the_same_number_have_no_test(first, more, images):
    """Hits over images: the differences are the same, their floats are not."""
    found = paired([k / images for k in first], [(k - more) / images for k in first])
    assert math.isnan(found.t) and math.isnan(found.p)
    assert math.isnan(found.difference.low) and math.isnan(found.difference.high)
    assert found.tied == (more == 0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30), st.floats(-1e3, 1e3), st.floats(0.1, 10))
def test_equal_differences_have_no_test_whatever_the_scale(values, shift, factor):
    first = [v * factor for v in values]
    found = paired(first, [v - shift for v in first])
    assert math.isnan(found.p) and math.isnan(found.difference.low)


@given(hits, hits, st.integers(1, 10_000))
def test_differences_that_differ_are_tested_as_scipy_does(first, second, images):
    size = min(len(first), len(second))
    a, b = (np.array(v[:size]) / images for v in (first, second))
    assume(len({p - q for p, q in zip(first[:size], second[:size], strict=True)}) > 1)
    truth, found = stats.ttest_rel(a, b), paired(a.tolist(), b.tolist())
    assert found.t == pytest.approx(truth.statistic, rel=1e-6, abs=1e-9)
    assert found.p == pytest.approx(truth.pvalue, rel=1e-6, abs=1e-9)


def test_results_of_float32_are_told_apart_as_such():
    start = np.linspace(0.5, 1.5, 8, dtype=np.float32)
    first, second = (start + np.float32(0.1)).tolist(), start.tolist()
    assert math.isnan(paired(first, second, SAME32).p)
    assert paired(first, second).p < 1e-9  # what the rounding alone would say


@pytest.mark.parametrize(
    "values, varies", [([0.3], False), ([0.1 + 0.2, 0.3, 0.3], False), ([0.3, 0.31], True)]
)
def test_a_sample_says_whether_it_varies(values, varies):
    assert estimate(values).varies is varies


def test_trainings_that_differ_by_one_image_on_every_chip_get_no_verdict():
    import pandas as pd

    from mho.experiments.drift import paired_differences
    from mho.report.drift import _finding

    hits = {"plain": (519, 517, 411), "hardware-aware": (520, 518, 412)}
    rows = [
        {"arm": arm, "compensation": "compensated", "seconds": 60.0, "chip": chip, "accuracy": k / 600}
        for arm, each in hits.items()
        for chip, k in enumerate(each)
    ]
    (row,) = paired_differences(pd.DataFrame(rows)).to_dict("records")
    assert math.isnan(row["low"]) and math.isnan(row["high"])
    said = _finding({"differences": [{**row, "low": None, "high": None}]})
    assert "+0.17 points on each of 3 chips: without a spread there is no test" in said
