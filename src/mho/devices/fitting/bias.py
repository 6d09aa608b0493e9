"""How far the means of programmed cells lie from their targets, as a law of the target."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mho.devices.bias_laws import Bias, PolynomialBias, TableBias, Unbiased
from mho.devices.fitting.base import Estimate
from mho.devices.fitting.least_squares import solve
from mho.devices.fitting.tables import Array

_HIGHEST = 3  # degree of a polynomial that is tried before the means are kept as a table
_LIKELY = 0.01  # chance of the means under a law that is taken
_ROUNDING = 1e-9  # of the highest conductance: smaller differences of a mean and its target are none
_TELLING = 10.0  # errors of coefficients, which make up for each other, in units of the largest bias


class MeanLaw(NamedTuple):
    """The systematic error of programming.

    Attributes:
        law: of the bias.
        fitted: mean at each target by the law, siemens.
        parameters: what was fitted; none for no bias.
        missed: the largest distance of a mean from its target, in standard errors; None where not known.
    """

    law: Bias
    fitted: Array
    parameters: tuple[Estimate, ...]
    missed: float | None


def bias_of(
    target: Array, mean: Array, error: Array | None, g_max: float, freedom: float = math.inf
) -> MeanLaw:
    """The simplest law that the means allow: none, a polynomial up to the third degree, or their table.

    A law is allowed if the squared distances of the means have a chance of at least a hundredth under it (an
    F-test: the errors are themselves known from so many results only). Where the errors
    of the means are not known, none but rounding is allowed.

    Args:
        target: of each state, siemens, rising.
        mean: measured at each, siemens.
        error: standard error of each mean, siemens; None where the table does not tell.
        g_max: highest conductance of the device, siemens.
        freedom: degrees of freedom that the errors are known from.
    """
    shift, least = mean - target, _ROUNDING * g_max
    known = error is not None and bool((error > 0).any())
    sigma = np.maximum(error, least) if error is not None and known else np.full_like(shift, least)
    missed = float(np.abs(shift / sigma).max()) if known else None
    if _chance(shift / sigma, 0, freedom) >= _LIKELY:
        return MeanLaw(Unbiased(), target, (), missed)
    for degree in range(min(_HIGHEST, len(target) - 2) + 1):
        found = _polynomial(target / g_max, shift / g_max, sigma / g_max, degree)
        if _chance((shift - g_max * found.fitted) / sigma, degree + 1, freedom) >= _LIKELY:
            law = PolynomialBias(coefficients=tuple(e.value for e in found.parameters))
            return MeanLaw(law, target + g_max * found.fitted, found.parameters, missed)
    parameters = tuple(
        Estimate(
            name=f"mean({g:.4g} S)", value=float(m), error=float(s) if known else 0.0, unit="S", scale=g_max
        )
        for g, m, s in zip(target, mean, sigma, strict=True)
    )
    if len(target) == 1:
        return MeanLaw(PolynomialBias(coefficients=(float(shift[0]) / g_max,)), mean, parameters, missed)
    law_of_table = TableBias(g=tuple(map(float, target)), mean=tuple(map(float, mean)))
    return MeanLaw(law_of_table, mean, parameters, missed)


def _chance(left: Array, parameters: int, freedom: float) -> float:
    """That distances, in standard errors, are at least so large by chance."""
    from scipy import stats

    count, total = len(left) - parameters, float(left @ left)
    if math.isinf(freedom):
        return float(stats.chi2.sf(total, count))
    return float(stats.f.sf(total / count, count, freedom))


class _Polynomial(NamedTuple):
    fitted: Array
    parameters: tuple[Estimate, ...]


def _polynomial(x: Array, y: Array, sigma: Array, degree: int) -> _Polynomial:
    """Weighed least squares, everything in units of the highest conductance."""
    names = [f"bias{i}" for i in range(degree + 1)]
    powers = x[:, None] ** np.arange(degree + 1)
    weighed = powers / sigma[:, None]
    start = np.linalg.lstsq(weighed, y / sigma, rcond=None)[0].tolist()
    found = solve(lambda c: (y - powers @ c) / sigma, start, names, known=True, jacobian=lambda c: -weighed)
    scale = _TELLING * float(np.abs(y).max())
    parameters = tuple(
        Estimate(name=n, value=float(v), error=float(e), scale=scale)
        for n, v, e in zip(names, found.values, found.errors, strict=True)
    )
    return _Polynomial(powers @ found.values, parameters)
