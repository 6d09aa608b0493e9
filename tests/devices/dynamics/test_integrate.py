"""The integrators on equations whose solution is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

from mho.devices.dynamics import (
    VTEAM,
    Adaptive,
    Euler,
    Exact,
    Implicit,
    Joglekar,
    LinearIonDrift,
    Method,
    StepError,
)
from mho.devices.dynamics.integrate import ErrorBounded

ZERO = torch.zeros((), dtype=torch.float64)


@dataclass
class Toy:
    """``dx/dt = f(x, v)`` between two walls, counting its evaluations."""

    f: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    bounds: tuple[float, float] = (-10.0, 10.0)
    calls: int = 0

    def limits(self, state: torch.Tensor, v0: torch.Tensor, v1: torch.Tensor) -> tuple[float, float]:
        return self.bounds

    def rate(self, state: torch.Tensor, voltage: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.f(state, voltage)

    def exact(self, state: torch.Tensor, voltage: torch.Tensor, dt: object) -> torch.Tensor:
        raise TypeError

    def take(self, index: torch.Tensor, shape: torch.Size) -> Toy:
        return self


def x64(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    "method, order", [(Euler(), 1), (Implicit(tolerance=1e9), 2), (Adaptive(tolerance=1e9), 3)]
)
def test_order_of_one_fixed_step_method(method: Method, order: int) -> None:
    # dx/dt = -x + v(t) with v = t: x = (x0 + 1) e^-t + t - 1
    toy = Toy(lambda x, v: v - x)
    truth = 3 * math.exp(-1)

    def error(steps: int) -> float:
        x = x64(2.0)
        for n in range(steps):
            x = method.advance(toy, x, x64(n / steps)[0], x64((n + 1) / steps)[0], 1 / steps)
        return abs(float(x) - truth)

    assert math.log2(error(20) / error(40)) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("method", [Adaptive, Implicit])
def test_error_follows_the_tolerance(method: type[Adaptive] | type[Implicit]) -> None:
    toy = Toy(lambda x, v: -x + 0 * v)
    for tolerance in (1e-4, 1e-6, 1e-8):
        end = method(tolerance=tolerance).advance(toy, x64(5.0), ZERO, ZERO, 3.0)
        # The error of a step goes with its third power, the sum of all with the second.
        assert abs(float(end) - 5 * math.exp(-3)) < 20 * tolerance ** (2 / 3)


def test_each_cell_has_its_own_steps() -> None:
    toy = Toy(lambda x, v: -(x.abs() ** 3) * x.sign() + 0 * v)
    starts = x64(0.001, 9.0, -3.0, 0.0)
    together = Adaptive().advance(toy, starts, ZERO, ZERO, 5.0)
    for start, end in zip(starts, together, strict=True):
        assert torch.equal(Adaptive().advance(toy, start[None], ZERO, ZERO, 5.0)[0], end)
    truth = starts / (1 + 2 * starts**2 * 5.0).sqrt()
    torch.testing.assert_close(together, truth, atol=2e-4, rtol=0)


def test_implicit_takes_few_steps_where_explicit_needs_many() -> None:
    def cost(method: ErrorBounded) -> int:
        toy = Toy(lambda x, v: -2e3 * (x - torch.cos(x)) + 0 * v, (-2.0, 2.0))
        end = method.advance(toy, x64(1.9), ZERO, ZERO, 1.0)
        assert float(end) == pytest.approx(0.7390851332, abs=1e-4)
        return toy.calls

    assert cost(Implicit(tolerance=1e-5)) < 0.2 * cost(Adaptive(tolerance=1e-5))


@pytest.mark.parametrize("method", [Adaptive(), Implicit()])
def test_walls_stop_the_state(method: Method) -> None:
    toy = Toy(lambda x, v: torch.full_like(x, 1e6) + 0 * v, (0.0, 1.0))
    assert method.advance(toy, x64(0.2, 1.0), ZERO, ZERO, 1.0).tolist() == [1.0, 1.0]


def test_an_overshoot_beyond_a_wall_is_refused() -> None:
    # A first step over the whole interval lands far beyond the lower wall; the solution never goes there.
    toy = Toy(lambda x, v: -(x**3) + 0 * v)
    for method in (Adaptive(), Implicit()):
        end = method.advance(toy, x64(9.0), ZERO, ZERO, 5.0)
        assert float(end) == pytest.approx(9 / math.sqrt(1 + 2 * 81 * 5.0), abs=2e-4)
    # It goes towards the wall, and would get there at its first speed, but it slows down.
    slowing = Toy(lambda x, v: torch.exp(-50 * x) + 0 * v, (-1.0, 1.0))
    for method in (Adaptive(), Implicit()):
        end = method.advance(slowing, x64(0.0), ZERO, ZERO, 10.0)
        assert float(end) == pytest.approx(math.log(501) / 50, abs=1e-4)


def test_a_jump_of_the_velocity_is_met() -> None:
    toy = Toy(lambda x, v: torch.where(x < 0.5, 1.0, 0.01) + 0 * v, (0.0, 1.0))
    end = Adaptive().advance(toy, x64(0.0), ZERO, ZERO, 1.0)
    assert float(end) == pytest.approx(0.505, abs=1e-5)


@pytest.mark.parametrize("method", [Adaptive(), Implicit()])
def test_gradients_through_refused_steps(method: Method) -> None:
    # The first attempt overflows: its gradient is NaN and must not reach the result.
    toy = Toy(lambda x, v: -torch.exp(x * x) * x * v, (-40.0, 40.0))
    start = x64(3.0, 0.1, -3.5).requires_grad_()
    volts = x64(1.0, 1.0, 0.5).requires_grad_()
    end = method.advance(toy, start, volts, volts, 0.1)
    for gradient in torch.autograd.grad(end.sum(), (start, volts)):
        assert bool(torch.isfinite(gradient).all())
    half = 0.1 * math.exp(-0.1 * math.exp(0.01) * 0.99)  # close to the linear solution for the small cell
    assert float(end.detach()[1]) == pytest.approx(half, rel=0.01)


def test_what_cannot_be_followed_is_an_error() -> None:
    never = Toy(lambda x, v: x / 0 + v, (-1.0, 1.0))
    with pytest.raises(StepError, match=r"1 cell\(s\) cannot follow .*shorten the pulse"):
        Adaptive().advance(never, x64(0.0), ZERO, ZERO, 1.0)
    fast = Toy(lambda x, v: torch.cos(1e6 * x) * 1e3 + 0 * v, (-1e3, 1e3))
    with pytest.raises(StepError, match="max_steps = 5 "):
        Adaptive(max_steps=5, tolerance=1e-12).advance(fast, x64(0.0), ZERO, ZERO, 1.0)


def test_simulate_says_where_it_failed() -> None:
    cell = LinearIonDrift(window=Joglekar())
    time = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    voltage = torch.tensor([0.0, 0.0, 3.0], dtype=torch.float64)
    with pytest.raises(StepError, match=r"between samples 1 and 2 \(t = 1 s to 2 s.*3 V"):
        cell.simulate(voltage, time, method=Adaptive(max_steps=3, tolerance=1e-12))


@pytest.mark.parametrize(
    "voltage, time, match",
    [
        ([0.0, 1.0], [0.0, -1.0], r"time\[1\] = -1\.0"),
        ([0.0, 1.0], [-1.0, 1.0], r"time\[0\] = -1\.0.*not negative"),
        ([0.0, 1.0, 0.0], [0.0, 1.0, 1.0], r"time\[2\] = 1\.0 does not come after time\[1\] = 1\.0"),
        ([0.0, 1.0], [0.0, math.inf], r"time\[1\] = inf"),
        ([0.0, math.nan], [0.0, 1.0], r"voltage\[1\] = nan"),
        ([0.0], [0.0, 1.0], "first dimension of the voltage is time"),
        ([], [], "at least one sample"),
    ],
)
def test_bad_waveforms(voltage: list[float], time: list[float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        VTEAM().simulate(x64(*voltage), x64(*time))


def test_bad_calls() -> None:
    x = x64(1e-9)
    with pytest.raises(ValueError, match=r"dt = -1\.0"):
        VTEAM().step(x, 0.5, -1.0)
    with pytest.raises(ValueError, match="dt = nan"):
        VTEAM().step(x, 0.5, math.nan)
    wave = x64(0.0, 1.0), x64(0.0, 1.0)
    with pytest.raises(ValueError, match="every = 0"):
        VTEAM().simulate(*wave, every=0)
    with pytest.raises(TypeError, match="int64"):
        VTEAM().simulate(torch.tensor([0, 1]), wave[1])
    with pytest.raises(TypeError, match="without noise"):
        VTEAM().simulate(*wave, eps=x64(0.1), method=Euler())
    with pytest.raises(ValueError, match="eps has shape"):
        VTEAM().simulate(*wave, eps=x64(0.1, 0.2))


def test_held_and_sloped_voltage() -> None:
    cell = VTEAM()
    time = x64(0.0, 1e-9, 2e-9)
    held = cell.simulate(x64(0.5, 0.0, 0.0), time, held=True)
    assert held.state.tolist() == pytest.approx([0.0, 1.2e-11, 1.2e-11])
    sloped = cell.simulate(x64(0.5, 0.0, 0.0), time, method=Exact())
    assert float(sloped.state[1]) == pytest.approx(5e-4 * (0.25 / 0.02 - 1) * 1e-9)


def test_one_sample_and_pulse_lengths_by_cell() -> None:
    cell = VTEAM()
    alone = cell.simulate(x64(0.3), x64(0.0))
    assert alone.state.tolist() == [0.0]
    assert alone.current.tolist() == pytest.approx([0.3 / 50])
    lengths = x64(0.0, 1e-9, 2e-9)
    for method in (Exact(), Adaptive(), Implicit(), Euler()):
        assert cell.step(x64(0, 0, 0), 0.5, lengths, method).tolist() == pytest.approx([0, 1.2e-11, 2.4e-11])
