"""Vectorised search of roots inside a bracket."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mho.devices.dynamics.symbols import Symbol, crossing


def first_crossing(
    f: Callable[[Tensor], Tensor],
    low: float,
    high: float,
    points: int,
    like: Tensor,
    tolerance: float = 1e-13,
) -> Tensor:
    """The lowest root of ``f`` at which it rises through zero, for each entry on its own.

    The interval is scanned on a grid, then the bracket is closed with the Illinois variant of regula falsi
    (Dowell and Jarratt, BIT 11, 168, 1971), which converges faster than linearly and never leaves it.

    Args:
        f: elementwise function; takes ``[*extra, *shape]`` as well.
        low: start of the scan, where ``f`` is negative.
        high: end of the scan. Without a crossing the root is taken to be there.
        points: cells of the grid; two roots in one cell are missed.
        like: a tensor of the shape, dtype and device of the result.
        tolerance: largest ``|f|`` at a root.
    """
    if isinstance(like, Symbol):
        found: Tensor = crossing(f, low, high, points, like, tolerance)
        return found
    grid = torch.linspace(low, high, points + 1, dtype=like.dtype, device=like.device)
    values = f(grid.reshape(-1, *(1,) * like.dim()).expand(-1, *like.shape))
    first = (values > 0).to(torch.int8).argmax(0).clamp(min=1)
    none = ~(values > 0).any(0)
    first = torch.where(none, points, first)
    a, b = grid[first - 1], grid[first]
    fa, fb = values.gather(0, (first - 1)[None])[0], values.gather(0, first[None])[0]
    side = torch.zeros_like(fa)
    for _ in range(60):
        x = torch.where(none, b, b - fb * (b - a) / (fb - fa))
        fx = f(x)
        if bool(((fx.abs() <= tolerance) | none).all()):
            break
        up = fx > 0
        # The end that stays twice loses half of its weight, so that the other one moves soon.
        fa = torch.where(up, torch.where(side > 0, 0.5 * fa, fa), fx)
        fb = torch.where(up, fx, torch.where(side < 0, 0.5 * fb, fb))
        a, b = torch.where(up, a, x), torch.where(up, x, b)
        side = torch.where(up, 1.0, -1.0).to(fa.dtype)
    return x
