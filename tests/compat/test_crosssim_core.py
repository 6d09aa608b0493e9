"""``AnalogCore``: a matrix on arrays under CrossSim's name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mho.compat.crosssim.simulator import AnalogCore, CrossSimParameters
from mho.errors import ConfigError

DATA = Path(__file__).parents[1] / "reference/data/crosssim"
RNG = np.random.default_rng(0)
A = RNG.standard_normal((6, 4))
C = A + 1j * RNG.standard_normal((6, 4))
X, Y = RNG.standard_normal((4, 3)), RNG.standard_normal((2, 6))
NEAR = {"atol": 1e-6, "rtol": 0}


@pytest.mark.parametrize("matrix", [A, C, A.astype(np.float32)])
def test_products_views_and_transposes(matrix: np.ndarray) -> None:
    core = AnalogCore(matrix, CrossSimParameters())
    near = {"atol": 1e-5 if matrix.dtype == np.float32 else 1e-6, "rtol": 0}
    assert core.shape == (6, 4) and core.dtype == matrix.dtype and core.T.shape == (4, 6)
    for x in (X, X[:, 0], X + 2j * X[::-1]):
        np.testing.assert_allclose(core @ x, matrix @ x, **near)
        np.testing.assert_allclose(core.T.T @ x, matrix @ x, **near)
    for y in (Y, Y[0]):
        np.testing.assert_allclose(y @ core, y @ matrix, **near)
        np.testing.assert_allclose(core.T @ y.T, matrix.T @ y.T, **near)
    np.testing.assert_allclose(core[1:4, ::2] @ X[::2], matrix[1:4, ::2] @ X[::2], **near)
    np.testing.assert_allclose(core[2] @ X, matrix[2:3] @ X, **near)
    np.testing.assert_allclose(core.T[1:, 2:] @ Y.T[2:], matrix.T[1:, 2:] @ Y.T[2:], **near)
    np.testing.assert_allclose(Y[:, [0, 5]] @ core[[0, 5], 1], Y[:, [0, 5]] @ matrix[[0, 5], 1:2], **near)
    np.testing.assert_allclose(core.matvec(X[:, 1]), matrix @ X[:, 1], **near)
    np.testing.assert_allclose(core.vecmat(Y[1]), Y[1] @ matrix, **near)
    np.testing.assert_allclose(core[1:3].T.get_matrix(), matrix[1:3].T, **near)


def test_tensors_come_back_as_tensors() -> None:
    core = AnalogCore(torch.tensor(A), CrossSimParameters())
    y = core @ torch.tensor(X)
    assert isinstance(y, torch.Tensor) and y.dtype == torch.float64
    np.testing.assert_allclose(y.numpy(), A @ X, **NEAR)
    np.testing.assert_allclose((torch.tensor(Y).numpy() @ core), Y @ A, **NEAR)


def test_assignments_program_again() -> None:
    core, wanted = AnalogCore(A.copy(), CrossSimParameters()), A.copy()
    core[1, 2], wanted[1, 2] = 7.0, 7.0
    core.T[0, :], wanted[:, 0] = np.arange(6.0), np.arange(6.0)
    np.testing.assert_allclose(core @ X, wanted @ X, **NEAR)
    core[2:4].set_matrix(np.ones((2, 4)))
    wanted[2:4] = 1
    np.testing.assert_allclose(core.get_matrix(), wanted, **NEAR)


@pytest.mark.parametrize("name", ["dac8_adc8_cal", "vmm__dac8_adc8_cal"])
def test_products_of_crosssim(name: str) -> None:
    """One core from its rows and from its columns: ``y: = A @ X`` and ``(X.T @ A).T``."""
    cases, arrays = json.loads((DATA / "det_16.json").read_text()), np.load(DATA / "det_16.npz")
    if name not in cases:
        name = next(case for case in cases if case.startswith("dac8") and not case.endswith("posX"))
    params = CrossSimParameters()
    params.update(cases[name]["params"])
    core, x = AnalogCore(arrays["W"].astype(np.float64), params), arrays["X"].astype(np.float64)
    got = (x.T @ core).T if name.startswith("vmm") else core @ x
    wanted = arrays[f"y:{name}"]
    assert np.abs(got - wanted).max() <= 1e-6 * np.abs(wanted).max()


def test_errors_are_those_of_the_same_cells() -> None:
    torch.manual_seed(0)
    params = CrossSimParameters()
    params.xbar.device.Rmin, params.xbar.device.Rmax = 1e4, 1e6
    params.xbar.device.programming_error.enable = True
    params.xbar.device.programming_error.model = "NormalProportionalDevice"
    params.xbar.device.programming_error.magnitude = 0.1
    params.core.complex_matrix = True
    core = AnalogCore(C, params)
    held = core.get_matrix()
    assert 0.01 < np.linalg.norm(held - C) / np.linalg.norm(C) < 0.2
    np.testing.assert_allclose(core @ X, held @ X, **NEAR)
    np.testing.assert_allclose(Y @ core, Y @ held, **NEAR)
    np.testing.assert_allclose(core[1:, :2] @ X[:2], held[1:, :2] @ X[:2], **NEAR)
    assert params.core.complex_matrix is True  # the core has a copy


def test_what_is_no_product_is_refused() -> None:
    core = AnalogCore(A, CrossSimParameters())
    with pytest.raises(ValueError, match=r"x has shape \(6, 2\)"):
        core @ Y.T
    with pytest.raises(ValueError, match="matrix has shape"):
        AnalogCore(np.ones(3), CrossSimParameters())
    with pytest.raises(IndexError, match="rows and columns"):
        core[0, 0, 0]
    with pytest.raises(IndexError):
        core[9]
    params = CrossSimParameters()
    params.xbar.device.programming_error.magnitude = 0.1
    with pytest.raises(ConfigError):
        AnalogCore(A, params)
