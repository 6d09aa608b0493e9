"""Least squares with an honest uncertainty."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from mho.devices.fitting.tables import Array

_SAME = 1e-7  # ratio of singular values below which parameters cannot be told apart


class FitSolution(NamedTuple):
    """The minimum of a sum of squares.

    Attributes:
        values: parameters, ``[p]``.
        covariance: of the parameters, ``[p, p]``.
        residuals: measured minus fitted, in standard deviations where they are known, ``[n]``.
        noise: standard deviation of the residuals around the fit (1 is expected where it is known).
        reduced_chi2: sum of squares per degree of freedom; None where no standard deviation is known.
        correlation: of neighbouring residuals; 0 for independent errors.
    """

    values: Array
    covariance: Array
    residuals: Array
    noise: float
    reduced_chi2: float | None
    correlation: float

    @property
    def errors(self) -> Array:
        """Standard error of each parameter."""
        return np.sqrt(np.diag(self.covariance))


def solve(
    residuals: Callable[[Array], Array],
    start: Sequence[float],
    names: Sequence[str],
    *,
    known: bool = False,
    jacobian: Callable[[Array], Array] | None = None,
    bounds: tuple[Sequence[float], Sequence[float]] | None = None,
    evaluations: int | None = None,
) -> FitSolution:
    """Parameters that make the sum of the squared residuals smallest, and their covariance.

    The covariance is ``s^2 (J^T J)^-1`` with s the spread of the residuals, or 1 where ``known``. Residuals
    whose neighbours are alike hold less information than their number says: if the correlation r of
    neighbours is significant (above 2/sqrt(n)), the covariance grows by (1 + r)/(1 - r), the ratio of real
    and effective number of observations (G. V. Bayley and J. M. Hammersley, Suppl. J. R. Stat. Soc. 8,
    184, 1946).

    Args:
        residuals: of the parameters, in order of time, ``[n]``.
        start: parameters to begin with, ``[p]``.
        names: of the parameters, for messages.
        known: the residuals are in units of a known standard deviation.
        jacobian: of the residuals, ``[n, p]``; by difference quotients if not given.
        bounds: lowest and highest values.
        evaluations: most evaluations of the residuals.

    Raises:
        ValueError: fewer points than parameters, no convergence, or parameters that the points do not fix.
    """
    from scipy.optimize import least_squares

    first = residuals(np.asarray(start, dtype=np.float64))
    points, count = len(first), len(start)
    if points <= count:
        raise ValueError(
            f"{points} points for {count} parameters ({', '.join(names)}): at least {count + 1} are needed"
        )
    found = least_squares(
        residuals,
        np.asarray(start, dtype=np.float64),
        jac="3-point" if jacobian is None else jacobian,
        x_scale="jac",
        bounds=(-np.inf, np.inf) if bounds is None else bounds,
        max_nfev=evaluations,
        xtol=1e-8,
        ftol=1e-8,
        gtol=1e-10,
    )
    if not found.success:
        raise ValueError(
            f"the fit of {', '.join(names)} did not settle in {found.nfev} evaluations; start nearer to the "
            "measurement, or fit fewer parameters"
        )
    freedom = points - count
    r = np.asarray(found.fun, dtype=np.float64)
    reduced = float(r @ r) / freedom
    correlation = neighbour_correlation(r)
    inflation = (1 + correlation) / (1 - correlation) if correlation > 2 / math.sqrt(points) else 1.0
    scale = (1.0 if known else reduced) * inflation
    return FitSolution(
        np.asarray(found.x, dtype=np.float64),
        scale * _inverse(np.asarray(found.jac, dtype=np.float64), names),
        r,
        math.sqrt(reduced),
        reduced if known else None,
        correlation,
    )


def neighbour_correlation(r: Array) -> float:
    """Correlation of each residual with the next one, in (-1, 1); 0 for fewer than three."""
    total = float(r @ r)
    return min(0.999, float(r[1:] @ r[:-1]) / total) if len(r) > 2 and total > 0 else 0.0


def r_squared(measured: Array, fitted: Array) -> float:
    """Share of the variance that the fit explains: 1 for a perfect one."""
    total = float(((measured - measured.mean()) ** 2).sum())
    left = float(((measured - fitted) ** 2).sum())
    if total == 0:
        return 1.0 if left == 0 else 0.0
    return 1 - left / total


def _inverse(jacobian: Array, names: Sequence[str]) -> Array:
    """``(J^T J)^-1``.

    Raises:
        ValueError: directions that no residual depends on; the parameters are named.
    """
    norms = np.linalg.norm(jacobian, axis=0)
    if not np.all(norms > 0):
        loose = [name for name, norm in zip(names, norms, strict=True) if not norm > 0]
        raise ValueError(
            f"the measurement does not depend on {', '.join(loose)}, with a standard error without bound: "
            "fix what it cannot tell, or measure more"
        )
    _, sizes, rows = np.linalg.svd(jacobian / norms, full_matrices=False)
    if sizes[-1] < _SAME * sizes[0]:
        loose = [name for name, part in zip(names, rows[-1], strict=True) if abs(part) > 0.1]
        raise ValueError(
            f"the measurement cannot tell {' and '.join(loose)} apart, with standard errors without bound: "
            "fix one of them, or measure more"
        )
    inverse = (rows.T / sizes**2) @ rows
    return np.asarray(inverse / np.outer(norms, norms), dtype=np.float64)
