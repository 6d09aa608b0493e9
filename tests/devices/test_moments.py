"""The moments of a clipped normal against quadrature."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import integrate, stats

from mho.devices import rectified_moments


def quadrature(mean: float, std: float) -> tuple[float, float]:
    """Mean and standard deviation of max(mean + std xi, 0) in units of std, integrated about z."""
    z = mean / std
    low = max(-z, -12.0)
    density = stats.norm.pdf

    def moment(f) -> float:
        return integrate.quad(f, low, 12.0, epsabs=1e-14, epsrel=1e-12, limit=400)[0]

    # deviations from z itself keep the digits when z is large
    shift = moment(lambda x: x * density(x)) + (-z) * stats.norm.cdf(-z)
    square = moment(lambda x: x * x * density(x)) + z * z * stats.norm.cdf(-z)
    return std * (z + shift), std * math.sqrt(square - shift**2)


@pytest.mark.parametrize("z", [0.0, 1e-3, 0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 30.0, 1e3, 1e6])
@pytest.mark.parametrize("unit", [1.0, 1e-7])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 2e-6), (torch.float64, 1e-10)])
def test_agrees_with_quadrature(z: float, unit: float, dtype: torch.dtype, tolerance: float) -> None:
    mean, std = rectified_moments(torch.tensor(z * unit, dtype=dtype), torch.tensor(unit, dtype=dtype))
    expected = quadrature(z * unit, unit)
    assert mean.dtype == std.dtype == dtype
    assert float(mean) == pytest.approx(expected[0], rel=tolerance)
    assert float(std) == pytest.approx(expected[1], rel=tolerance)


@pytest.mark.parametrize("z", [-0.5, -2.0, -5.0])
def test_negative_means_are_right_too(z: float) -> None:
    mean, std = rectified_moments(
        torch.tensor(z, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)
    )
    expected = quadrature(z, 1.0)
    assert float(mean) == pytest.approx(expected[0], rel=1e-9)
    assert float(std) == pytest.approx(expected[1], rel=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_noise_is_the_rectifier(dtype: torch.dtype) -> None:
    mean = torch.tensor([-1.0, -1e-6, 0.0, 1e-9, 25e-6, 3.0], dtype=dtype)
    moments = rectified_moments(mean, torch.zeros_like(mean))
    assert torch.equal(moments[0], mean.clamp_min(0))
    assert not moments[1].any()


def test_far_below_zero_nothing_is_left() -> None:
    mean, std = rectified_moments(torch.tensor([-1e3, -1e30]), torch.tensor([1.0, 1e-30]))
    assert torch.equal(mean, torch.zeros(2))
    assert bool((std < 1e-15).all())


def test_gradients_are_those_of_the_closed_form() -> None:
    mean = torch.tensor([0.0, 0.3, 1.0, 4.0], dtype=torch.float64, requires_grad=True)
    std = torch.tensor([1.0, 0.2, 1.5, 1.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rectified_moments, (mean, std))
    by_mean, by_std = torch.autograd.grad(rectified_moments(mean, std)[0].sum(), (mean, std))
    z = (mean / std).detach().numpy()
    torch.testing.assert_close(by_mean, torch.from_numpy(stats.norm.cdf(z)))
    torch.testing.assert_close(by_std, torch.from_numpy(stats.norm.pdf(z)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_at_the_edges(dtype: torch.dtype) -> None:
    edges = torch.tensor([0.0, 1e-30, 1e-7, 25e-6, 1.0, 1e6], dtype=dtype)
    mean, std = (x.flatten().requires_grad_() for x in torch.meshgrid(edges, edges, indexing="ij"))
    for moment in (0, 1):
        for gradient in torch.autograd.grad(rectified_moments(mean, std)[moment].sum(), (mean, std)):
            assert bool(gradient.isfinite().all())


def test_empty() -> None:
    mean, std = rectified_moments(torch.empty(0, 3), torch.empty(0, 3))
    assert mean.shape == std.shape == (0, 3)
