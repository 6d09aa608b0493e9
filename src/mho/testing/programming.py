"""The contract of ways to program."""

from __future__ import annotations

import torch
from torch import Tensor

from mho import random
from mho.devices import Device, Ideal
from mho.programming import Programming, ProgrammingResult, Site, Summary
from mho.testing.promise import check_description, demand, promises, same

_SHAPE = (2, 1, 6, 5)
_DTYPES = {"pulses": torch.int32, "failed": torch.bool}


def check_programming(programming: Programming, device: Device | None = None) -> None:
    """Check that a way to program keeps the contract of all ways.

    It must: travel through JSON; accept the device; bring all cells to conductances that the device can be
    written to, finite and not negative; say for each what it took; give the same chip for the same seed and
    path, whatever torch's own generator is at, which it leaves alone; keep the dtype; leave its arguments as
    they are; and bring cells to their targets whether they lie in one array or in several.

    Args:
        programming: any instance; check one for each setting that changes its behaviour.
        device: one that can be programmed so; ``mho.devices.Ideal()`` if None.

    Raises:
        AssertionError: naming the way to program and the broken promise.

    Example:
        >>> from mho.programming import SingleShot
        >>> check_programming(SingleShot())
    """
    device = Ideal() if device is None else device
    demand(isinstance(programming, Programming), programming, "must derive from mho.programming.Programming")
    check_description(programming, Programming)
    try:
        programming.check(device)
    except ValueError as error:
        raise AssertionError(f"{programming!r}: give check_programming another device: {error}") from error
    for dtype in (torch.float32, torch.float64):
        _check_result(programming, device, _targets(device, dtype))
    _check_seeds(programming, device)
    _check_summary(programming, device)


def _targets(device: Device, dtype: torch.dtype) -> Tensor:
    share = random.uniform(_SHAPE, 0, "check_programming").to(dtype)
    return device.g_min + (device.g_max - device.g_min) * share


def _check_result(programming: Programming, device: Device, target: Tensor) -> None:
    must = promises(programming)
    kept = target.clone()
    several = Site.whole(target)._replace(rows=((0, 4), (4, 6)), columns=((0, 3), (3, 5)))
    for site in (None, several):
        result = programming.write(device, target, 0, "fc", site)
        must(same(target, kept), "must not change its arguments in place")
        for name, value in _parts(result).items():
            must(tuple(value.shape) == _SHAPE, f"{name} must have the shape of the targets")
            wanted = _DTYPES.get(name, target.dtype if name == "g" else value.dtype)
            must(value.dtype == wanted, f"{name} must be {wanted}, is {value.dtype}")
        must(bool(result.g.isfinite().all()), "conductances must be finite")
        low, high = device.written_span()
        slack = 1e-5 * device.g_max
        inside = bool(((result.g >= low - slack) & (result.g <= high + slack)).all())
        must(inside, f"conductances must be such as the device can be written to, {low:g} to {high:g} S")
        must(bool((result.pulses >= 0).all()), "a number of pulses must not be negative")


def _parts(result: ProgrammingResult) -> dict[str, Tensor]:
    return {name: getattr(result, name) for name in ("g", "pulses", "failed", "energy", "seconds")}


def _check_seeds(programming: Programming, device: Device) -> None:
    must = promises(programming)
    target = _targets(device, torch.float32)
    before = torch.random.get_rng_state()
    first = programming.write(device, target, 0, "fc")
    must(torch.equal(torch.random.get_rng_state(), before), "must leave torch's generator alone")
    with torch.random.fork_rng():
        torch.random.manual_seed(1)
        second = programming.write(device, target, 0, "fc")
    for name, value in _parts(first).items():
        again = _parts(second)[name]
        must(
            torch.equal(value.nan_to_num(), again.nan_to_num()),
            f"the same seed and path must give the same {name}",
        )


def _check_summary(programming: Programming, device: Device) -> None:
    target = _targets(device, torch.float32)
    found = programming.summary(programming.write(device, target, 0, "fc"), target, device.g_max)
    known = found is None or isinstance(found, Summary)
    demand(known, programming, "summary must give a mho.programming.Summary, or None")
    counted = found is None or (found.cells == target.numel() and sum(found.histogram) == found.cells)
    demand(counted, programming, "summary must count all cells")
