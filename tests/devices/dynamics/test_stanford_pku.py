"""Stanford-PKU against values computed by hand from its equations."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from mho import random
from mho.devices.dynamics import Adaptive, Euler, Implicit, StanfordPKU, StepError, pulses

# The values below were computed with these older constants.
OLD = StanfordPKU(k_b=1.3806503e-23, q=1.6e-19)


def f64(value: float | list[float]) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def test_gaps_of_the_two_resistances() -> None:
    low, high = OLD.bounds
    assert low == pytest.approx(2.0008273892565852e-10, rel=1e-12)
    assert high == pytest.approx(1.699999940755209e-09, rel=1e-12)
    assert float(OLD.g_max) == pytest.approx(1 / 542)
    assert float(OLD.g_min) == pytest.approx(1 / 218586)


def test_current() -> None:
    gap = f64(0.2e-9)
    assert float(OLD.current(f64(0.1), gap)) == pytest.approx(0.00018456291706171862, rel=1e-12)
    assert float(OLD.current(f64(1.0), gap)) == pytest.approx(0.012262150225030164, rel=1e-12)


@pytest.mark.parametrize(
    "volts, kelvin, rate",
    [
        (1.0, 298.0, 0.0),
        (-1.0, 298.0, 0.0),
        (1.5, 298.0, -0.0387117716545141),
        (1.5, 600.0, -0.4471400911871169),
    ],
)
def test_velocity_at_a_given_temperature(volts: float, kelvin: float, rate: float) -> None:
    value = OLD.rate(f64(1e-9), f64(volts), temperature=f64(kelvin))
    assert float(value) == pytest.approx(rate, rel=1e-12)


def test_threshold_field() -> None:
    # gamma = 15.2 at a gap of 1 nm: f_min t_ox / gamma = 1.1053 V
    threshold = 1.4e9 * 12e-9 / 15.2
    for sign in (1, -1):
        below, above = (float(OLD.rate(f64(1e-9), f64(sign * threshold * s))) for s in (0.999, 1.001))
        assert below == 0
        assert above * sign < 0


def test_heating_by_the_current() -> None:
    gap, volts = f64(0.4e-9), f64(1.2)
    t = 298.0 + 1.2 * float(OLD.current(volts, gap)) * 2.1e3
    assert t > 310
    assert float(OLD.temperature(gap, volts)) == pytest.approx(t)
    assert float(OLD.rate(gap, volts)) == float(OLD.rate(gap, volts, temperature=f64(t)))
    assert abs(float(OLD.rate(gap, volts))) > 1.5 * abs(float(OLD.rate(gap, volts, temperature=f64(298.0))))


def test_ambient_temperature_speeds_it_up() -> None:
    speeds = [abs(float(StanfordPKU(t_ambient=t).rate(f64(1e-9), f64(1.5)))) for t in (298.0, 350.0, 400.0)]
    assert speeds == sorted(speeds)
    assert speeds[2] > 3 * speeds[0]


def test_both_integrators_agree_on_a_runaway() -> None:
    gaps = f64([0.9e-9, 1.2e-9, 1.6e-9])
    ends = [
        OLD.step(gaps, 1.6, 3e-9, method) for method in (Adaptive(tolerance=1e-8), Implicit(tolerance=1e-8))
    ]
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=1e-5 * 1.5e-9)
    assert bool((ends[0] < gaps).all())
    assert bool((ends[0][1:] > OLD.bounds[0]).all())
    with pytest.raises(StepError, match="max_steps = 2 "):
        OLD.step(gaps, 1.6, 3e-9, Adaptive(max_steps=2, tolerance=1e-8))


@pytest.mark.parametrize("method", [Adaptive(), Implicit(tolerance=1e-5)])
def test_a_slow_reset_follows_the_edge_of_the_field(method: Adaptive | Implicit) -> None:
    # At 10 Hz the gap widens at once, but only to where gamma |V| / t_ox falls to f_min, and stays there.
    ramp = torch.cat([torch.linspace(0, -1.15, 60), torch.linspace(-1.15, 0, 60)[1:]]).double()
    time = torch.arange(len(ramp)) * 5e-4
    gaps = OLD.simulate(ramp, time, method=method).state
    edge = ((16 - 1.4e9 * 12e-9 / -ramp[1:60]) / 0.8).clamp(min=0) ** (1 / 3) * 1e-9
    expected = edge.clamp(min=float(OLD.bounds[0]))
    torch.testing.assert_close(gaps[1:60], expected, rtol=0, atol=1e-4 * 1.5e-9)
    assert float(edge[-1]) > 0.9e-9
    torch.testing.assert_close(gaps[60:], gaps[59].expand(59), rtol=1e-6, atol=0)


def test_gradients_from_zero_volts() -> None:
    voltage = f64([0.0, -0.6, -1.2, 0.0]).requires_grad_()
    trace = OLD.simulate(voltage, torch.arange(4) * 1e-9)
    gradient = torch.autograd.grad(trace.state[-1], voltage)[0]
    assert bool(torch.isfinite(gradient).all())
    assert bool((gradient[1:3] != 0).all())


def test_noise_of_the_velocity() -> None:
    # Below the threshold the gap moves by noise alone: normal with rate_std * sqrt(dt total * dt).
    cells, intervals, dt = 2000, 20, 1e-10
    time = torch.arange(intervals + 1, dtype=torch.float64) * dt
    voltage = torch.full_like(time, 0.3)
    eps = random.normal((intervals, cells), 0, "gap").double()
    start = torch.full((cells,), 0.9e-9, dtype=torch.float64)
    for method in (Euler(), Adaptive()):
        moved = OLD.simulate(voltage, time, start, method, eps=eps).state[-1] - start
        t = float(OLD.temperature(start[:1], f64(0.3)))
        sigma = 0.02 / (1 + math.exp((450 - t) / 500)) * dt * math.sqrt(intervals)
        assert stats.kstest(moved.numpy() / sigma, "norm").pvalue > 0.01


def test_noise_needs_an_integrator() -> None:
    from mho.devices.dynamics import Exact

    with pytest.raises(TypeError, match="no closed-form"):
        OLD.simulate(*pulses([1.0], 1e-9), method=Exact(), eps=torch.zeros(1))


def test_cells_at_different_ambient_temperatures() -> None:
    hot = StanfordPKU().with_values(t_ambient=f64([298.0, 400.0]))
    ends = hot.step(f64([1e-9, 1e-9]), 1.5, 1e-9)
    alone = [float(StanfordPKU(t_ambient=t).step(f64(1e-9), 1.5, 1e-9)) for t in (298.0, 400.0)]
    assert ends.tolist() == pytest.approx(alone, rel=1e-12)
    assert alone[1] < alone[0]
