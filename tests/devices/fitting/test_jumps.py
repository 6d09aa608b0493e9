"""Jump tables: layouts, the law of the draws, a write that is verified, bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

import mho
from mho.devices import PCM, Fit, JumpCell, Jumps, JumpTable, PulseTrain, States, fit
from mho.programming import Correction, JumpPulses, SingleShot, WriteVerify
from mho.testing import check_device

G = np.linspace(5e-6, 30e-6, 20)
CHANGE = {"up": np.linspace(-2e-6, 4e-6, 121), "down": np.linspace(-4e-6, 2e-6, 121)}


def distribution(direction, g):
    """Normal changes whose mean gets smaller towards the end that they go to, siemens."""
    sign, way = (1, 30e-6 - g) if direction == "up" else (-1, g - 5e-6)
    return stats.norm(sign * (0.3e-6 + 0.05 * way), 0.4e-6)


def matrix(direction):
    return np.stack([distribution(direction, g).cdf(CHANGE[direction]) for g in G])


def long_table():
    rows = [
        (direction, g, d, c)
        for direction in ("up", "down")
        for g, row in zip(G, matrix(direction), strict=True)
        for d, c in zip(CHANGE[direction], row, strict=True)
    ]
    return dict(zip(("direction", "G_S", "dG_S", "CDF"), map(list, zip(*rows, strict=True)), strict=True))


def files(folder):
    """The text files of XBTorch: one number in a line, and a matrix of chances separated by blanks."""
    for word, direction in (("set", "up"), ("reset", "down")):
        np.savetxt(folder / f"exp_1.35V_{word}_axis_level_G.txt", G)
        np.savetxt(folder / f"exp_1.35V_{word}_axis_level_dG.txt", CHANGE[direction])
        np.savetxt(folder / f"exp_1.35V_{word}_cdf.txt", matrix(direction))
    return folder


def test_layouts_are_one_table(tmp_path) -> None:
    files(tmp_path)
    three = {
        direction: [
            tmp_path / f"exp_1.35V_{word}_{part}.txt" for part in ("axis_level_G", "axis_level_dG", "cdf")
        ]
        for word, direction in (("set", "up"), ("reset", "down"))
    }
    wanted = fit(long_table(), JumpTable()).device
    for source in (tmp_path, three, {"up": (G, CHANGE["up"], matrix("up")), "down": three["down"]}):
        device = fit(source, JumpTable()).device
        for name in ("up", "down"):
            for axis in ("g", "change", "cdf"):
                ours, theirs = (np.array(getattr(getattr(d, name), axis)) for d in (device, wanted))
                np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-20)
    # three columns without heads, in microsiemens; rising changes are of pulses up
    rows = zip(G.tolist(), matrix("up").tolist(), strict=True)
    changes = CHANGE["up"].tolist()
    lines = [f"{1e6 * g!r} {1e6 * d!r} {c!r}" for g, row in rows for d, c in zip(changes, row, strict=True)]
    (tmp_path / "triples.txt").write_text("\n".join(lines))
    made = fit(tmp_path / "triples.txt", JumpTable(unit=1e-6))
    np.testing.assert_allclose(made.device.up.cdf, wanted.up.cdf, rtol=1e-12)
    np.testing.assert_allclose(made.device.up.change, wanted.up.change, rtol=1e-9, atol=1e-18)
    assert made.device.down is None and "needs both directions" in str(made)


def test_numbers_of_the_table() -> None:
    made = fit(long_table(), JumpTable())
    for direction in ("up", "down"):
        for g in (G[0], G[10], G[-1]):
            law = distribution(direction, g)
            assert made[f"{direction}.mean({g:.4g} S)"].value == pytest.approx(law.mean(), abs=1e-9)
            assert made[f"{direction}.std({g:.4g} S)"].value == pytest.approx(law.std(), rel=0.03)


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("place", [0, 7.5, 19])
def test_draws_follow_the_table(direction, place) -> None:
    """Kolmogorov-Smirnov, on the points of the table and between two of them."""
    cell = fit(long_table(), JumpTable()).device
    law = getattr(cell, direction)
    g = float(np.interp(place, np.arange(20), G))
    eps = torch.randn(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = law.drawn(torch.full_like(eps, g), eps).numpy()
    assert stats.kstest(drawn, distribution(direction, g).cdf).pvalue > 1e-4
    # the inverse of the cumulative distribution itself, away from its tails
    inner = eps.abs().numpy() < 2
    wanted = distribution(direction, g).ppf(stats.norm.cdf(eps.numpy()[inner]))
    np.testing.assert_allclose(drawn[inner], wanted, atol=0.01e-6)


def test_atoms_and_flat_pieces() -> None:
    """Chances at the ends are those of the end itself, and no change comes where the chance does not grow."""
    law = Jumps(g=(0.0, 1e-5), change=(-1e-6, 0.0, 1e-6, 2e-6), cdf=((0.25, 0.5, 0.5, 0.75),) * 2)
    chance = torch.tensor([0.01, 0.25, 0.375, 0.5, 0.50001, 0.625, 0.75, 0.76, 0.999], dtype=torch.float64)
    drawn = law.drawn(torch.full((9,), 3e-6, dtype=torch.float64), torch.special.ndtri(chance))
    wanted = [-1e-6, -1e-6, -0.5e-6, 0.0, 1.00004e-6, 1.5e-6, 2e-6, 2e-6, 2e-6]
    np.testing.assert_allclose(drawn.numpy(), wanted, atol=1e-15)


def test_rows_on_different_axes_stay_broken_lines() -> None:
    table = {"G_S": [1e-6] * 3 + [2e-6] * 2, "dG_S": [0, 1e-6, 3e-6, 0, 2e-6], "CDF": [0, 0.8, 1, 0, 1]}
    up = fit(table, JumpTable()).device.up
    assert up.change == (0, 1e-6, 2e-6, 3e-6)
    np.testing.assert_allclose(up.cdf, [(0, 0.8, 0.9, 1), (0, 0.5, 1, 1)])


def test_a_verified_write() -> None:
    cell = fit(long_table(), JumpTable()).device
    target = torch.linspace(6e-6, 29e-6, 900, dtype=torch.float64).reshape(1, 1, 30, 30)
    done = WriteVerify(pulse=JumpPulses(), tolerance=0.01, max_pulses=500).write(cell, target, seed=0)
    assert not bool(done.failed.any())
    assert bool(((done.g - target).abs() <= 0.01 * 30e-6).all())
    # the way up takes its pulses, and a finer tolerance more of them
    coarse = WriteVerify(pulse=JumpPulses(), tolerance=0.05, max_pulses=500).write(cell, target, seed=0)
    assert 10 < float(coarse.pulses.double().mean()) < float(done.pulses.double().mean())
    again = WriteVerify(pulse=JumpPulses(), tolerance=0.01, max_pulses=500).write(cell, target, seed=0)
    assert torch.equal(again.g, done.g)
    single = SingleShot().write(cell, target, seed=0)
    assert float((single.g - target).std()) > 2 * float((done.g - target).std())


def test_a_pulse_moves_as_the_table_says() -> None:
    cell = fit(long_table(), JumpTable()).device
    g = torch.full((20_000,), 5e-6, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    eps = torch.randn(20_000, generator=generator, dtype=torch.float64)
    moved = cell.jumped(g, torch.ones_like(g), eps) - g
    first = distribution("up", 5e-6)
    assert float(moved.mean()) == pytest.approx(first.mean(), abs=5 * first.std() / np.sqrt(20_000) + 1e-9)
    assert torch.equal(cell.jumped(g, torch.zeros_like(g), eps), g)


def test_a_network_on_jumps(tmp_path) -> None:
    made = fit(long_table(), JumpTable())
    check_device(made.device)
    check_device(replace(made.device, down=None))
    made.save(tmp_path / "mine.json")
    assert Fit.load(tmp_path / "mine.json").device == made.device
    programming = WriteVerify(pulse=JumpPulses(), tolerance=0.02, max_pulses=300)
    layer = mho.convert(torch.nn.Linear(8, 6), mho.Hardware(device=made.device, programming=programming))
    mho.program(layer, seed=0)
    g = next(iter(mho.conductances(layer).values()))
    assert bool((g >= 5e-6 * (1 - 1e-6)).all()) and bool((g <= 30e-6 * (1 + 1e-6)).all())


def test_scale_of_the_spread() -> None:
    cell = fit(long_table(), JumpTable()).device
    g, eps = torch.full((5,), 15e-6), torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
    half, whole = replace(cell, program_scale=0.5), cell
    median = whole.up.median(g)
    torch.testing.assert_close(half.up.drawn(g, eps, 0.5) - median, 0.5 * (whole.up.drawn(g, eps) - median))
    none = replace(cell, program_scale=0.0)
    assert torch.equal(none.programmed(g, eps), g)


def test_only_fitting_pulses() -> None:
    cell = fit(long_table(), JumpTable()).device
    target = torch.full((1, 1, 2, 2), 1e-5)
    with pytest.raises(
        ValueError, match=r"JumpCell has a table of what its pulses do; give pulse=JumpPulses"
    ):
        WriteVerify(pulse=Correction()).write(cell, target, seed=0)
    with pytest.raises(ValueError, match="PCM has no table of jumps"):
        WriteVerify(pulse=JumpPulses()).write(PCM(), target, seed=0)
    with pytest.raises(ValueError, match=r"device.down = None: .* measure pulses down too"):
        WriteVerify(pulse=JumpPulses()).write(replace(cell, down=None), target, seed=0)
    with pytest.raises(ValueError, match="what a pulse down does was not measured"):
        replace(cell, down=None).jumped(target, -torch.ones_like(target), torch.zeros_like(target))


def three(g=(1e-6, 2e-6), change=(0.0, 1e-6), cdf=((0.0, 1.0), (0.0, 1.0))):
    return {"up": (list(g), list(change), np.array(cdf))}


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"G_S": [1e-6], "CDF": [0.0]}, "no column 'dg_S'; it has 'G_S', 'CDF'"),
        (
            {"G_S": [1e-6] * 2, "dG_S": [0, 1e-6], "CDF": [0, 1.5]},
            "line 2: a chance of 1.5; it lies from 0 to 1",
        ),
        ({"G_S": [1e-6] * 2, "dG_S": [0, "x"], "CDF": [0, 1]}, "line 2, column 'dG_S': 'x' is not a finite"),
        (
            {"G_S": [1e-6] * 3, "dG_S": [0, 1e-6, 2e-6], "CDF": [0, 0.9, 0.5]},
            "at 1e-06 S the chance falls from 0.9 to 0.5",
        ),
        ({"G_S": [1e-6, 2e-6], "dG_S": [1e-6] * 2, "CDF": [0, 1]}, "at 1e-06 S .* at least two points"),
        ({"G_S": [1e-6] * 2, "dG_S": [0, 1e-6], "CDF": [0, 1]}, "up: 1 conductance; .* two or more"),
        (
            {"G_S": [-1e-6] * 2, "dG_S": [0, 1e-6], "CDF": [0, 1]},
            "line 1: a conductance of -1e-06 S is negative",
        ),
        ({"G_uS": [1, 2], "dG": [0, 1], "CDF": [0, 1]}, "one of the columns .* has a unit"),
        (
            {"G_S": [1e-6] * 2, "dG_S": [0, 1e-6], "CDF": [0, 1], "direction": ["up", "sideways"]},
            "line 2: direction 'sideways'; say up or down",
        ),
        (three(change=(0.0, 1e-6, 2e-6)), "2 rows of 2 chances, for 2 conductances .* and 3 changes"),
        ({"up": ([1e-6, 2e-6], [0.0, 1e-6])}, "up = .* give three files, of conductances, changes, chances"),
    ],
)
def test_bad_input(table, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        fit(table, JumpTable())


def test_a_folder_with_several_sets_or_none(tmp_path) -> None:
    with pytest.raises(ValueError, match="no three files of a jump table, such as"):
        fit(tmp_path, JumpTable())
    files(tmp_path)
    (tmp_path / "exp_1.5V_set_cdf.txt").write_text("0 1\n0 1\n")
    with pytest.raises(
        ValueError, match=r"2 files for the same part of pulses up, such as exp_1.35V_set_cdf.txt"
    ):
        fit(tmp_path, JumpTable())


def test_other_measurements_say_what_such_a_file_is(tmp_path) -> None:
    path = tmp_path / "triples.txt"
    path.write_text("5e-6 -1e-7 0\n5e-6 1e-7 1\n9e-6 -1e-7 0\n9e-6 1e-7 1\n")
    for how in (PulseTrain(), States()):
        with pytest.raises(ValueError, match=r"JumpTable\(\)"):
            fit(path, how)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"g": (1e-6,)}, "g: give at least two values"),
        ({"cdf": ((0.0, 1.0),)}, "cdf has 1 rows and g 2 values"),
        ({"cdf": ((0.0, 1.0), (0.0, 0.5, 1.0))}, "has 3 values and change 2"),
        ({"cdf": ((0.0, 1.0), (0.9, 0.1))}, "chances rise from 0 to 1"),
    ],
)
def test_a_table_that_is_none(changed, sentence) -> None:
    whole = {"g": (1e-6, 2e-6), "change": (0.0, 1e-6), "cdf": ((0.0, 1.0), (0.0, 1.0))}
    with pytest.raises(ValueError, match=sentence):
        Jumps(**{**whole, **changed})
    with pytest.raises(ValueError, match="at least one direction"):
        JumpCell()


# --- quantile tables: a row of conductances, a row of chances, a matrix of changes ---------------

CHANCES = np.concatenate([[0.0], np.linspace(0.01, 0.99, 50), [1.0]])


def quantiles(path, direction, title="row 1: G, row 2: chances, then dG", step=0.5e-6):
    """The layout of CrossSim; changes in steps, so that many chances have the same."""
    laws = [distribution(direction, g) for g in G]
    changes = np.stack([law.ppf(CHANCES.clip(1e-4, 1 - 1e-4)) for law in laws], axis=1)
    changes = step * np.round(changes / step)
    rows = [G, CHANCES, *changes]
    path.write_text(
        "\n".join([title] * bool(title) + [", ".join(map(repr, map(float, row))) for row in rows])
    )
    return path, np.trapezoid(changes, CHANCES, axis=0)


def test_quantile_tables_keep_their_mean_and_their_steps(tmp_path) -> None:
    (up, means_up), (down, means_down) = (quantiles(tmp_path / f"dG_{d}.txt", d) for d in ("up", "down"))
    cell = fit({"up": up, "down": down}, JumpTable()).device
    eps = torch.special.ndtri((torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000)
    for law, means in ((cell.up, means_up), (cell.down, means_down)):
        for g, mean in zip(G, means, strict=True):
            drawn = law.drawn(torch.full_like(eps, g), eps)
            assert float(drawn.mean()) == pytest.approx(mean, abs=2e-10)
            off = (drawn / 0.5e-6 - (drawn / 0.5e-6).round()).abs()
            assert float((off < 1e-3).double().mean()) > 0.7  # on the steps, not spread between them
    for path, name in ((up, "up"), (down, "down")):
        alone = fit(path, JumpTable()).device
        assert getattr(alone, name) == getattr(cell, name)
    bare, _ = quantiles(tmp_path / "bare.txt", "up", title="")
    assert fit(bare).device.up == cell.up


def test_a_pulse_that_always_does_the_same() -> None:
    table = {"G_S": [1e-6] * 2 + [2e-6] * 2, "dG_S": [3e-7] * 2 + [1e-7] * 2, "CDF": [0, 1, 0, 1]}
    law = fit(table, JumpTable()).device.up
    drawn = law.drawn(torch.full((99,), 1e-6, dtype=torch.float64), torch.randn(99, dtype=torch.float64))
    torch.testing.assert_close(drawn, torch.full_like(drawn, 3e-7), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["1e-6,2e-6", "0,2,1", "0,0", "1e-7,1e-7", "2e-7,2e-7"], "line 2: the chances .* rise from 0 to 1"),
        (
            ["1e-6,2e-6", "0,0.5,1", "0,0", "3e-7,1e-7", "2e-7,2e-7"],
            "conductance 1 falls from line 4 .* line 5",
        ),
    ],
)
def test_quantiles_that_are_none(tmp_path, lines, sentence) -> None:
    (tmp_path / "t.txt").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=sentence):
        fit(tmp_path / "t.txt", JumpTable())


def test_files_of_the_wrong_direction(tmp_path) -> None:
    up, down = (quantiles(tmp_path / f"{d}.txt", d)[0] for d in ("up", "down"))
    with pytest.raises(ValueError, match="pulses up lower the conductance .*; are the two swapped"):
        fit({"up": down, "down": up}, JumpTable())
    (tmp_path / "words.txt").write_text("1,2\n3,4\n")
    with pytest.raises(ValueError, match="no table of quantiles .*; or give three files"):
        fit({"up": tmp_path / "words.txt"}, JumpTable())
