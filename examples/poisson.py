"""Poisson's equation on a crossbar of phase-change memory, to ten digits and more.

An analog product errs by some per cent, a solution should not. Mixed-precision iterative refinement
(M. Le Gallo et al., "Mixed-precision in-memory computing", Nat. Electron. 1, 246 (2018)) gives the hard work
to the array and the last word to digital arithmetic: the residual ``r = b - A x`` is computed in float64, the
correction ``A z = r`` is solved roughly by a Krylov method with analog products, and ``x + z`` is the next
solution. With the matrix ``B`` that the cells hold in place of ``A``, one step multiplies the residual by
``(B - A) / B``, so that each one takes the same number of digits from the error: as many as the cells hold.

    python examples/poisson.py --output runs/poisson
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, gmres

import mho

POINTS = 5  # of the grid, on each side
DAY = 86_400.0
ROUGHLY = 0.02  # of the residual that a rough solution leaves


def laplacian(points: int) -> np.ndarray:
    """The five-point Laplacian of a square grid with zeros around it, ``[points^2, points^2]``."""
    line = 2 * np.eye(points) - np.eye(points, k=1) - np.eye(points, k=-1)
    return np.kron(line, np.eye(points)) + np.kron(np.eye(points), line)


def hardware() -> mho.Hardware:
    """Phase-change memory behind 8-bit converters that follow the size of each vector."""
    dac, adc = mho.DAC(bits=8), mho.ADC(bits=8)
    return mho.Hardware(device=mho.devices.PCM(), dac=dac, adc=adc)


def rough(operator: LinearOperator, r: np.ndarray) -> np.ndarray:
    """``A z = r`` roughly, by analog products."""
    return gmres(operator, r, rtol=ROUGHLY, restart=40, maxiter=1)[0]


def refine(A: np.ndarray, b: np.ndarray, solve: Callable[[np.ndarray], np.ndarray], to: float = 1e-12,
           most: int = 100) -> tuple[np.ndarray, list[float]]:  # fmt: skip
    """Iterative refinement.

    Args:
        A, b: of the equation ``A x = b``, in float64.
        solve: ``r`` to a rough solution of ``A z = r``.
        to: the residual at which it ends, in units of ``b``.
        most: iterations.

    Returns:
        The solution, and the residuals after each iteration, in units of ``b``.
    """
    x, r, residuals = np.zeros_like(b), b, [1.0]
    while residuals[-1] > to and len(residuals) <= most:
        x = x + solve(r)
        r = b - A @ x
        residuals.append(float(np.linalg.norm(r) / np.linalg.norm(b)))
    return x, residuals


def contraction(A: np.ndarray, held: np.ndarray) -> float:
    """What theory says that one iteration multiplies residuals by: the spectral radius of ``(B - A) / B``."""
    return float(np.abs(np.linalg.eigvals((held - A) @ np.linalg.inv(held))).max())


def error_of_a_product(A: np.ndarray, operator: LinearOperator) -> float:
    """The error of analog products with random vectors, relative."""
    X = np.random.default_rng(0).standard_normal((A.shape[1], 200))
    return float(np.linalg.norm(operator @ X - A @ X) / np.linalg.norm(A @ X))


def runs(points: int, seed: int) -> dict[str, tuple[list[float], float, float]]:
    """Residuals, contraction by theory and error of a product, of a chip when fresh and after a day."""
    torch.manual_seed(seed)  # read noise
    A = laplacian(points)
    b = np.random.default_rng(seed).standard_normal(points**2)
    operator, found = mho.matrix(A, hardware(), seed), {}
    for name, seconds in (("fresh", 0.0), ("a day old, compensated", DAY)):
        operator.age(seconds)
        operator.compensate()
        _, residuals = refine(A, b, lambda r: rough(operator, r))
        found[name] = residuals, contraction(A, operator.effective()), error_of_a_product(A, operator)
    return found


def draw(found: dict[str, tuple[list[float], float, float]], path: Path) -> None:
    """Residuals against iterations, and the slopes of theory."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    for color, (name, (residuals, rate, error)) in zip(("C0", "C1"), found.items(), strict=True):
        steps = np.arange(len(residuals))
        axes.semilogy(steps, residuals, "o-", color=color, label=f"{name}: products err by {error:.0%}")
        axes.semilogy(steps, rate**steps, "--", color=color, label=f"theory: {rate:.2f} an iteration")
    axes.set(xlabel="iteration", ylabel="residual / b", title="Poisson's equation on phase-change memory")
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    """Solve, print and draw."""
    parser = argparse.ArgumentParser(description="Poisson's equation by mixed-precision refinement")
    parser.add_argument("--output", type=Path, default=Path("runs/poisson"), help="folder of poisson.png")
    parser.add_argument("--points", type=int, default=POINTS, help="of the grid, on each side")
    parser.add_argument("--seed", type=int, default=0, help="names the chip")
    given = parser.parse_args(arguments)
    found = runs(given.points, given.seed)
    for name, (residuals, rate, error) in found.items():
        steps = len(residuals) - 1
        print(
            f"{name}: a product errs by {error:.1%}; residual {residuals[-1]:.1e} after {steps} iterations,"
        )
        print(f"    times {residuals[-1] ** (1 / steps):.2f} in each, {rate:.2f} by theory")
    given.output.mkdir(parents=True, exist_ok=True)
    draw(found, given.output / "poisson.png")


if __name__ == "__main__":
    main()
