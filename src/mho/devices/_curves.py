"""The few curves that published fits are written with."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

SMALLEST = 1e-7  # floor of a relative conductance inside a logarithm


def polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """``sum_i coefficients[i] x^i``."""
    total = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


def clipped_log(x: Tensor, slope: float, intercept: float, low: float, high: float) -> Tensor:
    """``slope ln(x) + intercept``, clipped to [low, high]; finite at x = 0."""
    return (slope * torch.log(x.clamp_min(SMALLEST)) + intercept).clamp(low, high)


def interpolated(x: Tensor, xs: Sequence[float], ys: Sequence[float]) -> Tensor:
    """The broken line through the points (xs, ys), constant outside; xs increase."""
    nodes = torch.tensor(xs, dtype=x.dtype, device=x.device)
    values = torch.tensor(ys, dtype=x.dtype, device=x.device)
    x = torch.minimum(torch.maximum(x, nodes[0]), nodes[-1]).contiguous()  # bucketize warns of others
    right = torch.bucketize(x, nodes[1:-1].contiguous(), right=True) + 1
    fraction = (x - nodes[right - 1]) / (nodes[right] - nodes[right - 1])
    return torch.lerp(values[right - 1], values[right], fraction)


def check_table(name: str, xs: Sequence[float], **columns: Sequence[float]) -> None:
    """Raise ``ValueError`` unless ``xs`` increase and each column has one value for each of them."""
    if len(xs) < 2 or any(b <= a for a, b in itertools.pairwise(xs)):
        raise ValueError(f"{name} = {tuple(xs)!r}: give at least two values, in increasing order")
    for column, values in columns.items():
        if len(values) != len(xs):
            raise ValueError(f"{column} has {len(values)} values and {name} {len(xs)}: give one for each")
