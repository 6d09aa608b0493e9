"""Finite states: which ones, the nearest, and ties."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mho.devices import PCM, FiniteStates, Ideal, Logarithmic, Measured, UniformG, UniformR
from mho.errors import ConfigError

NONE = torch.empty(0, 1)


def test_the_five_states_of_a_published_cell() -> None:
    values = UniformG(count=5).values(1e-3, 20e-3)  # 1, 5.75, 10.5, 15.25, 20 mS
    torch.testing.assert_close(torch.tensor(values), torch.tensor([1e-3, 5.75e-3, 10.5e-3, 15.25e-3, 20e-3]))


def test_spacing() -> None:
    r = 1 / torch.tensor(UniformR(count=6).values(1e-6, 1e-4), dtype=torch.float64)
    torch.testing.assert_close(r.diff(), torch.full((5,), (1e4 - 1e6) / 5, dtype=torch.float64))
    g = torch.tensor(Logarithmic(count=6).values(1e-6, 1e-4), dtype=torch.float64)
    torch.testing.assert_close(g[1:] / g[:-1], torch.full((5,), 100 ** (1 / 5), dtype=torch.float64))
    for states in (UniformG, UniformR, Logarithmic):
        values = states(count=7).values(1e-6, 1e-4)
        assert len(values) == 7 and values[0] == 1e-6 and values[-1] == 1e-4
        assert states(count=2).values(1e-6, 1e-4) == (1e-6, 1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(data=st.data())
def test_nearest_against_all_distances(dtype: torch.dtype, data: st.DataObject) -> None:
    listed = data.draw(st.lists(st.integers(0, 40), min_size=2, max_size=9, unique=True))
    asked = data.draw(st.lists(st.integers(0, 160), min_size=1, max_size=20))
    unit = 2.0**-20  # siemens: exact in both dtypes, so that ties are ties
    device = FiniteStates(states=Measured(g=tuple(k * unit for k in listed)), device=Ideal(g_max=40 * unit))
    g = torch.tensor([k * unit / 4 for k in asked], dtype=dtype)
    found = device.aged(g, NONE, 0.0)
    rising = sorted(listed)
    wanted = [min(rising, key=lambda s, k=k: (abs(s - k / 4), s)) * unit for k in asked]
    assert found.tolist() == wanted


def test_a_tie_goes_to_the_lower_state() -> None:
    device = FiniteStates(states=Measured(g=(0.0, 2.0**-20, 3 * 2.0**-20)))
    g = torch.tensor([2.0**-21, 2.0**-19])
    assert device.aged(g, NONE, 0.0).tolist() == [0.0, 2.0**-20]


def test_states_come_after_the_error_and_before_the_drift() -> None:
    inside = PCM()
    device = FiniteStates(states=UniformG(count=9), device=inside)
    target = torch.linspace(0, 25e-6, 500)
    eps = torch.stack([torch.randn(500, generator=torch.Generator().manual_seed(0))])
    g = device.programmed(target, eps[0].flip(0))
    cells = device.drift_state(target, eps)
    held = device.aged(g, cells, 0.0)
    levels = torch.linspace(0, 25e-6, 9)
    assert torch.isin(held, levels.double().float()).all() or bool(
        ((held.unsqueeze(1) - levels).abs().amin(1) < 1e-11).all()
    )
    assert (g.sub(held).abs() <= 25e-6 / 16 * (1 + 1e-5)).logical_or(g > 25e-6).all()
    torch.testing.assert_close(device.aged(g, cells, 1e5), inside.aged(held, cells, 1e5))
    now = device.aged(g, cells, 1e5)
    torch.testing.assert_close(
        device.read_moments(g, cells, now, 1e5), inside.read_moments(held, cells, now, 1e5)
    )


def test_settling_twice_changes_nothing() -> None:
    device = FiniteStates(states=UniformR(count=5), device=Ideal(g_min=1e-6))
    once = device.aged(torch.linspace(0, 3e-5, 999), torch.empty(0, 999), 0.0)
    assert torch.equal(once, device.aged(once, torch.empty(0, 999), 0.0))


@pytest.mark.parametrize("states", [UniformR(count=4), Logarithmic(count=4)])
def test_resistive_states_need_a_lowest_conductance(states: UniformR | Logarithmic) -> None:
    with pytest.raises(ConfigError, match="take UniformG"):
        FiniteStates(states=states, device=PCM())


@pytest.mark.parametrize("wrong", [(), (1e-6,), (1e-6, 1e-6), (-1e-6, 1e-6)])
def test_too_few_states(wrong: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="Measured"):
        Measured(g=wrong)
    with pytest.raises(ConfigError, match="count"):
        UniformG(count=1)


@pytest.mark.parametrize("states", [UniformG, UniformR, Logarithmic])
def test_a_million_states_and_no_more(states: type[UniformG]) -> None:
    """More were listed one by one, without end."""
    assert len(states(count=2**20).values(1e-6, 1e-4)) == 2**20
    for count in (2**20 + 1, 2**31, 10**30):
        with pytest.raises(ConfigError, match=f"{states.__name__}.count = {count}.*1048576"):
            states(count=count)
