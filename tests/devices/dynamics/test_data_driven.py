"""Data-driven models against their closed forms, written out plainly."""

from __future__ import annotations

import math

import pytest
import torch

from mho.devices.dynamics import Adaptive, DataDriven2018, DataDriven2021
from mho.devices.dynamics.data_driven import quadratic_approach
from mho.errors import ConfigError


def f64(value: float | list[float]) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def by_hand_2018(r0: float, volts: float, dt: float) -> float:
    """The published step in logarithms of sums, without care for overflow."""
    if volts > 0:
        r, s, k = 16719.0, 743.47 * (math.exp(6.51 * volts) - 1), 5.11e-4
        if r0 > r:
            return r0
        return math.log(math.exp(k * r) + math.exp(-k * s * dt) * (math.exp(k * r0) - math.exp(k * r))) / k
    r, s, k = 29304.82557 + 23692.77225 * volts, -68012.28374 * (math.exp(0.31645 * -volts) - 1), 1.17e-3
    if r0 < r:
        return r0
    return -math.log(math.exp(-k * r) + math.exp(k * s * dt) * (math.exp(-k * r0) - math.exp(-k * r))) / k


@pytest.mark.parametrize("volts", [1.0, 0.5, -0.9, -1.2])
@pytest.mark.parametrize("r0", [1500.0, 5000.0, 12000.0, 16900.0])
@pytest.mark.parametrize("dt", [1e-8, 1e-4, 1e-1])
def test_2018_step(volts: float, r0: float, dt: float) -> None:
    cell = DataDriven2018()
    expected = min(max(by_hand_2018(r0, volts, dt), 1280.0), 17000.0)
    assert float(cell.step(f64(r0), volts, dt)) == pytest.approx(expected, rel=1e-10)


def test_2018_small_steps_keep_their_digits_in_float32() -> None:
    cell = DataDriven2018()
    step = cell.step(torch.tensor(1500.0), 1.0, 1e-8) - 1500.0
    exact = by_hand_2018(1500.0, 1.0, 1e-8) - 1500.0
    assert exact > 1.0
    assert float(step) == pytest.approx(exact, rel=2e-4)  # float32 holds 1500 to 1e-4 ohm


def test_2018_steep_fits_do_not_overflow() -> None:
    cell = DataDriven2018(k_p=0.1, r_p=(16000.0,))
    for dtype in (torch.float32, torch.float64):
        ends = cell.step(torch.tensor([1500.0, 15999.0], dtype=dtype), 1.0, 1e-3)
        # e^(1450) is far beyond both types; the state jumps almost to its end and creeps from there.
        assert bool(torch.isfinite(ends).all())
        assert 15900 < float(ends[0]) <= float(ends[1]) <= 16000


def test_2021_step() -> None:
    # s = 600.1 (e^(-1 / 0.0212) - 1), r = 2699.2336 - 672.930205 at 1 V
    s, r = 600.10075 * math.expm1(1 / -0.0212028), 2699.2336 - 672.930205
    assert (s, r) == pytest.approx((-600.10075, 2026.303395))
    raw = 1700 + float(quadratic_approach(f64(r - 1700), f64(s), 1e-9))
    assert raw == pytest.approx(1699.9360924153427, rel=1e-12)
    cell = DataDriven2021()
    assert float(cell.step(f64(1700.0), 1.0, 1e-9)) == 1700.0  # that motion leads away from r: none
    expected = (2900 + s * r * (r - 2900) * 1e-6) / (1 + s * (r - 2900) * 1e-6)
    assert float(cell.step(f64(2900.0), 1.0, 1e-6)) == pytest.approx(expected, rel=1e-12)


def test_polarity_of_both() -> None:
    assert (
        float(DataDriven2018().step(f64(5000.0), 1.0, 1e-3))
        > 5000
        > float(DataDriven2018().step(f64(5000.0), -1.2, 1e-3))
    )
    assert (
        float(DataDriven2021().step(f64(2100.0), 0.9, 1e-4))
        < 2100
        < float(DataDriven2021().step(f64(2100.0), -1.2, 1e-4))
    )


@pytest.mark.parametrize("cell", [DataDriven2018(), DataDriven2021()])
def test_the_read_resistance_is_not_the_state(cell: DataDriven2018 | DataDriven2021) -> None:
    r = f64(2000.0)
    g = cell.conductance(r)
    assert float(g) == pytest.approx(cell.current_p * math.sinh(cell.b_p * 0.1) / 0.1 / 2000)
    assert float(cell.state_of(g)) == pytest.approx(2000.0)


def test_adaptive_follows_the_closed_form() -> None:
    for cell, volts in ((DataDriven2018(), 1.0), (DataDriven2021(), -1.2)):
        r = f64([1700.0, 2000.0])
        dt = 1e-5
        torch.testing.assert_close(
            cell.step(r, volts, dt, Adaptive(tolerance=1e-8)), cell.step(r, volts, dt), rtol=1e-6, atol=0
        )


def test_bad_parameters() -> None:
    with pytest.raises(ConfigError, match="t_n = 0"):
        DataDriven2021(t_n=0.0)
    with pytest.raises(ConfigError, match=r"r_on = 17000 must be below r_off = 1280"):
        DataDriven2018(r_on=17e3, r_off=1280.0)
    with pytest.raises(ConfigError, match="r_p"):
        DataDriven2018(r_p=())
