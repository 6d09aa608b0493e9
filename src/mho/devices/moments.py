"""Exact moments of a normal conductance that cannot be negative."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_BELOW = -40.0  # standard deviations: the normal tail beyond is zero in float64 too
_ABOVE = 10.0  # from here on no clipping shows, in float64 too; exp and erfc are slow where they underflow


def rectified_moments(mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of ``max(mean + std * xi, 0)`` with ``xi`` standard normal.

    With z = mean/std, phi and Phi the normal density and distribution, and the expected overshoot
    L(z) = phi(z) - z Phi(-z), the mean is ``mean Phi(z) + std phi(z)`` and the variance
    ``std^2 (Phi(z) - L(z) (z + L(z)))``; this form loses no digits when z is large.

    Args:
        mean: mean before clipping at zero, any shape, at least 0 where full accuracy is wanted
            (below zero it stays right, with some digits lost far out in the tail).
        std: standard deviation before clipping, same shape, at least 0.

    Returns:
        ``(mean, std)`` after clipping, in the unit of the arguments.

    Example:
        >>> mean, std = rectified_moments(torch.tensor([0.0, 9.0]), torch.tensor([1.0, 0.0]))
        >>> [round(x, 4) for x in (*mean.tolist(), *std.tolist())]
        [0.3989, 9.0, 0.5838, 0.0]
    """
    # Not divided by 0, nor by what makes the ratio infinite: its gradient would be NaN where z is clamped.
    z = (mean / torch.maximum(std, 1e-3 * mean.abs()).clamp_min(1e-30)).clamp(_BELOW, _ABOVE)
    below, above = 0.5 * torch.erfc(z / math.sqrt(2)), 0.5 * torch.erfc(-z / math.sqrt(2))
    density = torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    overshoot = density - z * below
    variance = above - overshoot * (z + overshoot)
    return (
        (mean * above + std * density).clamp_min(0),
        std * variance.clamp_min(torch.finfo(std.dtype).tiny).sqrt(),
    )
