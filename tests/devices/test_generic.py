"""The laws of a conductance error and the device made of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from mho.config import config, from_json, to_json
from mho.devices import (
    ConstantNu,
    Error,
    Generic,
    Independent,
    Inverse,
    LogNormal,
    Polynomial,
    Proportional,
    Table,
    Uniform,
)
from mho.testing import check_device

N = 40_000
P_MIN = 1e-4
G_MAX = 20e-6


def draws(seed: int = 1) -> Tensor:
    return torch.randn(N, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sample(error: Error, g: float, scale: float = 1.0) -> np.ndarray:
    return error.perturbed(torch.full((N,), g, dtype=torch.float64), draws(), G_MAX, scale).numpy()


LAWS = {  # a law, and its standard deviation at 5 uS by hand
    "independent": (Independent(sigma=0.05), 1e-6),
    "proportional": (Proportional(sigma=0.1), 0.5e-6),
    "inverse": (Inverse(sigma=0.01), 0.8e-6),
    "polynomial": (Polynomial(coefficients=(0.01, 0.08, 0.16)), 0.8e-6),
    "table": (Table(g=(0.0, 10e-6), sigma=(0.2e-6, 0.6e-6)), 0.4e-6),
}


@pytest.mark.parametrize("name", LAWS)
def test_normal_laws(name: str) -> None:
    error, std = LAWS[name]
    assert float(error.std(torch.tensor([5e-6], dtype=torch.float64), G_MAX)) == pytest.approx(std, rel=1e-9)
    assert stats.kstest(sample(error, 5e-6), stats.norm(5e-6, std).cdf).pvalue > P_MIN
    assert stats.kstest(sample(error, 5e-6, 2.0), stats.norm(5e-6, 2 * std).cdf).pvalue > P_MIN


@pytest.mark.parametrize("name", LAWS)
def test_any_law_may_be_the_width_of_a_uniform_one(name: str) -> None:
    law, width = LAWS[name]
    error = Uniform(width=law)
    std = float(error.std(torch.tensor([5e-6], dtype=torch.float64), G_MAX))
    assert std == pytest.approx(width / math.sqrt(12), rel=1e-9)
    flat = stats.uniform(5e-6 - width / 2, width)
    assert stats.kstest(sample(error, 5e-6), flat.cdf).pvalue > P_MIN


def test_log_normal_keeps_the_mean() -> None:
    error = LogNormal(sigma=0.3)
    law = stats.lognorm(0.3, scale=5e-6 * math.exp(-0.045))
    assert law.mean() == pytest.approx(5e-6)
    assert stats.kstest(sample(error, 5e-6), law.cdf).pvalue > P_MIN
    assert float(error.std(torch.tensor([5e-6], dtype=torch.float64), G_MAX)) == pytest.approx(law.std())


@pytest.mark.parametrize("error", [*(law for law, _ in LAWS.values()), LogNormal(sigma=0.3)])
def test_scale_zero_is_no_error(error: Error) -> None:
    g = torch.tensor([0.0, 1e-12, 5e-6, G_MAX])
    extreme = torch.tensor([8.0, -8.0, 8.0, -8.0])
    assert torch.equal(error.perturbed(g, extreme, G_MAX, 0.0), g)


def test_edges_of_the_laws() -> None:
    zero = torch.zeros(1)
    assert float(Inverse(sigma=0.01).std(zero, G_MAX)) == 0.0
    assert bool(Inverse(sigma=0.01).std(torch.tensor([1e-30]), G_MAX).isfinite().all())
    assert float(Proportional(sigma=0.1).std(zero, G_MAX)) == 0.0
    assert float(Polynomial(coefficients=(-1.0,)).std(zero, G_MAX)) == 0.0
    table = Table(g=(1e-6, 2e-6), sigma=(1e-7, 3e-7))
    assert table.std(torch.tensor([0.0, 1.5e-6, 9e-6]), G_MAX).tolist() == pytest.approx([1e-7, 2e-7, 3e-7])


def test_programmed_is_cut_at_zero_or_at_the_bounds() -> None:
    error = Independent(sigma=0.2)
    target = torch.full((N,), 2e-6, dtype=torch.float64)
    free = Generic(g_min=1e-6, g_max=G_MAX, program=error).programmed(target, draws())
    kept = Generic(g_min=1e-6, g_max=G_MAX, program=error, clip=True).programmed(target, draws())
    law = stats.norm(2e-6, 4e-6)
    assert stats.binomtest(int((free == 0).sum()), N, law.cdf(0)).pvalue > P_MIN
    assert stats.binomtest(int((kept == 1e-6).sum()), N, law.cdf(1e-6)).pvalue > P_MIN
    assert torch.equal(kept, free.clamp(1e-6, G_MAX))


def test_drift_is_a_power_law_from_t0() -> None:
    device = Generic(nu=ConstantNu(mean=0.1), t0=2.0, clip=True, g_min=8e-6)
    g = torch.tensor([10e-6, 20e-6], dtype=torch.float64)
    cells = device.drift_state(g, torch.zeros_like(g))
    assert device.aged(g, cells, 2.0).tolist() == pytest.approx([10e-6 * 2**-0.1, 20e-6 * 2**-0.1], rel=1e-9)
    assert device.aged(g, cells, 1998.0).tolist() == pytest.approx([8e-6, 20e-6 * 1000**-0.1], rel=1e-9)


def test_read_noise_follows_the_present_conductance() -> None:
    device = Generic(read=Proportional(sigma=0.02), read_scale=3.0)
    g = torch.tensor([10e-6], dtype=torch.float64)
    assert float(device.read_std(g, g / 2, 1.0)) == pytest.approx(0.3e-6, rel=1e-9)


@config
class Stepped(Error):
    """A law of a user's own."""

    low: float = 1e-7
    high: float = 2e-7

    def std(self, g: Tensor, g_max: float) -> Tensor:
        return torch.where(g < 0.5 * g_max, torch.full_like(g, self.low), torch.full_like(g, self.high))


def test_a_law_of_ones_own() -> None:
    device = Generic(program=Stepped(), read=Uniform(width=Stepped(low=0.0)))
    check_device(device)
    assert from_json(to_json(device)) == device


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Table(g=(0.0, 1e-6), sigma=(1e-7,)), "sigma has 1 values and g 2"),
        (lambda: Table(g=(1e-6, 0.0), sigma=(1e-7, 1e-7)), "increasing"),
        (lambda: Polynomial(coefficients=()), "at least one"),
        (lambda: Independent(sigma=-0.1), "sigma"),
        (lambda: LogNormal(sigma=50.0), "sigma"),
        (lambda: Generic(program=0.05), "program"),
        (lambda: Uniform(width=0.1), "width"),
    ],
)
def test_bad_laws_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
