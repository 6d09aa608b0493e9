"""Effects that befall a chip: programmed with it or later, the same; earlier ones stay."""

from __future__ import annotations

import copy
import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import nn

import mho
from mho.array import Nonlinear, NonlinearCells, Ohmic, Series, Sinh, Wires
from mho.converters import Fixed
from mho.devices import PCM, Device, FiniteStates, Ideal, Logarithmic, RetentionLoss, StuckAt, UniformG
from mho.devices.effects.base import effects

SERIES = Series(cell=Ohmic(), selector=Sinh(v_c=0.2), selector_g=1e-4)
TILE = mho.Tile(rows=8, columns=6)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 10))


def chip(device: Device, seed: int | None = 0, **parts: object) -> nn.Module:
    analog = mho.convert(network(), mho.Hardware(device=device, tile=TILE, **parts))  # type: ignore[arg-type]
    if seed is not None:
        mho.program(analog, seed=seed)
    return analog


def test_degraded_is_what_programming_with_the_effects_gives() -> None:
    late = chip(PCM())
    mho.degrade(late, StuckAt(lrs=0.1, hrs=0.1), FiniteStates(states=UniformG(count=7)), seed=0)
    mho.degrade(late, StuckAt(lrs=3), seed=0)
    device = StuckAt(
        lrs=3,
        device=FiniteStates(states=UniformG(count=7), device=StuckAt(lrs=0.1, hrs=0.1, device=PCM())),
    )
    early = chip(device)
    for a, b in zip(mho.nn.analog_layers(late).values(), mho.nn.analog_layers(early).values(), strict=True):
        assert a.hardware == b.hardware
        assert torch.equal(a.chip_g, b.chip_g) and torch.equal(a.chip_cells, b.chip_cells)
        assert torch.equal(a.chip_hardware, b.chip_hardware)
    mho.age(late, 1e5)
    mho.age(early, 1e5)
    for x, y in zip(mho.conductances(late).values(), mho.conductances(early).values(), strict=True):
        assert torch.equal(x, y)


def test_programming_error_drift_and_earlier_effects_stay() -> None:
    analog = chip(PCM())
    mho.age(analog, 1e4)
    before = mho.conductances(analog)
    mho.degrade(analog, StuckAt(lrs=0.1), seed=1)
    first = mho.conductances(analog)
    mho.degrade(analog, StuckAt(hrs=0.2), seed=2)
    second = mho.conductances(analog)
    for path in before:
        stuck = first[path] == 25e-6
        assert 0 < stuck.double().mean() < 0.3
        assert torch.equal(first[path][~stuck], before[path][~stuck])
        assert bool((second[path][stuck] == 25e-6).all())
        changed = second[path] != first[path]
        assert bool((second[path][changed] == 0).all()) and bool(changed.any())


def test_the_forward_pass_sees_it_at_once() -> None:
    analog = chip(Ideal()).eval()
    x = torch.randn(3, 2, 6, 6)
    whole = analog(x)
    mho.degrade(analog, StuckAt(hrs=1.0), seed=0)
    dead = analog(x)
    assert not torch.allclose(whole, dead)
    torch.testing.assert_close(dead, analog[3].bias.expand_as(dead))


def test_selected_arrays_only() -> None:
    analog = chip(PCM())
    mho.degrade(analog, StuckAt(lrs=0.5), seed=0, select=lambda path: path == "3")
    assert analog[0].hardware.device == PCM()
    assert analog[3].hardware.device == StuckAt(lrs=0.5, device=PCM())
    assert analog[0].chip_cells.shape[0] == 1 and analog[3].chip_cells.shape[0] == 2


def test_a_model_that_is_not_programmed_yet() -> None:
    analog = chip(PCM(), seed=None)
    mho.degrade(analog, StuckAt(lrs=0.1), seed=9)
    mho.program(analog, seed=0)
    other = chip(StuckAt(lrs=0.1, device=PCM()))
    assert torch.equal(analog[3].chip_cells, other[3].chip_cells)


@pytest.mark.parametrize(
    "mapping", [mho.mapping.BitSlicing(), mho.mapping.Offset()], ids=lambda m: type(m).__name__
)
def test_other_mappings(mapping: mho.mapping.Mapping) -> None:
    analog = chip(PCM(), mapping=mapping)
    mho.degrade(analog, StuckAt(lrs=2), seed=0)
    for path, g in mho.conductances(analog).items():
        layer = mho.nn.analog_layers(analog)[path]
        tiles = g.shape[0] * g.shape[1] * len(layer.layout.rows) * len(layer.layout.columns)
        assert int((layer.chip_cells[0] >= 0).sum()) == 2 * tiles
    analog.eval()(torch.randn(2, 2, 6, 6))


def test_state_dict_deepcopy_and_hardware(tmp_path: Path) -> None:
    analog = chip(PCM(read_scale=0.0))
    mho.degrade(analog, StuckAt(lrs=0.1, hrs=0.05), FiniteStates(states=UniformG(count=9)), seed=4)
    mho.age(analog, 1e5)
    x = torch.randn(3, 2, 6, 6)
    y = analog.eval()(x)
    assert torch.equal(copy.deepcopy(analog)(x), y)
    torch.save(analog.state_dict(), tmp_path / "chip.pt")
    hardware = mho.Hardware.from_json(analog[3].hardware.to_json())
    assert hardware == analog[3].hardware
    back = mho.convert(network(), hardware)
    back.load_state_dict(torch.load(tmp_path / "chip.pt"))
    assert torch.equal(back.eval()(x), y)
    plain = chip(PCM(read_scale=0.0))
    with pytest.raises(RuntimeError, match="another hardware description"):
        plain.load_state_dict(analog.state_dict())


def test_recurrent_layers_and_their_description() -> None:
    analog = mho.convert(nn.LSTM(5, 4), mho.Hardware(device=PCM()))
    mho.program(analog, seed=0)
    mho.degrade(analog, StuckAt(lrs=0.2), seed=0)
    assert analog.hardware.device == StuckAt(lrs=0.2, device=PCM())
    analog.eval()(torch.randn(3, 2, 5))


def test_compiles_without_a_break() -> None:
    analog = chip(PCM(read_scale=0.0)).eval()
    mho.degrade(analog, StuckAt(lrs=0.1), FiniteStates(states=UniformG(count=9)), seed=4)
    x = torch.randn(3, 2, 6, 6)
    compiled = torch.compile(analog, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), analog(x))


def test_compensation_measures_the_degraded_chip() -> None:
    """Lost retention is found; stuck cells were stuck when the chip was programmed, and are no drift."""
    analog = chip(Ideal()).eval()
    mho.degrade(analog, StuckAt(hrs=0.5), seed=0)
    mho.compensate(analog)
    assert float(analog[3].chip_gain[0]) == pytest.approx(1.0, abs=1e-6)
    mho.degrade(analog, RetentionLoss(nu=0.05), seed=0)
    mho.age(analog, 1e4)
    mho.compensate(analog)
    assert float(analog[3].chip_gain[0]) == pytest.approx(1e4**0.05, rel=1e-4)


def test_effects_that_do_not_fit_the_default_device() -> None:
    """What a bare effect asks of a device is asked of the layer's."""
    logarithmic = FiniteStates(states=Logarithmic(count=5))
    bare = (logarithmic, StuckAt(lrs=0.1, g_hrs=60e-6))
    analog = chip(Ideal(g_min=1e-6, g_max=100e-6))
    mho.degrade(analog, *bare, seed=0)
    analog = chip(PCM())
    for effect, words in zip(bare, ("take UniformG", "did you swap"), strict=True):
        with pytest.raises(ValueError, match=words):
            mho.degrade(analog, effect, seed=0)
    assert analog[0].hardware.device == PCM()
    analog = chip(Ideal())
    with pytest.raises(ValueError, match="take UniformG"):
        mho.degrade(analog, logarithmic, seed=0)
    assert analog[0].hardware.device == Ideal()


def test_errors_leave_the_model_as_it_was() -> None:
    analog = chip(PCM())
    with pytest.raises(ValueError, match="no effect"):
        mho.degrade(analog, seed=0)
    with pytest.raises(TypeError, match="is no effect"):
        mho.degrade(analog, PCM(), seed=0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="leave it out"):
        mho.degrade(analog, StuckAt(lrs=0.1, device=PCM()), seed=0)
    with pytest.raises(TypeError, match="seed"):
        mho.degrade(analog, StuckAt(lrs=0.1), seed=0.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="chose no array"):
        mho.degrade(analog, StuckAt(lrs=0.1), seed=0, select=lambda path: False)
    with pytest.raises(ValueError, match="an array has"):
        mho.degrade(analog, StuckAt(lrs=0.1), StuckAt(lrs=10_000), seed=0)
    assert analog[0].hardware.device == PCM() and analog[0].chip_cells.shape[0] == 1


def test_without_effects_nothing_changes() -> None:
    """The chip with an effect that does nothing is the chip without it, draw by draw."""
    plain, idle = chip(PCM()), chip(StuckAt(device=PCM()))
    for a, b in zip(mho.nn.analog_layers(plain).values(), mho.nn.analog_layers(idle).values(), strict=True):
        assert torch.equal(a.chip_g, b.chip_g) and torch.equal(a.chip_cells[0], b.chip_cells[1])
        assert torch.equal(a.chip_baseline, b.chip_baseline)
        assert torch.equal(a.packed_kernel, b.packed_kernel)
        assert torch.equal(a.packed_variance, b.packed_variance)
    assert [type(e) for e in effects(dataclasses.replace(idle[0].hardware).device)] == [StuckAt]


def test_bias_rows_are_cells_too() -> None:
    torch.manual_seed(0)
    analog = mho.convert(nn.Linear(12, 6), mho.Hardware(device=PCM(), tile=TILE), bias_rows=1)
    mho.program(analog, seed=0)
    mho.degrade(analog, StuckAt(lrs=1.0), seed=0)
    assert bool((mho.conductances(analog)[""] == 25e-6).all())
    analog = mho.convert(nn.Linear(12, 6), mho.Hardware(device=PCM(), tile=TILE), bias_rows=1)
    mho.program(analog, seed=0)
    mho.degrade(analog, StuckAt(hrs=1, of="rows"), seed=0)
    stuck = (analog.chip_cells[0] >= 0).all(-1)
    assert stuck.shape[-1] == 13 and bool((stuck.sum(-1) == len(analog.layout.rows)).all())


LINEAR = {"dac": mho.DAC(bits=8, range=Fixed(limit=1.0)), "adc": mho.ADC(bits=12, range=Fixed(limit=20.0))}
BENT = Nonlinear(law=Sinh(v_c=0.1))


@pytest.mark.parametrize(
    "cells", [BENT, Nonlinear(law=SERIES, points=4)], ids=["separable", "each cell its own"]
)
def test_a_law_on_a_programmed_chip_is_what_programming_with_it_gives(cells: NonlinearCells) -> None:
    late, early = chip(PCM(), **LINEAR).eval(), chip(PCM(), array=cells, **LINEAR)
    x = torch.rand(5, 2, 6, 6)
    before, g = late(x), mho.conductances(late)
    mho.degrade(late, cells, seed=4)
    for path, held in mho.conductances(late).items():
        assert torch.equal(held, g[path])
    assert not torch.equal(late(x), before)
    for a, b in zip(mho.nn.analog_layers(late).values(), mho.nn.analog_layers(early).values(), strict=True):
        assert a.hardware == b.hardware and torch.equal(a.chip_hardware, b.chip_hardware)
    early.load_state_dict(late.state_dict())
    device = PCM(read_scale=0.0)  # and the very same outputs
    late, early = chip(device, **LINEAR), chip(device, array=cells, **LINEAR)
    mho.degrade(late, cells, seed=4)
    assert torch.equal(late.eval()(x), early.eval()(x))


def test_a_law_beside_effects_in_any_order_and_on_chosen_arrays() -> None:
    stuck = StuckAt(lrs=0.1)
    one, other = chip(PCM(), **LINEAR), chip(PCM(), **LINEAR)
    mho.degrade(one, BENT, stuck, seed=4)
    mho.degrade(other, stuck, seed=4)
    mho.degrade(other, BENT, seed=4, select=lambda path: path == "3")
    mho.degrade(other, BENT, seed=4, select=lambda path: path == "0")
    for a, b in zip(mho.nn.analog_layers(one).values(), mho.nn.analog_layers(other).values(), strict=True):
        assert a.hardware == b.hardware and torch.equal(a.packed_kernel, b.packed_kernel)
    blank = chip(PCM(), seed=None, **LINEAR)
    mho.degrade(blank, BENT, seed=4)
    mho.program(blank, seed=0)
    assert blank[0].hardware.array == BENT


def test_full_scale_inputs_feel_no_law() -> None:
    analog = mho.convert(nn.Linear(8, 4), mho.Hardware(**LINEAR)).eval()
    mho.program(analog, seed=0)
    x, half = torch.ones(1, 8), torch.full((1, 8), 64 / 127)
    with torch.no_grad():
        full, small = analog(x) - analog.bias, analog(half) - analog.bias
        mho.degrade(analog, BENT, seed=0)
        step = 20.0 / 2047 * 1.1 * float(analog.chip_scale.max())
        assert float((analog(x) - analog.bias - full).abs().max()) < step
        bent = full * math.sinh(2 * 64 / 127) / math.sinh(2)
        assert (
            float((analog(half) - analog.bias - bent).abs().max()) < step < float((small - bent).abs().max())
        )


def test_a_law_that_cannot_be_leaves_the_model_as_it_was() -> None:
    for parts, words in (
        ({"array": Wires(row=1.0, column=1.0), **LINEAR}, "wires without resistance.*solve_nonlinear"),
        ({"array": BENT, **LINEAR}, "already"),
        ({}, "dac = None"),
    ):
        analog = chip(PCM(), **parts)
        before = [layer.hardware for layer in mho.nn.analog_layers(analog).values()]
        with pytest.raises(ValueError, match=words):
            mho.degrade(analog, StuckAt(lrs=0.1), BENT, seed=0)
        assert before == [layer.hardware for layer in mho.nn.analog_layers(analog).values()]
    with pytest.raises(ValueError, match="one current-voltage law"):
        mho.degrade(chip(PCM(), **LINEAR), BENT, BENT, seed=0)
    with pytest.raises(TypeError, match=r"Ohm's law, such as mho.array.Nonlinear"):
        mho.degrade(chip(PCM(), **LINEAR), Sinh(v_c=0.1), seed=0)
