"""The contract of pulsed cells."""

from __future__ import annotations

import torch
from torch import Tensor

from mho.devices.pulsed import Parameters, PulsedCell
from mho.testing.promise import check_description, demand, near

_CELLS = 64
_NEAR = 1e-6


def check_cell(cell: PulsedCell) -> None:
    """Check that a pulsed cell keeps the contract of all pulsed cells.

    The cell must: travel through JSON; make of one draw for each name finite parameters of each cell, in the
    shape of the cells and in the dtype of the draws, that depend on no other cell; have steps that are finite
    and a positive granularity; keep weights between the bounds of each cell, whatever the noise; leave a
    weight alone that gets no pulse; and do the same whether its steps are straight lines or not: ``lines``
    must agree with ``pulsed``. Nothing may be random, and no argument changed.

    Args:
        cell: any instance; check one for each setting that changes its behaviour.

    Raises:
        AssertionError: naming the cell and the broken promise.

    Example:
        >>> from mho.devices.pulsed import SoftBounds
        >>> check_cell(SoftBounds(w_max=1.0, w_min=-1.0))
    """
    demand(isinstance(cell, PulsedCell), cell, "must derive from mho.devices.pulsed.PulsedCell")
    check_description(cell, PulsedCell)
    demand(cell.granularity > 0, cell, "granularity must be positive")
    for dtype in (torch.float32, torch.float64):
        eps = _draws((len(cell.draws), _CELLS), dtype)
        cells = _parameters(cell, eps)
        _check_pulses(cell, cells, _draws((3, _CELLS), dtype))
    _check_lines(cell, _parameters(cell, _draws((len(cell.draws), _CELLS), torch.float64)))


def _draws(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def _parameters(cell: PulsedCell, eps: Tensor) -> Parameters:
    before = eps.clone()
    cells = cell.parameters(eps)
    demand(torch.equal(eps, before), cell, "parameters() must leave its draws as they are")
    for name, value in cells.items():
        right = value.shape == eps.shape[1:] and value.dtype == eps.dtype and bool(value.isfinite().all())
        demand(right, cell, f"parameters()[{name!r}] must be finite, in the shape and dtype of the cells")
    half = cell.parameters(eps[:, : _CELLS // 2])
    alone = all(near(half[name], value[: _CELLS // 2], 1.0, _NEAR) for name, value in cells.items())
    demand(alone, cell, "the parameters of a cell must not depend on other cells")
    low, high = cell.limits(cells)
    demand(bool((low <= high).all()), cell, "the lowest weight of a cell must not be above its highest")
    return cells


def _check_pulses(cell: PulsedCell, cells: Parameters, eps: Tensor) -> None:
    low, high = cell.limits(cells)
    for share in (0.0, 0.3, 0.5, 1.0):
        w = low + share * (high - low)
        up, down = cell.steps(w + cells["reference"], cells)
        finite = bool(up.isfinite().all()) and bool(down.isfinite().all())
        demand(finite, cell, "steps() must be finite between the bounds of each cell")
        for noise in (10 * eps[0], torch.zeros_like(w)):
            for sign in (1.0, -1.0):
                moved = cell.pulsed(w, torch.full_like(w, sign), cells, noise)
                again = cell.pulsed(w, torch.full_like(w, sign), cells, noise)
                demand(torch.equal(moved, again), cell, "pulsed() must not be random: noise comes in as eps")
                inside = bool((moved >= low).all()) and bool((moved <= high).all())
                demand(inside, cell, "pulsed() must keep weights between the bounds of each cell")
        demand(
            torch.equal(cell.pulsed(w, torch.zeros_like(w), cells, eps[1]), w),
            cell,
            "pulsed() must leave weights alone that get no pulse (direction 0)",
        )


def _check_lines(cell: PulsedCell, cells: Parameters) -> None:
    lines = cell.lines(cells)
    if lines is None:
        return
    (up, down), (up_slope, down_slope) = lines
    low, high = cell.limits(cells)
    w = low + 0.4 * (high - low)
    state = w + cells["reference"]
    straight = (up - up_slope * state, down - down_slope * state)
    for found, wanted in zip(cell.steps(state, cells), straight, strict=True):
        demand(near(found, wanted, 1.0, _NEAR), cell, "lines() must be the steps: scale - slope * state")
