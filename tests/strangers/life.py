"""What each part of one's own goes through, and what its layer computes, written out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import mho
from mho.chip import tile
from mho.nn import AnalogLinear
from mho.periphery import Compensation

SECONDS = 1e5
DATA = torch.randn(64, 12, generator=torch.Generator().manual_seed(7))
X = torch.randn(9, 12, generator=torch.Generator().manual_seed(8))

Formula = Callable[[AnalogLinear, Tensor, Tensor], Tensor]
Convert = Callable[[Tensor, Tensor], Tensor]


class Stranger(NamedTuple):
    """A part of one's own.

    Attributes:
        part: the part.
        hardware: a description with it.
        formula: what a layer with it gives: of the layer, the inputs, and the data it was calibrated on.
        check: the contract of its stage.
        wrong: parts that the contract refuses.
        fast: whether a read has its factors made beforehand.
    """

    part: Any
    hardware: Callable[[Any], mho.Hardware]
    formula: Formula
    check: Callable[[Any], None]
    wrong: Sequence[Any]
    fast: bool = False

    @property
    def name(self) -> str:
        return type(self.part).__name__


def converted(stranger: Stranger) -> AnalogLinear:
    """A layer of 12 inputs and 6 outputs on three times two tiles, calibrated."""
    torch.manual_seed(3)
    hardware = dataclasses.replace(stranger.hardware(stranger.part), tile=mho.Tile(rows=5, columns=4))
    layer = mho.convert(nn.Linear(12, 6), hardware).eval()
    mho.calibrate(layer, [DATA])
    return layer


def lived(stranger: Stranger, seed: int = 0) -> AnalogLinear:
    """That layer, programmed, aged and compensated."""
    layer = converted(stranger)
    mho.program(layer, seed=seed)
    mho.age(layer, SECONDS)
    method = stranger.part if isinstance(stranger.part, Compensation) else None
    mho.compensate(layer, method, [DATA] if method is not None and method.needs_data else None)
    return layer


def of_weights(layer: AnalogLinear, g_min: float, g_max: float) -> Tensor:
    """Targets of a pair of cells for each weight, one of them at ``g_min``, ``[2, 1, row, column]``."""
    weight = layer.weight.detach().double().t()
    w = weight / weight.abs().amax(0)
    return g_min + (g_max - g_min) * torch.stack([w, -w]).clamp(min=0).unsqueeze(1)


def uniform(bits: int) -> Convert:
    """A converter with zero as a level."""
    high = 2.0 ** (bits - 1) - 1
    return lambda value, limit: (value * (high / limit)).round().clamp(-high, high) * (limit / high)


def outputs(
    layer: AnalogLinear, x: Tensor, x_limit: Tensor, i_limit: Tensor, convert: Convert | None = None,
    g: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """What the layer gives, tile by tile, in float64.

    Args:
        layer: the layer.
        x: inputs.
        x_limit, i_limit: full scales of inputs and of currents, the latter in cell currents.
        convert: currents ``[tile, vector, column]`` and full scale to what the ADC gives; uniform if None.
        g: conductances that the arrays multiply by, ``[copy, group, row, column]``; None: those of the chip.
    """
    hardware, chip = layer.hardware, layer.chip
    assert chip is not None
    how, x_limit, i_limit = tile.readout(hardware), x_limit.double(), i_limit.detach().double()
    g = (tile.conductances(hardware, chip) if g is None else g).double()[:, 0] / hardware.device.g_max
    v = uniform(hardware.dac.bits)(x.double(), x_limit) / x_limit
    convert = uniform(hardware.adc.bits) if convert is None else convert
    total: Any = 0.0
    for factors, factor in zip(how.analog, how.digital, strict=True):
        sums = sum(a * each for a, each in zip(factors, g, strict=True))
        currents = torch.stack([v[:, a:b] @ sums[a:b] for a, b in layer.layout.rows])
        total = total + factor * convert(currents, i_limit).sum(0)
    column = (chip.scale.expand(1, 1, 6).flatten() * chip.gain).double()
    bias = 0.0 if layer.bias is None else layer.bias.detach().double()
    return total * x_limit * column + chip.shift.double() + bias
