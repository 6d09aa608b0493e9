"""Differential pairs in one array, against the nodal truth of the whole array."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mho.array import AlternateColumns, Ideal, SharedColumns, Wires

from . import nodal


def interleave(plus: torch.Tensor, minus: torch.Tensor, axis: int) -> np.ndarray:
    """plus, minus, plus, minus... along an axis."""
    both = torch.stack((plus, minus), dim=axis + 1).numpy()
    shape = list(plus.shape)
    shape[axis] *= 2
    return both.reshape(shape)


def test_alternate_columns(conductances) -> None:
    plus, minus = conductances(5, 3, 1), conductances(5, 3, 2)
    array = AlternateColumns(wires=Wires(row=20.0, column=(1.0, 2.0, 3.0), driver=4.0, sense=(5.0, 6.0, 7.0)))
    truth = nodal.effective(
        interleave(plus, minus, 1), 20.0, (1, 1, 2, 2, 3, 3), 4.0, (5, 5, 6, 6, 7, 7)
    )  # fmt: skip
    a, b = array.effective_pair(plus, minus)
    np.testing.assert_allclose(a.numpy(), truth[:, 0::2], rtol=1e-9)
    np.testing.assert_allclose(b.numpy(), truth[:, 1::2], rtol=1e-9)


@pytest.mark.parametrize("far", [None, 3.0])
def test_shared_columns(far: float | None, conductances) -> None:
    plus, minus = conductances(4, 3, 1), conductances(4, 3, 2)
    wires = Wires(
        row=(1.0, 2.0, 3.0, 4.0), column=(20.0, 30.0, 40.0), driver=5.0, far_driver=far, far_sense=far
    )
    between = np.zeros((8, 3))
    between[1::2] = (20.0, 30.0, 40.0)
    truth = nodal.effective(
        interleave(plus, minus, 0), (1, 1, 2, 2, 3, 3, 4, 4), between, 5.0, far_driver=far, far_sense=far
    )
    a, b = SharedColumns(wires=wires).effective_pair(plus, minus)
    np.testing.assert_allclose(a.numpy(), truth[0::2], rtol=1e-9)
    np.testing.assert_allclose(b.numpy(), truth[1::2], rtol=1e-9)


def test_equal_pairs_carry_nothing(conductances) -> None:
    """Equal cells on a shared bit line cancel on the spot: the line stays at ground everywhere."""
    g = conductances(16, 8)
    a, b = SharedColumns(wires=Wires(row=0.0, column=500.0)).effective_pair(g, g)
    v = torch.rand(5, 16, dtype=g.dtype)
    assert (v @ (a - b)).abs().max() < 1e-12 * (v @ a).abs().max()


def test_copies_are_paired_by_sign(conductances) -> None:
    g = torch.stack([conductances(5, 4, seed) for seed in range(5)])[:, None]
    array = AlternateColumns(wires=Wires(row=20.0, column=30.0))
    analog = ((1.0, -1.0, 0.0, 0.0, 0.0), (0.0, 0.0, -3.0, 3.0, 0.0))  # copy 4 has no partner
    found = array.effective_copies(g, analog)
    torch.testing.assert_close(torch.stack(array.effective_pair(g[0], g[1])), found[:2])
    torch.testing.assert_close(torch.stack(array.effective_pair(g[3], g[2])), found[[3, 2]])
    torch.testing.assert_close(array.effective_conductance(g[4]), found[4])
    torch.testing.assert_close(array.wires.effective_copies(g, analog), array.wires.effective_conductance(g))
    assert Ideal().effective_copies(g, analog) is g


@pytest.mark.parametrize("kind", [AlternateColumns, SharedColumns])
def test_gradcheck(kind: type, conductances) -> None:
    plus, minus = (conductances(3, 2, seed).mul_(1e5).requires_grad_() for seed in (1, 2))
    array = kind(wires=Wires(row=2e3, column=3e3, driver=100.0))
    assert torch.autograd.gradcheck(
        lambda p, m: [x * 1e5 for x in array.effective_pair(p * 1e-5, m * 1e-5)], (plus, minus)
    )


def test_bad_input(conductances) -> None:
    array = SharedColumns(wires=Wires(row=1.0, column=(1.0, float("inf"), 1.0)))
    with pytest.raises(ValueError, match="g_plus is .4, 3. and g_minus .3, 3."):
        array.effective_pair(conductances(4, 3), conductances(3, 3))
    with pytest.raises(ValueError, match="one finite resistance"):
        array.effective_pair(conductances(4, 3), conductances(4, 3))
