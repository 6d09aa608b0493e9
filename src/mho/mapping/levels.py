"""Evenly spaced conductance levels of a cell."""

from __future__ import annotations

from torch import Tensor


def on_levels(fraction: Tensor, levels: int | None) -> Tensor:
    """The nearest of ``levels`` evenly spaced values in [0, 1], half to even; None changes nothing."""
    if levels is None:
        return fraction
    return (fraction * (levels - 1)).round() / (levels - 1)
