"""The contract of corrections."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mho import random
from mho.periphery import Compensation
from mho.testing.promise import check_description, demand, promises, same

_COLUMNS = 7


def check_compensation(method: Compensation) -> None:
    """Check that a correction keeps the contract of all corrections.

    The correction must: travel through JSON; say by ``needs_data`` and ``needs_age`` which of
    ``from_reference``, ``from_outputs`` and ``from_age`` it has; give a gain and a shift for each column,
    finite, in the dtype of the read, the same for the same arguments, which it leaves as they are. From a
    reference read: an array that reads what it read gains nothing and is not shifted, and one that reads
    nothing gets no infinite gain. From outputs: outputs that are right already stay as they are, however
    many batches they come in. From the age: a positive gain, 1 for a chip that was just programmed.

    Args:
        method: any instance; check one for each setting that changes its behaviour.

    Raises:
        AssertionError: naming the correction and the broken promise.

    Example:
        >>> from mho.periphery import GlobalDrift
        >>> check_compensation(GlobalDrift())
    """
    demand(isinstance(method, Compensation), method, "must derive from mho.periphery.Compensation")
    check_description(method, Compensation)
    if method.needs_data:
        _check_outputs(method)
        return
    if method.needs_age:
        _check_age(method)
        return
    for dtype in (torch.float32, torch.float64):
        _check_reference(method, dtype)


def _check_pair(method: Compensation, gain: Tensor, shift: Tensor, dtype: torch.dtype) -> None:
    must = promises(method)
    for name, value in (("gain", gain), ("shift", shift)):
        must(tuple(value.shape) == (_COLUMNS,), f"{name} must be [column], is {tuple(value.shape)}")
        must(value.dtype == dtype, f"{name} must keep the dtype {dtype}, is {value.dtype}")
        must(bool(value.isfinite().all()), f"{name} must be finite, is {value.tolist()}")


def _check_reference(method: Compensation, dtype: torch.dtype) -> None:
    must = promises(method)
    before = 0.2 + random.uniform((_COLUMNS,), 0, "check_compensation").to(dtype)
    now = 0.6 * before * (1 + 0.05 * random.normal((_COLUMNS,), 1, "check_compensation").to(dtype))
    kept = before.clone(), now.clone()
    found = method.from_reference(before, now)
    must(same(before, kept[0]) and same(now, kept[1]), "must not change its arguments in place")
    _check_pair(method, *found, dtype)
    again = method.from_reference(before, now)
    must(all(map(same, found, again)), "must give the same for the same reads")
    gain, shift = method.from_reference(before, before.clone())
    still = bool(((gain - 1).abs() < 1e-5).all() and (shift.abs() < 1e-5).all())
    must(still, "an array that reads what it read must be left as it is")
    for lost in (torch.zeros_like(now), torch.cat([now[:1] * 0, now[1:]])):
        _check_pair(method, *method.from_reference(before, lost), dtype)


def _check_age(method: Compensation) -> None:
    must = promises(method)
    must(method.from_age(0.0) == 1.0, "a chip that was just programmed must be left as it is")
    for seconds in (1.0, 3_600.0, 31_536_000.0):
        gain = method.from_age(seconds)
        must(isinstance(gain, float) and 0 < gain < math.inf, f"the gain must be positive, is {gain!r}")


def _check_outputs(method: Compensation) -> None:
    must = promises(method)
    measured = random.normal((50, _COLUMNS), 0, "check_compensation").double()
    wanted = 1.3 * measured + 0.2
    pairs = []
    for sizes in ([50], [20, 30]):
        fit = method.from_outputs("check_compensation")
        for a, b in zip(measured.split(sizes), wanted.split(sizes), strict=True):
            kept = a.clone(), b.clone()
            fit.add(a, b)
            must(same(a, kept[0]) and same(b, kept[1]), "must not change its arguments in place")
        pairs.append(fit.solve())
        _check_pair(method, *pairs[-1], torch.float64)
    close = all(bool(((a - b).abs() < 1e-6).all()) for a, b in zip(*pairs, strict=True))
    must(close, "must give the same however many batches the outputs come in")
    fit = method.from_outputs("check_compensation")
    fit.add(measured, measured.clone())
    gain, shift = fit.solve()
    still = bool(((gain - 1).abs() < 1e-6).all() and (shift.abs() < 1e-6).all())
    must(still, "outputs that are right must be left as they are")
