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


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60), st.floats(0.01, 1))
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
