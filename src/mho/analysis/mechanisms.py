"""The mechanisms by which hardware makes errors, each of which can be switched off.

>>> import mho
>>> mechanisms(mho.Hardware(device=mho.devices.PCM(), adc=mho.ADC(bits=8)))
('programming', 'read noise', 'ADC')
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

import torch

from mho import random
from mho.array import Ideal as IdealArray
from mho.converters import DAC, ColumnConverter
from mho.devices import Device
from mho.devices.effects.base import around, effects, innermost
from mho.hardware import Hardware
from mho.programming import SingleShot

PROGRAMMING, DRIFT, READ = "programming", "drift", "read noise"
DRIVERS, CONVERTERS, WIRES = "DAC", "ADC", "wires"
_SCALES = {PROGRAMMING: "program_scale", DRIFT: "drift_scale", READ: "read_scale"}
_PROBES = 1000  # cells on which a device is asked which mechanisms it has


def mechanisms(hardware: Hardware, seconds: float = 0.0) -> tuple[str, ...]:
    """The mechanisms that hardware has at a time: the rows of its :func:`budget`.

    Which of programming, drift and read noise a device has is found by asking it about some cells.
    """
    device, around_it = innermost(hardware.device), list(effects(hardware.device))[::-1]
    target = torch.linspace(device.g_min, device.g_max, _PROBES, dtype=torch.float64)
    draws = (random.normal(target.shape, 0, "budget", name).double() for name in (PROGRAMMING, DRIFT))
    g = device.programmed(target, next(draws))
    now = device.aged(g, device.drift_state(target, next(draws)), seconds)
    fading = any(e.mechanism == DRIFT for e in around_it) and seconds > 0
    noisy = any(e.mechanism == READ for e in around_it) and device.read_scale > 0
    found = {
        PROGRAMMING: not torch.equal(g, target) or hardware.programming != SingleShot(),
        **{e.mechanism: True for e in around_it if e.mechanism not in _SCALES},
        DRIFT: not torch.equal(now, g) or (fading and device.drift_scale > 0),
        READ: bool((device.read_std(g, now, seconds) > 0).any()) or noisy,
        WIRES: hardware.array != IdealArray(),
        DRIVERS: _acts(hardware.dac) or (hardware.dac is not None and hardware.dac.mismatched),
        CONVERTERS: _acts(hardware.adc),
    }
    return tuple(name for name, there in found.items() if there)


def with_only(hardware: Hardware, names: Collection[str], on: Collection[str]) -> Hardware:
    """The hardware with the mechanisms ``on`` alone, out of ``names``; all else stays as it is."""
    off = set(names) - set(on)
    device: Device = innermost(hardware.device)
    scales: dict[str, Any] = {field: 0.0 for name, field in _SCALES.items() if name in off}
    if scales:
        device = dataclasses.replace(device, **scales)  # type: ignore[type-var]
    for effect in reversed(list(effects(hardware.device))):
        if effect.mechanism in _SCALES or effect.mechanism not in off:
            device = around(effect, device)
    return dataclasses.replace(
        hardware,
        device=device,
        programming=SingleShot() if PROGRAMMING in off else hardware.programming,
        array=IdealArray() if WIRES in off else hardware.array,
        dac=_silent(hardware, WIRES in off) if DRIVERS in off else hardware.dac,
        adc=None if CONVERTERS in off else hardware.adc,
    )


def _acts(converter: DAC | ColumnConverter | None) -> bool:
    """Whether a converter does anything to a number."""
    return converter is not None and (not converter.ideal or converter.noise > 0)


def _silent(hardware: Hardware, ideal_array: bool) -> DAC | None:
    """No DAC, or one that only says which voltage an input is, where cells obey no Ohm's law."""
    if hardware.dac is None or ideal_array or not hardware.array.voltages:
        return None
    return DAC(bits=None, range=hardware.dac.range)
