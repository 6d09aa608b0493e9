"""Matrices on crossbars as operators of scipy's."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch
from scipy.sparse.linalg import LinearOperator, gmres, svds

import mho

EXAMPLE = Path(__file__).parents[2] / "examples" / "poisson.py"
CONVERTERS = {"dac": mho.DAC(bits=8), "adc": mho.ADC(bits=8)}
PCM = mho.Hardware(device=mho.devices.PCM(), **CONVERTERS)
SMALL = mho.Tile(rows=3, columns=2)


@pytest.fixture(autouse=True)
def reads() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def poisson():
    spec = importlib.util.spec_from_file_location("poisson", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_matrix(kind: type = np.float64, shape: tuple[int, int] = (7, 5)) -> np.ndarray:
    rng = np.random.default_rng(1)
    real = rng.standard_normal(shape)
    if np.issubdtype(kind, np.complexfloating):
        return (real + 1j * rng.standard_normal(shape)).astype(kind)
    return real.astype(kind)


def vector(n: int, complex_too: bool = True, seed: int = 2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal(n) + 1j * rng.standard_normal(n) * complex_too


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize(
    "hardware", [mho.Hardware(), mho.Hardware(tile=SMALL), mho.Hardware(mapping=mho.mapping.Offset())]
)
def test_ideal_hardware_is_the_matrix(kind: type, hardware: mho.Hardware) -> None:
    A = random_matrix(kind)
    operator = mho.matrix(A, hardware, seed=0)
    assert isinstance(operator, LinearOperator) and operator.shape == A.shape and operator.dtype == kind
    near = {"atol": 1e-5 if kind in (np.float32, np.complex64) else 1e-12, "rtol": 0}
    x, X, y = vector(5), np.stack([vector(5, seed=3), vector(5, seed=4)], axis=1), vector(7)
    np.testing.assert_allclose(operator @ x, A @ x, **near)
    np.testing.assert_allclose(operator @ X, A @ X, **near)
    np.testing.assert_allclose(operator @ x[:, None], A @ x[:, None], **near)
    np.testing.assert_allclose(operator.H @ y, A.conj().T @ y, **near)
    np.testing.assert_allclose(operator.T @ y, A.T @ y, **near)
    np.testing.assert_allclose((2 * operator + operator) @ x, 3 * A @ x, **near)
    np.testing.assert_allclose(operator.effective(), A, **near)
    # adjoint and linearity
    assert abs(np.vdot(y, operator @ x) - np.vdot(operator.H @ y, x)) < 10 * near["atol"]
    np.testing.assert_allclose(
        operator @ (2 * x - 3j * x[::-1]), 2 * (operator @ x) - 3j * (operator @ x[::-1]), **near
    )


def test_real_products_stay_real() -> None:
    operator = mho.matrix(random_matrix(), PCM, seed=0)
    assert (operator @ np.ones(5)).dtype == np.float64
    assert (operator.H @ np.ones(7)).dtype == np.float64
    assert (operator @ np.ones(5, dtype=complex)).dtype == np.complex128


def test_solvers_of_scipy_run() -> None:
    A = np.eye(6) * 3 + random_matrix(shape=(6, 6)) / 3
    operator = mho.matrix(A, mho.Hardware(**CONVERTERS), seed=0)
    x, code = gmres(operator, np.ones(6), rtol=0.05)
    assert np.linalg.norm(A @ x - 1) < 0.2
    top = svds(mho.matrix(A, mho.Hardware(), seed=0), k=1, return_singular_vectors=False)
    assert abs(top[0] - np.linalg.norm(A, 2)) < 1e-6


@pytest.mark.parametrize("forward", [True, False])
def test_products_do_not_depend_on_the_size_of_a_vector(forward: bool) -> None:
    A = random_matrix(shape=(6, 6))
    operator = mho.matrix(A, mho.Hardware(**CONVERTERS), seed=0)
    product = operator.matvec if forward else operator.rmatvec
    x = vector(6, complex_too=False)
    np.testing.assert_array_equal(product(x * 2.0**-40), product(x) * 2.0**-40)
    assert not product(np.zeros(6)).any()


def test_a_fixed_range_is_used_whole() -> None:
    dac = mho.DAC(bits=4, range=mho.converters.Fixed(limit=7.0))
    operator = mho.matrix(np.eye(2), mho.Hardware(dac=dac), seed=0)
    np.testing.assert_allclose(operator @ np.array([7.0, 3.2]), [7.0, 3.0], atol=1e-6)
    np.testing.assert_allclose(operator @ np.array([0.7, 0.32]), [0.7, 0.3], atol=1e-7)


def test_a_seed_is_a_chip() -> None:
    A = random_matrix(np.complex128)
    one, same, other = (mho.matrix(A, PCM, seed=seed).effective() for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3
    assert np.abs((one - A).real - (one - A).imag).max() > 1e-3  # two arrays, two sets of draws


def test_rows_and_columns_read_the_same_cells() -> None:
    quiet = mho.Hardware(device=mho.devices.PCM(read_scale=0.0))
    operator = mho.matrix(random_matrix(np.complex128), quiet, seed=0)
    held = operator.effective()
    x, y = vector(5), vector(7)
    np.testing.assert_allclose(operator @ x, held @ x, atol=1e-12)
    np.testing.assert_allclose(operator.H @ y, held.conj().T @ y, atol=1e-12)


def test_it_ages_and_is_compensated_as_a_layer() -> None:
    A = random_matrix(shape=(40, 30))
    operator = mho.matrix(A, mho.Hardware(device=mho.devices.PCM(read_scale=0.0)), seed=0)
    size = np.linalg.norm(operator.effective())
    operator.age(31_536_000)
    aged = np.linalg.norm(operator.effective())
    operator.compensate()
    assert aged < 0.7 * size < np.linalg.norm(operator.effective()) < 1.3 * size


def test_verbs_that_read() -> None:
    operator = mho.matrix(random_matrix(np.complex128, (20, 30)), PCM, seed=0)
    found = operator.diagnose(np.stack([vector(30), vector(30, seed=5)], axis=1))
    assert set(found.layers) == {"real", "imaginary"}
    one, twice = operator.cost(vector(30, complex_too=False).real), operator.cost(vector(30))
    assert twice.layers["real"].work.conversions == 2 * one.layers["real"].work.conversions == 2 * 20
    operator.calibrate(100 * np.eye(30)[0])
    assert operator.model.get_submodule("real").crossbar.input_range == 1


def test_conversions_do_not_clip_what_a_refinement_meets() -> None:
    """Vectors of one sign drive all cells of a positive matrix; calibration has seen such vectors."""
    A = np.abs(random_matrix(shape=(30, 30)))
    operator = mho.matrix(A, mho.Hardware(**CONVERTERS), seed=0)
    y = operator @ np.ones(30)
    assert np.abs(y / (A @ np.ones(30)) - 1).max() < 0.02


@pytest.mark.parametrize(
    "given", [scipy.sparse.csr_array(np.eye(3)), torch.eye(3), [[1, 0, 0], [0, 1, 0], [0, 0, 1]]]
)
def test_many_matrices_are_one(given: object) -> None:
    np.testing.assert_allclose(mho.matrix(given, mho.Hardware(), seed=0).effective(), np.eye(3), atol=1e-7)


def test_what_is_no_matrix_is_refused() -> None:
    for bad in (np.ones(3), np.ones((0, 2)), np.ones((2, 2, 2))):
        with pytest.raises(ValueError, match=r"A has shape"):
            mho.matrix(bad, mho.Hardware(), seed=0)
    with pytest.raises(ValueError, match="NaN or infinite"):
        mho.matrix([[np.nan]], mho.Hardware(), seed=0)
    with pytest.raises(TypeError, match="A holds"):
        mho.matrix([["a"]], mho.Hardware(), seed=0)
    with pytest.raises(TypeError, match="hardware"):
        mho.matrix(np.eye(2), mho.devices.PCM(), seed=0)
    with pytest.raises(TypeError, match="seed"):
        mho.matrix(np.eye(2), mho.Hardware(), seed="0")
    with pytest.raises(ValueError, match="signed"):
        mho.matrix(np.eye(2), mho.Hardware(dac=mho.DAC(signed=False)), seed=0)
    with pytest.raises(ValueError, match=r"vectors have shape \(3,\)"):
        mho.matrix(np.eye(2), mho.Hardware(), seed=0).diagnose(np.ones(3))


# --- mixed-precision refinement -------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_refinement_reaches_ten_digits(poisson, seed: int) -> None:
    A = poisson.laplacian(5)
    operator, b = mho.matrix(A, poisson.hardware(), seed), vector(25, complex_too=False).real
    assert 0.03 < poisson.error_of_a_product(A, operator) < 0.2
    x, residuals = poisson.refine(A, b, lambda r: poisson.rough(operator, r), to=1e-11)
    assert residuals[-1] < 1e-10
    assert np.linalg.norm(x - np.linalg.solve(A, b)) < 1e-10 * np.linalg.norm(x) * np.linalg.cond(A)


def test_iterations_contract_as_theory_says(poisson) -> None:
    """Without converters and read noise the factor of late iterations is the spectral radius itself."""
    A = poisson.laplacian(5)
    operator = mho.matrix(A, mho.Hardware(device=mho.devices.PCM(read_scale=0.0)), seed=0)
    held = operator.effective()
    exact = lambda r: gmres(operator, r, rtol=1e-10, restart=25, maxiter=4)[0]  # noqa: E731
    _, residuals = poisson.refine(A, vector(25, complex_too=False).real, exact, to=1e-14)
    late = (residuals[14] / residuals[4]) ** 0.1
    assert abs(late / poisson.contraction(A, held) - 1) < 0.15


def test_contraction_is_the_relative_error_where_the_matrix_is_well_conditioned(poisson) -> None:
    """``B = (1 + e) A`` leaves ``e / (1 + e)`` of each residual."""
    A = np.linalg.qr(random_matrix(shape=(8, 8)))[0]
    assert abs(poisson.contraction(A, 1.05 * A) - 0.05 / 1.05) < 1e-12
    _, residuals = poisson.refine(A, np.ones(8), lambda r: np.linalg.solve(1.05 * A, r), most=4)
    np.testing.assert_allclose(residuals, [(0.05 / 1.05) ** k for k in range(5)], rtol=1e-6)


def test_the_example_draws(poisson, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    poisson.main(["--output", str(tmp_path), "--points", "3"])
    assert (tmp_path / "poisson.png").read_bytes().startswith(b"\x89PNG")
    assert "by theory" in capsys.readouterr().out
