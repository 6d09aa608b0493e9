"""The contract of arrays, and of the laws of their cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mho import random
from mho.array import Array, Law
from mho.testing.promise import check_description, demand, near, promises, same

_SIZES = ((5, 4), (1, 3), (4, 1), (1, 1))
_G = 1e-4  # siemens
_PAIR, _APART = ((1.0, -1.0),), ((1.0, 0.0), (0.0, 1.0))


def check_array(
    array: Array, size: tuple[int, int] | None = None, truth: Callable[[Tensor], Tensor] | None = None
) -> None:
    """Check that an array keeps the contract of all arrays.

    The array must: travel through JSON; give a matrix of the shape and dtype of the conductances, tile by
    tile, the same each time, in float32 as in float64; leave its arguments as they are; be passive: no
    negative conductance, and never more current than ideal wires give when all rows or one row are driven;
    carry nothing without conductances; pass exact gradients; do the same for all copies of a weight; and take
    power from its drivers.
    Being a matrix, it is linear in the voltages.

    Args:
        array: any instance; check one for each setting that changes its behaviour.
        size: rows and columns, for an array with a resistance for each line; several sizes down to a single
            cell if None.
        truth: what the array must give for ``g[row, column]``, float64, for example a nodal solve; None if
            there is nothing to compare with.

    Raises:
        AssertionError: naming the array and the broken promise.

    Example:
        >>> from mho.array import Wires
        >>> check_array(Wires(row=2.0, column=1.0))
    """
    demand(isinstance(array, Array), array, "must derive from mho.array.Array")
    check_description(array, Array)
    for rows, columns in _SIZES if size is None else (size,):
        g = _conductances(rows, columns)
        for dtype in (torch.float32, torch.float64):
            _check_tensors(array, g.to(dtype))
            for analog in (_PAIR, _APART):
                _check_copies(array, g.to(dtype), analog)
        _check_passive(array, g, array.effective_conductance(g), "effective_conductance")
        _check_precision(array, g)
        _check_gradient(array, g[0])
        for analog in (_PAIR, _APART):
            _check_power(array, torch.stack([g, g.flip(1)]), analog)
        if truth is not None:
            for one in g:
                exact = near(array.effective_conductance(one), truth(one), _G, 1e-9)
                demand(exact, array, f"must be equal to the truth given, for {rows} x {columns} cells")


def _conductances(rows: int, columns: int) -> Tensor:
    """Three tiles from 1 to 100 microsiemens, float64; the last one has a cell without conductance."""
    share = random.uniform((3, rows, columns), 0, "check_array").double()
    g = _G * 10 ** (2 * share - 2)
    g[2, 0, 0] = 0
    return g


def _check_tensors(array: Array, g: Tensor) -> None:
    must = promises(array)
    kept = g.clone()
    eff = array.effective_conductance(g)
    must(same(g, kept), "must not change its arguments in place")
    must(eff.shape == g.shape, f"must keep the shape {tuple(g.shape)}, gives {tuple(eff.shape)}")
    must(eff.dtype == g.dtype, f"must keep the dtype {g.dtype}, gives {eff.dtype}")
    must(bool(eff.isfinite().all()), "must be finite")
    must(same(array.effective_conductance(g), eff), "must give the same for the same conductances")
    alone = torch.stack([array.effective_conductance(one) for one in g])
    must(near(alone, eff, _G, 1e-6), "a tile must not depend on the other tiles or on their number")
    stacked = array.effective_conductance(g.view(1, 3, *g.shape[1:]))
    must(stacked.shape == (1, *g.shape) and near(stacked[0], eff, _G, 1e-6), "leading axes must be tiles")
    nothing = array.effective_conductance(torch.zeros_like(g))
    must(not bool(nothing.any()), "must carry nothing without conductances")
    must(array.effective_conductance(g[:0]).shape == g[:0].shape, "no tiles must give no tiles")


def _check_power(array: Array, g: Tensor, analog: Sequence[Sequence[float]]) -> None:
    """What the drivers see is symmetric, and takes power."""
    must, y = promises(array), array.admittance(g, analog)
    if y is None:
        return
    rows = g.shape[-2]
    must(y.shape == (*g.shape[1:-2], rows, rows), "admittance must be [..., row, row], or None")
    must(near(y, y.mT, _G, 1e-6), "admittance must be symmetric")
    least = torch.linalg.eigvalsh(y)[..., 0]
    must(bool((least >= -1e-6 * _G).all()), "drivers must not be given power")


def _check_passive(array: Array, g: Tensor, eff: Tensor, what: str) -> None:
    must = promises(array)
    slack = 1e-6 * _G
    must(bool((eff >= -slack).all()), f"{what} must not be negative")
    copies = (0,) if g.dim() > 3 else ()  # those of a weight may share lines
    for axis, driven in ((-2, "all rows are"), (-1, "one row is")):
        axes = (*copies, axis)
        less = bool((eff.sum(axes) <= g.sum(axes) * (1 + 1e-6) + slack).all())
        must(less, f"{what} must not carry more current than ideal wires when {driven} driven")


def _check_copies(array: Array, g: Tensor, analog: Sequence[Sequence[float]]) -> None:
    must = promises(array)
    both = torch.stack([g, g.flip(0)])
    kept = both.clone()
    eff = array.effective_copies(both, analog)
    must(same(both, kept), "effective_copies must not change its arguments in place")
    kept_form = eff.shape == both.shape and eff.dtype == both.dtype
    must(kept_form, "effective_copies must keep shape and dtype")
    alone = torch.stack([array.effective_copies(both[:, k], analog) for k in range(3)], dim=1)
    must(near(alone, eff, _G, 1e-6), "effective_copies of a tile must not depend on the other tiles")
    _check_passive(array, both, eff, "effective_copies")
    nothing = array.effective_copies(torch.zeros_like(both), analog)
    must(not bool(nothing.any()), "effective_copies must carry nothing without conductances")


def _check_precision(array: Array, g: Tensor) -> None:
    single = array.effective_conductance(g.float()).double()
    close = near(single, array.effective_conductance(g), _G, 1e-4)
    demand(close, array, "must agree between float32 and float64")


def _check_gradient(array: Array, g: Tensor) -> None:
    """The derivative by one cell after the other against differences, in units of 100 microsiemens."""
    x = (g / _G).requires_grad_()
    weight = random.uniform(g.shape, 1, "check_array").double() - 0.5

    def total(x: Tensor) -> Tensor:
        return (array.effective_conductance(x * _G) / _G * weight).sum()

    loss = total(x)
    demand(loss.requires_grad, array, "gradients must reach the conductances")
    (grad,) = torch.autograd.grad(loss, x)
    step = 1e-4
    with torch.no_grad():
        cells = torch.eye(g.numel(), dtype=torch.float64).view(-1, *g.shape) * step
        wanted = torch.stack([(total(x + d) - total(x - d)) / (2 * step) for d in cells]).view(g.shape)
    demand(near(grad, wanted, 1.0, 1e-6), array, "gradients must be those of the matrix")


def check_law(law: Law, voltage: float = 0.2) -> None:
    """Check that a law of nonlinear cells keeps the contract of all laws.

    The law must: travel through JSON; give each cell a current of its own, in the dtype of the voltages; be
    passive: no current without voltage or without conductance, and never one against the voltage; rise with
    the voltage; have the slope that its current has, and exact gradients by the conductance.

    Args:
        law: any instance.
        voltage: the largest magnitude of a voltage at which it is used, volts.

    Raises:
        AssertionError: naming the law and the broken promise.

    Example:
        >>> from mho.array import Sinh
        >>> check_law(Sinh(v_c=0.25))
    """
    demand(isinstance(law, Law), law, "must derive from mho.array.Law")
    check_description(law, Law)
    must = promises(law)
    for dtype in (torch.float32, torch.float64):
        v = voltage * torch.linspace(-1, 1, 80, dtype=dtype).unsqueeze(1) * 0.9973
        g = (_G * torch.tensor([1.0, 0.01, 0.3], dtype=dtype)).expand(80, 3).contiguous()
        v = v.expand(80, 3).contiguous()
        kept = v.clone(), g.clone()
        i = law.current(v, g)
        must(same(v, kept[0]) and same(g, kept[1]), "must not change its arguments in place")
        must(i.shape == v.shape and i.dtype == dtype, "must keep shape and dtype")
        alone = torch.stack([law.current(v[k], g[k]) for k in range(80)])
        must(near(alone, i, _G * voltage, 1e-6), "a cell must not depend on the other cells")
        must(bool((i * v >= 0).all()), "no current must flow against the voltage")
        must(bool((i.diff(dim=0) >= 0).all()), "the current must rise with the voltage")
        zero = torch.zeros_like(v)
        for none in (law.current(zero, g), law.current(v, zero)):
            still = near(none, zero, _G * voltage, 1e-6)
            must(still, "no current must flow without voltage or without conductance")
    _check_slopes(law, v, g)


def _check_slopes(law: Law, v: Tensor, g: Tensor) -> None:
    """In float64, against differences."""
    must = promises(law)
    step = 1e-6 * float(v.max())
    wanted = (law.current(v + step, g) - law.current(v - step, g)) / (2 * step)
    must(near(law.slope(v, g), wanted, _G, 1e-5), "slope must be the derivative of current by the voltage")
    x = (g / _G).requires_grad_()
    (grad,) = torch.autograd.grad(law.current(v, x * _G).sum(), x)
    with torch.no_grad():
        wanted = (law.current(v, (x + 1e-6) * _G) - law.current(v, (x - 1e-6) * _G)) / 2e-6
    must(near(grad, wanted, _G * float(v.max()), 1e-5), "gradients by the conductance must be exact")
