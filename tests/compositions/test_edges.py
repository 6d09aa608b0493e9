"""The edges of what a chip can be, with every device, array and mapping, every two of them in a chip."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mho
from mho.array import Array, Ideal
from mho.converters import ADC, DAC, Dynamic, Fixed
from mho.devices import PCM, Device, Effect, StuckAt
from mho.devices.effects.base import around
from mho.mapping import Mapping

from .compositions import Composition, differences, read, saved_and_loaded, times, without_scales
from .covering import covering, some
from .parts import all_examples, kinds


def layer(rows: int = 4, columns: int = 3, weight: float | None = None) -> nn.Linear:
    """With reproducible weights, or with one weight everywhere."""
    torch.manual_seed(1)
    made = nn.Linear(rows, columns)
    if weight is not None:
        nn.init.constant_(made.weight, weight)
    return made


def stuck(**amounts: float) -> Callable[[mho.Hardware], mho.Hardware]:
    """All cells are faulty."""
    return lambda given: dataclasses.replace(given, device=around(StuckAt(**amounts), given.device))


def one_bit(given: mho.Hardware) -> mho.Hardware:
    """Converters that know a sign only."""
    return dataclasses.replace(
        given,
        dac=DAC(bits=1, zero=False, range=Fixed(limit=1.0)),
        adc=ADC(bits=1, zero=False, range=Fixed(limit=2.0)),
    )


def same(given: mho.Hardware) -> mho.Hardware:
    """As it is."""
    return given


def dynamic(given: mho.Hardware) -> mho.Hardware:
    """Converters that take their range from each vector."""
    return dataclasses.replace(given, dac=DAC(bits=6, range=Dynamic()), adc=ADC(bits=6, range=Dynamic()))


EDGES: dict[str, tuple[nn.Linear, Callable[[mho.Hardware], mho.Hardware], float]] = {
    "zero weights": (layer(weight=0.0), same, 1.0),
    "zero weights, dynamic ranges": (layer(weight=0.0), dynamic, 1.0),
    "zero inputs, dynamic ranges": (layer(), dynamic, 0.0),
    "largest weights": (layer(weight=0.5), same, 1.0),
    "smallest weights": (layer(weight=-0.5), same, 1.0),
    "one row": (layer(1, 3), same, 1.0),
    "one column": (layer(4, 1), same, 1.0),
    "one cell": (layer(1, 1), same, 1.0),
    "one bit": (layer(), one_bit, 1.0),
    "all at g_max": (layer(), stuck(lrs=1.0), 1.0),
    "all at g_min": (layer(), stuck(hrs=1.0), 1.0),
    "none formed": (layer(), stuck(unformed=1.0), 1.0),
}


def hardware(device: type[Device], array: type[Array], mapping: Mapping | None) -> mho.Hardware:
    """A chip with calibrated converters."""
    case = Composition(device, (), array)
    given: dict[str, Any] = {} if mapping is None else {"mapping": mapping}
    return case.hardware(case.bare_device(), dac=DAC(bits=6), adc=ADC(bits=6), **given)


GIVEN: dict[str, Callable[[], mho.Hardware]] = {
    **{kind.__name__: partial(hardware, kind, Ideal, None) for kind in kinds(Device, Effect)},
    **{kind.__name__: partial(hardware, PCM, kind, None) for kind in kinds(Array) if kind is not Ideal},
}
for number, make in enumerate(all_examples(Mapping)):
    one = make(PCM())
    GIVEN[f"{type(one).__name__} {number}"] = partial(hardware, PCM, Ideal, one)


MAPPINGS = all_examples(Mapping)
ROWS = covering([kinds(Device, Effect), kinds(Array), range(len(MAPPINGS)), list(EDGES)])


@pytest.mark.parametrize(("device", "array", "mapping", "edge"), some(ROWS))
def test_edge(device: type[Device], array: type[Array], mapping: int, edge: str) -> None:
    digital, change, size = EDGES[edge]
    given = change(hardware(device, array, MAPPINGS[mapping](Composition(device, (), array).bare_device())))
    x = size * torch.randn(5, digital.in_features, generator=torch.Generator().manual_seed(2))
    chip = mho.convert(digital, given)
    mho.program(chip, seed=0)
    twin = mho.convert(digital, given)
    mho.program(twin, seed=0)
    mho.age(twin, 0.0)
    assert not differences(chip, twin), "time 0 is just programmed"
    mho.age(chip, times(given.device)[1])
    mho.calibrate(chip, [x])
    mho.compensate(chip)
    assert chip.chip_gain.isfinite().all() and (chip.chip_gain > 0).all()
    y = read(chip, x)
    assert y.isfinite().all()
    back = saved_and_loaded(chip, mho.convert(digital, given))
    assert torch.equal(read(back, x), y)
    v: Tensor = x.clone().requires_grad_()
    chip(v).sum().backward()
    assert v.grad is not None and v.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in chip.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", GIVEN)
def test_zero_weights_give_the_bias(name: str) -> None:
    """Without what a device adds, weights of zero add nothing."""
    given = GIVEN[name]()
    given = dataclasses.replace(
        given, device=without_scales(given.device), adc=None, dac=DAC(bits=None, range=Fixed(limit=1.0))
    )
    digital = layer(weight=0.0)
    chip = mho.convert(digital, given)
    mho.program(chip, seed=0)
    y = read(chip, torch.randn(5, 4))
    torch.testing.assert_close(y, digital.bias.detach().expand_as(y), rtol=0, atol=2e-6)
