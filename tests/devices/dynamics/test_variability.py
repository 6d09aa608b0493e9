"""Drawn parameters: their laws, their streams, their bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Gamma, LogNormal, MultivariateNormal, Normal, Poisson, Uniform

import mho
from mho.devices.dynamics import VTEAM, LinearIonDrift, Stochastic, jitter, pulses, vary
from mho.errors import ConfigError

MANY = (20_000,)


def test_truncation_keeps_the_form_of_the_density() -> None:
    draws = Stochastic(Normal(1000.0, 300.0), low=900.0, high=1200.0).draw(MANY, 0, "r")
    law = stats.truncnorm((900 - 1000) / 300, (1200 - 1000) / 300, 1000, 300)
    assert stats.kstest(draws.numpy(), law.cdf).pvalue > 0.01


@pytest.mark.parametrize(
    "distribution, law",
    [
        (LogNormal(0.0, 0.5), stats.lognorm(0.5)),
        (Gamma(3.0, 2.0), stats.gamma(3.0, scale=0.5)),
        (Uniform(2.0, 5.0), stats.uniform(2.0, 3.0)),
    ],
)
def test_any_distribution(distribution: torch.distributions.Distribution, law: object) -> None:
    draws = Stochastic(distribution).draw(MANY, 1, "x")
    assert stats.kstest(draws.numpy(), law.cdf).pvalue > 0.01  # type: ignore[attr-defined]


def test_clamping_piles_up_on_request() -> None:
    draws = Stochastic(Normal(0.0, 1.0), low=0.0, clamped=True).draw(MANY, 0, "x")
    assert float((draws == 0).float().mean()) == pytest.approx(0.5, abs=0.02)
    assert float((Stochastic(Normal(0.0, 1.0), low=0.0).draw(MANY, 0, "x") == 0).sum()) == 0


def test_a_discrete_law_too() -> None:
    cells = vary(VTEAM(), {"r_off": Stochastic(Poisson(1e3), low=980.5)}, MANY, 0, "d2d")
    values = torch.as_tensor(cells.r_off).double()
    assert torch.equal(values, values.round()) and float(values.min()) == 981
    law = stats.poisson(1e3)
    expected = law.pmf(range(981, 1101)) / law.sf(980)
    counts = torch.bincount(values.long(), minlength=1101)[981:1101].double() / len(values)
    assert float((counts - torch.as_tensor(expected)).abs().max()) < 5 * math.sqrt(0.02 / len(values))


def test_draws_of_a_normal_law_are_those_of_its_stream() -> None:
    cells = vary(VTEAM(), {"r_off": Stochastic(Normal(1000.0, 10.0))}, (50,), 3, "fc", "d2d")
    eps = mho.random.normal((50,), 3, "fc", "d2d", "r_off", "0")
    torch.testing.assert_close(cells.r_off, 1000 + 10 * eps)


def test_streams() -> None:
    spread = Stochastic(Normal(0.0, 1.0), low=-1.0)
    state = torch.get_rng_state()
    first = spread.draw((50,), 7, "fc", "d2d")
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(10)
    assert torch.equal(spread.draw((50,), 7, "fc", "d2d"), first)
    assert not torch.equal(spread.draw((50,), 8, "fc", "d2d"), first)
    assert not torch.equal(spread.draw((50,), 7, "fc", "c2c"), first)


def test_cells_of_a_chip() -> None:
    spreads = {
        "r_on": Stochastic(Normal(200.0, 50.0), low=1.0),
        "k_off": Stochastic(LogNormal(math.log(5e-4), 0.2)),
    }
    cells = vary(VTEAM(), spreads, (300, 40), 3, "fc", "d2d")
    again = vary(VTEAM(), spreads, (300, 40), 3, "fc", "d2d")
    assert torch.equal(cells.r_on, again.r_on)  # type: ignore[arg-type]
    assert cells.cells == (300, 40)
    assert abs(np.corrcoef(cells.r_on.reshape(-1), cells.k_off.reshape(-1))[0, 1]) < 0.03  # type: ignore[attr-defined]
    assert cells.alpha_on == 3.0
    g = cells.g_max
    assert isinstance(g, torch.Tensor)
    torch.testing.assert_close(g.float(), 1 / cells.r_on)  # type: ignore[operator]


def test_resistances_stay_in_order_in_every_cell() -> None:
    # Half of the pairs drawn at random would be out of order.
    spreads = {"r_on": Stochastic(Uniform(100.0, 200.0)), "r_off": Stochastic(Uniform(100.0, 200.0))}
    cells = vary(LinearIonDrift(), spreads, MANY, 0, "d2d")
    r_on, r_off = torch.as_tensor(cells.r_on), torch.as_tensor(cells.r_off)
    assert bool((r_on < r_off).all())
    # Redrawn as pairs, the two are the lower and the higher of two uniform numbers.
    low = (r_on.double().numpy() - 100) / 100
    assert stats.kstest(low, stats.beta(1, 2).cdf).pvalue > 0.01


def test_cycles_are_fresh_around_each_cells_own_value() -> None:
    cells = vary(VTEAM(), {"r_on": Stochastic(Uniform(40.0, 60.0))}, MANY, 0, "fc", "d2d")
    factors = {"r_on": Stochastic(Normal(1.0, 0.05), low=0.5)}
    one, two = (jitter(cells, factors, MANY, 0, "fc", "cycle", str(n)) for n in (1, 2))
    ratios = [(torch.as_tensor(c.r_on) / torch.as_tensor(cells.r_on)).double().numpy() for c in (one, two)]
    for ratio in ratios:
        assert stats.kstest((ratio - 1) / 0.05, "norm").pvalue > 0.01
    assert abs(np.corrcoef(*ratios)[0, 1]) < 0.03


def test_varied_cells_switch_as_single_ones() -> None:
    cells = vary(VTEAM(), {"k_off": Stochastic(Uniform(4e-4, 6e-4))}, (6,), 0, "fc")
    trace = cells.simulate(*pulses([0.5, -0.3], 1e-9), held=True)
    for n in range(6):
        alone = VTEAM(k_off=float(cells.k_off[n])).simulate(*pulses([0.5, -0.3], 1e-9), held=True)  # type: ignore[index]
        torch.testing.assert_close(trace.state[:, n], alone.state, rtol=1e-6, atol=0)
        torch.testing.assert_close(trace.current[:, n], alone.current, rtol=1e-6, atol=0)


def test_parameters_follow_the_dtype_of_the_simulation() -> None:
    cells = VTEAM().with_values(r_on=torch.tensor([40.0, 50.0], dtype=torch.float64))
    wave = pulses([0.5], 1e-9, dtype=torch.float32)
    trace = cells.simulate(*wave, held=True)
    assert trace.state.dtype is trace.current.dtype is torch.float32


def test_gradients_reach_the_parameters() -> None:
    k_off = torch.tensor([4e-4, 6e-4], dtype=torch.float64, requires_grad=True)
    cells = VTEAM().with_values(k_off=k_off)
    end = cells.step(torch.full((2,), 1e-9, dtype=torch.float64), 0.5, 1e-9)
    gradient = torch.autograd.grad(end.sum(), k_off)[0]
    assert gradient.tolist() == pytest.approx([24 * 1e-9, 24 * 1e-9])


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"low = 2\.0 must be below high = 1\.0"):
        Stochastic(Normal(0.0, 1.0), low=2.0, high=1.0)
    with pytest.raises(ConfigError, match=r"torch\.distributions"):
        Stochastic(3.0)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="one number"):
        Stochastic(MultivariateNormal(torch.zeros(2), torch.eye(2)))
    with pytest.raises(ConfigError, match="less than a millionth"):
        Stochastic(Normal(0.0, 1.0), low=9.0)
    with pytest.raises(ConfigError, match="did you mean 'r_off'"):
        vary(VTEAM(), {"r_of": Stochastic(Normal(1e3, 1.0))}, (2,), 0)
    with pytest.raises(ConfigError, match=r"r_off = -1 in some cell: .*greater than 0"):
        VTEAM().with_values(r_off=torch.tensor([-1.0, 5.0]))
    with pytest.raises(ConfigError, match=r"r_on = -.* in some cell: .*greater than 0"):
        vary(VTEAM(), {"r_on": Stochastic(Normal(0.0, 10.0))}, (50,), 0)
    with pytest.raises(ConfigError, match="in 3 of 3 cells; did you swap them"):
        vary(VTEAM(), {"r_off": Stochastic(Uniform(1.0, 2.0))}, (3,), 0)
    with pytest.raises(ConfigError, match="float tensor"):
        VTEAM().with_values(r_on=3.0)  # type: ignore[arg-type]
