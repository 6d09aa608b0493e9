"""Where else a fit that is not convex may begin."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from mho.devices.fitting.least_squares import FitSolution
from mho.devices.fitting.tables import Array

_TRIED = 8  # starts that are looked at for each one that is fitted
_FAR = {"log": math.log(10.0), "logit": 3.0, "linear": 2.0}  # how far they lie, on the scale that is searched


def drawn_starts(start: Array, kinds: Sequence[str], count: int) -> Array:
    """Starts around one, ``[start, p]``: evenly spread, the same for the same start.

    Args:
        start: on the scales that are searched.
        kinds: of the scales.
        count: how many to fit in the end; eight times as many are drawn.
    """
    from scipy.stats import qmc

    sobol = qmc.Sobol(len(start), scramble=True, rng=np.random.default_rng(0))
    even = sobol.random_base2(math.ceil(math.log2(_TRIED * count)))[: _TRIED * count]
    return np.asarray(start + (2 * even - 1) * np.array([_FAR[kind] for kind in kinds]), dtype=np.float64)


def promising(residuals: Callable[[Array], Array], starts: Array, count: int) -> Array:
    """The starts that are nearest to the measurement."""
    left = [float(np.square(residuals(start)).sum()) for start in starts]
    return starts[np.argsort(left, kind="stable")[:count]]


def leaves_nothing(found: FitSolution) -> bool:
    """Whether neighbouring residuals are no more alike than those of a law that holds."""
    return found.correlation <= 2 / math.sqrt(len(found.residuals))


def best(
    solve_from: Callable[[Array], FitSolution], start: Array, others: Callable[[], Array]
) -> FitSolution:
    """The least of the minima that several starts lead to.

    Args:
        solve_from: finds the minimum next to a start.
        start: that was given; where the law leaves nothing from there, no other is tried.
        others: makes more starts.

    Raises:
        ValueError: no start leads to a minimum; what the given one raised.
    """
    found: list[FitSolution] = []
    refused: ValueError | None = None
    try:
        found.append(solve_from(start))
    except ValueError as error:
        refused = error
    if found and leaves_nothing(found[0]):
        return found[0]
    for other in others():
        minimum = _minimum(solve_from, other)
        if minimum is not None:
            found.append(minimum)
    if not found:
        assert refused is not None
        raise refused
    return min(found, key=lambda one: float(one.residuals @ one.residuals))


def _minimum(solve_from: Callable[[Array], FitSolution], start: Array) -> FitSolution | None:
    try:
        return solve_from(start)
    except ValueError:
        return None  # a start that leads nowhere is no failure of the fit
