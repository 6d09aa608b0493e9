"""VTEAM against its closed form."""

from __future__ import annotations

import math

import pytest
import torch

from mho.devices.dynamics import (
    VTEAM,
    Adaptive,
    Euler,
    Exact,
    ExponentialResistance,
    Joglekar,
    Kvatinsky,
    sine,
)
from mho.errors import ConfigError

CELL = VTEAM()


def f64(value: float | list[float]) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize(
    "voltage, speed", [(0.5, 0.012), (-0.5, -33.75), (-1.0, -640.0), (0.02, 0.0), (-0.2, 0.0)]
)
def test_velocity(voltage: float, speed: float) -> None:
    assert float(CELL.rate(f64(1e-9), f64(voltage))) == pytest.approx(speed, rel=1e-9, abs=1e-15)


def test_a_full_sweep_takes_the_time_of_the_closed_form() -> None:
    assert float(CELL.step(f64(0.0), 0.5, 2.5e-7)) == pytest.approx(3e-9, rel=1e-12)
    assert float(CELL.step(f64(3e-9), -0.5, 8.8888e-11)) == pytest.approx(0, abs=1e-13)
    assert float(CELL.step(f64(3e-9), -0.5, 8.0e-11)) == pytest.approx(3e-10, rel=1e-9)


def test_resistance_laws() -> None:
    x = f64([0.0, 1.5e-9, 3e-9])
    assert CELL.resistance(x).tolist() == pytest.approx([50.0, 525.0, 1000.0])
    exponential = VTEAM(law=ExponentialResistance())
    assert exponential.resistance(x).tolist() == pytest.approx([50.0, math.sqrt(50 * 1000), 1000.0])
    g = f64([1e-3, 5e-3, 0.02])
    torch.testing.assert_close(exponential.conductance(exponential.state_of(g)), g)


def test_sine_and_the_order_of_each_method() -> None:
    truth = 1.5418677514e-10  # integral of k_off (V / v_off - 1) over the half wave above v_off
    theta = math.asin(0.02)
    by_hand = 5e-4 / (2 * math.pi * 50e6) * (2 * math.cos(theta) / 0.02 - (math.pi - 2 * theta))
    assert by_hand == pytest.approx(truth, rel=1e-9)

    def error(samples: int, method: Euler | Exact | Adaptive) -> float:
        wave = sine(1.0, 50e6, 0.5, samples)
        return abs(float(CELL.simulate(*wave, method=method).state[-1]) - truth)

    assert error(200, Exact()) < 2e-4 * truth
    for method, order in ((Exact(), 2), (Adaptive(tolerance=1e-9), 2)):
        assert math.log2(error(400, method) / error(1600, method)) / 2 == pytest.approx(order, abs=0.3)
    assert error(10_000, Adaptive(tolerance=1e-9)) < 1e-7 * truth


def test_explicit_euler_is_of_order_one() -> None:
    cell = VTEAM(window=Joglekar())  # smooth in the state, so that the order shows
    start = f64(1e-9)
    truth = float(cell.step(start, 0.5, 5e-8, Adaptive(tolerance=1e-11)))

    def error(steps: int) -> float:
        x = start
        for _ in range(steps):
            x = cell.step(x, 0.5, 5e-8 / steps, Euler())
        return abs(float(x) - truth)

    assert math.log2(error(50) / error(100)) == pytest.approx(1, abs=0.1)


def test_the_window_slows_only_the_way_ahead() -> None:
    cell = VTEAM(window=Kvatinsky())
    near_top = f64(2.97e-9)
    assert 0 < float(cell.rate(near_top, f64(0.5))) < 0.3 * 0.012
    assert float(cell.rate(near_top, f64(-0.5))) == pytest.approx(-33.75, rel=1e-6)


def test_swapped_ends_are_refused() -> None:
    with pytest.raises(ConfigError, match="x_on = 3e-09 must be below x_off = 0"):
        VTEAM(x_on=3e-9, x_off=0.0)
    with pytest.raises(ConfigError, match=r"VTEAM\.v_on"):
        VTEAM(v_on=0.2)
