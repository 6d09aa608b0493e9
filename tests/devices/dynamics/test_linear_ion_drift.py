"""Linear ion drift against its closed form."""

from __future__ import annotations

import math

import pytest
import torch

from mho.devices.dynamics import Adaptive, Euler, Exact, Joglekar, LinearIonDrift, sine
from mho.errors import ConfigError

CELL = LinearIonDrift()


def state(resistance: float) -> torch.Tensor:
    return CELL.state_of(torch.tensor(1 / resistance, dtype=torch.float64))


# R0 = 11 kohm after a flux of 0.1 and 0.3 V s: sqrt(R0^2 - 2 (r_off - r_on) k phi), k = 1e4 / (A s)
@pytest.mark.parametrize("flux, expected", [(0.1, 9444.575162494077), (0.3, 5059.644256269408)])
def test_resistance_after_a_flux(flux: float, expected: float) -> None:
    start = state(11e3)
    for voltage, dt in ((1.0, flux), (0.5, 2 * flux), (2.0, flux / 2)):
        exact = CELL.resistance(CELL.step(start, voltage, dt))
        assert float(exact) == pytest.approx(expected, rel=1e-12)
        solved = CELL.resistance(CELL.step(start, voltage, dt, Adaptive()))
        assert float(solved) == pytest.approx(expected, rel=1e-5)


def test_reaches_the_wall_at_the_flux_of_the_closed_form() -> None:
    before = CELL.step(state(11e3), 1.0, 0.3804)
    after = CELL.step(state(11e3), 1.0, 0.3805)  # r_on is reached at 0.3804717 V s
    assert float(before) < 1.0
    assert float(after) == 1.0
    assert float(CELL.step(after, -100.0, 1e3)) == 0.0


def test_half_a_sine_and_the_order_of_each_method() -> None:
    expected = 4447.185  # the closed form at phi = 1 / pi
    truth = math.sqrt(11e3**2 - 2 * 15900 * 1e4 / math.pi)
    assert truth == pytest.approx(expected, rel=1e-6)

    def end(samples: int, method: Euler | Exact | Adaptive) -> float:
        wave = sine(1.0, 1.0, 0.5, samples)
        return float(CELL.resistance(CELL.simulate(*wave, state(11e3), method).state[-1]))

    for method, order in ((Euler(), 1), (Exact(), 2)):
        coarse, fine = (abs(end(n, method) - truth) for n in (200, 400))
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.1)
    # Straight lines between 1600 samples miss 1e-6 of the area under a sine.
    assert end(1600, Adaptive()) == pytest.approx(truth, rel=1e-5)


def test_thresholds_hold_the_state() -> None:
    cell = LinearIonDrift(v_set=0.55, v_reset=0.3)
    x = torch.tensor(0.5, dtype=torch.float64)
    voltages = torch.tensor([-0.31, -0.29, 0.0, 0.54, 0.56], dtype=torch.float64)
    assert (cell.rate(x, voltages) != 0).tolist() == [True, False, False, False, True]


def test_a_window_leaves_no_closed_form_and_no_frozen_cell() -> None:
    cell = LinearIonDrift(window=Joglekar())
    x = torch.tensor(0.5, dtype=torch.float64)
    with pytest.raises(TypeError, match="no closed-form step"):
        cell.exact(x, x, 1.0)
    down = cell.step(x, -1.0, 1e3)
    assert float(down) == pytest.approx(1e-6, rel=1e-3)
    assert float(cell.step(down, 1.0, 1e3)) > 0.5


def test_inverted_resistances_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"r_on = 5000 must be below r_off = 1000.*swap"):
        LinearIonDrift(r_on=5000.0, r_off=1000.0)
