"""Cheap models: their published numbers, their order, and that they tell the truth about their error."""

from __future__ import annotations

import pytest
import torch

from mho.array import Approximate, Ideal, Wires, approximation_error, column_drop
from mho.errors import ConfigError


def test_closed_form_of_512_rows() -> None:
    """All weights and inputs one: the relative error of aihwkit's formula."""
    one = torch.ones(512, 1, dtype=torch.float64)
    y = column_drop(one, one[:, 0])
    assert 1 - y.item() / 512 == pytest.approx(0.1278873454, rel=1e-9)
    assert column_drop(one, one[:, 0], scale=0.0).item() == 512


def test_closed_form_of_four_rows() -> None:
    w = torch.tensor([[0.5], [-0.25], [1.0], [-0.75]], dtype=torch.float64)
    x = torch.tensor([1.0, 0.5, -0.5, 0.25], dtype=torch.float64)
    assert (x @ w).item() == -0.3125
    assert column_drop(w, x).item() == pytest.approx(-0.3124972186, abs=1e-10)
    batch = column_drop(w.expand(4, 3), x.expand(2, 5, 4))
    assert batch.shape == (2, 5, 3) and torch.allclose(batch, column_drop(w, x))


def test_first_order_is_of_first_order(conductances) -> None:
    """Half the resistance, a quarter of the error."""
    g = conductances(16, 24)

    def worst(ohm: float) -> float:
        ends = {"row": ohm, "column": 2 * ohm, "driver": 3 * ohm, "sense": ohm}
        return approximation_error(Approximate(**ends), Wires(**ends), g).worst

    errors = [worst(ohm) for ohm in (0.4, 0.2, 0.1)]
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.03)


def test_first_order_slope_is_exact_for_uniform_inputs(conductances) -> None:
    g = conductances(9, 7)
    ohm = torch.tensor(0.0, dtype=torch.float64)
    exact = torch.func.jacrev(lambda r: _solve(g, r).sum(0))(ohm)
    a, b = Approximate(row=1.0, column=1.0).drops(g)
    torch.testing.assert_close(exact, -(g * (a + b)).sum(0), rtol=1e-9, atol=0)


def _solve(g: torch.Tensor, ohm: torch.Tensor) -> torch.Tensor:
    from mho.array import effective_conductance

    return effective_conductance(g, ohm, ohm)


def test_fit_helps_on_other_tiles(conductances) -> None:
    train = torch.stack([conductances(48, 48, seed) for seed in range(2)])
    other = torch.stack([conductances(48, 48, seed) for seed in range(10, 14)])
    exact, plain = Wires(row=3.0, column=3.0), Approximate(row=3.0, column=3.0)
    fitted = plain.fitted(train)
    before, after = approximation_error(plain, exact, other), approximation_error(fitted, exact, other)
    assert after.worst < 0.5 * before.worst and after.rms < 0.7 * before.rms
    assert before.output < before.ideal / 5  # and both are far better than nothing


def test_error_report_is_the_error(conductances) -> None:
    g, exact = torch.stack([conductances(12, 12, seed) for seed in range(3)]), Wires(row=20.0, column=20.0)
    report = approximation_error(Ideal(), exact, g)
    g_eff = exact.effective_conductance(g)
    assert report.tiles == 3
    assert report.worst == pytest.approx(((g - g_eff).amax((1, 2)) / g_eff.amax((1, 2))).max().item())
    assert report.output == report.ideal > 0.02
    perfect = approximation_error(exact, exact, g)
    assert perfect.worst == perfect.rms == perfect.output == 0
    sampled = approximation_error(Ideal(), exact, g.repeat(10, 1, 1), tiles=4, seed=3)
    assert sampled.tiles == 4 and sampled == approximation_error(
        Ideal(), exact, g.repeat(10, 1, 1), tiles=4, seed=3
    )


def test_gradient_and_bad_input(conductances) -> None:
    g = conductances(5, 4).mul_(1e5).requires_grad_()
    array = Approximate(row=1e3, column=1e3, coefficients=(1.0, 0.9, 0.1, 0.2, 0.3))
    assert torch.autograd.gradcheck(lambda g: array.effective_conductance(g * 1e-5) * 1e5, g)
    with pytest.raises(ConfigError, match="row"):
        Approximate(row=-1.0, column=1.0)
    with pytest.raises(ConfigError, match="coefficients"):
        Approximate(row=1.0, column=1.0, coefficients=(1.0,))
