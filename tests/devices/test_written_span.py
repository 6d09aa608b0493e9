"""What a cell can hold: no chip of any device or effect is taken for a damaged one, and no other passes."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import nn

import mho
from mho import devices, mapping
from mho.converters import SAR, Fixed
from mho.devices.effects.base import innermost
from mho.devices.effects.varied import programmable
from mho.errors import DamagedChipError
from mho.programming import Correction, GradientProgramming, JumpPulses, WriteVerify, suited_pulses

from .test_contract import EXAMPLES, JUMPS

CASES = [
    pytest.param(d, k, id=f"{type(d).__name__}-{k}") for ds in EXAMPLES.values() for k, d in enumerate(ds)
]
MAPPINGS = [
    mapping.DifferentialPair(),
    mapping.Offset(),
    mapping.DifferentialPair(two_sided=True, scale=mapping.Maximum(per_column=True)),
    mapping.Offset(unit_column=True),
    mapping.BitSlicing(bits=8, slices=4),
    mapping.SignificancePairs(factors=(1.0, 3.0)),
    mapping.DifferentialPair(scale=mapping.Percentile(fraction=0.9)),
]
REST: list[dict[str, Any]] = [
    {},
    {"array": mho.array.Wires(row=2.0, column=2.0), "tile": mho.Tile(rows=8, columns=6)},
    {"adc": SAR(bits=6, capacitor=0.02, range=Fixed(limit=4.0))},
    {"dac": mho.DAC(gain=0.05, offset=0.02, range=Fixed(limit=3.0)), "tile": mho.Tile(rows=7, columns=4)},
]
SIZES = itertools.cycle(itertools.product(range(len(MAPPINGS)), range(len(REST))))
PLACES = dict(zip((case.id for case in CASES), SIZES, strict=False))


def weights(rows: int, columns: int) -> nn.Linear:
    """With values at both ends and in the middle of the range."""
    layer = nn.Linear(rows, columns)
    with torch.no_grad():
        layer.weight[:2] = torch.linspace(-1, 1, rows)
        layer.weight[2] = 0
    return layer


def is_sound(hardware: mho.Hardware, seed: int) -> None:
    """A chip is programmed, aged, corrected, saved and loaded."""
    layer = weights(20, 10)
    analog, twin = (mho.convert(nn.Sequential(layer), hardware, bias_rows=seed).eval() for _ in range(2))
    mho.program(analog, seed)
    twin.load_state_dict(analog.state_dict())
    last = hardware.device.times[1]
    mho.age(analog, min(1e5, last))
    mho.compensate(analog, mho.periphery.ColumnDrift())
    twin.load_state_dict(analog.state_dict(), assign=True)
    for name, value in analog[0]._buffers.items():
        if value is not None:
            assert torch.equal(value, twin[0]._buffers[name]), name


@pytest.mark.parametrize("device, place", CASES)
def test_a_chip_of_every_device_and_effect_loads(device: devices.Device, place: int) -> None:
    """Each example once; every two kinds of parts are saved and loaded in tests/compositions/test_life.py."""
    (which, rest), seed = PLACES[f"{type(device).__name__}-{place}"], place % 2
    is_sound(mho.Hardware(device=device, mapping=MAPPINGS[which - seed], **REST[rest - seed]), seed)


@pytest.mark.parametrize("form", MAPPINGS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("rest", REST, ids=["plain", "wires", "sar", "drivers"])
def test_a_chip_of_every_mapping_loads(form: mapping.Mapping, rest: dict[str, Any]) -> None:
    is_sound(mho.Hardware(device=devices.PCM(g_min=0.5e-6), mapping=form, **rest), 1)


@pytest.mark.parametrize(
    "device, how",
    [
        (devices.PCM(), WriteVerify()),
        (devices.PCM(), WriteVerify(pulse=Correction(disturb=0.01), read_noise=0.1)),
        (devices.ReRAMWan2022(), GradientProgramming(rounds=5)),
        (devices.Switching(), WriteVerify(pulse=suited_pulses(devices.Switching().model))),
        (devices.JumpCell(up=JUMPS, down=JUMPS), WriteVerify(pulse=JumpPulses())),
    ],
    ids=["corrections", "disturbed", "descent", "voltage", "jumps"],
)
def test_a_chip_of_every_programming_loads(device: devices.Device, how: Any) -> None:
    is_sound(mho.Hardware(device=device, programming=how), 0)


@pytest.mark.parametrize("device, place", CASES)
def test_the_span_holds_the_farthest_draws_and_no_siemens(device: devices.Device, place: int) -> None:
    """Targets between those that were tried, draws up to those of float64."""
    base = innermost(programmable(device))
    low, high = base.written_span()
    places = torch.cat((torch.logspace(-9, 0, 200, dtype=torch.float64), torch.linspace(0, 1, 1001).double()))
    g = base.g_min + (base.g_max - base.g_min) * places
    eps = torch.linspace(-8.6, 8.6, 101, dtype=torch.float64)
    written = base.programmed(g.repeat_interleave(len(eps)), eps.repeat(len(g)))
    slack = 1e-9 * base.g_max
    assert low - slack <= float(written.min()) and float(written.max()) <= high + slack
    assert 0 <= low <= base.g_min and base.g_max <= high
    wild = type(base) is devices.Generic and isinstance(base.program, devices.Inverse)
    assert wild or high < 1.0


@pytest.mark.parametrize("value", [-1e-6, 0.0, 40e-6, 1.0])
def test_cells_with_bounds_of_their_own_are_held_to_them(value: float) -> None:
    spreads = {"g_max": devices.Spread(mean=25e-6, std=1e-6, low=10e-6)}
    device = devices.StuckAt(
        lrs=0.2, device=devices.Varied(device=devices.Ideal(g_min=1e-6), spreads=spreads)
    )
    analog = mho.convert(weights(20, 10), mho.Hardware(device=device))
    mho.program(analog, 0)
    state = {k: v.clone() for k, v in analog.state_dict().items()}
    state["crossbar.chip_g"][1, 0, 3, 2] = value
    with pytest.raises(DamagedChipError, match=r"chip_g\[1, 0, 3, 2\] = "):
        analog.load_state_dict(state)
