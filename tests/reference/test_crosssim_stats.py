"""Errors of devices and of ADCs in whole products, against samples of CrossSim 3.2.0, through ``Hardware``.

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
from mho import converters, devices, mapping
from mho.nn import AnalogLinear

DATA = Path(__file__).parent / "data/crosssim"
CASES = json.loads((DATA / "stats_16.json").read_text())
ARRAYS = np.load(DATA / "stats_16.npz")
W, X = torch.tensor(ARRAYS["W"]).double(), torch.tensor(ARRAYS["X"]).double()
CHIPS = 4_000
US = 1e-6
DAY = 86_400.0

# A time after programming switches programming errors off there, a fault; and a call that fails.
LEFT_OUT = {"prog_PCMJoshi_but_time1", "drift_PCMJoshi_t1"}
COVERED = [name for name in CASES if name not in LEFT_OUT]

LAWS = {
    "NormalIndependentDevice": lambda m: devices.Independent(sigma=m),
    "NormalProportionalDevice": lambda m: devices.Proportional(sigma=m),
    "NormalInverseProportionalDevice": lambda m: devices.Inverse(sigma=m),
    "UniformIndependentDevice": lambda m: devices.Uniform(width=devices.Independent(sigma=m)),
    "UniformProportionalDevice": lambda m: devices.Uniform(width=devices.Proportional(sigma=m)),
    "UniformInverseProportionalDevice": lambda m: devices.Uniform(width=devices.Inverse(sigma=m)),
    # V. Joshi et al. 2020, figure 3b, quadratic fit in microsiemens of 25
    "PCMJoshi": lambda _: devices.Polynomial(coefficients=(0.28638599 / 25, 0.07585724, -0.00178767 * 25)),
}


def device(p: dict[str, Any]) -> devices.Device:
    """The cell of a case; one mechanism is on, the others are off."""
    programs = any(p.get(f"xbar.device.{kind}_error.enable") for kind in ("programming", "drift"))
    scales = {"program_scale": float(programs), "read_scale": float(not programs)}
    g_min, g_max = 1 / p["xbar.device.Rmax"], 1 / p["xbar.device.Rmin"]
    kinds = ("programming_error", "drift_error", "read_noise")
    kind = next(k for k in kinds if p.get(f"xbar.device.{k}.enable"))
    model = p[f"xbar.device.{kind}.model"]
    if model == "SONOS":
        return devices.SONOS(g_min=0.0, g_max=g_max, **scales, drift_scale=float(kind == "drift_error"))
    if model == "RRAMMilo":
        return devices.ReRAMMilo2021(g_min=g_min, g_max=g_max, **scales, drift_scale=0.0)
    if model == "RRAMWan":
        return devices.ReRAMWan2022(g_min=g_min, g_max=g_max, **scales, drift_scale=0.0, fit="cubic")
    law = LAWS[model](p.get(f"xbar.device.{kind}.magnitude"))
    which = {"read": law} if kind == "read_noise" else {"program": law}
    clip = p.get("xbar.device.clip_conductance", False)
    return devices.Generic(g_min=g_min, g_max=g_max, clip=clip, **which, **scales)


def chips(name: str, count: int) -> tuple[AnalogLinear, Tensor]:
    """A layer that holds the matrix ``count`` times, programmed and aged, and the vectors."""
    p = CASES[name]["params"]
    kinds = {None: mapping.DifferentialPair(), 3: mapping.Offset(), 2: mapping.BitSlicing(bits=8, slices=4)}
    described = mho.Hardware(
        device=device(p), mapping=kinds[p.get("core.style")], tile=mho.Tile(rows=16, columns=16)
    )
    assert mho.Hardware.from_json(described.to_json()) == described
    return layer(described, W, count, p.get("xbar.device.time", 0) * DAY), X.T


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


def circuit(p: dict[str, Any]) -> converters.Circuit:
    """The ADC of a case: a chip of 16 columns with ADCs for one or eight of them."""
    given = {k.rpartition(".")[2]: v for k, v in p.items() if k.startswith("xbar.adc.mvm.")}
    low, high = given["calibrated_range"]
    assert low == -high and given.get("group_size", 8) == 8
    shared = {
        "bits": given["bits"],
        "gain_db": float(given["gain_db"]),
        "comparator": given["sigma_comparator"],
        "range": converters.Fixed(limit=high),
    }
    model = given["model"]
    if model in ("PipelineADC", "CyclicADC"):
        assert given["sigma_C1"] == given["sigma_C2"]
        kind = converters.Pipeline if model == "PipelineADC" else converters.Cyclic
        return kind(capacitor=given["sigma_C1"], parasitic=given["sigma_Cpar"], **shared)
    if model == "SarADC":
        return converters.SAR(split=given["split_cdac"], capacitor=given["sigma_capacitor"], **shared)
    assert model == "RampADC"
    return converters.Ramp(symmetric=given["symmetric_cdac"], capacitor=given["sigma_capacitor"], **shared)


def rank(name: str, adc: converters.Circuit, count: int) -> float:
    """Share of chips whose products are nearer to those without mismatch than the golden ones are."""
    p = ONE_DRAW[name]["params"]
    assert p["xbar.dac.mvm.model"] == "SignMagnitudeDAC"
    dac = mho.DAC(bits=p["xbar.dac.mvm.bits"], range=converters.Fixed(limit=1.0))
    described = mho.Hardware(
        device=devices.Ideal(g_min=1e-4, g_max=1e-3), dac=dac, adc=adc, tile=mho.Tile(rows=16, columns=16)
    )
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


@pytest.mark.parametrize("name", ONE_DRAW)
def test_an_adc_with_errors_is_one_of_ours(name: str) -> None:
    """Its error is neither larger nor smaller than those of the middle 99.8 % of chips: five cases, 99 %."""
    assert 0.001 < rank(name, circuit(ONE_DRAW[name]["params"]), 2_000) < 0.999


@pytest.mark.parametrize("name", ONE_DRAW)
def test_an_adc_with_other_errors_is_none_of_ours(name: str) -> None:
    """Without mismatch, the golden error is always the larger one; with eight times as much, a small one."""
    adc = circuit(ONE_DRAW[name]["params"])
    spreads = {k: getattr(adc, k) for k in ("capacitor", "comparator", "parasitic") if hasattr(adc, k)}
    assert rank(name, replace(adc, **dict.fromkeys(spreads, 0.0)), 20) == 1.0
    assert rank(name, replace(adc, **{k: 8 * s for k, s in spreads.items()}), 500) < 0.05
