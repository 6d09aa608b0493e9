"""Worked numbers of mapping and conversion, through the public interface."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import mho
from mho.converters import Fixed

ONE = mho.mapping.Maximum()  # one scale for the matrix
DEVICE = mho.devices.Ideal(g_min=0.0, g_max=25e-6)
# Layer weights [out, in]; conductances are [cell, group, row = in, column = out].
WEIGHT = torch.tensor([[0.5, -1.0], [0.25, 0.0]])


def cells(mapping: mho.mapping.Mapping) -> Tensor:
    """Programmed conductances in microsiemens, ``[cell, out, in]``."""
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = WEIGHT.clone()
    analog = mho.convert(layer, mho.Hardware(device=DEVICE, mapping=mapping))
    mho.program(analog, seed=0)
    return 1e6 * mho.conductances(analog)[""][:, 0].mT


def test_a_pair() -> None:
    """As the single-pair converter of aihwkit."""
    plus, minus = cells(mho.mapping.DifferentialPair(scale=ONE))
    torch.testing.assert_close(plus, torch.tensor([[12.5, 0.0], [6.25, 0.0]]), rtol=1e-6, atol=0)
    torch.testing.assert_close(minus, torch.tensor([[0.0, 25.0], [0.0, 0.0]]), rtol=1e-6, atol=0)


def test_two_pairs_of_different_significance() -> None:
    """As the dual-pair converter of aihwkit, factors 1 and 3."""
    got = cells(mho.mapping.SignificancePairs(factors=(1.0, 3.0), scale=ONE))
    wanted = [[[25, 0], [25, 0]], [[0, 25], [0, 0]], [[25 / 3, 0], [0, 0]], [[0, 25], [0, 0]]]
    torch.testing.assert_close(got, torch.tensor(wanted, dtype=torch.float32), rtol=1e-5, atol=1e-5)


def through(x: float, **converters: object) -> float:
    """What a weight of 1 makes of one input."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    analog = mho.convert(layer, mho.Hardware(device=DEVICE, **converters)).eval()
    return float(analog(torch.tensor([x])).detach())


@pytest.mark.parametrize(
    ("x", "wanted"), [(0.3, 0.2992126), (0.5, 0.5039370), (1.2, 1.0), (-0.3, -0.2992126)]
)
def test_dac_of_254_steps(x: float, wanted: float) -> None:
    """Half-way between two codes rounds to the even one: 63.5 to 64."""
    for dac in (mho.DAC(steps=254, range=Fixed(limit=1.0)), mho.DAC(bits=8, range=Fixed(limit=1.0))):
        assert through(x, dac=dac) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(("zero", "wanted"), [(False, 0.0666667), (True, 0.1428571)])
def test_adc_of_4_bits(zero: bool, wanted: float) -> None:
    """16 levels without zero, 15 with it."""
    assert through(0.1, adc=mho.ADC(bits=4, zero=zero, range=Fixed(limit=1.0))) == pytest.approx(
        wanted, abs=1e-6
    )
