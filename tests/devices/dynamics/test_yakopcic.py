"""Yakopcic's model against values computed by hand from its equations."""

from __future__ import annotations

import math

import pytest
import torch

from mho.devices.dynamics import Adaptive, Yakopcic

CELL = Yakopcic()


@pytest.mark.parametrize(
    "volts, x, current, rate",
    [
        (0.1, 0.11, 9.350038958382035e-05, 0.0),
        (0.1, 0.7, 0.0005950024791697658, 0.0),
        (0.45, 0.11, 0.0004207855016798744, 1579.2052579934345),
        (0.45, 0.7, 0.002677725919781019, 453.67411767337836),
        (-0.45, 0.11, -0.0004207855016798744, -50.89151929562211),
        (-0.45, 0.7, -0.002677725919781019, -1625.9117710475434),
    ],
)
def test_current_and_velocity(volts: float, x: float, current: float, rate: float) -> None:
    state, voltage = (torch.tensor(value, dtype=torch.float64) for value in (x, volts))
    assert float(CELL.current(voltage, state)) == pytest.approx(current, rel=1e-12)
    assert float(CELL.rate(state, voltage)) == pytest.approx(rate, rel=1e-12)


def test_straight_line_below_the_window() -> None:
    # Below x_p the velocity depends on the voltage alone.
    x = torch.tensor(0.0, dtype=torch.float64)
    speed = 4000 * (math.exp(0.45) - math.exp(0.16))
    for method in (None, Adaptive(tolerance=1e-9)):
        assert float(CELL.step(x, 0.45, 1e-4, method)) == pytest.approx(speed * 1e-4, rel=1e-9)


def test_state_stops_at_the_walls() -> None:
    x = torch.tensor([0.2, 0.9], dtype=torch.float64)
    assert CELL.step(x, 1.0, 1.0).tolist() == pytest.approx([1, 1], abs=1e-4)
    assert CELL.step(x, -1.0, 1.0).tolist() == pytest.approx([0, 0], abs=1e-4)


def test_eta_turns_the_motion_round() -> None:
    x = torch.tensor([0.2, 0.9], dtype=torch.float64)
    volts = torch.tensor(0.5, dtype=torch.float64)
    turned = Yakopcic(eta=-1.0).rate(x, volts)
    assert bool((turned < 0).all())
    up = 4000 * (math.exp(0.5) - math.exp(0.16))
    assert float(turned[1]) == pytest.approx(-up)  # far from the lower wall: full speed
    assert float(turned[0]) == pytest.approx(-up * math.exp(5 * (0.2 - 0.5)) * 0.2 / 0.5)
