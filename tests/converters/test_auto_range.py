"""A full scale for each vector and tile, rounded up to a power of two, in two's complement."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import mho
from mho.converters import AutoRange, Dynamic, TwosComplement
from mho.errors import ConfigError


def quantised(currents: torch.Tensor, bits: int, overflow: float) -> torch.Tensor:
    """One vector of the currents of one array, written out: step 2^(1 - bits + ceil(log2 m))."""
    size = currents.abs().sort(descending=True).values
    top = float(size[min(round(overflow * len(size)), len(size) - 1)])
    step = 2.0 ** (1 - bits + math.ceil(math.log2(top)))
    return (currents / step).round().clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) * step


@pytest.mark.parametrize("overflow", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_each_vector_and_tile_by_itself(bits: int, overflow: float) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(10, 7, bias=False).double()
    hardware = mho.Hardware(
        tile=mho.Tile(rows=4, columns=3, full=True),
        dac=mho.DAC(bits=None, range=Dynamic()),
        adc=TwosComplement(bits=bits, range=AutoRange(overflow=overflow)),
    )
    analog = mho.convert(layer, hardware).eval()
    mho.program(analog, seed=0)
    x = torch.randn(5, 10, dtype=torch.float64)
    peak, largest = x.abs().amax(1, keepdim=True), layer.weight.abs().amax(1)  # [column]
    expected = torch.zeros(5, 7, dtype=torch.float64)
    for a, b in ((0, 4), (4, 8), (8, 10)):
        for c, d in ((0, 3), (3, 6), (6, 7)):
            currents = (x / peak)[:, a:b] @ (layer.weight.T / largest)[a:b, c:d]
            expected[:, c:d] += torch.stack([quantised(i, bits, overflow) for i in currents.detach()])
    expected = expected * peak * largest
    with torch.no_grad():
        torch.testing.assert_close(analog(x), expected, rtol=1e-9, atol=1e-12)


def test_a_convolution_measures_each_position() -> None:
    """The same as the linear layer of its patches."""
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 5, 3, bias=False).double()
    linear = nn.Linear(27, 5, bias=False).double()
    with torch.no_grad():
        linear.weight.copy_(convolution.weight.flatten(1))
    hardware = mho.Hardware(
        tile=mho.Tile(rows=18, columns=4, full=True),
        adc=TwosComplement(bits=5, range=AutoRange(overflow=0.3)),
    )
    on_arrays = [mho.convert(layer, hardware).eval() for layer in (convolution, linear)]
    for analog in on_arrays:
        mho.program(analog, seed=0)
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    with torch.no_grad():
        patches = torch.nn.functional.unfold(x, 3).transpose(1, 2)
        y = on_arrays[1](patches).transpose(1, 2).view(2, 5, 4, 4)
        torch.testing.assert_close(on_arrays[0](x), y)


def test_powers_of_two_and_zeros() -> None:
    values = torch.tensor([0.0, 1.0, 0.25, 0.26, 3.0, 1e-30])
    each = tuple((k, k + 1) for k in range(6))
    assert AutoRange().full_scale(values, (0,), each).tolist()[:5] == [0.0, 1.0, 0.25, 0.5, 4.0]
    assert AutoRange(unit=3.0).full_scale(values, (0,), each).tolist()[:5] == [0.0, 1.5, 0.375, 0.375, 3.0]
    assert (AutoRange(powers_of_two=False).full_scale(values, (0,), each) == values).all()


def test_outputs_do_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    hardware = mho.Hardware(adc=TwosComplement(bits=3))
    analog = mho.convert(nn.Linear(8, 4), hardware).eval()
    mho.program(analog, seed=0)
    x = torch.randn(6, 8) * torch.logspace(-3, 3, 6)[:, None]
    with torch.no_grad():
        together = analog(x)
        apart = torch.cat([analog(row[None]) for row in x])
    torch.testing.assert_close(together, apart)


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="measures currents"):
        mho.Hardware(dac=mho.DAC(range=AutoRange()))
    with pytest.raises(ConfigError, match="two's complement"):
        TwosComplement(steps=4)
    with pytest.raises(ConfigError, match="overflow"):
        AutoRange(overflow=1.0)
