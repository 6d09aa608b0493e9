"""Each number of each device, far from what anyone measured: refused, or a chip of finite numbers."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from mho.devices import Device
from mho.testing.device import _cells

from .test_contract import EXAMPLES

YEAR = 31_536_000.0


def life(device: Device) -> list[torch.Tensor]:
    """What cells are when they were written, just after, after a year and at the end of what is known."""
    target, program, drift = _cells(device, torch.float32)
    g, cells = device.programmed(target, program), device.drift_state(target, drift)
    found, (first, last) = [g, cells], device.times
    for seconds in {first, max(first, min(last, YEAR)), min(last, 1e9)} - {math.inf}:
        now = device.aged(g, cells, seconds)
        found += [now, device.read_std(g, now, seconds)]
    return found


def floats(device: Device) -> dict[str, float]:
    values = {field.name: getattr(device, field.name) for field in dataclasses.fields(device)}
    return {name: value for name, value in values.items() if isinstance(value, float)}


@pytest.mark.parametrize("kind", [k for k in EXAMPLES if floats(EXAMPLES[k][0])], ids=lambda k: k.__name__)
def test_numbers_far_out(kind: type[Device]) -> None:
    worked = 0
    for device in EXAMPLES[kind][:2]:
        for name, value in floats(device).items():
            for other in (0.0, 1e-12, 1e-6 * value, 1e6 * value, -value):
                try:
                    tensors = life(dataclasses.replace(device, **{name: other}))
                except ValueError:
                    continue
                worked += 1
                assert all(bool(t.isfinite().all()) for t in tensors), f"{name} = {other!r} of {device!r}"
    assert worked
