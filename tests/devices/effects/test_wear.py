"""Endurance, retention and temperature against the published formulas."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

import mho
from mho.devices import (
    PCM,
    ConstantDrift,
    Endurance,
    GradualFailure,
    Ideal,
    RetentionFailure,
    RetentionLoss,
    SuddenFailure,
    Temperature,
    at_stop_voltage,
)
from mho.errors import ConfigError

P = (1e3, 0.2, 0.5, 0.3)
CELL = Ideal(g_min=1e-6, g_max=25e-6)


def none(g: torch.Tensor) -> torch.Tensor:
    return torch.empty(0, *g.shape, dtype=g.dtype)


def test_power_law_of_the_memtorch_tutorial() -> None:
    g = torch.linspace(0, 25e-6, 5, dtype=torch.float64)
    device = RetentionLoss(nu=0.1, t0=1.0)
    torch.testing.assert_close(device.aged(g, none(g), 1e3), g * 0.5011872336272722)
    for seconds in (0.0, 0.5, 1.0):
        assert torch.equal(device.aged(g, none(g), seconds), g)
    torch.testing.assert_close(
        RetentionLoss(nu=0.1, t0=7.0).aged(g, none(g), 70.0), ConstantDrift(nu=0.1, t0=7.0).aged(
            g, ConstantDrift(nu=0.1).drift_state(g, torch.zeros_like(g)), 70.0
        )
    )  # fmt: skip


def test_exponents_differ_from_cell_to_cell() -> None:
    eps = mho.random.normal((1, 40_000), 0, "a")
    device = RetentionLoss(nu=0.1, nu_std=0.02)
    g = torch.ones(40_000)
    nu = -device.aged(g, device.own_state(eps), 1e3).log() / math.log(1e3)
    assert stats.kstest((nu.numpy() - 0.1) / 0.02, "norm").pvalue > 1e-4
    assert RetentionLoss(nu=0.1).own_state(eps).shape == (0, 40_000)


@pytest.mark.parametrize("nu", [0.0, 0.05])
def test_no_exponents_pile_up_at_zero(nu: float) -> None:
    """The truncated normal law, also where much of the normal one is below 0."""
    eps = mho.random.normal((1, 40_000), 0, "a").double()
    device = RetentionLoss(nu=nu, nu_std=0.05)
    found = -device.aged(torch.ones_like(eps[0]), device.own_state(eps), 1e3).log() / math.log(1e3)
    assert stats.kstest(found.numpy(), stats.truncnorm(-nu / 0.05, math.inf, nu, 0.05).cdf).pvalue > 1e-4
    assert bool((found > 0).all()) and len(found.unique()) > 39_900


@pytest.mark.parametrize("temperature", [250.0, 298.0, 350.0])
def test_onset_and_gradual_power(temperature: float) -> None:
    law = GradualFailure(p_lrs=P, cell_size=12e-9, temperature=temperature)
    relative = min(298.0 / temperature, 1)
    assert law.onset(P) == pytest.approx(1e3 * math.exp(0.2 * 12 + 0.5 * relative))
    x = 3.7 * law.onset(P)
    worn = Endurance(cycles=x, law=law, device=CELL)
    g = torch.tensor([25e-6, 10e-6, 1.0e-6], dtype=torch.float64)  # the last one is high-resistive
    r = 1 / worn.aged(g, none(g), 0.0)
    wanted = 1 / g * 3.7 ** torch.tensor([0.3 * (0.2 * 12 + 0.5 * relative)] * 2 + [0.0], dtype=torch.float64)
    torch.testing.assert_close(r, wanted)
    fresh = Endurance(cycles=law.onset(P), law=law, device=CELL)
    assert torch.equal(fresh.aged(g, none(g), 0.0), g)


def test_sudden_failure_of_the_memtorch_tutorial() -> None:
    """p = [1, 0, 0, 0]: every cell fails after one cycle, to 100 ohm and 1000 ohm."""
    p = (1.0, 0.0, 0.0, 0.0)
    law = SuddenFailure(g_lrs=1 / 100, g_hrs=1 / 1000, p_lrs=p, p_hrs=p, temperature=350.0)
    cell = Ideal(g_min=1 / 1000, g_max=1 / 50)  # mean resistance 525 ohm
    g = 1 / torch.tensor([50.0, 524.0, 525.0, 526.0, 1000.0], dtype=torch.float64)
    now = Endurance(cycles=1e4, law=law, device=cell).aged(g, none(g), 0.0)
    torch.testing.assert_close(1 / now, torch.tensor([100.0, 100.0, 525.0, 1000.0, 1000.0]).double())
    assert torch.equal(Endurance(cycles=1.0, law=law, device=cell).aged(g, none(g), 0.0), g)


def test_only_one_of_the_two_states_fails() -> None:
    law = SuddenFailure(g_lrs=40e-6, g_hrs=0.5e-6, p_hrs=P)
    g = torch.tensor([1e-6, 25e-6])
    now = Endurance(cycles=1e9, law=law, device=CELL).aged(g, none(g), 0.0)
    assert now.tolist() == pytest.approx([0.5e-6, 25e-6])


def test_retention_failure_counts_seconds() -> None:
    law = SuddenFailure(g_lrs=2e-6, g_hrs=1e-6, p_lrs=(1e4, 0.0, 0.0, 0.0))
    device = RetentionFailure(law=law, device=PCM(g_min=1e-6))
    g = torch.tensor([20e-6, 1e-6])
    cells = device.drift_state(g, torch.zeros(1, 2))
    inside = PCM(g_min=1e-6)
    assert torch.equal(device.aged(g, cells, 1e4), inside.aged(g, cells, 1e4))
    later = device.aged(g, cells, 1.1e4)
    assert later[0] == 2e-6 and later[1] == inside.aged(g, cells, 1.1e4)[1]


def test_a_cell_without_a_lowest_conductance() -> None:
    law = SuddenFailure(g_lrs=1e-4, g_hrs=1e-6, p_lrs=P, p_hrs=P)
    g = torch.tensor([0.0, 1e-9, 25e-6])
    now = Endurance(cycles=1e9, law=law, device=Ideal()).aged(g, none(g), 0.0)
    assert now.tolist() == pytest.approx([0.0, 1e-4, 1e-4])  # the mean resistance is infinite


def test_stop_voltage() -> None:
    p = (5e5, 0.1, 0.4, 0.2)
    size = math.exp(1.0)

    def y(v: float) -> float:
        return at_stop_voltage(p, v, v_min=1.0, v_max=3.0, v_optimal=2.2)[0] * size

    assert y(2.2) == pytest.approx(5e5 * size)
    assert y(1.0) == pytest.approx(1.0) and y(3.0) == pytest.approx(1.0)
    u, best = 0.25, 0.6
    k = math.log10(5e5 * size) / (1 - (2 * best - 1) ** 2)
    assert y(1.5) == pytest.approx(10 ** (k * (1 - (2 * u - 1) ** 2)))
    for wrong in ({"v_optimal": 1.0}, {"v_optimal": 3.0}, {"v_max": 0.5}):
        with pytest.raises(ValueError, match="v_optimal"):
            at_stop_voltage(p, 2.0, **{"v_min": 1.0, "v_max": 3.0, "v_optimal": 2.2, **wrong})
    with pytest.raises(ValueError, match="v_stop"):
        at_stop_voltage(p, 3.5, v_min=1.0, v_max=3.0, v_optimal=2.2)


def test_temperature_of_both_states() -> None:
    """E = 0.1 eV, 300 K to 350 K: x 1.737759; alpha = 1e-3 /K: x 0.952381."""
    hot = Temperature(kelvin=350.0, activation=0.1, alpha=1e-3, device=CELL)
    g = torch.tensor([0.5e-6, 1e-6, 25e-6], dtype=torch.float64)
    now = hot.aged(g, none(g), 0.0)
    torch.testing.assert_close(now[:2] / g[:2], torch.full((2,), 1.737759).double(), rtol=1e-6, atol=0)
    assert float(now[2]) == pytest.approx(1.737759e-6 + 24e-6 * 0.952381, rel=1e-6)
    metal = Temperature(kelvin=350.0, activation=0.1, alpha=1e-3)
    assert float((metal.aged(g, none(g), 0.0) / g)[2]) == pytest.approx(0.952381, rel=1e-6)
    same = Temperature(kelvin=300.0, activation=0.1, alpha=1e-3, device=CELL)
    torch.testing.assert_close(same.aged(g, none(g), 0.0), g)
    with pytest.raises(ConfigError, match="would not be"):
        Temperature(kelvin=1300.0, activation=0.1, alpha=-1e-3)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SuddenFailure(g_lrs=1e-6, g_hrs=2e-6, p_lrs=P), "did you swap"),
        (lambda: SuddenFailure(g_lrs=1e-4, g_hrs=1e-6), "nothing fails"),
        (GradualFailure, "nothing fails"),
        (lambda: GradualFailure(p_lrs=(0.0, 1.0, 1.0, 1.0)), "p_lrs"),
        (lambda: RetentionLoss(nu=-0.1), "nu"),
        (lambda: Endurance(cycles=-1.0, law=GradualFailure(p_lrs=P)), "cycles"),
    ],
)
def test_errors(make: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()  # type: ignore[operator]
