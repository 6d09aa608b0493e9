"""Laws of cells and Newton's method, against closed forms and Kirchhoff's laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mho.array import NotSolvedError, Ohmic, Polynomial, Series, Sinh, Table, Wires, solve_nonlinear
from mho.array.nonlinear import slope
from mho.devices.dynamics import LinearIonDrift
from mho.errors import ConfigError

from . import nodal

INF = math.inf
OPEN = (INF, 0.0, INF, 2.0, 1.0)
LAWS = {
    "ohmic": Ohmic(),
    "sinh": Sinh(v_c=0.1),
    "polynomial": Polynomial(coefficients=(0.3, 0.5)),
    "table": Table(v=(0.0, 0.1, 0.2, 0.4), h=(0.0, 0.1, 0.22, 0.6)),
    "selector": Series(cell=Sinh(v_c=0.3), selector=Sinh(v_c=0.03), selector_g=2e-5),
}
WIRES = {
    "plain": Wires(row=2.0, column=3.0),
    "stress": Wires(row=500.0, column=500.0, driver=100.0),
    "no resistance": Wires(row=0.0, column=0.0),
    "both ends": Wires(row=20.0, column=30.0, driver=1.0, sense=2.0, far_driver=0.0, far_sense=5.0),
    "floating": Wires(row=20.0, column=30.0, driver=(INF, 1.0, INF, 0.0, 1.0, INF), sense=OPEN),
    "broken": Wires(row=(5.0, INF, 5.0, 5.0, 5.0, 5.0), column=(3.0, 3.0, 3.0, INF, 3.0)),
}  # fmt: skip


# --- laws ------------------------------------------------------------------------------------


def test_sinh_ratio() -> None:
    """i(V) / i(V/2) = 2 cosh(V / 2 v_c); a ratio of 10 needs V / v_c = 4.5849."""
    law, one = Sinh.from_ratio(10.0, 0.5), torch.tensor(1.0, dtype=torch.float64)
    assert 0.5 / law.v_c == pytest.approx(4.5849, abs=5e-5)
    assert (law.current(one / 2, one) / law.current(one / 4, one)).item() == pytest.approx(10.0, rel=1e-12)
    with pytest.raises(ValueError, match="above 2"):
        Sinh.from_ratio(2.0, 0.5)


def test_cubic() -> None:
    law = Polynomial(coefficients=(0.0, -0.25))
    v = torch.linspace(-1, 1, 9, dtype=torch.float64)
    torch.testing.assert_close(law.current(v, torch.tensor(2.0)), 2 * (v - v**3 / 4))


@pytest.mark.parametrize("law", LAWS)
def test_slopes_are_derivatives(law: str) -> None:
    v = (torch.linspace(-0.37, 0.41, 40, dtype=torch.float64)).requires_grad_()
    g = torch.full_like(v, 3e-5)
    (expected,) = torch.autograd.grad(LAWS[law].current(v, g).sum(), v)
    torch.testing.assert_close(slope(LAWS[law], v.detach(), g), expected, rtol=1e-9, atol=0)


def test_table_is_odd_and_goes_on() -> None:
    law = LAWS["table"]
    v, g = torch.tensor([0.0, 0.05, 0.3, 0.6], dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64)
    found = law.current(v, g)
    torch.testing.assert_close(found, 2 * torch.tensor([0.0, 0.05, 0.41, 0.98], dtype=torch.float64))
    torch.testing.assert_close(law.current(-v, g), -found)
    one_sided = Table(v=(-1.0, 0.0, 1.0), h=(-0.5, 0.0, 1.0))
    assert one_sided.current(torch.tensor(-0.5), torch.tensor(1.0)).item() == -0.25
    for bad in ({"v": (0.0, 0.0), "h": (0.0, 1.0)}, {"v": (0.0, 1.0, 2.0), "h": (0.0, 1.0)}):
        with pytest.raises(ConfigError, match="Table"):
            Table(**bad)
    with pytest.raises(ConfigError, match="falls"):
        Table(v=(0.0, 1.0), h=(0.0, -1.0))


def test_series_with_a_transistor() -> None:
    """25 uS behind 15 kohm reads as 18.18 uS."""
    law = Series(cell=Ohmic(), selector=Ohmic(), selector_g=1 / 15e3)
    v, g = torch.tensor([0.3, -0.2, 0.0], dtype=torch.float64), torch.tensor(25e-6, dtype=torch.float64)
    torch.testing.assert_close(law.current(v, g), v * g / (1 + g * 15e3))


def test_series_carries_one_current() -> None:
    law = LAWS["selector"]
    v = torch.tensor([-0.9, -0.2, 0.0, 1e-6, 0.05, 0.4, 1.2], dtype=torch.float64)
    g = torch.tensor(7e-5, dtype=torch.float64).expand_as(v)
    i = law.current(v, g)
    across_selector = 0.03 * torch.asinh(i / (2e-5 * 0.03))
    across_cell = 0.3 * torch.asinh(i / (7e-5 * 0.3))
    torch.testing.assert_close(across_selector + across_cell, v, rtol=1e-10, atol=1e-14)
    g = g.clone().requires_grad_()
    v = v.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda v, g: law.current(v, g * 1e-5) * 1e5, (v, g.detach().mul(1e5).requires_grad_())
    )


# --- arrays ----------------------------------------------------------------------------------


@pytest.mark.parametrize("wires", WIRES)
@pytest.mark.parametrize("law", LAWS)
def test_kirchhoff(wires: str, law: str, conductances) -> None:
    """Resistors in place of the solved cells, each of its chord i / u, give the same network."""
    g, v = conductances(6, 5), torch.rand(2, 6, dtype=torch.float64) * 0.6 - 0.2
    point = solve_nonlinear(LAWS[law], g, WIRES[wires], v)
    assert point.steps < 12 and point.residual.max() < 1e-10
    ends = WIRES[wires]
    row = tuple(0.0 if x == INF else x for x in ends.row) if isinstance(ends.row, tuple) else ends.row
    column = (
        tuple(0.0 if x == INF else x for x in ends.column) if isinstance(ends.column, tuple) else ends.column
    )
    for k in range(2):
        u = point.device[k]
        chord = torch.where(u.abs() > 1e-13, point.cell[k] / u, torch.zeros_like(u))
        expected = nodal.crossbar(
            chord.numpy(), v[k].numpy(), row, column, ends.driver, ends.sense, ends.far_driver, ends.far_sense
        )
        scale = np.abs(expected.current).max()
        assert np.abs(point.current[k].numpy() - expected.current[0]).max() < 1e-8 * scale
        live = (chord > 0).numpy()
        drop = (expected.word - expected.bit)[0]
        assert np.abs(np.where(live, drop - u.numpy(), 0)).max() < 1e-9


@pytest.mark.parametrize("wires", [w for w in WIRES if w != "broken"])
def test_ohmic_cells_are_the_linear_array(wires: str, conductances) -> None:
    g, v = conductances(6, 5), torch.rand(3, 6, dtype=torch.float64)
    point, exact = solve_nonlinear(Ohmic(), g, WIRES[wires], v), WIRES[wires].solve(g, v)
    torch.testing.assert_close(point.current, exact.current, rtol=1e-9, atol=1e-18)
    torch.testing.assert_close(point.device, exact.device, rtol=1e-9, atol=1e-12)


def test_batches_and_float32(conductances) -> None:
    g = torch.stack([conductances(6, 5, seed) for seed in range(3)])
    v = torch.rand(3, 2, 6, dtype=torch.float64)
    wires, law = Wires(row=20.0, column=30.0), Sinh(v_c=0.2)
    together = solve_nonlinear(law, g, wires, v)
    assert together.current.shape == (3, 2, 5) and together.residual.shape == (3, 2)
    for k in range(3):
        one = solve_nonlinear(law, g[k], wires, v[k, 1])
        torch.testing.assert_close(together.current[k, 1], one.current, rtol=1e-9, atol=0)
    single = solve_nonlinear(law, g.float(), wires, v.float())
    torch.testing.assert_close(single.current.double(), together.current, rtol=1e-5, atol=1e-9)


def test_sinh_needs_few_steps(conductances) -> None:
    """3 to 8 Newton steps from weak to strong wires, at a size where they matter."""
    g, v = conductances(64, 64), torch.rand(64, dtype=torch.float64) * 0.4
    for ohm in (0.5, 10.0, 500.0):
        point = solve_nonlinear(Sinh(v_c=0.1), g, Wires(row=ohm, column=ohm), v)
        assert point.steps <= 8 and float(point.residual) < 1e-11


@pytest.mark.parametrize("law", ["sinh", "polynomial", "selector"])
def test_gradcheck(law: str, conductances) -> None:
    g = conductances(4, 3).mul_(1e5).requires_grad_()
    v = torch.rand(2, 4, dtype=torch.float64).mul_(0.5).requires_grad_()
    wires = Wires(row=1e3, column=2e3, far_driver=500.0)

    def solve(g, v):
        return solve_nonlinear(LAWS[law], g * 1e-5, wires, v, tolerance=1e-14).current * 1e5

    assert torch.autograd.gradcheck(solve, (g, v), fast_mode=law == "selector")


def test_switching_model_as_a_law() -> None:
    """The state of a model of ``mho.devices.dynamics`` stands where the conductance does."""
    model = LinearIonDrift()
    x = torch.rand(5, 4, dtype=torch.float64) * 0.8 + 0.1
    v = torch.rand(3, 5, dtype=torch.float64) * 0.2
    point = solve_nonlinear(model, x, Wires(row=5.0, column=5.0), v)
    g = model.current(torch.ones_like(x), x)  # this model is ohmic at a frozen state
    torch.testing.assert_close(
        point.current, Wires(row=5.0, column=5.0).solve(g, v).current, rtol=1e-8, atol=0
    )


def test_unsolved_arrays_say_so(conductances) -> None:
    g, v = conductances(6, 5), torch.rand(6, dtype=torch.float64)
    with pytest.raises(NotSolvedError, match=r"wrong by up to .* V after 1 Newton steps \(wanted: .* V\)"):
        solve_nonlinear(Sinh(v_c=0.02), g, Wires(row=50.0, column=50.0), v, max_steps=1)
    falling = Polynomial(coefficients=(0.0, -40.0))
    with pytest.raises(NotSolvedError, match="the law rises"):
        solve_nonlinear(falling, g * 10, Wires(row=5000.0, column=5000.0), v)
    with pytest.raises(ValueError, match="no gradient"):
        solve_nonlinear(Ohmic(), g.requires_grad_(), WIRES["floating"], v)
    wires = Wires(row=1.0, column=1.0, driver=(0.0, INF, 0.0, 0.0, 0.0, 0.0), far_driver=1.0)
    with pytest.raises(ValueError, match="word line 1 is open at its near end"):
        solve_nonlinear(Ohmic(), g.detach(), wires, v)
