"""Cells that follow the curve of one sweep, against the sweep of single cells."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import mho
from mho.array import Swept
from mho.converters import Dynamic, Fixed
from mho.devices import Switching
from mho.devices.dynamics import VTEAM, DataDriven2021
from mho.errors import ConfigError

V = 0.3


def chip(array: Swept, model: VTEAM) -> mho.Hardware:
    return mho.Hardware(
        device=Switching(model=model), array=array, dac=mho.DAC(bits=None, range=Fixed(limit=1.0))
    )


def swept_current(cell: VTEAM, g: torch.Tensor, volts: float, frequency: float) -> torch.Tensor:
    """Of single cells, at a voltage of the sweep, from the closed form of the state."""
    cycle = 2 * math.pi * frequency
    start, end = math.asin(cell.v_off), math.asin(volts) if volts > cell.v_off else math.asin(cell.v_off)
    moved = cell.k_off / cycle * ((math.cos(start) - math.cos(end)) / cell.v_off - (end - start))
    state = (cell.state_of(g) + moved).clamp(max=cell.x_off)
    return cell.current(torch.tensor(volts, dtype=g.dtype), state)


@pytest.mark.parametrize("frequency", [0.5, 1e6, 5e7])
def test_currents_are_those_of_the_sweep(frequency: float) -> None:
    torch.manual_seed(0)
    cell = VTEAM(v_read=V)
    array = Swept(model=cell, amplitude=1.0, frequency=frequency, points=30)
    layer = nn.Linear(6, 4, bias=False).double()
    analog = mho.convert(layer, chip(array, cell)).eval()
    mho.program(analog, seed=0)
    g = mho.conductances(analog)[""][:, 0]
    for place in (-30, -11, 1, 2, 3, 17, 30):  # of 30: voltages that are points
        x = torch.full((1, 6), place / 30, dtype=torch.float64)
        i = math.copysign(1, place) * swept_current(cell, g, abs(place) / 30 * V, frequency)
        expected = (i[0] - i[1]).sum(0) / V / (cell.g_max - cell.g_min) * layer.weight.abs().amax(1)
        with torch.no_grad():
            torch.testing.assert_close(
                analog(x)[0], expected, rtol=2e-3, atol=1e-4 * float(expected.abs().max())
            )


def test_a_fast_sweep_is_ohmic_and_a_slow_one_erases() -> None:
    """0.5 Hz leaves no difference between VTEAM cells at the read voltage, 1 GHz nearly all."""
    cell = VTEAM(v_read=V)
    g = torch.linspace(cell.g_min, cell.g_max, 9, dtype=torch.float64)
    slow, fast = (Swept(model=cell, amplitude=1.0, frequency=f).chords(g, [1.0], V) for f in (0.5, 1e9))
    torch.testing.assert_close(next(slow), torch.full_like(g, cell.g_min))
    torch.testing.assert_close(next(fast), g, rtol=2e-2, atol=0.0)


def test_curves_of_other_models() -> None:
    """Below the voltages at which it moves, a data-driven cell is a sinh of the voltage."""
    cell = DataDriven2021(v_read=V)
    g = torch.linspace(cell.g_min * 1.01, cell.g_max * 0.99, 5, dtype=torch.float64)
    half, full = Swept(model=cell, amplitude=-1.0, frequency=1e12).chords(g, [0.5, 1.0], V)
    ratio = math.sinh(cell.b_n * V / 2) / math.sinh(cell.b_n * V)
    torch.testing.assert_close(half / full, torch.full_like(g, ratio), rtol=1e-3, atol=0.0)


def test_refusals() -> None:
    cell = VTEAM(v_read=V)
    with pytest.raises(ConfigError, match="must reach the read voltage"):
        chip(Swept(model=cell, amplitude=0.2, frequency=1.0), cell)
    with pytest.raises(ConfigError, match="give both the same"):
        chip(Swept(model=VTEAM(), amplitude=1.0, frequency=1.0), cell)
    with pytest.raises(ConfigError, match="amplitude = 0"):
        Swept(model=cell, amplitude=0.0, frequency=1.0)


def test_dynamic_inputs() -> None:
    """Each vector is driven at full scale: twice the input is twice the output."""
    torch.manual_seed(0)
    cell = VTEAM(v_read=V)
    array = Swept(model=cell, amplitude=1.0, frequency=5e7)
    hardware = mho.Hardware(
        device=Switching(model=cell), array=array, dac=mho.DAC(bits=None, range=Dynamic())
    )
    analog = mho.convert(nn.Linear(6, 4, bias=False), hardware).eval()
    mho.program(analog, seed=0)
    x = torch.randn(3, 6)
    with torch.no_grad():
        torch.testing.assert_close(analog(2 * x), 2 * analog(x))
