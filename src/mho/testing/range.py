"""The contract of ranges."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mho import random
from mho.converters import Histogram, Range
from mho.testing.promise import check_description, check_place, demand, near, promises, same

_BITS = 6


def check_range(how: Range) -> None:
    """Check that a range keeps the contract of all ranges.

    The range must: travel through JSON; say a full scale, by one of ``given``, ``choose`` and ``full_scale``,
    that is finite and not negative. One that is chosen from data must not depend on the unit of the values,
    must be zero (or none) where all are zero, and a layer must keep what was chosen: in the shape that it
    says, and in its description. One that is measured must measure each vector by itself, broadcast over the
    values, keep their dtype, need no gradient, leave its arguments as they are and decide nothing by their
    values.

    Args:
        how: any instance; check one for each setting that changes its behaviour.

    Raises:
        AssertionError: naming the range and the broken promise.

    Example:
        >>> from mho.converters import Calibrated
        >>> check_range(Calibrated(quantile=0.99))
    """
    demand(isinstance(how, Range), how, "must derive from mho.converters.Range")
    check_description(how, Range)
    must = promises(how)
    given, shape, measured = how.given(), how.shape(3, 2), how.full_scale(_values(), (2,), ((0, 7),))
    must(
        sum(found is not None for found in (given, shape, measured)) == 1,
        "must say its full scale in one way: by given, choose or full_scale",
    )
    lowest = how.lowest()
    must(lowest is None or lowest < 1, f"the lowest value must be below full scale, is {lowest} times it")
    if given is not None:
        each = given if isinstance(given, tuple) else (given,)
        must(all(0 < limit < math.inf for limit in each), f"full scale must be above 0, is {given}")
    if shape is not None:
        _check_choice(how)
        _check_kept(how)
    if measured is not None:
        _check_measure(how)


def _values() -> Tensor:
    """``[2, 3, 7]``: six vectors of seven values."""
    return random.normal((2, 3, 7), 0, "check_range")


def _seen(values: Tensor) -> Histogram:
    histogram = Histogram()
    histogram.add(values)
    return histogram


def _rounded(values: Tensor, limit: float) -> Tensor:
    """What a converter gives."""
    high = 2.0 ** (_BITS - 1) - 1
    return (values * (high / limit)).round().clamp(-high, high) * (limit / high)


def _check_choice(how: Range) -> None:
    must = promises(how)
    values = random.normal((4000,), 1, "check_range")
    limit = how.choose(_seen(values), _rounded)
    if limit is None:
        raise AssertionError(f"{how!r}: choose must give a full scale")
    must(0 < limit < math.inf, f"choose must give a number above 0, gives {limit}")
    for unit in (4.0, 2.0**-10):
        scaled = how.choose(_seen(values * unit), _rounded)
        kept = scaled is not None and math.isclose(scaled, unit * limit, rel_tol=1e-6)
        must(
            kept,
            f"choose must not depend on the unit: {limit}, and {scaled} for values {unit} times as large",
        )
    nothing = how.choose(_seen(torch.zeros(8)), _rounded)
    must(not nothing, f"choose must give 0 where all values are zero, gives {nothing}")


def _check_kept(how: Range) -> None:
    must = promises(how)
    for tiles, channels in ((1, None), (3, None), (1, 1), (3, 2)):
        if channels is None and how.per_slice:
            continue
        shape = how.shape(tiles, channels)
        seen = [[_seen(_values() * (1 + t + 3 * c)) for t in range(tiles)] for c in range(channels or 1)]
        limits = how.chosen(seen, _rounded)
        fits = shape is not None and limits.numel() == math.prod(shape)
        must(fits, f"must keep as many full scales as it says, {shape}; chooses {tuple(limits.shape)}")
        must(bool((limits > 0).all()), "full scales that were chosen must be above 0")
        again = how.with_limits(tuple(tuple(row) for row in limits.tolist()))
        start = again.start(tiles, channels)
        kept = start is not None and shape is not None and torch.equal(start.detach(), limits.reshape(shape))
        must(kept, "with_limits must give a range that starts with these full scales")
        must(again.lowest() == how.lowest(), "with_limits must give a range with the same span")
        first = how.start(tiles, channels)
        must(first is None or tuple(first.shape) == shape, "start must have the shape that shape gives")
    limit = torch.tensor(1.5)
    values = _values()
    clipped, unit = how.clip(values, 1.0, limit)
    must(float(unit) == 1.0 and clipped.shape == values.shape, "clip must keep shape and unit")
    inside = (values.abs() <= limit).to(values)
    must(same(clipped * inside, values * inside), "clip must leave values in range as they are")


def _check_measure(how: Range) -> None:
    must = promises(how)
    for dtype in (torch.float32, torch.float64):
        x = _values().to(dtype)
        kept = x.clone()
        for axes, columns in (((2,), ((0, 3), (3, 7))), ((2,), ((0, 7),))):
            limit = _measured(how, x, axes, columns)
            must(same(x, kept), "full_scale must not change its arguments in place")
            must(limit.dtype == dtype, "full_scale must keep the dtype")
            must(limit.dim() == 3 and limit.expand_as(x).shape == x.shape, "full_scale must broadcast")
            sound = bool((limit.isfinite() & (limit >= 0)).all())
            must(sound, "full_scale must be finite and not negative")
            alone = torch.cat([_measured(how, x[:1], axes, columns), _measured(how, x[1:], axes, columns)])
            same_alone = near(alone.expand_as(x), limit.expand_as(x), 0.0, 1e-5)  # sums may round otherwise
            must(same_alone, "a vector must not depend on the others")
    wants = _values().requires_grad_()
    must(not _measured(how, wants, (2,), ((0, 7),)).requires_grad, "full_scale must need no gradient")
    nothing = _measured(how, torch.zeros(1, 1, 7), (2,), ((0, 7),))
    must(bool((nothing >= 0).all()), "full_scale of zeros must be a number")
    check_place(how, lambda: _measured(how, _values().to("meta"), (2,), ((0, 7),)))


def _measured(how: Range, x: Tensor, axes: tuple[int, ...], columns: tuple[tuple[int, int], ...]) -> Tensor:
    limit = how.full_scale(x, axes, columns)
    if limit is None:
        raise AssertionError(f"{how!r}: full_scale must give a full scale for all values, or for none")
    return limit
