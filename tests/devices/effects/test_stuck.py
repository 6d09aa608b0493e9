"""Stuck cells: how many, which ones, and that they stay so."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

import mho
from mho.devices import PCM, Generic, Ideal, Proportional, StuckAt
from mho.devices.effects.base import Tiles, effects
from mho.errors import ConfigError

NONE = torch.empty(0, 0)


def own(device: StuckAt, shape: tuple[int, ...], tiles: Tiles | None = None, seed: int = 0) -> torch.Tensor:
    eps = mho.random.normal((1, *shape), seed, "test")
    return device.own_state(eps, tiles)[0]


@pytest.mark.parametrize(("lrs", "hrs", "unformed"), [(0.25, 0.1, 0.0), (0.01, 0.02, 0.3), (0.0, 0.5, 0.5)])
def test_fractions_are_each_cells_own_chance(lrs: float, hrs: float, unformed: float) -> None:
    device = StuckAt(device=Ideal(g_min=1e-6), lrs=lrs, hrs=hrs, unformed=unformed)
    state = own(device, (2, 3, 200, 100))
    n = state.numel()
    for value, p in ((25e-6, lrs), (1e-6, hrs), (0.0, unformed), (-1.0, 1 - lrs - hrs - unformed)):
        count = int((state == value).sum())
        assert count == 0 if p < 1e-9 else stats.binomtest(count, n, p).pvalue > 1e-4
    # single cells, not lines: the numbers in rows are binomial too
    rows = (state >= 0).double().sum(-1).flatten()
    p = lrs + hrs + unformed
    if p < 1:
        variance = float(rows.var())
        assert abs(variance / (100 * p * (1 - p)) - 1) < 4.5 * (2 / len(rows)) ** 0.5


def test_nothing_and_everything() -> None:
    assert bool((own(StuckAt(), (2, 1, 30, 20)) == -1).all())
    assert bool((own(StuckAt(lrs=1.0), (2, 1, 30, 20)) == 25e-6).all())
    assert bool((own(StuckAt(hrs=1.0, device=Ideal(g_min=1e-6)), (2, 1, 30, 20)) == 1e-6).all())
    assert bool((own(StuckAt(lrs=0.7, hrs=0.2, unformed=0.1), (2, 1, 30, 20)) >= 0).all())
    assert bool((own(StuckAt(lrs=1.0, exact=True), (2, 1, 30, 20)) == 25e-6).all())
    extreme = torch.tensor([[-40.0, -9.0, 0.0, 9.0, 40.0]])
    assert bool((StuckAt(lrs=1.0).own_state(extreme) == 25e-6).all())
    assert bool((StuckAt().own_state(extreme) == -1).all())


@pytest.mark.parametrize(("per", "number"), [("tile", 4), ("layer", 1)])
def test_exact_amounts_hold_in_each_array(per: str, number: int) -> None:
    tiles = Tiles(((0, 20), (20, 33)), ((0, 7), (7, 15)))
    device = StuckAt(device=Ideal(g_min=1e-6), lrs=3, hrs=4, unformed=1, per=per)
    state = own(device, (2, 3, 33, 15), tiles)
    for value, count in ((25e-6, 3), (1e-6, 4), (0.0, 1)):
        assert ((state == value).sum(dim=(-2, -1)) == count * number).all()
    if per == "tile":
        for a, b in tiles.rows:
            for c, d in tiles.columns:
                assert ((state[..., a:b, c:d] == 25e-6).sum(dim=(-2, -1)) == 3).all()
    share = StuckAt(lrs=0.25, hrs=0.1, exact=True, per="layer", device=Ideal(g_min=1e-6))
    state = own(share, (2, 3, 33, 15), tiles)
    assert ((state == 25e-6).sum(dim=(-2, -1)) == int(495 * 0.25)).all()
    assert ((state == 1e-6).sum(dim=(-2, -1)) == int(495 * 0.1)).all()


def test_exact_choices_are_uniform_over_the_cells() -> None:
    device = StuckAt(lrs=2, per="layer")
    hits = torch.zeros(3, 4)
    for seed in range(600):
        hits += own(device, (3, 4), seed=seed) >= 0
    assert hits.sum() == 1200
    assert stats.chisquare(hits.flatten().numpy()).pvalue > 1e-3


def test_whole_lines() -> None:
    tiles = Tiles(((0, 20), (20, 33)), ((0, 7), (7, 15)))
    rows = own(StuckAt(hrs=2, of="rows", device=Ideal(g_min=1e-6)), (2, 3, 33, 15), tiles) >= 0
    for a, b in tiles.rows:
        for c, d in tiles.columns:
            block = rows[..., a:b, c:d]
            assert (block.all(-1) == block.any(-1)).all() and (block.all(-1).sum(-1) == 2).all()
    columns = own(StuckAt(lrs=0.3, of="columns", per="layer"), (2, 3, 33, 15), tiles) >= 0
    assert (columns.all(-2) == columns.any(-2)).all()
    assert 0 < columns.all(-2).double().mean() < 1


def test_stuck_cells_do_not_move_and_fluctuate_like_sound_ones() -> None:
    inside = Generic(g_min=1e-6, read=Proportional(sigma=0.1), nu=mho.devices.ConstantNu(mean=0.1))
    device = StuckAt(device=inside, lrs=0.5, g_lrs=30e-6)
    g = torch.full((400,), 10e-6)
    cells = device.drift_state(g, torch.stack([mho.random.normal((400,), 0, "a"), torch.zeros(400)]))
    stuck = cells[0] >= 0
    for seconds in (0.0, 1.0, 1e6):
        now = device.aged(g, cells, seconds)
        assert bool((now[stuck] == 30e-6).all())
        assert torch.equal(now[~stuck], inside.aged(g, cells[1:], seconds)[~stuck])
        mean, std = device.read_moments(g, cells, now, seconds)
        wanted = inside.read_moments(now, cells[1:], now, seconds)
        torch.testing.assert_close(std, wanted[1])
        torch.testing.assert_close(mean, wanted[0])


def test_the_inner_of_two_wins_and_streams_differ() -> None:
    device = StuckAt(hrs=0.5, device=StuckAt(lrs=0.5, device=Ideal(g_min=1e-6)))
    analog = mho.convert(torch.nn.Linear(50, 40), mho.Hardware(device=device))
    mho.program(analog, seed=3)
    g = mho.conductances(analog)[""]
    first = analog.chip_cells[1] >= 0
    assert torch.equal(g == 25e-6, first | ((g == 25e-6) & ~first))
    assert bool((g[first] == 25e-6).all())
    both = (analog.chip_cells[:2] >= 0).double().flatten(1)
    assert abs(torch.corrcoef(both)[0, 1]) < 4.5 / both.shape[1] ** 0.5


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"lrs": 0.7, "hrs": 0.4}, "add up to 1"),
        ({"lrs": -0.1}, "greater than or equal to 0"),
        ({"lrs": 1.5}, "less than or equal to 1"),
        ({"lrs": 3, "hrs": 0.2}, "not both"),
        ({"lrs": 0.1, "g_lrs": 1e-6, "g_hrs": 2e-6, "device": PCM()}, "did you swap"),
        ({"lrs": True}, "lrs"),
        ({"of": "cell"}, "of"),
    ],
)
def test_errors(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        StuckAt(**fields)  # type: ignore[arg-type]


def test_more_stuck_cells_than_cells() -> None:
    with pytest.raises(ValueError, match="an array has 12 cells"):
        own(StuckAt(lrs=7, hrs=6), (3, 4))


def test_fractions_do_not_depend_on_the_tile_size() -> None:
    model = torch.nn.Linear(50, 40)
    found = []
    for tile in (mho.Tile(rows=8, columns=8), mho.Tile(rows=None, columns=None)):
        device = StuckAt(device=PCM(), lrs=0.2, hrs=0.1)
        analog = mho.convert(model, mho.Hardware(device=device, tile=tile))
        mho.program(analog, seed=5)
        mho.age(analog, 1e5)
        found.append(mho.conductances(analog)[""])
    assert torch.equal(*found)
    assert len(list(effects(device))) == 1
