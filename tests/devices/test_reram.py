"""Resistive memories against their tables and distributions."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from scipy import stats

from mho.devices import ReRAMCMO, ReRAMMilo2021, ReRAMWan2022

GOLDEN = json.loads((Path(__file__).parents[1] / "reference/data/physics/golden.json").read_text())
N = 40_000
P_MIN = 1e-4
DAY = 86_400.0


def one(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


def draws(seed: int) -> torch.Tensor:
    return torch.randn(N, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ---- Wan 2022 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [1, 86_400, 172_800])
@pytest.mark.parametrize("r", ["0", "0.25", "0.5", "0.75", "1.0"])
@pytest.mark.parametrize("g_max", [40e-6, 25e-6])
def test_wan_quartic(seconds: int, r: str, g_max: float) -> None:
    expected = GOLDEN["wan_aihwkit"]["value"][f"t{seconds}_g{r}"] * 1e-6 * g_max / 40e-6
    device = ReRAMWan2022(g_min=0.0, g_max=g_max)
    assert float(device.std(one(float(r) * g_max), seconds)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("g", ["0", "10", "20", "30", "39.26"])
def test_wan_cubic(g: str) -> None:
    expected = GOLDEN["wan_crosssim"]["value"][f"{g}uS"] * 1e-6
    device = ReRAMWan2022(g_min=0.0, g_max=39.26e-6, fit="cubic")
    assert float(device.std(one(float(g) * 1e-6))) == pytest.approx(expected, rel=1e-9)
    twice = ReRAMWan2022(g_min=0.0, g_max=78.52e-6, fit="cubic")
    assert float(twice.std(one(2e-6 * float(g)))) == pytest.approx(2 * expected, rel=1e-9)


def test_wan_is_linear_in_the_logarithm_of_time() -> None:
    device, g = ReRAMWan2022(), one(20e-6)
    middle = device.std(g, math.sqrt(DAY))
    assert float(middle) == pytest.approx(0.5 * (2.0229375e-6 + 3.909e-6), rel=1e-9)
    late = device.std(g, DAY * math.sqrt(2))
    assert float(late) == pytest.approx(0.5 * (3.909e-6 + 3.929125e-6), rel=1e-9)
    before, after = device.std(g, DAY * (1 - 1e-9)), device.std(g, DAY * (1 + 1e-9))
    assert float(before) == pytest.approx(float(after), rel=1e-7)


@pytest.mark.parametrize("g, seconds", [(20e-6, 1.0), (20e-6, 3_600.0), (20e-6, DAY), (10e-6, 2 * DAY)])
def test_wan_spread_around_the_target_is_the_published_one(g: float, seconds: float) -> None:
    device, target = ReRAMWan2022(), torch.full((N,), g, dtype=torch.float64)
    programmed = device.programmed(target, draws(1))
    now = device.aged(programmed, device.drift_state(target, draws(2)), seconds)
    law = stats.norm(g, float(device.std(one(g), seconds)))
    assert law.cdf(0) < 0.01  # the normal law; clipping is the next test
    above = now[now > 0].numpy()
    assert stats.kstest(above, lambda x: (law.cdf(x) - law.cdf(0)) / law.sf(0)).pvalue > P_MIN


@pytest.mark.parametrize("g", [0.0, 0.5e-6, 1e-6, 2e-6])
@pytest.mark.parametrize("seconds", [3_600.0, DAY, 2 * DAY])
def test_wan_near_zero_the_moments_stay_the_published_ones(g: float, seconds: float) -> None:
    device, target = ReRAMWan2022(g_min=0.0), torch.full((N,), g, dtype=torch.float64)
    programmed = device.programmed(target, draws(3))
    now = device.aged(programmed, device.drift_state(target, draws(4)), seconds)
    law = (g + device.std(one(g), seconds) * draws(5)).clamp_min(0)
    assert float(now.mean()) == pytest.approx(float(law.mean()), rel=0.05)
    assert float(now.std()) == pytest.approx(float(law.std()), rel=0.05)


def test_wan_is_one_trajectory() -> None:
    device, target = ReRAMWan2022(), torch.full((1000,), 20e-6, dtype=torch.float64)
    programmed = device.programmed(target, draws(6)[:1000])
    cells = device.drift_state(target, draws(7)[:1000])
    assert torch.equal(device.aged(programmed, cells, 1.0), programmed)
    soon = device.aged(programmed, cells, 1.001)
    assert float((soon - programmed).std()) < 0.06e-6
    hour, day = device.aged(programmed, cells, 3_600.0), device.aged(programmed, cells, DAY)
    assert float(torch.corrcoef(torch.stack((hour, day)))[0, 1]) > 0.9


@pytest.mark.parametrize(
    "device, wrong",
    [(ReRAMWan2022(), (0.5, 3 * DAY)), (ReRAMWan2022(fit="cubic"), (0.5, 2.0, DAY))],
    ids=["quartic", "cubic"],
)
def test_wan_knows_only_what_was_measured(device: ReRAMWan2022, wrong: tuple[float, ...]) -> None:
    g = one(10e-6)
    for seconds in wrong:
        with pytest.raises(ValueError, match="ReRAMWan2022 is known from 1 s"):
            device.aged(g, device.drift_state(g, g), seconds)


def test_wan_has_two_fits() -> None:
    with pytest.raises(ValueError, match="fit = 'linear'"):
        ReRAMWan2022(fit="linear")  # type: ignore[arg-type]


# ---- Milo 2021 ------------------------------------------------------------------------------------


@pytest.mark.parametrize("g", ["50", "137.5", "225"])
def test_milo_std(g: str) -> None:
    target = one(float(g) * 1e-6)
    error = ReRAMMilo2021().programmed(target, torch.ones_like(target)) - target
    assert float(error) == pytest.approx(GOLDEN["milo"]["value"][f"{g}uS"] * 1e-6, rel=1e-8)


def test_milo_programmed_is_normal() -> None:
    g = ReRAMMilo2021().programmed(torch.full((N,), 225e-6, dtype=torch.float64), draws(8))
    assert stats.kstest(g.numpy(), stats.norm(225e-6, 2.73325e-6).cdf).pvalue > P_MIN


@pytest.mark.parametrize("bounds", [{"g_min": 10e-6}, {"g_max": 300e-6}])
def test_milo_bounds_stay_in_the_measured_range(bounds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"was measured from 5e-05 S to 0\.000225 S"):
        ReRAMMilo2021(**bounds)


# ---- CMO ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("acceptance, key", [("0.2%", "sigma02_g50"), ("2%", "sigma2_g50")])
def test_cmo_programming(acceptance: str, key: str) -> None:
    device = ReRAMCMO(acceptance=acceptance)  # type: ignore[arg-type]
    target = one(50e-6)
    error = device.programmed(target, torch.ones_like(target)) - target
    assert float(error) == pytest.approx(GOLDEN["cmo"]["value"][key] * 1e-6, rel=1e-8)


@pytest.mark.parametrize("seconds, key", [(3_600.0, "1h"), (31_536_000.0, "1y")])
def test_cmo_relaxation_is_normal_and_the_same_at_all_conductances(seconds: float, key: str) -> None:
    expected = GOLDEN["cmo"]["value"]
    law = stats.norm(expected[f"decay_mean_{key}"] * 1e-6, expected[f"decay_std_{key}"] * 1e-6)
    device = ReRAMCMO()
    for value in (30e-6, 60e-6):
        g = torch.full((N,), value, dtype=torch.float64)
        change = device.aged(g, device.drift_state(g, draws(9)), seconds) - g
        assert stats.kstest(change.numpy(), law.cdf).pvalue > P_MIN


def test_cmo_read_noise() -> None:
    expected = GOLDEN["cmo"]["value"]["sigma_read_1h_g50"] * 1e-6
    g = one(50e-6)
    assert float(ReRAMCMO().read_std(g, g, 3_600.0)) == pytest.approx(expected, rel=1e-9)
    assert float(ReRAMCMO().read_std(g, g, 0.0)) == float(ReRAMCMO().read_std(g, g, 1.0))


def test_cmo_stays_in_its_bounds() -> None:
    device = ReRAMCMO()
    for value in (9e-6, 88.2e-6):
        target = torch.full((N,), value, dtype=torch.float64)
        g = device.programmed(target, draws(10))
        now = device.aged(g, device.drift_state(target, draws(11)), 31_536_000.0)
        for x in (g, now):
            assert float(x.min()) >= 9e-6
            assert float(x.max()) <= 88.2e-6
        assert stats.binomtest(int((g == value).sum()), N, 0.5).pvalue > P_MIN


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"g_min": 1e-6}, "was measured"),
        ({"g_max": 100e-6}, "was measured"),
        ({"acceptance": "1%"}, "acceptance"),
    ],
)
def test_cmo_refuses(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReRAMCMO(**fields)  # type: ignore[arg-type]


def test_cmo_starts_at_one_second() -> None:
    g = one(50e-6)
    with pytest.raises(ValueError, match="from 1 s"):
        ReRAMCMO().aged(g, ReRAMCMO().drift_state(g, g), 0.5)
