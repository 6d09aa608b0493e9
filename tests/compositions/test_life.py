"""Devices, effects and arrays, every two of them in a chip: what holds for one chip holds for all of them.

The parts are found by walking mho (``parts.py``): a new one joins by existing.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

import mho
from mho.array import Array, Ideal
from mho.converters import ColumnConverter
from mho.devices import Device, Effect, Varied
from mho.mapping import Mapping
from mho.periphery import Compensation

from .compositions import (
    CANNOT_VARY,
    Composition,
    dacs,
    differences,
    inputs,
    may_drive,
    read,
    saved_and_loaded,
    times,
    weights,
    with_effects,
    without_scales,
)
from .covering import covering, some
from .parts import all_examples, kinds, varied

EFFECTS = [(), *((effect,) for effect in kinds(Effect))]


class Life(NamedTuple):
    """A chip, how it is corrected, and the times at which it is looked at, one after the other."""

    device: type[Device]
    effects: tuple[type[Effect], ...]
    array: type[Array]
    mapping: int
    dac: int
    adc: int
    compensation: int
    bias_rows: int
    back_in_time: bool

    def __str__(self) -> str:
        return "-".join([str(self.case), *(f"{name}{self._asdict()[name]:d}" for name in self._fields[3:])])

    @property
    def case(self) -> Composition:
        """The parts of the cells."""
        return Composition(self.device, self.effects, self.array)

    def hardware(self, device: Device) -> mho.Hardware:
        """The chip around a device, which may lack the effects."""
        adc = ADCS[self.adc]
        return self.case.hardware(
            device,
            mapping=MAPPINGS[self.mapping](device),
            dac=DACS[self.dac],
            adc=adc and adc(device),
        )


DACS = dacs(mho.devices.Ideal())
MAPPINGS, ADCS = all_examples(Mapping), [None, *all_examples(ColumnConverter)]
COMPENSATIONS = all_examples(Compensation)
NUMBERS = [list(range(len(some))) for some in (MAPPINGS, DACS, ADCS, COMPENSATIONS)]


def allowed(row: Sequence[Any]) -> bool:
    """What mho does not refuse; None: not chosen yet."""
    device, effects, array, _, dac = row[:5]
    if array is not None and dac is not None and not may_drive(DACS[dac], array):
        return False
    return device is None or not Composition(device, effects or (), Ideal).refused


LIVES = [
    Life(*row)
    for row in covering(
        [kinds(Device, Effect), EFFECTS, kinds(Array), *NUMBERS, [0, 1], [False, True]], allowed
    )
]
ON_IDEAL_ARRAYS = [
    Composition(device, effects, Ideal)
    for device in kinds(Device, Effect)
    for effects in EFFECTS
    if not Composition(device, effects, Ideal).refused
]


@pytest.mark.parametrize("kind", [*kinds(Device, Effect), *kinds(Effect)], ids=lambda kind: kind.__name__)
def test_what_can_vary(kind: type[Device]) -> None:
    """What the compositions leave out is refused, and nothing else is."""
    inside = Composition(kind, (), Ideal).bare_device()
    if kind in CANNOT_VARY:
        with pytest.raises(ValueError, match="no parameter"):
            varied(inside)
    else:
        assert varied(inside).spreads


@functools.cache
def sound(hardware: mho.Hardware, bias_rows: int, seconds: float) -> nn.Module:
    """A chip without effects at some age."""
    chip = mho.convert(weights(), hardware, bias_rows=bias_rows)
    mho.program(chip, seed=0)
    mho.age(chip, seconds)
    return chip


@pytest.mark.parametrize("life", some(LIVES), ids=str)
def test_life(life: Life) -> None:
    """Programmed, aged, degraded, calibrated, compensated, saved and loaded."""
    plain, effects, bias_rows = life.case.bare_device(), life.case.bare_effects(), life.bias_rows
    device = with_effects(plain, effects)
    hardware = life.hardware(device)
    assert mho.Hardware.from_json(hardware.to_json()) == hardware
    early, late = times(device)
    layer, x = weights(), inputs()

    chip = mho.convert(layer, hardware, bias_rows=bias_rows)
    mho.program(chip, seed=0)
    for seconds in (late, early) if life.back_in_time else (early,):
        mho.age(chip, seconds)
    if any(isinstance(effect, Varied) for effect in effects):
        other = mho.convert(layer, life.hardware(plain), bias_rows=bias_rows)
        mho.degrade(other, *effects, seed=0)
        mho.program(other, seed=0)
        mho.age(other, early)
    else:
        other = copy.deepcopy(sound(life.hardware(plain), bias_rows, early))
        if effects:
            mho.degrade(other, *effects, seed=0)
    found = differences(chip, other)
    assert not found, "a seed and an age must give one chip, in any order, whenever the effects came"

    mho.calibrate(chip, [x])
    method = COMPENSATIONS[life.compensation](device)
    mho.compensate(chip, method, [x] if method.needs_data else None)
    y = read(chip, x)
    assert y.isfinite().all()
    back = saved_and_loaded(chip, mho.convert(layer, hardware, bias_rows=bias_rows))
    assert not differences(chip, back), "a chip must come back whole"
    assert torch.equal(read(back, x), y), "a loaded chip must read the same"


@pytest.mark.parametrize("case", some(ON_IDEAL_ARRAYS), ids=lambda case: str(case).rpartition("-")[0])
def test_without_scales(case: Composition) -> None:
    """What program_scale, drift_scale and read_scale belong to is gone with them."""
    device = with_effects(case.bare_device(), case.bare_effects())
    chip = mho.convert(weights(), case.hardware(without_scales(device)))
    mho.program(chip, seed=0)
    first = mho.conductances(chip)[""]
    mho.age(chip, times(device)[1])
    assert torch.equal(mho.conductances(chip)[""], first), "drift_scale = 0 must stop all drift"
    noise = [name for name in ("variance", "shot", "thermal") if getattr(chip, f"packed_{name}") is not None]
    assert not noise, "read_scale = 0 must remove all noise"
    if not case.effects:
        w = chip.wide_weight().detach()
        scale = chip.hardware.mapping.scale.reference(chip.matrix(w))
        wanted = chip.hardware.mapping.targets(chip.matrix(w) / scale, device.g_min, device.g_max)
        torch.testing.assert_close(first, wanted, rtol=1e-5, atol=1e-6 * device.g_max)
