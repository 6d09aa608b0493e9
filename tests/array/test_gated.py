"""Arrays with separate source lines, against the nodal truth of their ladders."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mho.array import GatedWires, Polynomial

from . import nodal


def ladder(plus: np.ndarray, minus: np.ndarray | None, v: np.ndarray, w: GatedWires) -> np.ndarray:
    """Currents of one input vector: each cell has its own source of ``v`` in series if it is on."""
    rows, columns = plus.shape
    out = np.zeros(columns)
    for i in range(columns):
        net = nodal.Network()
        net.hold("ground", np.zeros(1))
        for sign, g in ((1, plus), (-1, minus)):
            if g is None:
                continue
            volts = float(np.max(v))
            net.hold(("supply", sign), np.array([sign * volts]))
            for j in range(rows):
                before = ("s", sign, j - 1) if j else ("supply", sign)
                net.add(before, ("s", sign, j), w.source + (w.driver if j == 0 else 0.0))
                if v[j] != 0:
                    net.add(("s", sign, j), ("b", j), 1 / g[j, i])
        for j in range(rows):
            net.add(
                ("b", j), ("b", j + 1) if j + 1 < rows else "ground", w.column + (j + 1 == rows) * w.sense
            )
        out[i] = net.current_into("ground", net.solve())[0]
    return out


@pytest.mark.parametrize("ends", [{}, {"driver": 50.0, "sense": 20.0}])
def test_against_nodal(ends: dict[str, float], conductances) -> None:
    g, w = conductances(7, 3), GatedWires(source=30.0, column=40.0, **ends)
    on = torch.tensor([[1, 0, 1, 1, 0, 0, 1], [0, 0, 0, 0, 0, 0, 1], [1] * 7], dtype=torch.float64)
    found = w.currents(g, on * 0.2)
    for k in range(3):
        np.testing.assert_allclose(found[k], ladder(g.numpy(), None, on[k].numpy() * 0.2, w), rtol=1e-9)
    assert not w.currents(g, torch.zeros(1, 7, dtype=torch.float64)).any()


def test_pairs_against_nodal(conductances) -> None:
    plus, minus, w = conductances(6, 3, 1), conductances(6, 3, 2), GatedWires(source=30.0, column=40.0)
    v = torch.tensor([[0.2, 0.0, 0.2, 0.2, 0.0, 0.2]], dtype=torch.float64)
    found = w.difference(plus, minus, v)[0]
    np.testing.assert_allclose(
        found, ladder(plus.numpy(), minus.numpy(), v[0].numpy(), w), rtol=1e-9, atol=1e-16
    )


def test_no_resistance_is_a_product(conductances) -> None:
    g, v = conductances(6, 3), (torch.rand(4, 6, dtype=torch.float64) > 0.5).double() * 0.2
    torch.testing.assert_close(GatedWires(source=0.0, column=0.0).currents(g, v), v @ g)


def test_gradcheck_and_nonlinear_cells(conductances) -> None:
    g = conductances(4, 2).mul_(1e5).requires_grad_()
    v = torch.tensor([[0.2, 0.0, 0.2, 0.2], [0.0, 0.0, 0.0, 0.2]], dtype=torch.float64)
    w, law = GatedWires(source=2e3, column=3e3), Polynomial(coefficients=(0.0, 2.0))
    assert torch.autograd.gradcheck(lambda g: w.currents(g * 1e-5, v) * 1e5, g)
    assert torch.autograd.gradcheck(lambda g: w.currents(g * 1e-5, v, law) * 1e5, g)
    assert (w.currents(g.detach() * 1e-5, v, law) > w.currents(g.detach() * 1e-5, v))[0].all()


def test_bad_input(conductances) -> None:
    w = GatedWires(source=1.0, column=1.0)
    with pytest.raises(ValueError, match=r"v has shape \(4,\): give \[vector, 4\]"):
        w.currents(conductances(4, 2), torch.ones(4))
    with pytest.raises(ValueError, match="g = nan S at row 0, column 1"):
        w.currents(torch.tensor([[1.0, float("nan")]]), torch.ones(1, 1))
