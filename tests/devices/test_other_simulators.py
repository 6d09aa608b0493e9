"""Moments of whole lives against those that aihwkit and CrossSim measured on their own samples.

Both sides are samples: a difference is judged in units of its standard error, from the fourth moment
and the numbers of samples of both. The seeds are fixed, so a passing test stays passing.
"""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mho import devices
from mho.devices import Device

DATA = Path(__file__).parents[1] / "reference/data"
AIHWKIT = json.loads((DATA / "aihwkit/golden_noise.json").read_text())
N_AIHWKIT = AIHWKIT["n"]
N = 40_000
SIGMAS = 5.0
YEAR = 3.1536e7


def draws(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_moments(sample: Tensor, mean: np.ndarray, std: np.ndarray, n: int, unit: float) -> None:
    """``sample[draw, ...]`` has the mean and the standard deviation that ``n`` other draws had."""
    x = sample.numpy() / unit
    centre, spread = x.mean(0), x.std(0, ddof=1)
    fourth = ((x - centre) ** 4).mean(0)
    share = math.sqrt(1 / n + 1 / len(x))
    # the floors: float32 sums of the other side
    error_mean = spread * share + 1e-6 * np.abs(centre) + 1e-9
    error_std = np.sqrt(np.maximum(fourth - spread**4, 0)) / (2 * np.maximum(spread, 1e-12)) * share + 1e-6
    np.testing.assert_array_less(np.abs(centre - mean) / error_mean, SIGMAS)
    np.testing.assert_array_less(np.abs(spread - std) / error_std, SIGMAS)


def rows_of(model: str, low: float = -1.0, high: float = 1e9) -> tuple[Tensor, dict[str, np.ndarray]]:
    rows = [row for row in AIHWKIT["models"][model]["rows"] if low <= row["g_target"] <= high]
    columns = {key: np.array([row[key] for row in rows]) for key in rows[0] if not key.endswith("err")}
    return torch.tensor(columns["g_target"] * 1e-6), columns


TABLE = devices.TableNu(g=(0.0, 10e-6, 25e-6), mean=(0.08, 0.05, 0.04), std=(0.02, 0.01, 0.005))
CASES: dict[str, tuple[Device, str, tuple[float, float]]] = {
    "pcm": (devices.PCM(), "pcm_gmax25", (-1, 1e9)),
    "pcm 10 uS": (devices.PCM(g_max=10e-6), "pcm_gmax10", (-1, 1e9)),
    "pcm with a table": (devices.PCM(nu=TABLE), "custom_drift", (-1, 1e9)),
    "hermes": (devices.HermesPCM(), "hermes_2dev", (-1, 1e9)),
    "hermes single": (devices.HermesPCMSingle(), "hermes_1dev", (-1, 1e9)),
    # aihwkit clips to the bounds only after the read noise: compare where clipping is rare
    "cmo 0.2%": (devices.ReRAMCMO(), "reram_cmo_default", (17, 80)),
    "cmo 2%": (devices.ReRAMCMO(acceptance="2%"), "reram_cmo_acc2", (17, 80)),
}


@pytest.mark.parametrize("name", CASES)
def test_aihwkit_life(name: str) -> None:
    device, model, span = CASES[name]
    target, columns = rows_of(model, *span)
    assert len(target) >= 15
    target = target.expand(N, -1)
    g = device.programmed(target, draws(target.shape, 1))
    cells = device.drift_state(target, draws(target.shape, 2))
    assert_moments(g, columns["prog_mean"], columns["prog_std"], N_AIHWKIT, 1e-6)
    if "nu_mean" in columns:
        assert_moments(cells[0], columns["nu_mean"], columns["nu_std"], N_AIHWKIT, 1.0)
    for i, seconds in enumerate((1.0, 3_600.0, 86_400.0, YEAR)):
        now = device.aged(g, cells, seconds)
        read = (now + device.read_std(g, now, seconds) * draws(target.shape, 3 + i)).clamp_min(0)
        key = f"t{seconds:g}" if seconds == YEAR else f"t{seconds:.0f}"
        assert_moments(read, columns[f"{key}_mean"], columns[f"{key}_std"], N_AIHWKIT, 1e-6)


@pytest.mark.parametrize("name", ["pcm", "pcm 10 uS", "hermes", "hermes single"])
def test_aihwkit_read_noise_alone(name: str) -> None:
    device, model, span = CASES[name]
    target, columns = rows_of(model, *span)
    for seconds, key in ((1.0, "t1"), (3_600.0, "t3600"), (86_400.0, "t86400"), (YEAR, "t3.1536e+07")):
        read = target + device.read_std(target, target, seconds) * draws((N, len(target)), 9)
        measured = columns[f"{key}_read_std"]
        clipped = read.clamp_min(0)
        mean = clipped.mean(0).numpy() * 1e6  # the mean was not written down
        assert_moments(clipped, mean, measured, N_AIHWKIT, 1e-6)


def test_aihwkit_constant_exponent() -> None:
    """Programming and mean drift of its state-independent model (read noise there is another one)."""
    target, columns = rows_of("state_independent", low=5)
    device = devices.Generic(
        program=devices.Independent(sigma=0.2 / 25), nu=devices.ConstantNu(mean=0.1, std=0.05), t0=20.0
    )
    target = target.expand(N, -1)
    g = device.programmed(target, draws(target.shape, 1))
    cells = device.drift_state(target, draws(target.shape, 2))
    assert_moments(g, columns["prog_mean"], columns["prog_std"], N_AIHWKIT, 1e-6)
    assert_moments(cells[0], columns["nu_mean"], columns["nu_std"], N_AIHWKIT, 1.0)


def test_aihwkit_wan() -> None:
    """At g_max = 40 uS, the reference: there the missing scale of that model is 1."""
    target, columns = rows_of("reram_wan2022_gmax40")
    device = devices.ReRAMWan2022(g_min=0.0)
    target = target.expand(N, -1)
    g = device.programmed(target, draws(target.shape, 1))
    cells = device.drift_state(target, draws(target.shape, 2))
    assert_moments(g, columns["prog_mean"], columns["prog_std"], N_AIHWKIT, 1e-6)
    for seconds in (1, 86_400, 172_800):
        now = device.aged(g, cells, float(seconds))
        mean, std = columns[f"t{seconds}_mean"], columns[f"t{seconds}_std"]
        assert_moments(now[:, 1:], mean[1:], std[1:], N_AIHWKIT, 1e-6)
        assert float(now[:, 0].mean()) * 1e6 == pytest.approx(mean[0], rel=0.05)
        assert float(now[:, 0].std()) * 1e6 == pytest.approx(std[0], rel=0.05)


# ---- CrossSim: mean and standard deviation of each weight of a 16 x 16 differential array ------------

CROSSSIM = np.load(DATA / "crosssim/stats_16.npz")
CROSSSIM_CASES = json.loads((DATA / "crosssim/stats_16.json").read_text())
N_ARRAYS = 4_000
US = 1e-6


def generic(program: devices.Error, **fields: Any) -> Device:
    return devices.Generic(g_min=1 * US, g_max=100 * US, program=program, **fields)


NORMAL, FLAT = {"sigma": 0.05}, devices.Uniform
PAIRS: dict[str, tuple[Device, float]] = {
    "prog_NormalIndependentDevice": (generic(devices.Independent(**NORMAL)), 0),
    "prog_NormalProportionalDevice": (generic(devices.Proportional(**NORMAL)), 0),
    "prog_NormalInverseProportionalDevice": (generic(devices.Inverse(sigma=1e-3)), 0),
    "prog_UniformIndependentDevice": (generic(FLAT(width=devices.Independent(**NORMAL))), 0),
    "prog_UniformProportionalDevice": (generic(FLAT(width=devices.Proportional(**NORMAL))), 0),
    "prog_UniformInverseProportionalDevice": (generic(FLAT(width=devices.Inverse(sigma=1e-3))), 0),
    "prog_NormalIndependent_clipG": (generic(devices.Independent(**NORMAL), clip=True), 0),
    # V. Joshi et al. 2020, figure 3b, quadratic fit in microsiemens
    "prog_PCMJoshi": (
        devices.Generic(
            g_min=0.25 * US,
            g_max=25 * US,
            program=devices.Polynomial(coefficients=(0.28638599 / 25, 0.07585724, -0.00178767 * 25)),
        ),
        0,
    ),
    "prog_RRAMMilo": (devices.ReRAMMilo2021(), 0),
    "prog_RRAMWan": (
        devices.ReRAMWan2022(g_min=39.26 * US / 39, g_max=39.26 * US, fit="cubic"),
        0,
    ),
    "prog_SONOS": (devices.SONOS(g_min=0.0), 0),
    "drift_SONOS_t1d": (devices.SONOS(g_min=0.0), 1),
    "drift_SONOS_t2.5d": (devices.SONOS(g_min=0.0), 2.5),
    "drift_SONOS_t5d": (devices.SONOS(g_min=0.0), 5),
}


@pytest.mark.parametrize("case", PAIRS)
def test_crosssim_weights(case: str) -> None:
    device, days = PAIRS[case]
    weight = torch.from_numpy(CROSSSIM["W"]).double()
    unit = (device.g_max - device.g_min) / float(weight.abs().max())
    pair = torch.stack((weight, -weight)).clamp_min(0) * unit + device.g_min
    target = pair.expand(N_ARRAYS, *pair.shape)
    g = device.programmed(target, draws(target.shape, 1))
    now = device.aged(g, device.drift_state(target, draws(target.shape, 2)), days * 86_400.0)
    got = (now[:, 0] - now[:, 1]) / unit
    n = CROSSSIM_CASES[case]["N"]
    assert_moments(got, CROSSSIM[f"Wmean:{case}"], CROSSSIM[f"Wstd:{case}"], n, 1.0)


def test_a_wrong_device_is_seen() -> None:
    """The comparison has teeth: 4 % too much programming noise fails it."""
    device = dataclasses.replace(devices.PCM(), program_scale=1.04)
    target, columns = rows_of("pcm_gmax25")
    g = device.programmed(target.expand(N, -1), draws((N, len(target)), 1))
    with pytest.raises(AssertionError):
        assert_moments(g, columns["prog_mean"], columns["prog_std"], N_AIHWKIT, 1e-6)
