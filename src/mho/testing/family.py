"""The contract of ADCs that are neither uniform nor circuits."""

from __future__ import annotations

import torch
from torch import Tensor

from mho.converters import ColumnConverter
from mho.testing.promise import check_place, near, promises, same

_LIMITS = (1.0, 0.3, 7.0)
_CONVERTERS = 7


def check_family(adc: ColumnConverter) -> None:
    """The part of :func:`mho.testing.check_adc` that is about other families: see there."""
    for limit in _LIMITS:
        _check_levels(adc, limit)
    _check_gradient(adc)
    _check_digits(adc)
    _check_converters(adc)


def _values() -> Tensor:
    """From twice below to twice above a full scale of 1, float64."""
    return torch.linspace(-2, 2, 4003, dtype=torch.float64) * 0.99991


def _check_levels(adc: ColumnConverter, limit: float) -> None:
    must = promises(adc)
    x = _values() * limit
    y = adc.quantise(x, limit)
    must(bool((y.abs() <= limit * (1 + 1e-9)).all()), "levels must lie within full scale")
    must(bool((y.diff() >= -1e-9 * limit).all()), "a larger value must not become smaller")
    must(near(adc.quantise(y, limit), y, limit, 1e-9), "a level must stay as it is")
    must(near(adc.quantise(x / limit, 1.0) * limit, y, limit, 1e-9), "must not depend on the unit")
    top = adc.quantise(torch.tensor([limit], dtype=x.dtype), limit)
    must(bool((y[x >= limit] == top).all()), "values above full scale must be read as full scale is")


def _check_gradient(adc: ColumnConverter) -> None:
    must = promises(adc)
    x = _values().requires_grad_()
    (grad,) = torch.autograd.grad(adc.quantise(x, 1.0).sum(), x)
    inside = (x > 0) & (x < 1)  # below zero there may be no levels
    must(bool((grad[inside] == 1).all()), "gradients must pass straight through in range")
    must(not bool(grad[x > 1 + 1e-9].any()), "gradients must stop where values are clipped")


def _check_digits(adc: ColumnConverter) -> None:
    """Digits are the same conversion, in steps of their own."""
    must = promises(adc)
    x = _values()
    z = x * adc.per_current(1.0, 0.5)
    found = adc.digits(z.clone()) * (0.5 / adc.high)
    must(near(found, adc.quantise(x, 0.5), 0.5, 1e-6), "digits must be what quantise gives, over high")


def _check_converters(adc: ColumnConverter) -> None:
    """Converters with the errors of a chip, where they have some."""
    must = promises(adc)
    counts = (adc.own_draws, adc.array_draws)
    must(
        all(isinstance(n, int) and n >= 0 for n in counts), f"must need whole numbers of draws, not {counts}"
    )
    draws = adc.draw((_CONVERTERS, 1, 1), [1], 0, "check")
    must((draws is not None) == (sum(counts) > 0), "draw must give draws if there are some, else None")
    if draws is None:
        return
    own = draws[:, 0, 0, 0].double()
    must(tuple(own.shape) == (_CONVERTERS, sum(counts)), "draw must give the draws that there are")
    kept = own.clone()
    packed = adc.pack(own)
    must(same(own, kept), "pack must not change its draws in place")
    must(packed.shape[0] == _CONVERTERS, "pack must give a row for each converter")
    z = (_values() * adc.per_current(1.0, 1.0)).expand(_CONVERTERS, -1).contiguous()
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    read = adc.read(z.clone(), packed, order)
    must(read.shape == z.shape and read.dtype == z.dtype, "read must keep shape and dtype")
    alone = [adc.read(z[k : k + 1].clone(), packed, order[k : k + 1]) for k in range(_CONVERTERS)]
    must(near(torch.cat(alone), read, 1.0, 1e-9), "a converter must not depend on the others")
    nothing = adc.read(z.clone(), adc.pack(torch.zeros_like(own)), order)
    must(near(nothing, adc.digits(z.clone()), 1.0, 1e-9), "draws of zero must be converters without errors")
    check_place(adc, lambda: adc.read(z.to("meta"), packed.to("meta"), order.to("meta")))
    check_place(adc, lambda: adc.pack(own.to("meta")))
