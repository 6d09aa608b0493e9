"""Switching models fitted to loops: parameters come back within their errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mho.devices import Loop, fit
from mho.devices.dynamics import (
    VTEAM,
    Exact,
    LinearIonDrift,
    Schottky,
    SwitchingModel,
    Waveform,
    Yakopcic,
    sine,
    triangle,
)
from mho.errors import ConfigError

from .coverage import check_coverage

DRIFT, WAVE = LinearIonDrift(r_off=14e3, mobility=1.4e-14), sine(1.0, 1.0, 1, 60)
START = LinearIonDrift()


def measured(
    model: SwitchingModel, wave: Waveform, noise: float, seed: int = 0, **how
) -> dict[str, np.ndarray]:
    trace = model.simulate(*wave, **how)
    current = trace.current.numpy()
    error = noise * np.abs(current).max()
    current = current + error * np.random.default_rng(seed).normal(size=len(current))
    return {"time_s": wave.time.numpy(), "voltage_V": wave.voltage.numpy(), "current_A": current}


@pytest.mark.parametrize("known", [True, False])
def test_errors_cover_the_truth(known) -> None:
    loop = Loop(model=START, free=("r_off", "mobility"), method=Exact())
    fits = []
    for seed in range(25):
        table = measured(DRIFT, WAVE, 0.02, seed, method=Exact())
        if known:
            clean = measured(DRIFT, WAVE, 0.0, method=Exact())["current_A"]
            table["error_A"] = np.full(len(clean), 0.02 * np.abs(clean).max())
        fits.append(fit(table, loop))
    for name in loop.free:
        values, errors = (np.array([getattr(f[name], k) for f in fits]) for k in ("value", "error"))
        check_coverage(values, errors, getattr(DRIFT, name))
    if known:
        chi2 = np.array([f.card.reduced_chi2 for f in fits])
        assert chi2.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / 59 / 25))
    else:
        assert all(f.card.reduced_chi2 is None for f in fits)


VT = VTEAM(k_on=-0.1, v_on=-0.3, k_off=0.1, v_off=0.3, alpha_off=3.0)


@pytest.mark.parametrize(
    ("true", "wave", "start", "free"),
    [
        (
            VT.replaced(r_on=60.0, r_off=900.0, k_off=0.08, v_off=0.28),
            triangle(1.0, 50e6, 1.5, 40),
            VT,
            ("r_on", "r_off", "k_off", "v_off"),
        ),
        (Yakopcic(a_p=3000.0, a_1=0.2), sine(0.45, 100.0, 1, 60), Yakopcic(), ("a_p", "a_1")),
    ],
    ids=["VTEAM", "Yakopcic"],
)
def test_each_model(true, wave, start, free) -> None:
    made = fit(measured(true, wave, 0.01), Loop(model=start, free=free))
    assert type(made.device) is type(true)
    for name in free:
        assert abs(made[name].value - getattr(true, name)) < 4.5 * made[name].error
        assert made[name].error < 0.2 * abs(made[name].value)
        assert getattr(made.device, name) == made[name].value
    assert made.card.r_squared > 0.99
    assert made.card.noise == pytest.approx(0.01 * np.abs(made.points["measured"]).max(), rel=0.5)


def test_the_first_state_can_be_free() -> None:
    state = torch.tensor(0.35, dtype=torch.float64)
    table = measured(DRIFT, WAVE, 0.005, state=state, method=Exact())
    made = fit(table, Loop(model=DRIFT, free=("start",), start=0.6, method=Exact()))
    assert abs(made["start"].value - 0.35) < 4 * made["start"].error < 0.1
    assert made.device == DRIFT


def test_a_table_without_time() -> None:
    table = measured(DRIFT, WAVE, 0.005)
    wanted = fit(table, Loop(model=START, free=("r_off",)))
    del table["time_s"]
    other = fit(table, Loop(model=START, free=("r_off",), sample_time=float(WAVE.time[1])))
    assert other["r_off"].value == pytest.approx(wanted["r_off"].value, rel=1e-6)
    with pytest.raises(ValueError, match="no column 'time_s'; how far a cell switches"):
        fit(table, Loop(model=START, free=("r_off",)))


def test_parameters_that_no_loop_tells_apart() -> None:
    """Without reaching an end, only r_on times mobility shows."""
    table = measured(DRIFT, sine(1.0, 5.0, 1, 60), 0.01, method=Exact())
    with pytest.raises(ValueError, match="cannot tell r_on and mobility apart"):
        fit(table, Loop(model=START, free=("r_on", "mobility"), method=Exact()))
    never = LinearIonDrift(v_set=2.0, v_reset=2.0)
    table = measured(never, WAVE, 0.01, method=Exact())
    with pytest.raises(ValueError, match="does not depend on mobility"):
        fit(table, Loop(model=never, free=("r_off", "mobility"), method=Exact()))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"time_s": [0.0, 1.0, 1.0]}, "line 3: the time does not rise"),
        ({"current_A": [0.0, 0.0, 0.0]}, "the current is 0 in every row"),
        ({"current_A": [0.0, 2.0, 0.0]}, "a current above 1 A; name the column current_mA"),
        ({"error_A": [1.0, 0.0, 1.0]}, "line 2: the error of a current is positive"),
        ({"voltage_V": [0.0, "on", 0.0]}, "line 2, column 'voltage_V': 'on' is not a finite number"),
        ({}, "3 points for 3 parameters .r_off, mobility, x_init.: at least 4"),
    ],
)
def test_bad_input(change, sentence) -> None:
    table = {"time_s": [0.0, 1.0, 2.0], "voltage_V": [0.0, 1.0, 0.0], "current_A": [0.0, 1e-4, 0.0], **change}
    with pytest.raises(ValueError, match=sentence):
        fit(table, Loop(model=START, free=("r_off", "mobility", "x_init")))


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"free": ()}, "name at least one parameter"),
        ({"free": ("r_on", "r_on")}, "each once"),
        ({"free": ("r_onn",)}, "did you mean 'r_on'"),
        ({"free": ("window",)}, "has no 'window'"),
        ({"free": ("start",)}, "give the value to begin with"),
        ({"free": ("v_set",)}, "'v_set', which starts at 0"),
    ],
)
def test_bad_settings(how, sentence) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Loop(model=START, **how)


RECTIFIES = Schottky(
    a_1=1.5e-3, a_2=2e-3, b=1.2, v_p=0.6, v_n=0.7, a_p=0.12, a_n=0.2, x_init=0.05, chi=2e-4, gamma=1.9
)
SLOW = triangle(1.5, 1 / 60, 1, 120)


def test_a_rectifying_cell_needs_a_rectifying_law() -> None:
    """The off branch of a Schottky contact leaves a trend on Yakopcic's law, none on its own."""
    table = measured(RECTIFIES, SLOW, 0.01)
    free = ("a_1", "a_2", "b", "a_p", "a_n")
    given = {"a_1": 1e-3, "a_2": 1e-3, "b": 1.0, "a_p": 0.1, "a_n": 0.1}
    known = {"v_p": 0.6, "v_n": 0.7, "x_init": 0.05}
    without = fit(table, Loop(model=Yakopcic(**given, **known), free=free))
    assert without.card.correlation > 0.6 and any("leaves a trend" in note for note in without.card.notes)
    start = Schottky(**given, **known, chi=1e-4, gamma=1.5)
    made = fit(table, Loop(model=start, free=(*free, "chi", "gamma")))
    assert abs(made.card.correlation) < 2 / np.sqrt(121) and made.card.r_squared > 0.999
    for name in (*free, "chi", "gamma"):
        assert abs(made[name].value - getattr(RECTIFIES, name)) < 4 * made[name].error


def test_several_starts_find_what_one_misses() -> None:
    """A start whose threshold the sweep never reaches has no slope to go down; others around it have."""
    true = Yakopcic(a_1=2e-3, a_2=3e-3, b=1.2, v_p=0.6, v_n=0.7, a_p=0.12, a_n=0.2, x_init=0.05)
    table = measured(true, SLOW, 0.005)
    how = Loop(model=replace(true, v_p=1.7, a_p=0.3), free=("a_1", "v_p", "a_p"), starts=1)
    with pytest.raises(ValueError, match="does not depend on v_p, a_p"):
        fit(table, how)
    made = fit(table, replace(how, starts=6))
    assert made["v_p"].value == pytest.approx(0.6, abs=0.05)
    assert 1 - made.card.r_squared < 2e-4


def test_starts_are_the_same_each_time() -> None:
    table = measured(RECTIFIES, SLOW, 0.01)
    loop = Loop(model=replace(RECTIFIES, chi=0.0, b=1.0), free=("a_1", "a_2", "b"), starts=3)
    assert fit(table, loop).card.correlation > 0.5  # so that others are tried
    assert fit(table, loop).device == fit(table, loop).device
