"""Every kind of fit, held against synthetic measurements whose truth is known.

The experiment is simulated on the fitted device and must look like the data: a Kolmogorov-Smirnov test with
p > 0.01 in at least 18 of 20 sets. And the truth lies in the 95 % intervals as often as they say.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy import stats

from mho.devices import (
    Bake,
    Cycling,
    Fusion,
    JumpTable,
    Loop,
    Measurement,
    PulseTrain,
    Retention,
    States,
    Switching,
    fit,
)
from mho.devices.dynamics import Exact, LinearIonDrift, LinearStep, sine

SETS, LIKELY, NEEDED = 20, 0.01, 18
MANY = 60  # sets for the coverage
Table = dict[str, Any]


class Kind(NamedTuple):
    """One kind of fit.

    Attributes:
        how: the measurement.
        table: a synthetic measurement, by the random generator.
        data: what of it is compared.
        simulated: the same of the experiment on the fitted device.
        truth: what the parameters are; empty where nothing is fitted.
    """

    how: Measurement
    table: Callable[[np.random.Generator], Table]
    data: Callable[[Table], np.ndarray]
    simulated: Callable[[Any, int], np.ndarray]
    truth: dict[str, float]


def normal(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- pulses: changes from pulse to pulse ---------------------------------------------------------

CELL = LinearStep(g_low=5e-6, g_high=60e-6, step_up=1.1e-6, slope_up=0.02, noise_up=0.5e-6, memory_up=0.5)
COUNT = 80
LAST = float(CELL.exact(torch.tensor(5e-6).double(), torch.tensor(1.0).double(), (COUNT - 1) * 1e-6))


def train(model, seed, cells=()):
    """Conductances ``[pulse, *cells]``."""
    volts = torch.ones(COUNT, dtype=torch.float64)
    time = 1e-6 * torch.arange(COUNT, dtype=torch.float64)
    start = torch.full(cells, float(model.g_low), dtype=torch.float64)
    return model.simulate(volts, time, start, held=True, seed=seed).conductance.numpy()


def measured_train(rng):
    g = train(CELL, int(rng.integers(2**31)))
    g[0] += 0.5e-6 * rng.normal()  # the first point scatters as the others do
    return {"conductance_S": g}


# --- states and Fusion: errors of programming ----------------------------------------------------

TARGETS = np.repeat(np.linspace(4e-6, 20e-6, 8), 40)


def measured_states(rng):
    spread = 0.2e-6 + 0.04 * TARGETS
    return {"target_S": TARGETS, "conductance_S": 1.05 * TARGETS + spread * rng.normal(size=len(TARGETS))}


def errors_of(table):
    return table["conductance_S"] - table["target_S"]


def written(made, seed):
    goal = torch.as_tensor(np.repeat(TARGETS, 10))
    return (made.device.programmed(goal, normal(seed, len(goal))) - goal).numpy()


# --- retention: what is left after the longest time ----------------------------------------------

TIMES = np.geomspace(20.0, 1e5, 12)


def measured_cells(rng):
    nu = rng.normal(0.05, 0.015, 30)
    g = [20e-6 * (TIMES / 20) ** -n * np.exp(0.01 * rng.normal(size=12)) for n in nu]
    return {"time_s": TIMES, **{f"c{k}_S": cell for k, cell in enumerate(g)}}


def left(table):
    return np.array([table[name][-1] / table[name][0] for name in table if name != "time_s"])


def aged(made, seed):
    device, g = made.device, torch.full((3000,), 20e-6, dtype=torch.float64)
    cells = device.drift_state(g, normal(seed, 3000))
    reads = []
    for k, t in enumerate((TIMES[0], TIMES[-1])):
        now = device.aged(g, cells, t - device.t0)
        reads.append(now + device.read_std(g, now, t - device.t0) * normal(seed + k + 1, 3000))
    return (reads[1] / reads[0]).numpy()


# --- jumps: changes at one conductance -----------------------------------------------------------

STATES_G, CHANGES = np.linspace(5e-6, 30e-6, 11), np.linspace(-2e-6, 4e-6, 121)


def jump(g):
    return stats.norm(0.3e-6 + 0.05 * (30e-6 - g), 0.4e-6)


def jump_table(rng):
    rows = [(g, d, c) for g in STATES_G for d, c in zip(CHANGES, jump(g).cdf(CHANGES), strict=True)]
    table = dict(zip(("G_S", "dG_S", "CDF"), map(np.array, zip(*rows, strict=True)), strict=True))
    return {**table, "drawn": rng.normal(jump(17e-6).mean(), 0.4e-6, 300)}


def jumped(made, seed):
    eps = normal(seed, 3000)
    return made.device.up.drawn(torch.full_like(eps, 17e-6), eps).numpy()


# --- bakes: what is left after the longest bake at the middle temperature -------------------------

BAKES, OVEN = np.concatenate([[0.0], np.geomspace(600, 1e6, 9)]), (358.15, 398.15, 428.15)
TAU, ENERGY = 2e5, 0.9


def hotter(kelvin):
    return np.exp(ENERGY / 8.617333262e-5 * (1 / 300 - 1 / kelvin))


def measured_bake(rng):
    table = {"time_s": BAKES}
    for kelvin in OVEN:
        for cell, nu in enumerate(rng.normal(0.06, 0.01, 15)):
            law = (1 + BAKES * hotter(kelvin) / TAU) ** -nu * np.exp(0.01 * rng.normal(size=len(BAKES)))
            table[f"cell {cell} at {kelvin - 273.15:.0f} °C (S)"] = 20e-6 * np.exp(0.1 * rng.normal()) * law
    return table


def left_in_the_oven(table):
    return np.array([g[-1] / g[0] for name, g in table.items() if "125 °C" in name])


def baked(made, seed):
    device = replace(made.device, kelvin=OVEN[1])
    g = torch.full((3000,), 20e-6, dtype=torch.float64)
    now = device.aged(g, device.drift_state(g, normal(seed, 2, 3000)), BAKES[-1])
    reads = [x + device.read_std(g, x, 0.0) * normal(seed + k + 1, 3000) for k, x in enumerate((g, now))]
    return (reads[1] / reads[0]).numpy()


# --- cycling: lifetimes --------------------------------------------------------------------------

CYCLES = np.unique(np.geomspace(1, 1e6, 80).astype(int)).astype(float)


def measured_cycles(rng):
    rows = []
    for cell in range(30):
        level = {"set_S": 100e-6 * CYCLES**-0.02, "reset_S": 2e-6 * CYCLES**0.05}
        level = {name: g * np.exp(0.05 * rng.normal(size=len(CYCLES))) for name, g in level.items()}
        life = 3e5 * rng.weibull(1.5)
        for g in level.values():
            g[life < CYCLES] = 90e-6
        rows.append(
            {"cell": np.full(len(CYCLES), cell), "cycle": CYCLES, **level, "life": np.full(len(CYCLES), life)}
        )
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def lifetimes_of(table):
    return np.unique(table["life"])


def lifetimes(made, seed):
    return made.device.lifetimes(normal(seed, 3000)).numpy()


# --- loops: currents -----------------------------------------------------------------------------

DRIFT, WAVE = LinearIonDrift(r_off=14e3, mobility=1.4e-14), sine(1.0, 1.0, 1, 80)
CLEAN = DRIFT.simulate(*WAVE, method=Exact()).current.numpy()


def measured_loop(rng):
    current = CLEAN + 0.01 * np.abs(CLEAN).max() * rng.normal(size=len(CLEAN))
    return {"time_s": WAVE.time.numpy(), "voltage_V": WAVE.voltage.numpy(), "current_A": current}


def looped(made, seed):
    current = made.device.simulate(*WAVE, method=Exact()).current.numpy()
    return current + made.card.noise * np.random.default_rng(seed).normal(size=len(current))


KINDS = {
    "pulses": Kind(
        PulseTrain(),
        measured_train,
        lambda table: np.diff(table["conductance_S"]),
        lambda made, seed: np.diff(train(made.device, seed, (10,)), axis=0).ravel(),
        {"up.g_first": 5e-6, "up.g_last": LAST, "up.noise": 0.5e-6, "up.memory": 0.5},
    ),
    "states": Kind(
        States(degree=1), measured_states, errors_of, written, {"c0": 0.01, "c1": 0.04, "bias1": 0.05}
    ),
    "fusion": Kind(Fusion(groups=8, degree=1), measured_states, errors_of, written, {"c0": 0.01, "c1": 0.04}),
    "retention": Kind(
        Retention(), measured_cells, left, aged, {"nu": 0.05, "nu_std": 0.015, "read noise": 0.01}
    ),
    "bake": Kind(
        Bake(),
        measured_bake,
        left_in_the_oven,
        baked,
        {"nu": 0.06, "nu_std": 0.01, "ln tau": math.log(TAU), "activation": ENERGY},
    ),
    "cycling": Kind(
        Cycling(),
        measured_cycles,
        lifetimes_of,
        lifetimes,
        {"set slope": -0.02, "reset slope": 0.05, "ln lifetime": math.log(3e5), "ln shape": math.log(1.5)},
    ),
    "jumps": Kind(JumpTable(), jump_table, lambda table: table["drawn"], jumped, {}),
    "loop": Kind(
        Loop(model=LinearIonDrift(), free=("r_off", "mobility"), method=Exact()),
        measured_loop,
        lambda table: table["current_A"],
        looped,
        {"r_off": 14e3, "mobility": 1.4e-14},
    ),
}


def given(table):
    return {name: column for name, column in table.items() if name not in ("drawn", "life")}


@pytest.mark.parametrize("name", KINDS)
def test_the_experiment_on_the_fitted_device_is_the_data(name) -> None:
    kind = KINDS[name]
    agree = 0
    for seed in range(SETS):
        table = kind.table(np.random.default_rng(seed))
        made = fit(given(table), kind.how)
        agree += (
            stats.ks_2samp(kind.data(table), kind.simulated(made, 10_000 + seed), method="asymp").pvalue
            > LIKELY
        )
    assert agree >= NEEDED


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.truth])
def test_95_percent_intervals_cover_the_truth(name) -> None:
    """Between 90 and 99 % of the intervals of all parameters, each of two standard errors."""
    kind = KINDS[name]
    inside = []
    for seed in range(MANY):
        made = fit(given(kind.table(np.random.default_rng(1000 + seed))), kind.how)
        known = [(made[p], value) for p, value in kind.truth.items()]
        inside += [abs(e.value - value) < stats.norm.isf(0.025) * e.error for e, value in known]
    assert 0.90 <= np.mean(inside) <= 0.99, f"{np.mean(inside):.3f}"


def test_a_fitted_train_writes_with_the_measured_scatter() -> None:
    """What ``mho drift --device`` programs with: cells of one target scatter as the pulses did."""
    ratios = []
    for seed in range(SETS):
        chip = fit(measured_train(np.random.default_rng(seed)), PulseTrain()).hardware()
        goal = torch.full((1, 1, 40, 40), 25e-6, dtype=torch.float64)
        assert isinstance(chip.device, Switching)
        ratios.append(float(chip.programming.write(chip.device, goal, seed).g.std()) / 0.5e-6)
    assert np.mean(ratios) == pytest.approx(1, abs=0.1)
    assert all(0.6 < ratio < 1.5 for ratio in ratios)
