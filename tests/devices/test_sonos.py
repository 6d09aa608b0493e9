"""SONOS against the published figures and the distributions they describe."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.polynomial.polynomial import polyval
from scipy import stats

from mho.devices import SONOS

GOLDEN = json.loads((Path(__file__).parents[1] / "reference/data/physics/golden.json").read_text())
N = 40_000
P_MIN = 1e-4
DAY = 86_400.0
NANO = 1e-8  # siemens per nanoampere at 0.1 V
# The published polynomial of day 5 (V. Agrawal et al., IEDM 2022, figure 10).
DAY_5 = [3.19927e-01, 1.06596e-01, -1.04054e-03, 4.50290e-06, -1.10352e-08, 1.56477e-11]
DAY_5 += [-1.27592e-14, 5.45513e-18, -7.26841e-22, -2.43893e-25, 7.14608e-29]
DAY_4 = [4.03338e-02, 1.03111e-01, -1.04740e-03, 4.83961e-06, -1.28132e-08, 1.99484e-11]
DAY_4 += [-1.85139e-14, 1.00008e-17, -2.84944e-21, 3.01008e-25, 1.18747e-29]


def currents(*values: float, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor(values, dtype=dtype) * NANO


def draws(seed: int) -> torch.Tensor:
    return torch.randn(N, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mean_change(seconds: float, *values: float, dtype: torch.dtype = torch.float64) -> list[float]:
    g = currents(*values, dtype=dtype)
    cells = SONOS().drift_state(g, torch.zeros_like(g))
    return ((SONOS().aged(g, cells, seconds) - g) / NANO).tolist()


@pytest.mark.parametrize("current", [100, 400, 1600])
def test_programming_and_read_spread(current: int) -> None:
    expected = GOLDEN["sonos"]["value"][f"I{current}nA"]
    g = currents(current)
    error = (SONOS().programmed(g, torch.ones_like(g)) - g) / NANO
    assert float(error) == pytest.approx(expected["prog_t0"], rel=1e-9)
    assert float(SONOS().read_std(g, g, 0.0)) / NANO == pytest.approx(expected["read"], rel=1e-9)


def test_programming_spread_in_plain_numbers() -> None:
    g = currents(1600)
    assert float(SONOS().programmed(g, torch.ones_like(g)) - g) == pytest.approx(19.88437e-8, rel=1e-6)


def test_mean_change_is_the_published_polynomial() -> None:
    at = np.array([0.0, 10.0, 100.0, 400.0, 800.0, 1200.0, 1600.0])
    five, four = polyval(at, DAY_5), polyval(at, DAY_4)
    assert mean_change(5 * DAY, *at) == pytest.approx(five.tolist(), abs=1e-6)
    assert mean_change(4 * DAY, *at) == pytest.approx(four.tolist(), abs=1e-6)
    assert mean_change(4.25 * DAY, *at) == pytest.approx((0.75 * four + 0.25 * five).tolist(), abs=1e-6)
    # The first day starts from no change.
    half, whole = mean_change(0.5 * DAY, *at), mean_change(DAY, *at)
    assert half == pytest.approx([0.5 * x for x in whole], abs=1e-6)


def test_the_polynomial_keeps_its_digits_in_float32() -> None:
    at = np.linspace(0, 1600, 50)
    single = mean_change(5 * DAY, *at, dtype=torch.float32)
    # the currents themselves carry 1600 nA * 6e-8 = 1e-4 nA
    assert single == pytest.approx(polyval(at, DAY_5).tolist(), abs=5e-4)


def test_spread_after_five_days_is_taken_at_the_moved_current() -> None:
    # 34.57909 (1 - exp(-I/207.34309)), I after the mean change: 400 - 1.467928 nA
    device, target = SONOS(), torch.full((N,), 400 * NANO, dtype=torch.float64)
    g = device.programmed(target, draws(1))
    now = device.aged(g, device.drift_state(target, draws(2)), 5 * DAY)
    moved = 400 + float(polyval(400.0, DAY_5))
    law = stats.norm(moved * NANO, 34.57909 * -np.expm1(-moved / 207.34309) * NANO)
    assert stats.kstest(now.numpy(), law.cdf).pvalue > P_MIN


def test_one_trajectory() -> None:
    device, target = SONOS(), torch.full((1000,), 800 * NANO, dtype=torch.float64)
    g = device.programmed(target, draws(3)[:1000])
    cells = device.drift_state(target, draws(4)[:1000])
    soon = device.aged(g, cells, 1.0)
    assert float((soon - g).abs().max()) < 1 * NANO
    spread = [float((device.aged(g, cells, d * DAY)).std()) for d in (0, 1, 2, 3, 4, 5)]
    assert spread == sorted(spread)


def test_erased_cells_stay_at_zero_when_programmed_and_creep_up() -> None:
    g = torch.zeros(5)
    assert torch.equal(SONOS().programmed(g, torch.randn(5)), g)
    assert mean_change(5 * DAY, 0.0) == pytest.approx([0.319927])


@pytest.mark.parametrize("seconds", [5.01 * DAY, 3.15e7])
def test_after_five_days_nothing_is_known(seconds: float) -> None:
    with pytest.raises(ValueError, match="from 0 s to 432000 s"):
        mean_change(seconds, 100.0)


def test_currents_stay_in_the_measured_range() -> None:
    with pytest.raises(ValueError, match=r"to 1\.8e-05 S"):
        SONOS(g_max=20e-6)
    assert SONOS(g_max=20e-6, drift_scale=0.0).g_max == 20e-6
    with pytest.raises(ValueError, match=r"to 3\.2e-05 S"):
        SONOS(g_max=40e-6, drift_scale=0.0)
