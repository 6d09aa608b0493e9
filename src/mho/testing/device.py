"""The contract of devices."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mho.devices import Device, Effect
from mho.devices.effects.base import around, draw_count, effects
from mho.testing.promise import check_description, demand, near

_TIMES = (1.0, 60.0, 3_600.0, 86_400.0, 2_592_000.0, 31_536_000.0, 315_360_000.0)  # 1 s to 10 years


def check_device(device: Device) -> None:
    """Check that a device keeps the contract of all devices.

    The device must: travel through JSON; act on each cell alone, whatever the shape; give the same
    result for the same draws and leave its arguments as they are; keep the dtype and agree between
    float32 and float64; work where its arguments are and decide nothing by their values; stay finite
    and never negative; give ``g`` back at 0 seconds; lose a mechanism whose scale is 0 without moving
    the others; and refuse times at which it is not known. An effect around a device must leave its
    programming alone; it may change ``g`` at 0 seconds, and cells with exact counts or whole lines are not
    alone.

    Args:
        device: any instance; check one for each setting that changes its behaviour.

    Raises:
        AssertionError: naming the device and the broken promise.

    Example:
        >>> from mho.devices import PCM
        >>> check_device(PCM(g_max=10e-6))
    """
    _check_device_description(device)
    _check_times(device)
    for dtype in (torch.float32, torch.float64):
        _check_stages(device, dtype)
        _check_cells_are_alone(device, dtype)
    _check_precision(device)
    _check_place(device)
    _check_scales(device)


def _valid_times(device: Device) -> list[float]:
    """0 and the times of ``_TIMES`` and the ends of the device's span at which it is known."""
    first, last = device.times
    ends = [t for t in (first, last) if 0 < t < math.inf]
    return sorted({0.0, *ends, *(t for t in _TIMES if first <= t <= last)})


def _cells(device: Device, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Targets over the whole range and two sets of draws, of shape (2, 9, 7), extremes included."""
    steps = torch.linspace(0, 1, 9, dtype=dtype).reshape(1, 9, 1)
    target = (device.g_min + (device.g_max - device.g_min) * steps).clamp(device.g_min, device.g_max)
    draws = torch.tensor([-6.0, -2.0, -0.5, 0.0, 0.7, 1.9, 6.0], dtype=dtype)
    program = draws.expand(2, 9, 7).clone()
    drift = torch.stack((draws.flip(0).expand(9, 7), draws.roll(3).expand(9, 7)))
    return target.expand(2, 9, 7).clone(), program, _drift_draws(device, drift)


def _drift_draws(device: Device, drift: Tensor) -> Tensor:
    """Other draws for each effect, ``[draws, 2, 9, 7]``; those of the drift for a plain device."""
    if not isinstance(device, Effect):
        return drift
    return torch.stack([drift.roll(2 * k, dims=2) for k in range(draw_count(device))])


def _check_device_description(device: Device) -> None:
    demand(isinstance(device, Device), device, "must derive from mho.devices.Device")
    demand(0 <= device.g_min < device.g_max < math.inf, device, "must have 0 <= g_min < g_max, in siemens")
    demand(0 < device.v_read < math.inf, device, "v_read must be positive, in volts")
    check_description(device, Device)


def _check_times(device: Device) -> None:
    first, last = device.times
    demand(0 <= first <= last, device, f"times = {device.times!r} must be (first, last), first <= last")
    wrong = [-1.0, math.nan, math.inf]
    if first > 0:
        wrong.append(first / 2)
    if last < math.inf:
        wrong.append(last * 1.01 + 1)
    target, program, drift = _cells(device, torch.float32)
    g = device.programmed(target, program)
    cells = device.drift_state(target, drift)
    for seconds in wrong:
        refused = _refuses(device.aged, g, cells, seconds) and _refuses(device.read_std, g, g, seconds)
        demand(refused, device, f"aged and read_std must raise ValueError at seconds = {seconds!r}")


def _refuses(method: Callable[..., Tensor], *arguments: Tensor | float) -> bool:
    try:
        method(*arguments)
    except ValueError:
        return True
    return False


def _history(device: Device, target: Tensor, program: Tensor, drift: Tensor) -> dict[str, Tensor]:
    """Everything a device says about the cells, by name."""
    g = device.programmed(target, program)
    cells = device.drift_state(target, drift)
    said = {"programmed": g, "drift_state": cells}
    for seconds in _valid_times(device):
        now = device.aged(g, cells, seconds)
        said[f"aged at {seconds:g} s"] = now
        said[f"read_std at {seconds:g} s"] = device.read_std(g, now, seconds)
        mean, std = device.read_moments(g, cells, now, seconds)
        said[f"read_mean at {seconds:g} s"], said[f"read_std in all at {seconds:g} s"] = mean, std
    return said


def _check_stages(device: Device, dtype: torch.dtype) -> None:
    inputs = _cells(device, dtype)
    kept = [x.clone() for x in inputs]
    said = _history(device, *inputs)
    again = _history(device, *inputs)
    shape = inputs[0].shape
    for name, value in said.items():
        where = f"{name} ({dtype})"
        wanted = (value.shape[:1] + shape) if name == "drift_state" else shape
        demand(
            value.shape == wanted,
            device,
            f"{where} must have shape {tuple(wanted)}, has {tuple(value.shape)}",
        )
        demand(value.dtype == dtype, device, f"{where} must keep the dtype, gives {value.dtype}")
        demand(bool(value.isfinite().all()), device, f"{where} must be finite")
        if name != "drift_state":
            demand(bool((value >= 0).all()), device, f"{where} must not be negative")
        demand(torch.equal(value, again[name]), device, f"{where} must give the same for the same draws")
    if isinstance(device, Effect):
        inner = device.device.programmed(inputs[0], inputs[1])
        demand(torch.equal(said["programmed"], inner), device, "an effect must leave programming alone")
        inside = _history(device.device, *_inside(device, inputs))
        count = len(said["drift_state"]) - len(inside["drift_state"])
        demand(count == device.parameters, device, f"own_state must give {device.parameters} parameters")
    else:
        demand(torch.equal(said["aged at 0 s"], said["programmed"]), device, "aged at 0 s must give g back")
    same = all(torch.equal(a, b) for a, b in zip(inputs, kept, strict=True))
    demand(same, device, "must not change its arguments in place")


def _inside(device: Effect, inputs: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """The draws that the device inside gets."""
    drift = inputs[2][device.draws :]
    return inputs[0], inputs[1], drift if isinstance(device.device, Effect) else drift[0]


def _check_cells_are_alone(device: Device, dtype: torch.dtype) -> None:
    if not all(effect.alone for effect in effects(device)):
        return
    inputs = _cells(device, dtype)
    whole = _history(device, *inputs)
    for index in ((0, 0, 0), (1, 8, 6), (0, 4), (slice(None), slice(2, 5))):
        each_parameter = (slice(None), *index)
        for name, value in _history(device, *_at(device, inputs, index)).items():
            wanted = whole[name][each_parameter if name == "drift_state" else index]
            close = near(value, wanted, device.g_max, 1e-6)
            demand(close, device, f"{name} of a cell must not depend on the other cells or on the shape")
    for name, value in _history(device, *_at(device, inputs, (slice(0, 0),))).items():
        demand(value.numel() == 0, device, f"{name} of no cells must be empty")


def _at(
    device: Device, inputs: tuple[Tensor, Tensor, Tensor], index: tuple[Any, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """The inputs of some cells."""
    each = (slice(None), *index) if isinstance(device, Effect) else index
    return inputs[0][index], inputs[1][index], inputs[2][each]


def _check_precision(device: Device) -> None:
    single = _history(device, *_cells(device, torch.float32))
    double = _history(device, *_cells(device, torch.float64))
    for name, value in single.items():
        close = near(value.double(), double[name], device.g_max, 2e-4)
        demand(close, device, f"{name} must agree between float32 and float64")


def _check_place(device: Device) -> None:
    """On torch's meta device there are shapes and no values: it shows constants left on the CPU."""
    try:
        said = _history(device, *(x.to("meta") for x in _cells(device, torch.float32)))
    except (RuntimeError, NotImplementedError) as error:
        raise AssertionError(
            f"{device!r}: must make its tensors on the device of its arguments, and branch on fields "
            f"and seconds only, never on the values of a tensor; on the meta device: {error}"
        ) from error
    for name, value in said.items():
        demand(value.device.type == "meta", device, f"{name} must stay on the device of the arguments")


def _without(device: Device, name: str) -> Device:
    """The device with a scale of 0; an effect has the scales of the device inside."""
    if isinstance(device, Effect):
        return around(device, _without(device.device, name))
    changes: dict[str, Any] = {name: 0.0}
    return dataclasses.replace(device, **changes)  # type: ignore[type-var]


def _check_scales(device: Device) -> None:
    inputs = _cells(device, torch.float32)
    usual = _history(device, *inputs)
    for name in ("program_scale", "drift_scale", "read_scale"):
        without = _without(device, name)
        said = _history(without, *inputs)
        for stage, value in said.items():
            if name == "program_scale" and stage == "programmed":
                demand(torch.equal(value, inputs[0]), device, "program_scale = 0 must give g_target exactly")
            elif name == "drift_scale" and stage.startswith("aged"):
                held = torch.equal(value, said["aged at 0 s" if isinstance(device, Effect) else "programmed"])
                demand(held, device, f"drift_scale = 0 must hold g; {stage} it does not")
            elif name == "read_scale" and stage.startswith("read_std"):
                demand(not value.any(), device, f"read_scale = 0 must give {stage} = 0")
        moved = {
            "program_scale": ("drift_state",),
            "drift_scale": ("programmed",),
            "read_scale": tuple(s for s in usual if not s.startswith("read_")),
        }
        for stage in moved[name]:
            same = torch.equal(said[stage], usual[stage])
            demand(same, device, f"{name} must not move {stage}")
