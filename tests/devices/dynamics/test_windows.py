"""Window functions against their formulas, computed by hand."""

from __future__ import annotations

import math

import pytest
import torch

from mho.devices.dynamics import Biolek, Joglekar, Kvatinsky, Prodromakis, Rectangular, Window

UP, DOWN = torch.tensor(1.0), torch.tensor(-1.0)


@pytest.mark.parametrize(
    "window, x, direction, expected",
    [
        (Rectangular(), 0.25, UP, 1.0),
        (Joglekar(), 0.25, UP, 0.75),
        (Joglekar(), 0.0, DOWN, 0.0),
        (Joglekar(), 0.5, UP, 1.0),
        (Joglekar(p=3), 0.25, UP, 1 - 0.5**6),
        (Biolek(), 0.25, UP, 0.9375),
        (Biolek(), 0.25, DOWN, 0.4375),
        (Biolek(), 1.0, UP, 0.0),
        (Biolek(), 1.0, DOWN, 1.0),
        (Prodromakis(), 0.25, UP, 0.1875),
        (Prodromakis(p=2.0), 0.5, UP, 0.4375),
        (Prodromakis(p=5.0, j=2.0), 1.0, UP, 0.0),
        (Kvatinsky(a_rise=0.9, w_c=0.05), 0.9, UP, math.exp(-1)),
        (Kvatinsky(a_fall=0.2, w_c=0.05), 0.1, DOWN, math.exp(-math.exp(2))),
    ],
)
def test_value(window: Window, x: float, direction: torch.Tensor, expected: float) -> None:
    value = window(torch.tensor(x, dtype=torch.float64), direction.double())
    assert float(value) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "window", [Rectangular(), Joglekar(p=2), Biolek(), Prodromakis(p=3.0), Kvatinsky(w_c=1e-3)]
)
def test_between_zero_and_one_with_finite_gradients(window: Window) -> None:
    x = torch.linspace(0, 1, 101, requires_grad=True)
    for direction in (UP, DOWN):
        value = window(x, direction).expand(101)
        assert float(value.detach().min()) >= 0
        assert float(value.detach().max()) <= 1
        if value.requires_grad:
            assert bool(torch.isfinite(torch.autograd.grad(value.sum(), x)[0]).all())
