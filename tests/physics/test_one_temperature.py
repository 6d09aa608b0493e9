"""A chip has one temperature at a time: what depends on it reads it from one place, in every order."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from torch import nn

import mho
from mho.devices import (
    Device,
    Effect,
    GradualFailure,
    Ideal,
    ReadDisturb,
    RetentionFailure,
    ShotNoise,
    Spread,
    StuckAt,
    Temperature,
    ThermalNoise,
    Varied,
)
from mho.devices.dynamics import JART
from mho.devices.effects.base import around, effects
from mho.devices.effects.currents import without_current_noise

from . import parts

HOT = Temperature(kelvin=400.0, activation=0.1, alpha=1e-3)
STEADY = Temperature(kelvin=600.0, activation=0.0, alpha=0.0)  # nothing but a temperature
INSIDE = Ideal(g_min=1e-6)
LAW = GradualFailure(p_lrs=(1e3, 0.0, 5.0, 0.5), p_hrs=(1e3, 0.0, 5.0, 0.5))
G = torch.tensor([2e-6, 10e-6, 25e-6], dtype=torch.float64)


def stacked(order: tuple[Effect, ...]) -> Device:
    device: Device = INSIDE
    for effect in order:
        device = around(effect, device)
    return device


def moments(device: Device, seconds: float = 1e6) -> torch.Tensor:
    cells = torch.cat([e.own_state(torch.zeros(e.draws, 3, dtype=torch.float64)) for e in effects(device)])
    now = device.aged(G, cells, seconds)
    return torch.stack((now, *device.read_moments(G, cells, now, seconds)))


def test_the_noise_of_a_hot_cell_is_hot() -> None:
    noise = ThermalNoise(bandwidth=1e9, temperature=300.0, device=INSIDE)
    hot = ThermalNoise(bandwidth=1e9, temperature=600.0, device=INSIDE)
    for device in (around(STEADY, noise), around(noise, around(STEADY, INSIDE))):
        torch.testing.assert_close(moments(device), moments(hot))
        assert without_current_noise(device)[2] == pytest.approx(without_current_noise(hot)[2], rel=1e-12)
        assert without_current_noise(device)[2] == pytest.approx(2 * without_current_noise(noise)[2])


def with_temperature() -> list[Effect]:
    """Every effect with a temperature of its own, by the fields that it names."""
    return [e for e in parts.bare_effects() if e.temperatures]


def test_every_field_that_is_a_temperature_is_named() -> None:
    """Fields of effects, and of the laws and models in them, that are the chip's at a read or in storage."""
    kinds = {type(e) for e in with_temperature()}
    assert {ThermalNoise, RetentionFailure, ReadDisturb} <= kinds
    for effect in parts.bare_effects():
        own = {name for name in vars(effect) if name in ("temperature", "kelvin", "t_ambient")}
        assert own <= {*effect.temperatures, "kelvin"}, type(effect).__name__


def described_at(effect: Effect, kelvin: float) -> Effect:
    """The effect with all of its own temperatures at another one."""
    changes = {}
    for name in effect.temperatures:
        head, _, rest = name.partition(".")
        part = getattr(effect, head)
        if rest and hasattr(part, rest):
            changes[head] = dataclasses.replace(part, **{rest: kelvin})
        elif not rest:
            changes[head] = kelvin
    return dataclasses.replace(effect, **changes)


@pytest.mark.parametrize("effect", with_temperature(), ids=parts.name_of)
def test_every_temperature_is_that_of_the_chip_in_every_order(effect: Effect) -> None:
    """Whatever it was described at, alone and with others between, it acts at the chip's."""
    others = (StuckAt(), ShotNoise(bandwidth=1e8))
    for order in itertools.permutations((described_at(effect, 310.0), STEADY, *others)):
        if parts.fits(order[0], INSIDE) is None:
            continue
        alone = tuple(described_at(effect, 600.0) if e == described_at(effect, 310.0) else e for e in order)
        plain = tuple(e for e in alone if e is not STEADY)
        torch.testing.assert_close(moments(stacked(order)), moments(stacked(plain)), rtol=1e-12, atol=0)


def test_lost_retention_is_hot_and_wear_is_not() -> None:
    cold = RetentionFailure(law=LAW, device=INSIDE)
    late = around(cold, around(STEADY, INSIDE))
    assert bool((moments(late)[0] < moments(cold)[0] * 0.99).all())
    assert torch.equal(moments(late), moments(around(STEADY, cold)))
    worn = mho.devices.Endurance(cycles=1e6, law=LAW, device=INSIDE)
    assert torch.equal(moments(around(STEADY, worn)), moments(worn))


def test_states_move_faster_in_a_hot_chip() -> None:
    model = JART()
    inside = Ideal(g_min=float(model.g_min) * 2, g_max=float(model.g_max) / 2, v_read=model.v_read)
    reads = ReadDisturb(model=model, reads=1e3, pulse=1e-9, voltage=-0.4, device=inside)
    g = torch.tensor([(inside.g_min + inside.g_max) / 2], dtype=torch.float64)
    none = torch.empty(0, 1, dtype=torch.float64)
    moved = [
        float((d.aged(g, none, 0.0) / g - 1).abs())
        for d in (reads, Temperature(kelvin=360.0, activation=0.0, alpha=0.0, device=reads))
    ]
    assert moved[1] > 1.05 * moved[0] > 0


@pytest.mark.parametrize("kind", ["simulated", "swept"])
def test_cells_that_are_simulated_in_a_read_are_as_hot(kind: str) -> None:
    """What a read of a hot chip gives below full scale is that of the model at the chip's temperature."""
    kernels, cold = [], JART()
    inside = Ideal(g_min=float(cold.g_min) * 2, g_max=float(cold.g_max) / 2, v_read=cold.v_read)
    for kelvin, heat in ((293.0, True), (360.0, False), (293.0, False)):
        model = JART(t_ambient=kelvin)
        device = Temperature(kelvin=360.0, activation=0.0, alpha=0.0, device=inside) if heat else inside
        if kind == "simulated":
            cells = mho.array.Simulated(model=model, points=2)
        else:
            cells = mho.array.Swept(model=model, amplitude=-model.v_read, frequency=1e9, points=2)
        dac = mho.DAC(bits=8, range=mho.converters.Fixed(limit=1.0))
        torch.manual_seed(0)
        analog = mho.convert(nn.Linear(4, 3), mho.Hardware(device=device, array=cells, dac=dac)).eval()
        mho.program(analog, seed=0)
        kernels.append(analog.packed_kernel)
    torch.testing.assert_close(kernels[0], kernels[1], rtol=1e-5, atol=0)
    assert not torch.allclose(kernels[0], kernels[2], rtol=1e-4, atol=0)


def test_the_outermost_of_several_says_it() -> None:
    warm = Temperature(kelvin=350.0, activation=0.1, alpha=1e-3, device=INSIDE)
    both = around(HOT, around(ThermalNoise(bandwidth=1e9), warm))
    hot = around(HOT, around(ThermalNoise(bandwidth=1e9, temperature=400.0), around(HOT, INSIDE)))
    torch.testing.assert_close(moments(both), moments(hot))


def test_a_product_is_as_noisy_as_its_chip_is_hot() -> None:
    """Through degrade too: the chip that is heated is the chip described hot."""
    stds = {}
    for name, kelvin in (("cold", 300.0), ("hot", 600.0), ("heated", 300.0)):
        noise = ThermalNoise(bandwidth=1e10, temperature=kelvin, device=INSIDE)
        torch.manual_seed(0)
        analog = mho.convert(nn.Linear(16, 4, bias=False), mho.Hardware(device=noise)).eval()
        mho.program(analog, seed=0)
        if name == "heated":
            mho.degrade(analog, STEADY, seed=0)
        stds[name] = analog.packed_thermal.sqrt()
    torch.testing.assert_close(stds["heated"], stds["hot"])
    torch.testing.assert_close(stds["heated"], stds["cold"] * 2**0.5)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="one temperature at a time"):
        ThermalNoise(bandwidth=1e6, temperature=350.0, device=ThermalNoise(bandwidth=1e6, device=INSIDE))
    own = Varied(
        spreads={"temperature": Spread(mean=300.0, std=5.0)},
        device=ThermalNoise(bandwidth=1e6, device=INSIDE),
    )
    with pytest.raises(ValueError, match="differs from cell to cell"):
        around(HOT, own)
    with pytest.raises(ValueError, match="differs from cell to cell"):
        Varied(spreads=own.spreads, device=ThermalNoise(bandwidth=1e6, device=around(HOT, INSIDE)))
    with pytest.raises(ValueError, match="would not be positive"):
        around(HOT, Temperature(kelvin=300.0, activation=0.1, alpha=-2e-2, device=INSIDE))
