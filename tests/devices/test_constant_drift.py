"""One exponent: the power law and its published factors."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from mho.devices import ConstantDrift


def factor(device: ConstantDrift, seconds: float) -> float:
    g = torch.tensor([10e-6], dtype=torch.float64)
    return float(device.aged(g, device.drift_state(g, torch.zeros_like(g)), seconds) / g)


@pytest.mark.parametrize(
    "seconds, expected",
    [(1.0, 1.0), (3_600.0, 0.6118174364), (86_400.0, 0.5056024567), (31_536_000.0, 0.3548718933)],
)
def test_power_law(seconds: float, expected: float) -> None:
    assert factor(ConstantDrift(), seconds) == pytest.approx(expected, rel=1e-9)


def test_other_times_and_exponents() -> None:
    assert factor(ConstantDrift(nu=0.1, t0=1.0), 1e3) == pytest.approx(0.5011872336, rel=1e-9)
    assert factor(ConstantDrift(nu=0.1, t0=20.0), 20e3) == pytest.approx(0.5011872336, rel=1e-9)


def test_without_spread_one_gain_undoes_it() -> None:
    device = ConstantDrift()
    g = torch.linspace(0, 25e-6, 50)
    now = device.aged(g, device.drift_state(g, torch.randn(50)), 86_400)
    torch.testing.assert_close(now * now.sum().reciprocal() * g.sum(), g)


def test_spread_is_folded_normal() -> None:
    device = ConstantDrift(nu=0.1, nu_std=0.05)
    eps = torch.randn(40_000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    nu = device.drift_state(torch.full_like(eps, 1e-6), eps)[0].numpy()
    assert stats.kstest(nu, stats.foldnorm(2.0, scale=0.05).cdf).pvalue > 1e-4


def test_errors_are_polynomials_of_the_relative_conductance() -> None:
    device = ConstantDrift(g_max=50e-6, program=(0.01, 0.02), read=(0.0, 0.1, 0.1))
    g = torch.tensor([25e-6], dtype=torch.float64)
    programmed = device.programmed(g, torch.ones_like(g)) - g
    assert float(programmed) == pytest.approx(50e-6 * 0.02, rel=1e-9)
    assert float(device.read_std(g, g / 2, 10.0)) == pytest.approx(50e-6 * (0.025 + 0.00625), rel=1e-9)


def test_default_error_is_the_published_one() -> None:
    g = torch.tensor([12.5e-6], dtype=torch.float64)
    assert float(ConstantDrift().programmed(g, torch.ones_like(g)) - g) == pytest.approx(
        0.952705e-6, rel=1e-6
    )


def test_before_t0_nothing_is_known() -> None:
    with pytest.raises(ValueError, match="from 20 s"):
        factor(ConstantDrift(t0=20.0), 1.0)


def test_no_coefficients_is_refused() -> None:
    with pytest.raises(ValueError, match="read"):
        ConstantDrift(read=())
