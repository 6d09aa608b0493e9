"""The baseline of a compensation: what the array read just after programming, as it was then."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import mho
from mho.array import Array, SharedColumns, Wires
from mho.array import Ideal as IdealArray
from mho.devices import (
    PCM,
    Device,
    Effect,
    Endurance,
    FiniteStates,
    Ideal,
    ReadDisturb,
    RetentionLoss,
    StuckAt,
    SuddenFailure,
    Temperature,
    UniformG,
)
from mho.devices.dynamics import VTEAM
from mho.devices.effects.base import around
from mho.nn.crossbar.description import CHIP

from . import parts
from .parts import WHOLE

DAY = 86_400.0
HOT = Temperature(kelvin=358.0, activation=0.1, alpha=1e-3)
WIRES = Wires(row=2.0, column=2.0, driver=20.0)
EFFECTS = parts.by_kind(parts.bare_effects())
ARRAYS: list[Array] = [
    IdealArray(),
    WIRES,
    SharedColumns(wires=Wires(row=2.0, column=2.0)),
]


def chip(device: Device, array: Array | None = None, size: int = 6, seed: int = 3) -> nn.Module:
    torch.manual_seed(0)
    hardware = mho.Hardware(device=device, array=array or IdealArray(), tile=mho.Tile(rows=8, columns=4))
    analog = mho.convert(nn.Linear(size + 4, size), hardware).eval()
    mho.program(analog, seed=seed)
    return analog


def same(one: nn.Module, other: nn.Module) -> None:
    for name in CHIP:
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None) and (a is None or torch.equal(a, b)), name


def error(analog: nn.Module) -> float:
    x = torch.rand(200, analog.in_features)
    with torch.no_grad():
        wanted = analog.digital_forward(x)
        return float((analog(x) - wanted).norm() / wanted.norm())


@WHOLE
@pytest.mark.parametrize("kind", EFFECTS)
def test_degraded_later_is_programmed_with_it(kind: str, whole: bool) -> None:
    """Bit for bit, all entries of the chip, on every device and through its life; its examples in turn."""
    met: list[Effect] = []
    chosen = parts.some_devices(kind)
    for device in parts.devices_for(kind):
        fitting = [effect for effect in EFFECTS[kind] if parts.fits(effect, device) is not None]
        if not fitting:
            continue
        effect = min(fitting, key=met.count)
        if effect in met and device not in chosen and not whole:
            continue
        met.append(effect)
        around_it, array = around(effect, device), ARRAYS[len(met) % len(ARRAYS)]
        early, late = chip(around_it, array), chip(device, array)
        mho.degrade(late, effect, seed=3)
        same(early, late)
        seconds = max(around_it.times[0], min(DAY, around_it.times[1], device.times[1]))
        aged = chip(device, array)
        mho.age(aged, seconds)
        mho.degrade(aged, effect, seed=3)
        for one in (early, late):
            mho.age(one, seconds)
        for one in (early, late, aged):
            torch.manual_seed(5)
            mho.compensate(one)
        same(early, late)
        same(early, aged)
    assert all(effect in met for effect in EFFECTS[kind]), f"{kind}: an example goes around no device"


@pytest.mark.parametrize("device", [Ideal(), PCM()], ids=parts.name_of)
@pytest.mark.parametrize("later", [False, True], ids=["from the start", "put on later"])
def test_heat_of_operation_is_corrected(device: Device, later: bool) -> None:
    """The correction of a hot chip finds what the heat took, as it finds what drift took."""
    cold = chip(device, size=64)
    analog = cold if later else chip(around(HOT, device), size=64)
    if later:
        mho.degrade(analog, HOT, seed=3)
    mho.compensate(analog)
    if device == Ideal():
        assert float(analog.chip_gain[0]) == pytest.approx(1 + 1e-3 * 58, rel=1e-4)
        assert error(analog) < 1e-5
    else:
        assert float(analog.chip_gain[0]) == pytest.approx(1 + 1e-3 * 58, rel=0.02)


def test_what_was_there_at_programming_is_in_the_baseline() -> None:
    """Stuck and worn cells and finite states are corrected by nothing that looks for drift."""
    worn = Endurance(cycles=1e6, law=SuddenFailure(g_lrs=25e-6, g_hrs=0.0, p_lrs=(1e3, 0.0, 0.0, 0.0)))
    for effect in (StuckAt(hrs=0.5), worn, FiniteStates(states=UniformG(count=3))):
        late = chip(Ideal(), size=64)
        mho.degrade(late, effect, seed=3)
        mho.compensate(late)
        assert float(late.chip_gain[0]) == pytest.approx(1.0, abs=1e-5)


def test_what_came_after_programming_is_not() -> None:
    model = VTEAM(r_on=1e4, r_off=1e6, v_read=0.2)
    moved = ReadDisturb(model=model, reads=1e3, pulse=1e-9, voltage=0.1)
    for effect, device in ((moved, Ideal(g_min=2e-6)), (RetentionLoss(nu=0.1), Ideal())):
        late = chip(device, size=64)
        mho.degrade(late, effect, seed=3)
        mho.age(late, DAY)
        mho.compensate(late)
        assert float(late.chip_gain[0]) > 1.01


def test_an_effect_of_the_users_own_says_what_came_later() -> None:
    """The hook that the built-in effects use."""
    assert HOT.as_programmed().kelvin == 300.0
    assert StuckAt(lrs=0.1).as_programmed() == StuckAt(lrs=0.1)
