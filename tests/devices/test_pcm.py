"""Phase-change memory against its tables and the closed-form distributions."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from mho.config import from_json, to_json
from mho.devices import PCM, ConstantNu, HermesPCM, HermesPCMSingle, JoshiNu, TableNu

GOLDEN = json.loads((Path(__file__).parents[1] / "reference/data/physics/golden.json").read_text())
N = 40_000
P_MIN = 1e-4  # a correct sampler fails a Kolmogorov-Smirnov test this rarely; seeds are fixed


def one(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


def draws(seed: int, n: int = N) -> torch.Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def microsiemens(device, r: float) -> float:
    return float(device.program_std(one(r * device.g_max))) * 1e6


# ---- published figures ----------------------------------------------------------------------------


@pytest.mark.parametrize("r", [1e-7, 0.01, 0.1, 0.5, 1.0])
def test_program_std_nu_and_read_fraction(r: float) -> None:
    expected = GOLDEN["pcm_g1.0" if r == 1 else f"pcm_g{r:g}"]["value"]
    device, g = PCM(), one(r * 25e-6)
    mean, std = JoshiNu().moments(g, 25e-6)
    assert microsiemens(device, r) == pytest.approx(expected["sigma_prog_uS"], rel=1e-9)
    assert float(mean) == pytest.approx(expected["mu_nu"], rel=1e-9)
    assert float(std) == pytest.approx(expected["sig_nu"], rel=1e-9)
    assert float(device.read_fraction(g)) == pytest.approx(expected["Q"], rel=1e-9)


def test_program_std_in_plain_numbers() -> None:
    assert [microsiemens(PCM(), r) for r in (0.1, 0.5, 1.0)] == pytest.approx(
        [0.448249, 0.952705, 1.05538], abs=5e-7
    )


def test_program_std_scales_with_g_max() -> None:
    assert microsiemens(PCM(g_max=10e-6), 0.5) == pytest.approx(0.952705 * 10 / 25, rel=1e-9)


@pytest.mark.parametrize(
    "seconds, key", [(0, "0"), (1, "1"), (3600, "3600"), (86400, "86400"), (3.1536e7, "3.1536e+07")]
)
def test_drift_and_read_noise_over_time(seconds: float, key: str) -> None:
    expected = GOLDEN[f"pcm_t{key}"]["value"]
    device = PCM()
    for r, name in ((1.0, "drift_mean_g1"), (0.1, "drift_mean_g01")):
        g = one(r * 25e-6)
        factor = device.aged(g, device.drift_state(g, one(0.0)), seconds) / g
        assert float(factor) == pytest.approx(expected[name], rel=1e-9)
    noise = device.read_std(one(25e-6), one(25e-6), seconds) / 25e-6 / 0.0088
    assert float(noise) == pytest.approx(expected["read_log_factor"], rel=1e-9)


def test_one_day_at_g_max() -> None:
    device, g = PCM(), one(25e-6)
    now = device.aged(g, device.drift_state(g, one(0.0)), 86_400)
    assert float(now / g) == pytest.approx(0.6635236, abs=1e-7)
    assert float(device.read_std(g, now, 86_400) / now) == pytest.approx(0.0447639, abs=1e-7)


def test_read_noise_uses_the_programmed_state_and_the_present_conductance() -> None:
    device, g = PCM(), one(5e-6)
    half = device.read_std(g, g / 2, 3600)
    assert float(half) == pytest.approx(float(device.read_std(g, g, 3600)) / 2, rel=1e-12)
    assert float(half) != pytest.approx(float(device.read_std(g / 2, g / 2, 3600)), rel=1e-2)


@pytest.mark.parametrize("device, name", [(HermesPCM(), "n2"), (HermesPCMSingle(), "n1")])
def test_hermes_program_std(device: HermesPCM | HermesPCMSingle, name: str) -> None:
    expected = GOLDEN["hermes_sigma"]["value"]
    for r, key in ((0.0, "g0"), (0.5, "g0.5"), (1.0, "g1.0")):
        assert microsiemens(device, r) == pytest.approx(expected[f"{name}_{key}"], rel=1e-9)


def test_hermes_curves_by_hand() -> None:
    # At r = 0.05 the logarithms, at r = 0.5 the polynomials.
    ln = math.log(0.05)
    two, single = HermesPCM(), HermesPCMSingle()
    nu_low, nu_high = -0.0387 * ln - 0.0182, -0.0436 * 0.25 - 0.0126 * 0.5 + 0.0736
    for device, low, high in (
        (two, (-0.0117 * ln - 0.0057, -0.0117 * ln - 0.0069), (0.009, 0.0123 + 0.01055 - 0.007 + 0.0008625)),
        (
            single,
            (-0.012 * ln - 0.0023, -0.0078 * ln + 0.0038),
            (0.012075, 0.0088 + 0.0384 - 0.0338 + 0.0083),
        ),
    ):
        for r, nu, (spread, fraction) in ((0.05, nu_low, low), (0.5, nu_high, high)):
            g = one(r * device.g_max)
            assert float(device.exponents(g, one(0.0))) == pytest.approx(nu, rel=1e-9)
            assert float(device.exponents(g, one(1.0))) == pytest.approx(nu + spread, rel=1e-9)
            assert float(device.read_fraction(g)) == pytest.approx(fraction, rel=1e-9)


def test_hermes_at_zero_is_at_the_clips() -> None:
    for device in (HermesPCM(), HermesPCMSingle()):
        zero = one(0.0)
        assert float(device.read_fraction(zero)) == pytest.approx(0.04)
        assert float(device.exponents(zero, zero)) == pytest.approx(0.13)


# ---- distributions --------------------------------------------------------------------------------


@pytest.mark.parametrize("r, std", [(1.0, 1.05538e-6), (0.1, 0.448249e-6)])
def test_programmed_is_normal(r: float, std: float) -> None:
    g = PCM().programmed(torch.full((N,), r * 25e-6, dtype=torch.float64), draws(1))
    assert stats.kstest(g.numpy(), stats.norm(r * 25e-6, std).cdf).pvalue > P_MIN


def test_programmed_to_zero_is_half_normal_and_half_cut() -> None:
    g = PCM().programmed(torch.zeros(N, dtype=torch.float64), draws(2)).numpy()
    cut = int((g == 0).sum())
    assert stats.binomtest(cut, N, 0.5).pvalue > P_MIN
    assert stats.kstest(g[g > 0], stats.halfnorm(scale=0.26348e-6).cdf).pvalue > P_MIN
    assert g.mean() == pytest.approx(0.26348e-6 / math.sqrt(2 * math.pi), rel=0.03)


@pytest.mark.parametrize(
    "r, mean, std", [(0.1, 0.0600901, 0.0228823), (0.0, 0.1, 0.045), (1.0, 0.049, 0.008)]
)
def test_exponents_are_folded_normal(r: float, mean: float, std: float) -> None:
    nu = PCM().drift_state(torch.full((N,), r * 25e-6, dtype=torch.float64), draws(3))[0].numpy()
    assert stats.kstest(nu, stats.foldnorm(mean / std, scale=std).cdf).pvalue > P_MIN


def test_aged_distribution() -> None:
    g = torch.full((N,), 2.5e-6, dtype=torch.float64)
    device, seconds = PCM(), 86_400.0
    now = device.aged(g, device.drift_state(g, draws(4)), seconds).numpy()
    nu = stats.foldnorm(0.0600901 / 0.0228823, scale=0.0228823)
    law = lambda x: nu.sf(np.log(2.5e-6 / x) / math.log((seconds + 20) / 20))  # noqa: E731
    assert stats.kstest(now, law).pvalue > P_MIN


def test_read_is_a_clipped_normal() -> None:
    # g = 0.01 g_max: Q = 0.1755831, a quarter of the reads would be far below zero after a year.
    g = torch.full((N,), 0.25e-6, dtype=torch.float64)
    std = PCM().read_std(g, g, 3.1536e7)
    read = (g + std * draws(5)).clamp_min(0).numpy()
    law = stats.norm(0.25e-6, 0.25e-6 * 0.17558308371726142 * 5.636958282717241)
    assert stats.binomtest(int((read == 0).sum()), N, law.cdf(0)).pvalue > P_MIN
    above = lambda x: (law.cdf(x) - law.cdf(0)) / law.sf(0)  # noqa: E731
    assert stats.kstest(read[read > 0], above).pvalue > P_MIN


# ---- behaviour ------------------------------------------------------------------------------------


def test_times_in_any_order_and_from_the_programmed_state() -> None:
    device, g = PCM(), one(10e-6)
    cells = device.drift_state(g, one(0.3))
    late = device.aged(g, cells, 1e6)
    device.aged(g, cells, 10.0)
    assert torch.equal(device.aged(g, cells, 1e6), late)
    assert float(device.aged(g, cells, 10.0)) > float(late)


def test_the_law_of_the_exponent_is_exchangeable() -> None:
    g = one(10e-6)
    device = PCM(nu=ConstantNu(mean=0.05))
    assert float(device.drift_state(g, one(3.0))) == 0.05
    assert from_json(to_json(device)) == device


def test_the_table_is_interpolated_and_constant_outside() -> None:
    law = TableNu(g=(1e-6, 10e-6, 25e-6), mean=(0.08, 0.05, 0.04), std=(0.02, 0.01, 0.005))
    g = torch.tensor([0.0, 1e-6, 5.5e-6, 10e-6, 17.5e-6, 25e-6, 50e-6], dtype=torch.float64)
    mean, std = law.moments(g, 25e-6)
    assert mean.tolist() == pytest.approx(np.interp(g, law.g, law.mean).tolist())
    assert std.tolist() == pytest.approx(np.interp(g, law.g, law.std).tolist())
    assert float(law.moments(one(5.5e-6), 25e-6)[0]) == pytest.approx(0.065)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: TableNu(g=(0.0,), mean=(0.1,), std=(0.0,)), "at least two"),
        (lambda: TableNu(g=(0.0, 0.0), mean=(0.1, 0.1), std=(0.0, 0.0)), "increasing"),
        (lambda: TableNu(g=(0.0, 1e-6), mean=(0.1,), std=(0.0, 0.0)), "mean has 1"),
        (lambda: PCM(t0=1e-7), "t_read"),
        (lambda: PCM(g_min=30e-6), "g_min"),
        (lambda: PCM(nu=0.06), "nu"),
    ],
)
def test_bad_descriptions_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_bad_times_are_refused(seconds: float) -> None:
    g = one(1e-6)
    with pytest.raises(ValueError, match="seconds = "):
        PCM().aged(g, PCM().drift_state(g, g), seconds)


def test_gradients_are_finite_at_zero() -> None:
    g = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    for device in (PCM(), HermesPCM()):
        said = device.programmed(g, g + 1) + device.drift_state(g, g + 1)[0] + device.read_std(g, g, 1.0)
        (gradient,) = torch.autograd.grad(said.sum(), g)
        assert bool(gradient.isfinite().all())
