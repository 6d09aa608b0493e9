"""Cells with bounds of their own."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy import stats
from torch.distributions import LogNormal, Normal

import mho
from mho.devices import (
    Endurance,
    FiniteStates,
    Generic,
    Ideal,
    Logarithmic,
    Measured,
    OwnBounds,
    RetentionFailure,
    Spread,
    Stochastic,
    StuckAt,
    SuddenFailure,
    Switching,
    Temperature,
    UniformG,
    UniformR,
    Varied,
)
from mho.devices.dynamics import VTEAM
from mho.errors import ConfigError
from mho.testing import check_device

R_ON, R_OFF = Spread(mean=5e4, std=3e4), Spread(mean=8e4, std=3e4)


def drawn(effect: OwnBounds, n: int = 20_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Lowest and highest resistance of the cells."""
    eps = torch.stack([mho.random.normal((n,), 0, name) for name in ("a", "b")]).double()
    high, low = effect.own_state(eps)
    return 1 / high, 1 / low


def law(spread: Spread, low: float = 0.0, high: float = math.inf) -> stats.rv_continuous:
    a, b = ((x - spread.mean) / spread.std for x in (low, high))
    return stats.truncnorm(a, b, loc=spread.mean, scale=spread.std)


def test_one_of_them_differs() -> None:
    """Its law is truncated at the resistance that all cells have; nothing piles up there."""
    device = Ideal(g_min=1 / 8e4, g_max=1 / 5e4)
    on, off = drawn(OwnBounds(r_on=R_ON, device=device))
    assert stats.kstest(on.numpy(), law(R_ON, high=8e4 / 1.001).cdf).pvalue > 1e-4
    assert bool((off == 8e4).all()) and len(on.unique()) > 0.999 * len(on)
    on, off = drawn(OwnBounds(r_off=R_OFF, device=device))
    assert stats.kstest(off.numpy(), law(R_OFF, low=5e4 * 1.001).cdf).pvalue > 1e-4
    torch.testing.assert_close(on, torch.full_like(on, 5e4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pairs_are_in_order(dtype: torch.dtype) -> None:
    """Laws that overlap: r_on has its own, r_off that above the r_on of the cell, and no pair is contrary."""
    effect = OwnBounds(r_on=R_ON, r_off=R_OFF, device=Ideal(g_min=1e-6))
    on, off = drawn(effect)
    assert bool((off >= 1.001 * on * (1 - 1e-12)).all())
    end = R_OFF.quantile(1 - 1e-6) / 1.001
    assert stats.kstest(on.numpy(), law(R_ON, high=end).cdf).pvalue > 1e-4
    below, place = (stats.norm.cdf((r.numpy() - 8e4) / 3e4) for r in (1.001 * on, off))
    assert stats.kstest((place - below) / (1 - below), "uniform").pvalue > 1e-4
    far = torch.tensor([-40.0, -6.0, 0.0, 6.0, 40.0], dtype=dtype)
    high, low = effect.own_state(torch.stack([far.repeat(5), far.repeat_interleave(5)]))
    assert bool((low < high * (1 - 5e-4)).all()) and bool((low > 0).all())


def test_any_law() -> None:
    effect = OwnBounds(r_off=Spread(distribution=LogNormal(13.0, 0.4)), device=Ideal(g_min=1e-6))
    _, off = drawn(effect)
    lognormal = stats.lognorm(0.4, scale=math.exp(13))
    below = lognormal.cdf(4e4 * 1.001)
    assert stats.kstest(off.numpy(), lambda r: (lognormal.cdf(r) - below) / (1 - below)).pvalue > 1e-4


def test_the_cells_of_a_chip_have_the_law() -> None:
    device = Ideal(g_min=1e-6, g_max=25e-6)
    layer = torch.nn.Linear(80, 60)
    analog = mho.convert(layer, mho.Hardware(device=OwnBounds(r_on=Spread(mean=4e4, std=5e3), device=device)))
    mho.program(analog, seed=1)
    on = 1 / analog.chip_cells[0].flatten().double()
    assert stats.kstest(on.numpy(), law(Spread(mean=4e4, std=5e3)).cdf).pvalue > 1e-4
    assert float((on == 4e4).double().mean()) < 0.01  # many go further than weights are mapped to


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
    assert bool((g >= low).all()) and bool((g <= high).all()) and bool((high > device.g_max).any())


def test_states_and_stuck_cells_at_own_bounds() -> None:
    """On a chip: every cell on its own five levels, stuck ones at its own bounds."""
    own = OwnBounds(r_on=Spread(mean=5e4, std=5e3), r_off=Spread(mean=8e5, std=5e4), device=Ideal(g_min=1e-6))
    for states, scale in (
        (UniformG(count=5), lambda g: g),
        (UniformR(count=5), lambda g: 1 / g),
        (Logarithmic(count=5), torch.log),
    ):
        device = StuckAt(lrs=0.2, hrs=0.2, device=FiniteStates(states=states, device=own))
        analog = mho.convert(torch.nn.Linear(60, 40, bias=False), mho.Hardware(device=device))
        mho.program(analog, seed=0)
        g = mho.conductances(analog)[""].double()
        stuck, high, low = analog.chip_cells[:3].double()
        place = (scale(g) - scale(low)) / (scale(high) - scale(low))
        assert float((4 * place - (4 * place).round()).abs().max()) < 1e-4
        assert bool((place[stuck == -2] > 0.9999).all() & (place[stuck == -3] < 0.0001).all())
        assert set(stuck.unique().tolist()) == {-1.0, -2.0, -3.0}
        assert len((4 * place[stuck == -1]).round().unique()) == 5


@pytest.mark.parametrize("inner", ["switching", "statistical"])
def test_varied_bounds_are_known_too(inner: str) -> None:
    """States between, and stuck cells at, the bounds that ``Varied`` gives a cell."""
    if inner == "switching":
        device = Varied(
            device=Switching(model=VTEAM()),
            spreads={"r_on": Spread(mean=50.0, std=5.0), "r_off": Spread(mean=1000.0, std=100.0)},
        )
    else:
        device = Varied(device=Generic(g_min=1e-6), spreads={"g_max": Spread(mean=25e-6, std=2e-6)})
    around_it = StuckAt(lrs=0.2, hrs=0.2, device=FiniteStates(states=UniformG(count=9), device=device))
    check_device(around_it)
    analog = mho.convert(torch.nn.Linear(60, 40, bias=False), mho.Hardware(device=around_it))
    mho.program(analog, seed=0)
    g, cells = mho.conductances(analog)[""].double(), analog.chip_cells.double()
    if inner == "switching":
        assert device.names == ("r_on", "r_off")
        high, low = 1 / cells[1], 1 / cells[2]
    else:
        high, low = cells[1], torch.full_like(cells[1], 1e-6)
    place = 8 * (g - low) / (high - low)
    assert float((place - place.round()).abs().max()) < 1e-4
    assert bool((place[cells[0] == -2] > 7.999).all() & (place[cells[0] == -3] < 0.001).all())


def test_measured_states_that_a_cell_can_reach() -> None:
    device = FiniteStates(
        states=Measured(g=(2e-6, 10e-6, 20e-6)), device=OwnBounds(r_on=R_ON, device=Ideal(g_min=1e-6))
    )
    g = torch.tensor([1e-6, 14e-6, 16e-6, 25e-6])
    for g_max, wanted in ((25e-6, [2e-6, 10e-6, 20e-6, 20e-6]), (18e-6, [2e-6, 10e-6, 10e-6, 10e-6]),
                          (1.5e-6, [1e-6, 1.5e-6, 1.5e-6, 1.5e-6])):  # fmt: skip
        cells = torch.tensor([[g_max] * 4, [1e-6] * 4])
        torch.testing.assert_close(device.aged(g, cells, 0.0), torch.tensor(wanted))


def test_failures_know_the_own_mean_resistance() -> None:
    """A cell between 20 and 1000 kohm is low-resistive up to 510 kohm, one between 20 and 100 up to 60."""
    law = SuddenFailure(g_lrs=9e-5, g_hrs=1e-7, p_lrs=(1.0, 0.0, 0.0, 0.0), p_hrs=(1.0, 0.0, 0.0, 0.0))
    inside = OwnBounds(r_on=R_ON, r_off=R_OFF, device=Ideal(g_min=1e-6, g_max=5e-5))
    cells = torch.tensor([[5e-5, 5e-5], [1e-6, 1e-5]])
    g = torch.full((2,), 1 / 80e3)
    for device in (Endurance(cycles=10.0, law=law, device=inside), RetentionFailure(law=law, device=inside)):
        assert device.aged(g, cells, 10.0).tolist() == pytest.approx([9e-5, 1e-7])


def test_temperature_knows_the_own_high_resistance() -> None:
    inside = OwnBounds(r_off=R_OFF, device=Ideal(g_min=1e-6, g_max=5e-5))
    hot = Temperature(kelvin=350.0, activation=0.1, alpha=0.0, device=inside)
    g = torch.tensor([1e-6, 1e-5], dtype=torch.float64)
    cells = torch.stack([torch.full_like(g, 5e-5), g])
    torch.testing.assert_close(hot.aged(g, cells, 0.0) / g, torch.full_like(g, 1.737759), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"r_on": Spread(mean=9e5, std=0.0), "r_off": Spread(mean=5e5, std=0.0)}, "did you swap them"),
        ({"r_on": Spread(mean=9e5, std=1e3), "r_off": Spread(mean=5e5, std=1e3)}, "did you swap them"),
        ({"r_off": Spread(mean=3e4, std=1e2), "device": Ideal(g_min=1e-6)}, "did you swap them"),
        ({"r_on": Spread(mean=2e6, std=1e2), "device": Ideal(g_min=1e-6)}, "did you swap them"),
        ({"r_on": Stochastic(Normal(5e4, 1e4))}, "a resistance is positive"),
        ({"r_on": Spread(mean=5e4, std=1e4, low=-1.0)}, "a resistance is positive"),
    ],
)
def test_refusals(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        OwnBounds(**fields)
