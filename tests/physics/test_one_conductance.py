"""What is stored is what is read: one conductance changed by a known amount changes what it should, exactly.

In evaluation, without gradients, compiled or not: no path reads the ideal weights in place of the chip.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mho
from mho import devices, mapping
from mho.nn import AnalogConv2d, AnalogLinear

from ..compositions.covering import covering

CELL = devices.Generic(g_min=1e-6, g_max=21e-6, program=devices.Independent(sigma=0.03))
SPAN, STEP = 20e-6, 3e-6
# What one siemens of each copy adds to the weight, in reference weights.
MAPPINGS: dict[str, tuple[mapping.Mapping, list[float]]] = {
    "pair": (mapping.DifferentialPair(), [1 / SPAN, -1 / SPAN]),
    "offset": (mapping.Offset(), [2 / SPAN]),
    "slices": (
        mapping.BitSlicing(bits=5, slices=2),  # two slices of two bits: |w| = (3 s0 + 12 s1) / 15
        [3 / 15 / SPAN, -3 / 15 / SPAN, 12 / 15 / SPAN, -12 / 15 / SPAN],
    ),
}
TILES = {"one tile": mho.Tile(), "tiles": mho.Tile(rows=4, columns=3)}
ADCS = {"no ADC": None, "an ADC that does not round": mho.ADC(bits=None)}


def eager(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    return layer


def compiled(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    torch._dynamo.reset()
    return torch.compile(layer, fullgraph=True, backend="aot_eager")  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("how", "tile", "adc", "run"),
    [
        *((*row, eager) for row in itertools.product(MAPPINGS, TILES, ADCS)),
        *((*row, compiled) for row in covering([list(MAPPINGS), list(TILES), list(ADCS)])),
    ],
)
def test_one_cell_of_a_linear_layer(
    how: str, tile: str, adc: str, run: Callable[[nn.Module], Callable[[Tensor], Tensor]]
) -> None:
    coded, slopes = MAPPINGS[how]
    hardware = mho.Hardware(device=CELL, mapping=coded, tile=TILES[tile], adc=ADCS[adc])
    layer = AnalogLinear(10, 7, hardware=hardware, dtype=torch.float64).eval()
    mho.program(layer, seed=0)
    x = torch.randn(6, 10, dtype=torch.float64)
    read = run(layer)
    with torch.no_grad():
        before = read(x)
        assert torch.allclose(before, F.linear(x, layer.effective_weight(), layer.bias), atol=1e-12)
        assert float((before - F.linear(x, layer.weight, layer.bias)).abs().max()) > 0.02, "it is noisy"
        for copy, slope in enumerate(slopes):
            row, column = 3 + copy, 5 - copy
            chip = layer.require_chip("test")
            g = chip.g.clone()
            g[copy, 0, row, column] += STEP
            layer.set_chip(chip._replace(g=g))
            after = read(x)
            wanted = torch.zeros_like(before)
            wanted[:, column] = x[:, row] * STEP * slope * chip.scale[0, 0, column]
            assert float(wanted.abs().max()) > 0.01
            assert torch.allclose(after - before, wanted, rtol=0, atol=1e-12)
            others = torch.arange(7) != column
            assert torch.equal(after[:, others], before[:, others])
            before = after


def test_a_conductance_changed_in_place_is_read() -> None:
    layer = AnalogLinear(10, 7, hardware=mho.Hardware(device=CELL), dtype=torch.float64).eval()
    mho.program(layer, seed=0)
    x = torch.randn(6, 10, dtype=torch.float64)
    with torch.no_grad():
        before = layer(x)
        layer.chip_g[0, 0, 2, 4] += STEP
        change = layer(x) - before
    wanted = torch.zeros_like(change)
    wanted[:, 4] = x[:, 2] * STEP / SPAN * layer.chip_scale[0, 0, 4]
    assert torch.allclose(change, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("run", [eager, compiled])
def test_one_cell_of_a_convolution(run: Callable[[nn.Module], Callable[[Tensor], Tensor]]) -> None:
    hardware = mho.Hardware(device=CELL, tile=mho.Tile(rows=9, columns=4), adc=mho.ADC(bits=None))
    layer = AnalogConv2d(3, 5, 3, padding=1, dilation=2, hardware=hardware, dtype=torch.float64).eval()
    mho.program(layer, seed=0)
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    read = run(layer)
    with torch.no_grad():
        before = read(x)
        chip = layer.require_chip("test")
        g = chip.g.clone()
        g[1, 0, 9 + 5, 2] += STEP  # negative cell; input channel 1, tap (1, 2)
        layer.set_chip(chip._replace(g=g))
        change = read(x) - before
    tap = torch.zeros(5, 3, 3, 3, dtype=torch.float64)
    tap[2, 1, 1, 2] = -STEP / SPAN * chip.scale[0, 0, 2]
    wanted = F.conv2d(x, tap, padding=1, dilation=2)
    assert torch.allclose(change, wanted, rtol=0, atol=1e-12)
    assert int((change != 0).any(3).any(2).any(0).sum()) == 1
