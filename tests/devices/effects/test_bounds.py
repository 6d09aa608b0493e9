"""Cells with bounds of their own."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

import mho
from mho.devices import Ideal, OwnBounds, Spread
from mho.errors import ConfigError


def test_distribution() -> None:
    """The law of the resistances is the truncated normal one."""
    spread = Spread(mean=100.0, std=40.0, low=60.0, high=170.0)
    generator = torch.Generator().manual_seed(0)
    r = spread.of(torch.randn(20_000, dtype=torch.float64, generator=generator))
    law = stats.truncnorm((60 - 100) / 40, (170 - 100) / 40, loc=100, scale=40)
    assert stats.kstest(r.numpy(), law.cdf).pvalue > 1e-4
    assert float(r.min()) >= 60 and float(r.max()) <= 170


def test_cells_stay_between_their_bounds() -> None:
    torch.manual_seed(0)
    device = Ideal(g_min=1e-6, g_max=25e-6)
    own = OwnBounds(r_on=Spread(mean=5e4, std=1e4), r_off=Spread(mean=8e5, std=2e5, low=1e5), device=device)
    layer = torch.nn.Linear(60, 50)
    plain, spread = (mho.convert(layer, mho.Hardware(device=d)) for d in (device, own))
    for analog in (plain, spread):
        mho.program(analog, seed=3)
    g, wanted = mho.conductances(spread)[""], mho.conductances(plain)[""]
    high, low = spread.chip_cells[:2]
    torch.testing.assert_close(g, wanted.clamp(low, high))
    assert 0.001 < float((g != wanted).float().mean()) < 0.999
    assert bool((g >= device.g_min).all()) and bool((g <= device.g_max).all())


def test_crossed_bounds_hold_the_lowest_resistance() -> None:
    cells = OwnBounds(
        r_on=Spread(mean=9e5, std=0.0), r_off=Spread(mean=5e5, std=0.0), device=Ideal(g_min=1e-6)
    )
    own = cells.own_state(torch.zeros(2, 3))
    g = cells.settled(torch.tensor([1e-6, 5e-6, 25e-6]), own)
    torch.testing.assert_close(g, torch.full((3,), 1 / 9e5))


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="must be below high"):
        Spread(mean=1.0, std=1.0, low=2.0, high=1.0)
    with pytest.raises(ConfigError, match="less than a millionth"):
        Spread(mean=1.0, std=0.1, low=2.0)
    with pytest.raises(ConfigError, match="outside low and high"):
        Spread(mean=1.0, std=0.0, low=2.0)
