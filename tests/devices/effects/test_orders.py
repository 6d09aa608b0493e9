"""Effects around each other: what each keeps, in every order of two."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch

import mho
from mho.devices import (
    PCM,
    Device,
    Effect,
    Endurance,
    FiniteStates,
    GradualFailure,
    Ideal,
    OwnBounds,
    Proportional,
    RandomTelegraphNoise,
    RetentionFailure,
    RetentionLoss,
    ShotNoise,
    Spread,
    StuckAt,
    SuddenFailure,
    Temperature,
    ThermalNoise,
    UniformG,
)
from mho.devices.effects.base import around, draw_count, effects, stream
from mho.testing import check_device

P = (1e3, 0.0, 0.0, 0.0)
SUDDEN = SuddenFailure(g_lrs=20e-6, g_hrs=2e-6, p_hrs=P)
MAKE: dict[str, Effect] = {
    "stuck": StuckAt(lrs=0.2, hrs=0.2, unformed=0.1),
    "states": FiniteStates(states=UniformG(count=9)),
    "bounds": OwnBounds(r_on=Spread(mean=5e4, std=1e4), r_off=Spread(mean=5e5, std=2e5)),
    "loss": RetentionLoss(nu=0.1, nu_std=0.03),
    "failure": RetentionFailure(law=SuddenFailure(g_lrs=15e-6, g_hrs=3e-6, p_lrs=P)),
    "fading": RetentionFailure(law=GradualFailure(p_lrs=(1e3, 0.0, 1.0, 0.1))),
    "dead": Endurance(cycles=1e4, law=SUDDEN),
    "worn": Endurance(cycles=1e4, law=GradualFailure(p_lrs=(1e3, 0.0, 1.0, 0.1))),
    "hot": Temperature(kelvin=350.0, activation=0.1, alpha=1e-3),
    "trap": RandomTelegraphNoise(step=Proportional(sigma=0.1), share=0.5),
    "heat": ThermalNoise(bandwidth=1e8),
    "shot": ShotNoise(bandwidth=1e8),
}
PAIRS = list(itertools.permutations(MAKE, 2))
TIMES = (0.0, 1.0, 999.0, 1001.0, 1e5, 1e7)
INSIDE = PCM(g_min=1e-6)


def stack(*names: str, inside: Device = INSIDE) -> Device:
    """The first name innermost."""
    for name in names:
        inside = around(MAKE[name], inside)
    return inside


def cells(device: Device, n: int = 3000) -> tuple[torch.Tensor, torch.Tensor]:
    """Programmed conductances and the parameters of the cells, drawn as a chip draws them."""
    g = device.programmed(torch.linspace(1e-6, 25e-6, n), mho.random.normal((n,), 0, "program"))
    each = [
        mho.random.normal((n,), 0, stream(effect), str(k))
        for effect in effects(device)
        for k in range(effect.draws)
    ]
    eps = torch.stack([*each, mho.random.normal((n,), 0, "drift")])
    assert len(eps) == draw_count(device)
    return g, device.drift_state(g, eps if isinstance(device, Effect) else eps[0])


def part(device: Device, state: torch.Tensor, name: str) -> torch.Tensor:
    """The parameters of one effect."""
    start = 0
    for effect in effects(device):
        if around(effect, Ideal()) == MAKE[name]:
            return state[start : start + effect.parameters]
        start += effect.parameters
    raise AssertionError(name)


@pytest.mark.parametrize(
    "pair", [p for p in PAIRS if {*p} <= {"stuck", "states", "loss", "dead", "trap"}], ids="-".join
)
def test_the_contract_holds(pair: tuple[str, str]) -> None:
    check_device(stack(*pair))


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_an_effect_moves_no_draw_of_another(pair: tuple[str, str]) -> None:
    device = stack(*pair)
    g, state = cells(device)
    for name in pair:
        alone = stack(name)
        alone_g, alone_state = cells(alone)
        assert torch.equal(g, alone_g)
        assert torch.equal(part(device, state, name), part(alone, alone_state, name))
    assert torch.equal(state[-1], cells(INSIDE)[1][0])


@pytest.mark.parametrize("other", [name for name in MAKE if name != "stuck"])
@pytest.mark.parametrize("outside", [True, False])
def test_stuck_cells_stay_stuck(other: str, outside: bool) -> None:
    device = stack("stuck", other) if outside else stack(other, "stuck")
    g, state = cells(device)
    own = part(device, state, "stuck")[0]
    stuck = own >= 0
    if other == "dead" and not outside:  # they were dead before
        stuck = stuck & ~stack("dead").held(g, state[1:])
    assert 0.3 < stuck.double().mean() < 0.6
    for seconds in TIMES:
        now = device.aged(g, state, seconds)
        assert torch.equal(now[stuck], own[stuck])
        assert bool((now[~stuck] != own[~stuck]).all())
    assert bool(device.held(g, state)[stuck].all())


@pytest.mark.parametrize("other", [name for name in MAKE if name not in ("dead", "stuck")])
@pytest.mark.parametrize("outside", [True, False])
def test_dead_cells_stay_dead(other: str, outside: bool) -> None:
    device = stack("dead", other) if outside else stack(other, "dead")
    g, state = cells(device)
    dead = device.held(g, state)
    assert 0 < dead.double().mean() < 1
    for seconds in TIMES:
        now = device.aged(g, state, seconds)
        torch.testing.assert_close(now[dead], torch.full_like(now[dead], 2e-6))


@pytest.mark.parametrize("other", ["stuck", "loss", "failure", "fading", "dead", "trap", "heat", "shot"])
@pytest.mark.parametrize("outside", [True, False])
def test_sound_cells_are_on_levels_at_first(other: str, outside: bool) -> None:
    device = stack("states", other) if outside else stack(other, "states")
    g, state = cells(device)
    now = device.aged(g, state, 0.0)
    held = device.held(g, state)
    sound = torch.ones_like(now, dtype=torch.bool) if held is None else ~held
    levels = torch.linspace(1e-6, 25e-6, 9)
    apart = (now[sound].unsqueeze(1) - levels).abs().amin(1)
    assert bool((apart < 1e-11).all()) and len(now[sound].unique()) == 9 - (other == "dead" and not outside)


@pytest.mark.parametrize("pair", [p for p in PAIRS if {"loss", "fading"} & set(p)], ids="-".join)
def test_nothing_is_lost_at_first(pair: tuple[str, str]) -> None:
    losing = {"loss", "fading"}
    device, without = stack(*pair), stack(*(name for name in pair if name not in losing))
    g, state = cells(device)
    g_w, state_w = cells(without)
    torch.testing.assert_close(device.aged(g, state, 0.0), without.aged(g_w, state_w, 0.0))
    if "failure" not in pair:  # which leaves nothing to lose
        moved = device.aged(g, state, 1e7) < without.aged(g_w, state_w, 1e7)
        assert moved.double().mean() > 0.3


@pytest.mark.parametrize("pair", [p for p in PAIRS if {"trap", "heat", "shot"} & set(p)], ids="-".join)
def test_noise_leaves_conductances_alone(pair: tuple[str, str]) -> None:
    noises = {"trap", "heat", "shot"}
    device, without = stack(*pair), stack(*(name for name in pair if name not in noises))
    g, state = cells(device)
    _, state_w = cells(without)
    for seconds in TIMES:
        now = device.aged(g, state, seconds)
        assert torch.equal(now, without.aged(g, state_w, seconds))
        more = device.read_moments(g, state, now, seconds)[1]
        less = without.read_moments(g, state_w, now, seconds)[1]
        assert bool((more >= less * (1 - 0.11)).all())  # a full trap takes its share of the noise inside too


@pytest.mark.parametrize("make", [lambda n: n, reversed], ids=["as listed", "reversed"])
def test_all_at_once_on_a_network(make: Callable[[list[str]], list[str]]) -> None:
    device = stack(*make(list(MAKE)))
    check_device(device)
    torch.manual_seed(0)
    hardware = mho.Hardware(device=device, tile=mho.Tile(rows=8, columns=8))
    assert mho.Hardware.from_json(hardware.to_json()) == hardware
    analog = mho.convert(torch.nn.Linear(20, 10), hardware).eval()
    mho.program(analog, seed=0)
    mho.age(analog, 1e5)
    x = torch.randn(4, 20)
    assert bool(analog(x).isfinite().all())
    compiled = torch.compile(analog, fullgraph=True, backend="aot_eager")
    assert compiled(x).shape == (4, 10)
