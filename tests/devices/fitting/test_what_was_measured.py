"""What a measurement shows goes with the device: scatter, bias and direction, for every kind of fit."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from scipy import stats

import mho
from mho.devices import (
    Bake,
    Cycling,
    Fusion,
    Generic,
    JumpCell,
    JumpTable,
    Loop,
    Measurement,
    PulseTrain,
    Retention,
    States,
    Switching,
    fit,
)
from mho.devices.dynamics import LinearIonDrift, LinearStep, sine
from mho.devices.fitting import Fit
from mho.programming import JumpPulses, SingleShot, WriteVerify, suited_pulses

P_MIN = 1e-4
PULSES = 400
CELL = LinearStep(
    g_low=5e-6,
    g_high=50e-6,
    step_up=0.3e-6,
    step_down=0.15e-6,
    slope_up=0.007,
    slope_down=0.003,
    noise_up=0.45e-6,
    noise_down=0.9e-6,
)
KINDS = {
    "white": CELL,
    "adds up": CELL.replaced(memory_up=0.9, memory_down=0.6),
    "one way": CELL.replaced(noise_up=0.0, noise_down=1.5e-6, memory_down=0.3),
    "steps grow": CELL.replaced(step_up=0.04e-6, slope_up=-0.004, step_down=0.1e-6, slope_down=0.0),
}


@functools.lru_cache(8)  # layouts are of one cell
def train(cell: LinearStep, sign: float, seed: int = 0, cells: int = 1, pulses: int = PULSES) -> np.ndarray:
    """Conductances after 0, 1, 2, ... pulses, ``[pulse, cell]``."""
    time = cell.width * torch.arange(pulses, dtype=torch.float64)
    volts = torch.full((pulses,), cell.v_up if sign > 0 else cell.v_down, dtype=torch.float64)
    start = torch.full((cells,), cell.g_low if sign > 0 else cell.g_high, dtype=torch.float64)
    return cell.simulate(volts, time, start, held=True, seed=seed).conductance.numpy()


def law(cell: LinearStep, sign: float, pulses: int = PULSES) -> np.ndarray:
    return train(cell.replaced(noise_up=0.0, noise_down=0.0), sign, pulses=pulses)


def up_and_down(cell: LinearStep, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return train(cell, 1, seed)[:, 0], train(cell, -1, seed + 1)[:, 0]


def two_columns(up, down):
    return {"up_S": up, "down_S": down}, PulseTrain(width=1e-6)


def without_heads(up, down):
    return np.stack([1e6 * up, 1e6 * down], 1), PulseTrain(unit=1e-6, width=1e-6)


def one_column(up, down):
    return {"G_uS": 1e6 * np.concatenate([up, down])}, PulseTrain(up=len(up), width=1e-6)


def ohms_and_volts(up, down):
    volts = [-1.1] * len(up) + [1.4] * len(down)
    return {"R_kohm": 1e-3 / np.concatenate([up, down]), "V": volts}, PulseTrain()


def pulse_widths(up, down):
    """Columns in another order, pulses down of twice the length."""
    volts = [0.9] * len(up) + [-0.7] * len(down)
    width = [1.0] * len(up) + [2.0] * len(down)
    table = {
        "pulse width_us": width,
        "voltage_mV": 1e3 * np.array(volts),
        "pulse": [*range(len(up)), *range(len(down))],
        "conductance_nS": 1e9 * np.concatenate([up, down]),
    }
    table["pulse width_s"] = 1e-6 * np.array(table.pop("pulse width_us"))
    return table, PulseTrain()


def cells(up, down):
    """Three cells, one after the other."""
    table = {"device": [], "g_S": [], "voltage_V": []}
    more = [up_and_down(KINDS["white"], seed) for seed in (10, 20)]
    for n, both in enumerate([(up, down), *more]):
        for sign, values in zip((1.0, -1.0), both, strict=True):
            table["device"] += [f"d{n}"] * len(values)
            table["g_S"] += values.tolist()
            table["voltage_V"] += [sign] * len(values)
    return table, PulseTrain(width=1e-6)


LAYOUTS = [two_columns, without_heads, one_column, ohms_and_volts, pulse_widths, cells]


def check_pulses(device: LinearStep, truth: LinearStep) -> None:
    """Pulses on the fitted device scatter as those on the one that was measured, around the same law."""
    for sign in (1, -1):
        found, true = train(device, sign, 7, 2000), train(truth, sign, 8, 2000)
        noise, memory = (getattr(truth, f"{k}_{'up' if sign > 0 else 'down'}") for k in ("noise", "memory"))
        error = np.sqrt((1 + memory**2) / (1 - memory**2) / (2 * PULSES))  # of the noise of one train
        for n in (40, 200, PULSES - 1):
            assert found[n].mean() == pytest.approx(true[n].mean(), abs=0.5 * noise + 0.01 * truth.g_high)
            assert found[n].std() == pytest.approx(true[n].std(), rel=4 * error + 0.05, abs=1e-9)
            change = found[n] - found[n - 1], true[n] - true[n - 1]
            assert change[0].std() == pytest.approx(change[1].std(), rel=0.2, abs=1e-9)
            if noise:
                some = [(x - x.mean()) / noise for x in (found[n], true[n])]
                assert stats.kstest(some[0] / some[0].std(), some[1] / some[1].std()).pvalue > P_MIN


@pytest.mark.parametrize("kind", KINDS)
def test_pulses_scatter_as_measured(kind) -> None:
    truth = KINDS[kind].replaced(v_up=1.0, v_down=-1.0)
    check_pulses(fit(*two_columns(*up_and_down(truth, 0))).device, truth)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
def test_pulses_scatter_as_measured_in_each_layout(layout) -> None:
    truth = KINDS["white"]
    made = fit(*layout(*up_and_down(truth, 3)))
    device = made.device
    assert isinstance(device, LinearStep)
    if layout is ohms_and_volts:
        assert (device.v_up, device.v_down) == (-1.1, 1.4)
    if layout is pulse_widths:
        assert device.width == pytest.approx(1e-6) and (device.v_up, device.v_down) == pytest.approx(
            (0.9, -0.7)
        )
        truth = truth.replaced(step_down=truth.step_down / 2, slope_down=truth.slope_down / 2)
        found = [train(device, -1, 7, 500, 2 * PULSES)[2 * n] for n in (40, 200)]
        true = [train(KINDS["white"], -1, 8, 500)[n] for n in (40, 200)]
        for a, b in zip(found, true, strict=True):
            assert a.mean() == pytest.approx(b.mean(), abs=1e-6) and a.std() == pytest.approx(
                b.std(), rel=0.2
            )
        return
    check_pulses(device, truth.replaced(v_up=device.v_up, v_down=device.v_down))


def test_each_seed_has_draws_of_its_own() -> None:
    cell = fit(*two_columns(*up_and_down(KINDS["white"], 0))).device
    first, second, again = (train(cell, 1, seed, 50) for seed in (0, 1, 0))
    assert np.array_equal(first, again)
    assert (
        np.corrcoef((first - first.mean(1, keepdims=True))[9], (second - second.mean(1, keepdims=True))[9])[
            0, 1
        ]
        < 0.5
    )
    volts = torch.full((20,), cell.v_up, dtype=torch.float64)
    time = cell.width * torch.arange(20, dtype=torch.float64)
    exact = [cell.simulate(volts, time, held=True, seed=None).conductance for _ in range(2)]
    g = torch.tensor(cell.g_low, dtype=torch.float64)
    for n in range(19):
        g = cell.step(g, cell.v_up, cell.width)
        assert float(exact[0][n + 1]) == pytest.approx(float(g), rel=1e-12)
    state = torch.full((64,), cell.g_low, dtype=torch.float64)
    whole = cell.simulate(volts, time, state, held=True).conductance
    assert torch.equal(whole, cell.simulate(volts, time, state, held=True, chunk=7).conductance)


def test_a_longer_pulse_scatters_as_many() -> None:
    """Ten widths at once leave the deviation that ten pulses leave."""
    cell = CELL.replaced(memory_up=0.9)
    state = torch.full((20_000,), 5e-6, dtype=torch.float64)
    one = cell.simulate(
        torch.full((2,), 1.0, dtype=torch.float64), torch.tensor([0.0, 10e-6]).double(), state, held=True
    )
    many = train(cell, 1, 3, 20_000, 11)
    assert one.conductance[-1].std().item() == pytest.approx(many[-1].std(), rel=0.03)
    assert one.conductance[-1].mean().item() == pytest.approx(many[-1].mean(), rel=2.5e-3)


def test_programming_with_pulses_that_scatter() -> None:
    """Seeds differ; cells end within the tolerance; a scale of 0 takes the scatter away."""
    model = fit(*two_columns(*up_and_down(KINDS["white"], 0))).device
    device = Switching(model=model)
    target = torch.linspace(8e-6, 44e-6, 400, dtype=torch.float64).reshape(1, 1, 20, 20)
    write = WriteVerify(pulse=suited_pulses(model), tolerance=0.02, max_pulses=200)
    done = [write.write(device, target, seed) for seed in range(3)]
    assert not any(bool(one.failed.any()) for one in done)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert float((done[a].g - done[b].g).std()) > 0.1e-6
    quiet = Switching(model=model, program_scale=0.0)
    same = [write.write(quiet, target, seed).g for seed in range(2)]
    assert torch.equal(*same)


def test_one_pulse_on_many_cells_scatters_in_programming() -> None:
    model = KINDS["adds up"]
    device = Switching(model=model)
    pulses = suited_pulses(model)
    cells_ = torch.full((1, 1, 100, 100), 45e-6, dtype=torch.float64)
    written = WriteVerify(pulse=pulses, max_pulses=1).write(device, cells_, 0).g
    time = torch.tensor([0.0, pulses.up.width], dtype=torch.float64)
    volts = torch.full((2,), pulses.up.voltage, dtype=torch.float64)
    state = torch.full((10_000,), model.g_low, dtype=torch.float64)
    simulated = model.simulate(volts, time, state, held=True).conductance[-1]
    assert written.mean().item() == pytest.approx(simulated.mean().item(), rel=2e-3)
    assert stats.kstest(written.flatten().numpy(), simulated.numpy()).pvalue > P_MIN
    single = SingleShot().write(device, cells_, 0).g
    assert stats.kstest((single.flatten() - 45e-6).numpy() / model.noise_up, "norm").pvalue > P_MIN


def test_a_chip_of_fitted_cells_has_its_scatter() -> None:
    """Through a Hardware: program, and other seeds are other chips."""
    model = fit(*two_columns(*up_and_down(KINDS["white"], 0))).device
    hardware = mho.Hardware(device=Switching(model=model), mapping=mho.mapping.DifferentialPair())
    layer = torch.nn.Linear(64, 64, bias=False)
    torch.nn.init.uniform_(layer.weight, 0.2, 1.0, generator=torch.Generator().manual_seed(0))
    chip, weights = mho.convert(layer, hardware), []
    for seed in range(3):
        mho.program(chip, seed=seed)
        weights.append(mho.effective_weights(chip)[""].detach())
    step = (layer.weight.abs().amax(1).mean() / (model.g_max - model.g_min)).item()
    for a, b in ((0, 1), (1, 2)):
        assert float((weights[a] - weights[b]).std()) == pytest.approx(2 * step * CELL.noise_up, rel=0.25)


# --- the bias of states ---------------------------------------------------------------------------

TARGETS = np.array([5.0, 10.0, 15.0, 20.0, 25.0, 30.0]) * 1e-6
BIASES = {
    "gain": lambda g: 1.3 * g,
    "offset": lambda g: g + 2e-6,
    "saturating": lambda g: 40e-6 * np.tanh(g / 30e-6),
    "none": lambda g: g,
    "a kink": lambda g: np.where(g > 17e-6, 1.2 * g, 0.9 * g),
}


def results(mean, cells_: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = np.repeat(TARGETS, cells_)
    return target, mean(target) + (0.3e-6 + 0.02 * target) * rng.normal(size=len(target))


def single(target, g):
    return {"target_S": target, "conductance_S": g}, States(degree=1)


def in_microsiemens(target, g):
    shuffled = np.random.default_rng(1).permutation(len(g))
    return {"G_uS": 1e6 * g[shuffled], "target_uS": 1e6 * target[shuffled]}, States(degree=1)


def statistics(target, g):
    rows = [(t, g[target == t].mean(), g[target == t].std(ddof=1), (target == t).sum()) for t in TARGETS]
    names = ("target_S", "mean_S", "std_S", "count")
    return dict(zip(names, (np.array(v) for v in zip(*rows, strict=True)), strict=True)), States(degree=1)


def statistics_without_count(target, g):
    table, how = statistics(target, g)
    return {k: v[::-1] for k, v in table.items() if k != "count"}, how


def numbers_without_units(target, g):
    table, how = statistics(target, g)
    table = {"mean": 1e6 * table["mean_S"], "target": 1e6 * table["target_S"], "std": 1e6 * table["std_S"]}
    return table, States(degree=1, unit=1e-6)


def networks(target, g):
    return {"target": 1e6 * target, "conductance": 1e6 * g}, Fusion(degree=1, groups=6)


STATES = [single, in_microsiemens, statistics, statistics_without_count, numbers_without_units, networks]


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("layout", STATES, ids=lambda f: f.__name__)
def test_states_have_the_bias_and_the_scatter_of_the_cells(layout, bias) -> None:
    target, g = results(BIASES[bias])
    made = fit(*layout(target, g))
    assert isinstance(made.device, Generic)
    eps = torch.randn(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for t in TARGETS:
        written = made.device.programmed(torch.full_like(eps, t), eps).numpy()
        true, sigma = float(BIASES[bias](t)), 0.3e-6 + 0.02 * t
        assert written.mean() == pytest.approx(true, abs=4 * sigma / np.sqrt(300))
        assert written.std() == pytest.approx(sigma, rel=0.15)
        moved = written - (written.mean() - g[target == t].mean())
        assert stats.kstest(moved, g[target == t]).pvalue > P_MIN
    if layout is single:
        assert ("PolynomialBias" in str(made)) == (bias in ("gain", "offset", "saturating"))
        assert (made.device.bias == mho.devices.Unbiased()) == (bias == "none")


def test_noise_of_few_cells_is_no_bias() -> None:
    """Two cells of each target: their means miss it, and say nothing."""
    made = [fit(*single(*results(BIASES["none"], 2, seed))) for seed in range(20)]
    biased = sum(one.device.bias != mho.devices.Unbiased() for one in made)
    assert biased <= 3
    for one in made:
        assert float(one.device.bias.shift(torch.tensor(20e-6), one.device.g_max).abs()) < 2e-6


def test_a_column_that_counts_the_states_is_no_target() -> None:
    table = {"level": [0, 1, 2, 3], "mean_uS": [2.0, 5.0, 9.0, 15.0], "std_uS": [0.1, 0.2, 0.4, 0.6]}
    made = fit(table, States(degree=1))
    assert made.device.bias == mho.devices.Unbiased() and made.device.g_min == pytest.approx(2e-6)


def test_a_chip_of_biased_states() -> None:
    made = fit(*single(*results(BIASES["gain"])))
    layer = torch.nn.Linear(64, 64, bias=False)
    layer.weight.data.fill_(20e-6)
    scale = mho.mapping.Fixed(weight=made.device.g_max)
    hardware = mho.Hardware(device=made.device, mapping=mho.mapping.DifferentialPair(scale=scale))
    chip = mho.convert(layer, hardware)
    mho.program(chip, seed=0)
    assert mho.effective_weights(chip)[""].mean().item() == pytest.approx(26e-6, rel=0.02)


# --- every kind of fit ----------------------------------------------------------------------------


def jumps() -> Fit:
    g, change = np.linspace(5e-6, 30e-6, 6), np.linspace(-4e-6, 4e-6, 81)
    up = np.stack([stats.norm.cdf(change, 0.5e-6, 0.4e-6) for _ in g])
    down = np.stack([stats.norm.cdf(change, -0.8e-6, 0.2e-6) for _ in g])
    return fit({"up": (g, change, up), "down": (g, change, down)}, JumpTable())


def retention() -> Fit:
    rng = np.random.default_rng(0)
    time = np.geomspace(1, 1e5, 20)
    nu = rng.normal(0.02, 0.02, 200)
    g = 20e-6 * time ** -nu[:, None] * (1 + 0.01 * rng.normal(size=(200, 20)))
    return fit({"time_s": time, **{f"c{n}": row for n, row in enumerate(g)}}, Retention())


def loop() -> Fit:
    wave = sine(1.0, 1.0, 1, 60)
    current = LinearIonDrift(r_off=14e3).simulate(*wave).current.numpy()
    current = current + 2e-6 * np.random.default_rng(0).normal(size=len(current))
    table = {"time_s": wave.time, "voltage_V": wave.voltage, "current_A": current}
    return fit(table, Loop(model=LinearIonDrift(), free=("r_off",)))


def pulse_train() -> Fit:
    return fit(*two_columns(*up_and_down(CELL, 0)))


def bake() -> Fit:
    """Cells in ovens of two temperatures, with a read before."""
    rng, time = np.random.default_rng(0), np.concatenate([[0.0], np.geomspace(600, 1e6, 9)])
    table = {"time_s": time}
    for kelvin, faster in ((358.0, 300.0), (428.0, 4e4)):
        for cell, nu in enumerate(rng.normal(0.06, 0.01, 12)):
            law = (1 + time * faster / 2e5) ** -nu * np.exp(0.01 * rng.normal(size=10))
            table[f"cell {cell} at {kelvin:.0f} K (uS)"] = 20 * law
    return fit(table, Bake())


def cycling() -> Fit:
    """Cells of which each lasts as long as it happens to."""
    rng, cycles = np.random.default_rng(0), np.geomspace(1, 1e6, 40)
    names = ("cell", "cycle", "set_uS", "reset_uS")
    rows = []
    for cell, life in enumerate(3e5 * rng.weibull(1.5, 20)):
        noise = np.exp(0.05 * rng.normal(size=(2, 40)))
        high = np.where(cycles < life, 100 * cycles**-0.02 * noise[0], 90)
        low = np.where(cycles < life, 2 * cycles**0.05 * noise[1], 90)
        rows.append(np.stack([np.full(40, cell), cycles, high, low]))
    return fit(dict(zip(names, np.concatenate(rows, axis=1), strict=True)), Cycling())


FITS = {
    Bake: bake,
    Cycling: cycling,
    PulseTrain: pulse_train,
    States: lambda: fit(*single(*results(BIASES["gain"]))),
    Fusion: lambda: fit(*networks(*results(BIASES["gain"]))),
    JumpTable: jumps,
    Retention: retention,
    Loop: loop,
}


def kinds(base: type) -> list[type]:
    return [k for c in base.__subclasses__() if c.__module__.startswith("mho.") for k in (c, *kinds(c))]


def test_every_kind_of_fit_is_here() -> None:
    assert set(kinds(Measurement)) == set(FITS)


@pytest.mark.parametrize("kind", FITS, ids=lambda k: k.__name__)
def test_the_first_line_says_what_is_left_out(kind, tmp_path) -> None:
    made = FITS[kind]()
    first = str(made).splitlines()[0]
    for words in made.card.left_out:
        assert f"without {words}" in first
    assert ("without" in first) == bool(made.card.left_out)
    if made.card.noise > 0 and kind is Loop:
        assert "the scatter of the current around the law" in first
    made.save(tmp_path / "mine.json")
    again = Fit.load(tmp_path / "mine.json")
    assert str(again) == str(made) and again.device == made.device


def test_cells_that_rise_rise_in_the_device() -> None:
    made = retention()
    g = torch.full((20_000,), 20e-6, dtype=torch.float64)
    eps = torch.randn(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    nu = made.device.drift_state(g, eps)[0]
    assert nu.mean().item() == pytest.approx(0.02, abs=5e-3) and nu.std().item() == pytest.approx(
        0.02, rel=0.2
    )
    assert bool((made.device.aged(g, nu.unsqueeze(0), 1e4) > g).any())


def test_jumps_have_the_direction_and_the_scatter_of_the_table() -> None:
    cell = jumps().device
    assert isinstance(cell, JumpCell)
    g = torch.full((50_000,), 15e-6, dtype=torch.float64)
    eps = torch.randn(50_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for direction, mean, std in ((1.0, 0.5e-6, 0.4e-6), (-1.0, -0.8e-6, 0.2e-6)):
        change = (cell.jumped(g, torch.full_like(g, direction), eps) - g).numpy()
        assert stats.kstest((change - mean) / std, "norm").statistic < 0.02
    target = torch.full((1, 1, 10, 10), 20e-6, dtype=torch.float64)
    write = WriteVerify(pulse=JumpPulses(), tolerance=0.02, max_pulses=300)
    assert not torch.equal(write.write(cell, target, 0).g, write.write(cell, target, 1).g)


def test_many_cells_are_told_apart_from_noise() -> None:
    """The range differs by a tenth from cell to cell; the noise within a cell is a hundredth of it."""
    rng, table = np.random.default_rng(0), {"cell": [], "pulse": [], "g_S": []}
    for n in range(30):
        high = rng.normal(50e-6, 4e-6)
        g = 5e-6 + (high - 5e-6) * -np.expm1(-3 * np.arange(100) / 99) / -np.expm1(-3)
        table["g_S"] += (g + 0.4e-6 * rng.normal(size=100)).tolist()
        table["pulse"] += list(range(100))
        table["cell"] += [f"c{n}"] * 100
    made = fit(table, PulseTrain())
    assert made["up.noise"].value == pytest.approx(0.4e-6, rel=0.1)
    assert made.device.noise_up == pytest.approx(0.4e-6, rel=0.1)
    assert made["up.g_last_std"].value == pytest.approx(4e-6, rel=0.4)
    assert made["up.g_first_std"].value < 0.2e-6
    assert "without the spread of the cells in pulses up" in str(made).splitlines()[0]


def test_pulses_of_several_amplitudes_are_told() -> None:
    up, down = up_and_down(CELL, 0)
    volts = np.concatenate([np.linspace(0.8, 1.6, len(up)), np.full(len(down), -1.0)])
    made = fit({"g_S": np.concatenate([up, down]), "voltage_V": volts}, PulseTrain())
    first = str(made).splitlines()[0]
    assert "without the effect of the voltage of pulses up (0.8 to 1.6 V count as alike)" in first
    assert (made.device.v_up, made.device.v_down) == (0.8, -1.0)


def test_noise_that_changes_with_the_conductance_is_told() -> None:
    rng = np.random.default_rng(0)
    g = law(CELL, 1)[:, 0]
    made = fit({"g_S": g * (1 + 0.03 * rng.normal(size=len(g)))}, PulseTrain())
    assert "the change of the noise of pulses up" in str(made).splitlines()[0]
    assert "change of the noise" not in str(pulse_train())


def test_scatter_that_is_not_normal_is_told() -> None:
    rng = np.random.default_rng(0)
    target = np.repeat(TARGETS, 300)
    made = fit(*single(target, target + 1e-6 * (rng.exponential(size=len(target)) - 1)))
    assert "without the shape of the scatter, which is not normal" in str(made).splitlines()[0]
    both = ["set", "reset"] * (len(target) // 2)
    table, how = single(*results(BIASES["none"]))
    assert "the direction of the write" in str(fit({**table, "direction": both}, how)).splitlines()[0]
