import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mho.experiments.robustness_tables import COLUMNS, area_under, compare, summarise
from mho.experiments.statistics import holm, paired


def table(curves, levels="L-2", extra=()):
    """``curves[method][repeat]`` over the strengths 0, 0.1, 0.3."""
    rows = [
        (levels, method, "noise", math.nan, repeat, strength, accuracy)
        for method, each in curves.items()
        for repeat, curve in enumerate(each)
        for strength, accuracy in zip((0.0, 0.1, 0.3), curve, strict=True)
    ]
    return pd.DataFrame([*rows, *extra], columns=list(COLUMNS))


CURVES = {
    "baseline": [(0.9, 0.8, 0.5), (0.9, 0.7, 0.4), (0.9, 0.75, 0.6)],
    "ste": [(0.88, 0.85, 0.7), (0.88, 0.83, 0.72), (0.88, 0.86, 0.75)],
}


def test_points_areas_and_drops():
    chips = [("L-2", "ste", "PCM", 60.0, r, 0.1 + 0.01 * r, 0.8 + 0.02 * r) for r in range(3)]
    summary = summarise(table(CURVES, extra=chips))
    areas = {a["method"]: a for a in summary["areas"]}
    expected = [
        (0.85 * 0.1 + 0.65 * 0.2) / 0.3,
        (0.8 * 0.1 + 0.55 * 0.2) / 0.3,
        (0.825 * 0.1 + 0.675 * 0.2) / 0.3,
    ]
    assert areas["baseline"]["area"] == pytest.approx(np.mean(expected))
    assert areas["baseline"]["std"] == pytest.approx(np.std(expected, ddof=1))
    assert areas["baseline"]["clean"] == pytest.approx(0.9)
    assert areas["baseline"]["drop"] == pytest.approx(0.9 - 0.5)
    (point,) = [p for p in summary["points"] if p["method"] == "baseline" and p["strength"] == 0.1]
    assert (point["mean"], point["drop"], point["seconds"]) == (
        pytest.approx(0.75),
        pytest.approx(0.15),
        None,
    )
    (chip,) = [p for p in summary["points"] if p["disturbance"] == "PCM"]
    assert (chip["seconds"], chip["strength"], chip["mean"]) == (
        60.0,
        pytest.approx(0.11),
        pytest.approx(0.82),
    )
    assert chip["drop"] == pytest.approx(0.06)


def test_the_most_robust_is_compared_with_each_other_by_a_paired_test():
    (comparison,) = summarise(table(CURVES))["comparisons"]
    assert (comparison["best"], comparison["other"], comparison["repeats"]) == ("ste", "baseline", 3)
    a, b = ([area_under([0, 0.1, 0.3], c) for c in CURVES[m]] for m in ("ste", "baseline"))
    truth = stats.ttest_rel(a, b)
    assert comparison["t"] == pytest.approx(truth.statistic) and comparison["p"] == pytest.approx(
        truth.pvalue
    )
    assert comparison["p_holm"] == comparison["p"]
    low, high = truth.confidence_interval(0.95)
    assert (comparison["low"], comparison["high"]) == (pytest.approx(low), pytest.approx(high))


def test_one_repeat_has_no_test_and_one_strength_no_width():
    one = {m: each[:1] for m, each in CURVES.items()}
    (comparison,) = summarise(table(one))["comparisons"]
    assert comparison["p"] is comparison["t"] is comparison["p_holm"] is comparison["low"] is None
    assert comparison["difference"] > 0
    assert area_under([0.1], [0.7]) == 0.7


def test_equal_methods_and_constant_differences_have_no_test():
    (same,) = compare("L", {"a": [0.5, 0.6], "b": [0.5, 0.6]})
    assert (same["tied"], same["difference"]) == (True, 0.0)
    (apart,) = compare("L", {"a": [0.75, 0.5], "b": [0.5, 0.25]})
    assert (apart["tied"], apart["difference"], apart["best"]) == (False, 0.25, "a")
    for found in (same, apart):
        assert found["p"] is found["t"] is found["p_holm"] is found["low"] is found["high"] is None


def test_tied_methods_that_rounding_tells_apart():
    curves = {m: [(0.1, 0.1, 0.1 + k * 1e-17)] * 3 for k, m in enumerate(("ste", "ptq", "baseline"))}
    comparisons = summarise(table(curves))["comparisons"]
    assert len(comparisons) == 2 and all(c["tied"] and c["p"] is None for c in comparisons)


@pytest.mark.parametrize("n", [2, 5, 30])
def test_paired_agrees_with_scipy(n):
    rng = np.random.default_rng(n)
    a = rng.normal(size=n)
    b = a + rng.normal(0.3, 1.0, size=n)
    truth, found = stats.ttest_rel(a, b), paired(a.tolist(), b.tolist())
    assert found.t == pytest.approx(truth.statistic) and found.p == pytest.approx(truth.pvalue)


def test_paired_needs_pairs():
    with pytest.raises(ValueError, match="as many of both"):
        paired([1.0], [1.0, 2.0])


def test_holm_is_in_order_never_smaller_and_at_most_one():
    assert holm([0.04]) == [0.04]
    assert holm([0.5, 0.6, 0.01]) == pytest.approx([1.0, 1.0, 0.03])
    assert holm([0.02, 0.021, 0.5]) == pytest.approx([0.06, 0.06, 0.5])
    assert holm([]) == []
    untested = holm([math.nan, 0.02, math.nan, 0.01])
    assert math.isnan(untested[0]) and math.isnan(untested[2])
    assert untested[1::2] == pytest.approx([0.02, 0.02])  # what cannot be tested makes no false alarm
