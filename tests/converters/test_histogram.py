"""A histogram that needs no second look at the data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mho.converters import Histogram
from mho.converters.histogram import BINS


def filled(*parts: torch.Tensor) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.add(part)
    return histogram


# Below this a bin would be a subnormal number: the histogram takes all of them for one.
SEEN = st.floats(-1e6, 1e6, width=32).map(lambda value: value if abs(value) > 1e-20 else 0.0)


@given(st.lists(SEEN, min_size=1, max_size=60), st.floats(0.01, 1))
def test_quantiles_are_right_to_a_bin(values: list[float], fraction: float) -> None:
    x = torch.tensor(values, dtype=torch.float32)
    histogram = filled(x)
    found, peak = histogram.quantile(fraction), float(x.abs().max())
    width = max(histogram.width, 1e-30)
    assert width <= 2 * peak / (BINS / 2) or peak == 0
    magnitudes = np.sort(x.abs().numpy())
    rank = max(int(np.ceil(fraction * len(magnitudes) - 1e-9)) - 1, 0)
    assert magnitudes[rank] - 1e-6 * peak <= found <= magnitudes[rank] + width * (1 + 1e-6) + 1e-6 * peak
    assert histogram.quantile(1.0) == peak


@given(st.permutations([1e-6, 0.3, 5.0, 1e4, 0.0]), st.floats(0.1, 1))
def test_the_order_of_the_data_does_not_matter(scales: list[float], fraction: float) -> None:
    data = {s: s * torch.linspace(-1, 1, 301) for s in scales}
    one, other = filled(*data.values()), filled(torch.cat([data[s] for s in sorted(scales)]))
    assert one.quantile(fraction) == other.quantile(fraction)
    assert torch.equal(one.counts, other.counts) and one.width == other.width


def test_memory_does_not_grow() -> None:
    histogram = filled(*(torch.randn(1_000) * 10**k for k in range(-3, 4)))
    assert histogram.counts.shape == (BINS,) and int(histogram.counts.sum()) == 7_000


def test_edges() -> None:
    assert filled(torch.zeros(5)).quantile(0.5) == 0
    assert filled(torch.zeros(5), torch.ones(5)).quantile(0.4) <= 1 / BINS * 2
    assert filled(torch.empty(0), torch.tensor(2.0)).quantile(1.0) == 2
    assert filled(torch.tensor(2.0, dtype=torch.bfloat16, requires_grad=True)).quantile(1.0) == 2
    with pytest.raises(ValueError, match="no data was seen: the loader gave no batches to this layer"):
        Histogram().quantile(0.5)
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="NaN or infinite values; check the inputs and the weights"):
            filled(torch.tensor([1.0, bad]))


@given(st.lists(st.lists(st.floats(-1e4, 1e4, width=32), max_size=30), min_size=1, max_size=4))
def test_moments_are_those_of_all_values(parts: list[list[float]]) -> None:
    histogram = filled(*(torch.tensor(part, dtype=torch.float32) for part in parts))
    x = np.array([v for part in parts for v in part], dtype=np.float32).astype(np.float64)
    assert histogram.count == len(x)
    if len(x):
        assert (histogram.lowest, histogram.highest) == (x.min(), x.max())
        scale = np.abs(x).max()
        assert histogram.mean == pytest.approx(x.mean(), abs=1e-12 * scale + 1e-30)
        assert histogram.std == pytest.approx(x.std(), rel=1e-6, abs=1e-9 * scale + 1e-30)
    else:
        assert np.isnan(histogram.std)


@pytest.mark.parametrize("percent", [0, 0.1, 1, 30, 50, 75, 99, 99.9, 100])
def test_percentiles_have_their_sign(percent: float) -> None:
    x = torch.randn(20_000) * torch.linspace(0.1, 3, 20_000) - 0.4
    histogram = filled(*x.split(999))
    rank = max(int(np.ceil(round(percent * 200, 6))), 1)
    wanted = float(x.sort().values[rank - 1])
    assert histogram.percentile(percent) == pytest.approx(wanted, abs=1.01 * histogram.width)
    assert filled(torch.full((3,), -2.0)).percentile(percent) == -2
    assert filled(torch.zeros(3)).percentile(percent) == 0


def test_histograms_join_as_if_they_had_seen_all() -> None:
    parts = [torch.randn(500) * 10**k for k in (-3, 2, 0, 1)]
    joined = Histogram()
    for part in parts:
        joined.absorb(filled(part))
    joined.absorb(Histogram())
    whole = filled(torch.cat(parts))
    assert torch.equal(joined.signed, whole.signed) and joined.width == whole.width
    assert (joined.lowest, joined.highest, joined.largest) == (whole.lowest, whole.highest, whole.largest)
    assert (joined.mean, joined.std) == pytest.approx((whole.mean, whole.std))


@pytest.mark.parametrize("factor", [1e-3, 0.7, 2.0, 33.3])
def test_a_histogram_in_other_units(factor: float) -> None:
    x = torch.randn(5_000) + 1
    scaled, wanted = Histogram(), filled(x * factor)
    scaled.absorb(filled(x), factor)
    assert (scaled.lowest, scaled.highest) == pytest.approx((wanted.lowest, wanted.highest))
    assert (scaled.mean, scaled.std) == pytest.approx((wanted.mean, wanted.std))
    for percent in (1, 20, 50, 99):
        assert scaled.percentile(percent) == pytest.approx(wanted.percentile(percent), abs=2 * scaled.width)
    assert int(scaled.counts.sum()) == 5_000


def test_bins_in_rising_order() -> None:
    histogram = filled(torch.tensor([-4.0, -4.0, 0.0, 1.0]))
    centres, counts = histogram.bins()
    assert counts.tolist() == [2, 1, 1]
    assert centres.tolist() == pytest.approx([-4, 0, 1], abs=histogram.width)
