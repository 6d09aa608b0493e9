"""Effects around each other: what each keeps, in every order of two."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch.distributions import Normal

import mho
from mho.devices import (
    PCM,
    Device,
    Effect,
    Endurance,
    FiniteStates,
    GradualFailure,
    Ideal,
    Measured,
    OwnBounds,
    Proportional,
    RandomTelegraphNoise,
    ReadDisturb,
    RetentionFailure,
    RetentionLoss,
    ShotNoise,
    Spread,
    Stochastic,
    StuckAt,
    SuddenFailure,
    Temperature,
    ThermalNoise,
    UniformG,
    Varied,
)
from mho.devices.dynamics import VTEAM
from mho.devices.effects.base import around, draw_count, effects, stream
from mho.testing import check_device

P = (1e3, 0.0, 0.0, 0.0)
SUDDEN = SuddenFailure(g_lrs=20e-6, g_hrs=2e-6, p_hrs=P)
MAKE: dict[str, Effect] = {
    "stuck": StuckAt(lrs=0.2, hrs=0.2, unformed=0.1),
    "states": FiniteStates(states=UniformG(count=9)),
    "varied": Varied(spreads={"g_max": Stochastic(Normal(25e-6, 3e-6), low=10e-6, high=40e-6)}),
    "bounds": OwnBounds(r_on=Spread(mean=5e4, std=1e4), r_off=Spread(mean=5e5, std=2e5)),
    "loss": RetentionLoss(nu=0.1, nu_std=0.03),
    "failure": RetentionFailure(law=SuddenFailure(g_lrs=15e-6, g_hrs=3e-6, p_lrs=P)),
    "fading": RetentionFailure(law=GradualFailure(p_lrs=(1e3, 0.0, 1.0, 0.1))),
    "dead": Endurance(cycles=1e4, law=SUDDEN),
    "worn": Endurance(cycles=1e4, law=GradualFailure(p_lrs=(1e3, 0.0, 1.0, 0.1))),
    "hot": Temperature(kelvin=350.0, activation=0.1, alpha=1e-3),
    "disturbed": ReadDisturb(
        model=VTEAM(r_on=3e4, r_off=2e6, v_read=0.2), reads=1000.0, pulse=1e-11, voltage=0.1
    ),
    "trap": RandomTelegraphNoise(step=Proportional(sigma=0.1), share=0.5),
    "heat": ThermalNoise(bandwidth=1e8),
    "shot": ShotNoise(bandwidth=1e8),
}
PAIRS = [p for p in itertools.permutations(MAKE, 2) if p[1] != "varied"]  # it varies the cell itself
OWN = ("bounds", "varied")  # the cells have bounds of their own
TIMES = (0.0, 1.0, 999.0, 1001.0, 1e5, 1e7)
INSIDE = PCM(g_min=1e-6)


def orders(*without: str) -> pytest.MarkDecorator:
    """Each other effect, inside and outside of the one of a test."""
    others = [name for name in MAKE if name not in without]
    return pytest.mark.parametrize(
        ("other", "outside"),
        [(o, out) for o in others for out in (True, False) if (o, out) != ("varied", True)],
    )


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


def edges(device: Device, state: torch.Tensor, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The highest and the lowest conductance of each cell."""
    own = part(device, state, name)
    return (own[0], own[1]) if name == "bounds" else (own[0], torch.full_like(own[0], INSIDE.g_min))


def part(device: Device, state: torch.Tensor, name: str) -> torch.Tensor:
    """The parameters of one effect."""
    start = 0
    for effect in effects(device):
        if around(effect, Ideal()) == MAKE[name]:
            return state[start : start + effect.parameters]
        start += effect.parameters
    raise AssertionError(name)


@pytest.mark.parametrize(
    "pair", [p for p in PAIRS if {*p} <= {"stuck", "states", "loss", "dead", "trap", "varied"}], ids="-".join
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
        here, there = part(device, state, name), part(alone, alone_state, name)
        if name == "stuck" and pair in (("bounds", "stuck"), ("varied", "stuck")):  # at bounds of their own
            here, there = here != -1, there != -1
        assert torch.equal(here, there)
    if "varied" not in pair:  # whose cells drift as their own numbers say
        assert torch.equal(state[-1], cells(INSIDE)[1][0])


@orders("stuck")
def test_stuck_cells_stay_stuck(other: str, outside: bool) -> None:
    device = stack("stuck", other) if outside else stack(other, "stuck")
    g, state = cells(device)
    own = part(device, state, "stuck")[0]
    stuck = own != -1
    if other in OWN and not outside:
        high, low = edges(device, state, other)
        own = torch.where(own == -2, high, torch.where(own == -3, low, own))
    if other == "dead" and not outside:  # they were dead before
        stuck = stuck & ~stack("dead").held(g, state[1:])
    assert 0.3 < stuck.double().mean() < 0.6
    for seconds in TIMES:
        now = device.aged(g, state, seconds)
        assert torch.equal(now[stuck], own[stuck])
        assert bool((now[~stuck] != own[~stuck]).all())
    assert bool(device.held(g, state)[stuck].all())


@orders("dead", "stuck")
def test_dead_cells_stay_dead(other: str, outside: bool) -> None:
    device = stack("dead", other) if outside else stack(other, "dead")
    g, state = cells(device)
    dead = device.held(g, state)
    assert 0 < dead.double().mean() < 1
    for seconds in TIMES:
        now = device.aged(g, state, seconds)
        torch.testing.assert_close(now[dead], torch.full_like(now[dead], 2e-6))


LEVELS = torch.linspace(1e-6, 25e-6, 9)


def apart(g: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """How far each cell is from the nearest of its levels, ``[level, cell]`` or ``[level]``."""
    return (g - levels.reshape(9, -1)).abs().amin(0)


def sound(device: Device, g: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
    held = device.held(g, state)
    return torch.ones_like(g, dtype=torch.bool) if held is None else ~held


@orders("states", *OWN)
def test_sound_cells_are_on_levels_at_first(other: str, outside: bool) -> None:
    """On the levels, or where a later effect takes them from there."""
    device = stack("states", other) if outside else stack(other, "states")
    g, state = cells(device)
    now, alive = device.aged(g, state, 0.0), sound(device, g, state)
    levels, count = LEVELS, 9
    if other == "worn" and outside:
        levels = stack("worn").aged(LEVELS, cells(stack("worn"), 9)[1], 0.0)
    elif other in ("hot", "disturbed"):  # which go on after programming, from either place
        around_it = around(MAKE[other], Ideal(g_min=1e-6))
        levels = around_it.aged(LEVELS, torch.empty(0, 9), 0.0)
    elif other == "dead" and outside:
        count = 8  # all cells on the lowest level are dead
    assert bool((apart(now[alive], levels) < 1e-11).all())
    assert len(now[alive].unique()) == count


@pytest.mark.parametrize("name", OWN)
def test_levels_around_own_bounds(name: str) -> None:
    """Each cell has its own levels."""
    device = stack(name, "states")
    g, state = cells(device)
    high, low = edges(device, state, name)
    now = device.aged(g, state, 0.0)
    own = low + (high - low) * torch.linspace(0, 1, 9).unsqueeze(1)
    assert bool((apart(now, own) < 1e-11).all())
    wanted = g.clamp(low, high)
    assert bool(((now - wanted).abs() <= (high - low) / 16 * (1 + 1e-5)).all())


def test_levels_within_own_bounds() -> None:
    """Those that the cell can reach."""
    device = stack("states", "bounds")
    g, state = cells(device)
    high, low = part(device, state, "bounds")
    now = device.aged(g, state, 0.0)
    nearest = LEVELS[(g.unsqueeze(1) - LEVELS).abs().argmin(1)]
    torch.testing.assert_close(now, nearest.clamp(low, high))
    assert 0.2 < float((apart(now, LEVELS) < 1e-11).double().mean()) < 0.9


@orders("bounds")
def test_cells_are_between_their_own_bounds_at_first(other: str, outside: bool) -> None:
    device = stack("bounds", other) if outside else stack(other, "bounds")
    g, state = cells(device)
    now, alive = device.aged(g, state, 0.0), sound(device, g, state)
    high, low = part(device, state, "bounds")
    beyond = (now < low * (1 - 1e-6)) | (now > high * (1 + 1e-6))
    if other in ("hot", "disturbed"):  # which go on after programming
        assert bool(beyond[alive].any())
    else:
        assert not bool(beyond[alive].any())
    if other == "stuck":  # inside, cells are stuck wherever they are; outside, at what they have
        assert bool(beyond.any()) != outside or not bool(beyond[part(device, state, "stuck")[0] < -1].any())


def test_wear_and_states_in_the_order_they_came() -> None:
    """Worn cells that have levels are on them; cells with levels that are worn are not."""
    at = {
        pair: stack(*pair).aged(*cells(stack(*pair)), 0.0)
        for pair in (("worn", "states"), ("states", "worn"))
    }
    assert bool((apart(at["worn", "states"], LEVELS) < 1e-11).all())
    wear = MAKE["worn"].law.gradual(LEVELS, 1e4, 1e-6, 25e-6)
    assert bool((apart(at["states", "worn"], LEVELS * wear) < 1e-11).all())
    assert bool((apart(at["states", "worn"], LEVELS) > 1e-8).double().mean() > 0.5)


SAME: dict[str, tuple[Effect, Effect]] = {
    "faults": (StuckAt(lrs=0.2), StuckAt(hrs=0.3, g_hrs=2e-6)),
    "states": (
        FiniteStates(states=Measured(g=(2e-6, 11e-6, 20.2e-6))),
        FiniteStates(states=UniformG(count=9)),
    ),
    "losses": (RetentionLoss(nu=0.1, nu_std=0.05), RetentionLoss(nu=0.05)),
    "failures": (
        RetentionFailure(law=GradualFailure(p_lrs=(1e3, 0.0, 1.0, 0.1))),
        RetentionFailure(law=GradualFailure(p_hrs=(1e3, 0.0, 1.0, 0.2))),
    ),
    "wear": (
        Endurance(cycles=1e4, law=GradualFailure(p_lrs=(1e3, 0.0, 1.0, 0.1))),
        Endurance(cycles=1e5, law=GradualFailure(p_lrs=(1e3, 0.0, 1.0, 0.1))),
    ),
    "bounds": (
        OwnBounds(r_on=Spread(mean=5e4, std=1e4), r_off=Spread(mean=5e5, std=1e5)),
        OwnBounds(r_on=Spread(mean=6e4, std=2e4), r_off=Spread(mean=4e5, std=1e5)),
    ),
    "disturbs": (MAKE["disturbed"], MAKE["disturbed"]),
    "traps": (MAKE["trap"], MAKE["trap"]),
    "temperatures": (MAKE["hot"], Temperature(kelvin=320.0, activation=0.1, alpha=1e-3)),
}


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("swapped", [False, True])
def test_two_of_one_kind(name: str, swapped: bool) -> None:
    """Neither erases the other, in either order, and each has draws of its own."""
    first, second = SAME[name][::-1] if swapped else SAME[name]
    inner = around(first, Ideal(g_min=1e-6))
    device = around(second, inner)
    check_device(device)
    g, state = cells(device)
    n = second.parameters
    own = [part_state[0] for part_state in (state[:n], state[n:]) if n and len(part_state)]
    alone = around(second, Ideal(g_min=1e-6))
    for seconds in (0.0, 1e5):
        now = device.aged(g, state, seconds)
        a, b = inner.aged(g, state[n:], seconds), alone.aged(g, state[:n], seconds)
        if name == "faults":
            inside, outside = state[1] != -1, state[0] != -1
            assert torch.equal(now, torch.where(inside, a, torch.where(outside, b, g)))
            both = float((inside & outside).double().mean())
            assert both == pytest.approx(0.06, abs=4.5 * (0.06 / len(g)) ** 0.5)
        elif name == "states":  # each on a level of the outer one, the nearest to that of the inner one
            assert torch.equal(now, alone.aged(a, state[:n], seconds)) and not torch.equal(now, b)
        elif name in ("losses", "failures"):  # g f1 f2
            torch.testing.assert_close(now, a * b / g)
        elif name == "wear":  # the classes of the outer one are those of the worn cells
            torch.testing.assert_close(now, alone.aged(a, state[:n], 0.0))
        elif name == "bounds":
            assert bool((now <= state[2]).all() & (now >= state[3]).all())
            torch.testing.assert_close(
                now, g.clamp(state[1].clamp(state[3], state[2]), state[0].clamp(state[3], state[2]))
            )
        elif name == "traps":
            assert torch.equal(now, g)
            moments = [d.read_moments(g, s, g, seconds) for d, s in ((device, state), (inner, state[n:]))]
            assert bool((moments[0][0] <= moments[1][0]).all() & (moments[0][0] < moments[1][0]).any())
        else:
            torch.testing.assert_close(now, alone.aged(a, state[:n], 0.0))
    if len(own) == 2 and second.draws:
        assert not torch.equal(*own)


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
    device = stack("varied", *(name for name in make(list(MAKE)) if name != "varied"))
    check_device(device)
    torch.manual_seed(0)
    hardware = mho.Hardware(device=device, tile=mho.Tile(rows=8, columns=8))
    assert mho.Hardware.from_json(hardware.to_json()) == hardware
    analog = mho.convert(torch.nn.Linear(20, 10), hardware).eval()
    mho.program(analog, seed=0)
    mho.age(analog, 1e5)
    x = torch.randn(4, 20)
    assert bool(analog(x).isfinite().all())
    if make is not reversed:
        compiled = torch.compile(analog, fullgraph=True, backend="aot_eager")
        assert compiled(x).shape == (4, 10)
