"""What cells differ in: mean and spread of a parameter that each cell's fit knows with an error."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mho.devices.fitting.tables import Array


class Population(NamedTuple):
    """Mean and standard deviation over cells, with their standard errors."""

    mean: float
    mean_error: float
    std: float
    std_error: float


def population(values: Array, variances: Array) -> Population:
    """The population of cells, by restricted maximum likelihood.

    Args:
        values: the parameter of each cell.
        variances: of its error.
    """
    nu, own = values, variances
    if len(nu) == 1:
        return Population(float(nu[0]), math.sqrt(float(own[0])), 0.0, 0.0)
    from scipy.optimize import minimize_scalar

    largest = float(nu.var(ddof=1))

    def loss(between: float) -> float:
        weight = 1 / (own + between)
        mean = float(weight @ nu) / float(weight.sum())
        return float((weight @ (nu - mean) ** 2) - np.log(weight).sum() + math.log(float(weight.sum())))

    between = 0.0
    if largest > 0 and not bool((own + 2 * largest == 0).any()):
        scale = largest + float(own.mean())
        found = minimize_scalar(
            loss, bounds=(1e-9 * scale, 3 * scale), method="bounded", options={"xatol": 1e-9 * scale}
        )
        at_zero = bool((own > 0).all()) and loss(0.0) <= float(found.fun)
        between = 0.0 if at_zero else float(found.x)
    total = own + between
    if not bool((total > 0).all()):
        return Population(float(nu.mean()), 0.0, 0.0, 0.0)
    weight = 1 / total
    freedom = (len(nu) - 1) / len(nu)
    error = math.sqrt(2 / (freedom * float((weight**2).sum())))  # of the variance between cells
    std = math.sqrt(between)
    return Population(
        float(weight @ nu) / float(weight.sum()),
        1 / math.sqrt(float(weight.sum())),
        std,
        min(error / (2 * std), math.sqrt(error)) if std else math.sqrt(error),
    )
