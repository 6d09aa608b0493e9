"""The contract of ADCs as circuits."""

from __future__ import annotations

import torch
from torch import Tensor

from mho.converters import Circuit
from mho.testing.promise import check_place, near, promises, same

_LIMITS = (1.0, 0.3, 7.0)
_VECTORS = 401


def check_circuit(adc: Circuit) -> None:
    """The part of :func:`mho.testing.check_adc` that is about circuits: see there."""
    _check_draws(adc)
    for dtype in (torch.float32, torch.float64):
        _check_without_mismatch(adc, dtype)
        _check_converters(adc, dtype)
    for limit in _LIMITS:
        _check_levels(adc, limit)
    _check_gradient(adc)


def _drawn(adc: Circuit, places: tuple[int, int, int], columns: list[int], seed: int, path: str) -> Tensor:
    """The draws of a circuit, perhaps none."""
    draws = adc.draw(places, columns, seed, path)
    return torch.empty(*places, sum(columns), 0) if draws is None else draws


def _values(dtype: torch.dtype) -> Tensor:
    """From twice below to twice above a full scale of 1, and its ends."""
    inside = torch.linspace(-2, 2, _VECTORS - 2, dtype=dtype) * 0.99991
    return torch.cat([inside, torch.tensor([-1.0, 1.0], dtype=dtype)])


def _check_draws(adc: Circuit) -> None:
    """Of two groups, three tiles of rows and two channels, on two arrays of 10 and 5 columns."""
    must = promises(adc)
    counts = (adc.own_draws, adc.array_draws)
    must(
        all(isinstance(n, int) and n >= 0 for n in counts), f"must need whole numbers of draws, not {counts}"
    )
    places, columns = (2, 3, 2), [10, 5]
    draws = _drawn(adc, places, columns, 0, "fc")
    shape = (*places, 15, sum(counts))
    must(tuple(draws.shape) == shape, f"draws must have shape {shape}, have {tuple(draws.shape)}")
    must(
        same(_drawn(adc, places, columns, 0, "fc"), draws), "the same seed and path must give the same draws"
    )
    if sum(counts):
        for seed, path in ((1, "fc"), (0, "other")):
            other = _drawn(adc, places, columns, seed, path)
            must(not bool((other == draws).any()), "another seed or path must give other draws")
    shared = draws[..., : min(adc.columns, 10), :]
    must(bool((shared == shared[..., :1, :]).all()), "neighbouring columns must share a converter")
    if adc.own_draws:
        must(
            bool((draws[..., 0, :] != draws[..., 10, :]).any()),
            "two arrays must have converters of their own",
        )


def _draws(adc: Circuit, dtype: torch.dtype) -> Tensor:
    """Of seven converters, each on an array of its own."""
    return _drawn(adc, (7, 1, 1), [1], 0, "check")[:, 0, 0, 0].to(dtype)


def _check_without_mismatch(adc: Circuit, dtype: torch.dtype) -> None:
    must = promises(adc)
    x = _values(dtype)
    kept = x.clone()
    y = adc.quantise(x, 1.0)
    must(same(x, kept), "must not change its arguments in place")
    must(y.shape == x.shape and y.dtype == dtype, "must keep shape and dtype")
    must(same(adc.quantise(x, 1.0), y), "must give the same for the same values: noise is added outside")
    alone = torch.stack([adc.quantise(v, 1.0) for v in x[::29]])
    must(same(alone, y[::29]), "a value must not depend on the other values")
    each = adc.quantise(x.view(-1, 1), torch.ones(1, 1, dtype=dtype)).view(-1)
    must(same(each, y), "a full scale given as a tensor must do the same")
    must(adc.quantise(x[:0], 1.0).numel() == 0, "no values must give no values")
    check_place(adc, lambda: adc.quantise(x.to("meta"), 1.0))
    nothing = torch.zeros(max(adc.own_draws, adc.array_draws), dtype=dtype)
    table = adc.table(nothing[: adc.own_draws], nothing[: adc.array_draws])
    must(same(adc.nominal(x), table), "draws of zero must be the converter without mismatch")


def _check_converters(adc: Circuit, dtype: torch.dtype) -> None:
    """Seven converters with the errors of a chip."""
    must = promises(adc)
    draws = _draws(adc, dtype)
    kept = draws.clone()
    table = adc.tables(draws)
    must(same(draws, kept), "must not change its draws in place")
    must(
        table.shape[0] == 7 and table.dtype == dtype,
        "a table must have a row for each converter, and its dtype",
    )
    x = _values(dtype).clamp(-1, 1).expand(7, -1).contiguous()
    code = adc.convert(x, table)
    must(code.shape == x.shape and code.dtype == dtype, "codes must have the shape and dtype of the values")
    top = 2**adc.bits - 1
    whole = bool(((code == code.round()) & (code >= 0) & (code <= top)).all())
    must(whole, f"codes must be whole numbers from 0 to {top}")
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    alone = torch.cat([adc.convert(x[k : k + 1], table[k : k + 1]) for k in range(7)])
    must(same(alone, code), "a converter must not depend on the others")
    found = adc.look_up(x, adc.packed(table), order)
    must(same(found, code[order]), "packed tables must give the same codes, converter by converter")
    check_place(adc, lambda: adc.convert(x.to("meta"), table.to("meta")))
    check_place(adc, lambda: adc.tables(draws.to("meta")))


def _check_levels(adc: Circuit, limit: float) -> None:
    must = promises(adc)
    x = _values(torch.float64) * limit
    y = adc.quantise(x, limit)
    low, count = (-1.0 if adc.signed else 0.0), 2**adc.bits
    code = (y / limit - low) * (count / (1 - low)) - 0.5
    must(near(code, code.round(), 1.0, 1e-9), "values must be read as levels, half a step beside full scale")
    inside = bool(((code > -0.5) & (code < count - 0.5)).all())
    must(inside, "levels must lie within full scale")
    must(near(adc.quantise(x / limit, 1.0) * limit, y, limit, 1e-9), "must not depend on the unit")
    ends = adc.quantise(torch.tensor([low * limit, limit], dtype=torch.float64), limit)
    must(bool((y[x >= limit] == ends[1]).all()), "values above full scale must be read as full scale is")
    must(bool((y[x <= low * limit] == ends[0]).all()), "values below must be read as the lowest one is")


def _check_gradient(adc: Circuit) -> None:
    must = promises(adc)
    low = -1.0 if adc.signed else 0.0
    value = _values(torch.float64)
    inside, outside = (value > low) & (value < 1), (value < low - 1e-9) | (value > 1 + 1e-9)
    table = adc.tables(_draws(adc, torch.float64))
    packed, rows = adc.packed(table), torch.arange(7)
    x = value.expand(7, -1).clone().requires_grad_()
    for read in (adc.quantise(x, 1.0), adc.levels(x, table), adc.read(x, packed, rows)):
        (grad,) = torch.autograd.grad(read.sum(), x)
        must(bool((grad[:, inside] == 1).all()), "gradients must pass straight through in range")
        must(not bool(grad[:, outside].any()), "gradients must stop where values are clipped")
