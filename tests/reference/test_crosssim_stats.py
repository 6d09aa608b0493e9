"""Errors of devices and of ADCs in whole products, against samples of CrossSim 3.2.0, in its own words.

A golden case is 1,000 programmings, or 1,000 reads, of one 16 x 16 matrix: mean and standard deviation of
each weight and of each product with 8 vectors. Here one wide layer holds as many chips beside another. Both
sides are samples: the bound holds for all comparisons of this file together with a probability of 99 %.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

import mho
from mho import converters
from mho.compat.crosssim import CrossSimParameters, hardware
from mho.nn import AnalogLinear

DATA = Path(__file__).parent / "data/crosssim"
CASES = json.loads((DATA / "stats_16.json").read_text())
ARRAYS = np.load(DATA / "stats_16.npz")
W, X = torch.tensor(ARRAYS["W"]).double(), torch.tensor(ARRAYS["X"]).double()
CHIPS = 2_000
DAY = 86_400.0

# A time after programming switches programming errors off there, a fault; and a call that fails.
LEFT_OUT = {"prog_PCMJoshi_but_time1", "drift_PCMJoshi_t1"}
COVERED = [name for name in CASES if name not in LEFT_OUT]


def description(params: dict[str, Any]) -> tuple[mho.Hardware, float]:
    """The chip of a case, in arrays of 16 x 16, and its age in seconds; through CrossSim's own names."""
    given = CrossSimParameters()
    given.update(params)
    described = replace(hardware(given, inputs=16), tile=mho.Tile(rows=16, columns=16))
    assert mho.Hardware.from_json(described.to_json()) == described
    return described, given.xbar.device.time * DAY


def chips(name: str, count: int) -> tuple[AnalogLinear, Tensor]:
    """A layer that holds the matrix ``count`` times, programmed and aged, and the vectors."""
    described, seconds = description(CASES[name]["params"])
    return layer(described, W, count, seconds), X.T


def layer(
    described: mho.Hardware, weight: Tensor, count: int, seconds: float = 0.0, seed: int = 0
) -> AnalogLinear:
    rows, columns = weight.shape[1], weight.shape[0]
    made = AnalogLinear(rows, columns * count, bias=False, dtype=torch.float64, hardware=described)
    with torch.no_grad():
        made.weight.copy_(weight.repeat(count, 1))
    mho.program(made.eval(), seed=seed)
    mho.age(made, seconds)
    return made


def deviations(sample: np.ndarray, mean: np.ndarray, std: np.ndarray, n: int) -> np.ndarray:
    """How far two samples are apart, in standard errors: of their means and of their spreads."""
    centre, spread = sample.mean(0), sample.std(0, ddof=1)
    fourth = ((sample - centre) ** 4).mean(0)
    share = np.sqrt(1 / n + 1 / len(sample))
    # the floors: the other side is float32
    floor = 2e-6 * np.abs(mean).max()
    of_mean = spread * share + floor
    of_std = np.sqrt(np.maximum(fourth - spread**4, 0)) / (2 * np.maximum(spread, floor)) * share + floor
    return np.stack([(centre - mean) / of_mean, (spread - std) / of_std])


COMPARED = len(COVERED) * 2 * (W.numel() + W.shape[0] * X.shape[1])
BOUND = stats.norm.isf(0.01 / COMPARED / 2)  # of each, so that all hold together with 99 %


def test_every_case_is_covered_or_left_out_for_a_reason() -> None:
    assert len(CASES) == 23 and len(COVERED) == 21 and set(CASES) >= LEFT_OUT
    assert "error" in CASES["drift_PCMJoshi_t1"]
    nothing = ARRAYS["Wstd:prog_PCMJoshi_but_time1"].max()
    assert nothing < 1e-3 * ARRAYS["Wstd:prog_PCMJoshi"].min(), "no errors at all: the fault"
    assert pytest.approx(5.0, abs=0.1) == BOUND


def differences(name: str, made: AnalogLinear, x: Tensor) -> np.ndarray:
    """Of all weights and products of a case."""
    n = CASES[name]["N"]
    with torch.no_grad():
        w = made.effective_weight().view(-1, *W.shape).numpy()
        y = made(x).view(len(x), -1, len(W)).permute(1, 2, 0).numpy()
    parts = [(w, "W"), (y, "y")]
    return np.concatenate(
        [deviations(s, ARRAYS[f"{k}mean:{name}"], ARRAYS[f"{k}std:{name}"], n).ravel() for s, k in parts]
    )


@pytest.mark.parametrize("name", COVERED)
def test_means_and_spreads(name: str) -> None:
    far = np.abs(differences(name, *chips(name, CHIPS)))
    assert far.max() < BOUND, f"{(far > BOUND).sum()} of {far.size} beyond {BOUND:.2f}"


@pytest.mark.parametrize("name", ["prog_RRAMWan", "drift_SONOS_t5d", "read_SONOS"])
def test_a_device_that_is_wrong_by_a_tenth_is_seen(name: str) -> None:
    made, x = chips(name, CHIPS)
    scale = {"program_scale": 1.1} if name.startswith("prog") else {"drift_scale": 0.9}
    scale = {"read_scale": 1.1} if name.startswith("read") else scale
    described = replace(made.hardware, device=replace(made.hardware.device, **scale))
    wrong = layer(described, W, CHIPS, CASES[name]["params"].get("xbar.device.time", 0) * DAY)
    assert np.abs(differences(name, wrong, x)).max() > BOUND


# --- ADCs with errors: one draw of each circuit ----------------------------------------------------

ONE_DRAW = {n: c for n, c in json.loads((DATA / "det_16.json").read_text()).items() if n.startswith("seed7")}
DRAWN = np.load(DATA / "det_16.npz")


def circuit(name: str) -> converters.Circuit:
    """The ADC of a case: a chip of 16 columns with ADCs for one or eight of them."""
    adc = description(ONE_DRAW[name]["params"])[0].adc
    assert isinstance(adc, converters.Circuit)
    return adc


def rank(name: str, adc: converters.Circuit, count: int) -> float:
    """Share of chips whose products are nearer to those without mismatch than the golden ones are."""
    described = replace(description(ONE_DRAW[name]["params"])[0], adc=adc)
    weight, x = torch.tensor(DRAWN["W"]).double(), torch.tensor(DRAWN["X"].T).double()
    exact = (weight @ x.T).numpy()
    error = []
    for seed in range(count // 20):  # the tables of thousands of converters do not fit memory
        made = layer(described, weight, 20, seed=seed)
        with torch.no_grad():
            got = made(x).view(len(x), 20, 16).permute(1, 2, 0).numpy()
        error.append(np.sqrt(((got - exact) ** 2).mean((1, 2))))
    golden = np.sqrt(((DRAWN[f"y:{name}"] - exact) ** 2).mean())
    return float((np.concatenate(error) < golden).mean())


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ONE_DRAW)
def test_an_adc_with_errors_is_one_of_ours(name: str) -> None:
    """Its error is neither larger nor smaller than those of the middle 99.8 % of chips: five cases, 99 %."""
    assert 0.001 < rank(name, circuit(name), 2_000) < 0.999


@pytest.mark.parametrize("name", ONE_DRAW)
def test_an_adc_with_other_errors_is_none_of_ours(name: str) -> None:
    """Without mismatch, the golden error is always the larger one; with eight times as much, a small one.

    Of 60 chips, at most two are nearer then: a share of 10 % passes once in twenty times.
    """
    adc = circuit(name)
    spreads = {k: getattr(adc, k) for k in ("capacitor", "comparator", "parasitic") if hasattr(adc, k)}
    assert rank(name, replace(adc, **dict.fromkeys(spreads, 0.0)), 20) == 1.0
    assert rank(name, replace(adc, **{k: 8 * s for k, s in spreads.items()}), 60) < 0.05
