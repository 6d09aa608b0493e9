"""Converters of a third family: codes evenly spaced in the logarithm of the current."""

from __future__ import annotations

import torch
from pydantic import InstanceOf
from torch import Tensor

import mho
from mho.autograd import straight_through
from mho.config import Count, NonNegative, Positive, config
from mho.converters import Calibrated, ColumnConverter, Range
from mho.testing import check_adc

from .life import Stranger, outputs


@config
class Logarithmic(ColumnConverter):
    """A sign, and ``levels`` magnitudes from full scale downwards, each a fraction of the one above; or zero.

    Attributes:
        levels: magnitudes above zero.
        octaves: from the highest to the lowest.
    """

    levels: Count = 31
    octaves: Positive = 6.0
    range: InstanceOf[Range] = Calibrated()
    noise: NonNegative = 0.0

    def quantise(self, value: Tensor, limit: float | Tensor) -> Tensor:
        share = (value / limit).clamp(-1, 1)
        step = self.octaves / (self.levels - 1)
        down = (-share.detach().abs().log2() / step).round()
        level = torch.where(down < self.levels, torch.exp2(-down * step), 0.0) * share.detach().sign()
        return straight_through(share, level) * limit


@config
class Skewed(Logarithmic):
    """Each converter of a chip has a gain of its own.

    Attributes:
        gain: standard deviation of its relative error.
    """

    gain: NonNegative = 0.05

    own_draws = 1

    def pack(self, draws: Tensor) -> Tensor:
        return 1 + self.gain * draws

    def read(self, value: Tensor, packed: Tensor, rows: Tensor) -> Tensor:
        return self.quantise(value * packed[rows], 1.0)


@config
class Normalised(Logarithmic):
    """Wrong: the codes depend on the largest current there is."""

    def quantise(self, value: Tensor, limit: float | Tensor) -> Tensor:
        return super().quantise(value, value.abs().amax())


@config
class Lifted(Skewed):
    """Wrong: a converter without errors is none of these."""

    def read(self, value: Tensor, packed: Tensor, rows: Tensor) -> Tensor:
        return super().read(value, packed, rows) + 0.1


@config
class Sign(ColumnConverter):
    """A comparator: full scale with the sign of the current. One method is all that it has."""

    def quantise(self, value: Tensor, limit: float | Tensor) -> Tensor:
        return value.sign() * limit


class _Down:
    def quantise(self, value: Tensor, limit: float | Tensor) -> Tensor:
        grid = self.grid()
        lsb = limit / grid.high
        return (value / lsb).floor().clamp(grid.low, grid.high) * lsb


@config
class Down(_Down, mho.DAC):
    """A uniform DAC that rounds towards the lower code."""


@config
class DownADC(_Down, mho.ADC):
    """A uniform ADC that rounds towards the lower code."""


def logarithmic(currents: Tensor, limit: Tensor) -> Tensor:
    """Each current as the nearest of all levels, in octaves."""
    levels = torch.exp2(-torch.arange(31, dtype=torch.float64) * 6 / 30)
    share = (currents / limit).clamp(-1, 1)
    far = (share.abs().log2().unsqueeze(-1) - levels.log2()).abs()
    nearest = levels[far.argmin(-1)]
    least = 2 ** (-6 - 6 / 30 / 2)
    return torch.where(share.abs() >= least, nearest, 0.0) * share.sign() * limit


def by_formula(layer: mho.nn.AnalogLinear, x: Tensor, data: Tensor) -> Tensor:
    return outputs(layer, x, layer.input_range, layer.output_range, logarithmic)


def each_by_itself(layer: mho.nn.AnalogLinear, x: Tensor, data: Tensor) -> Tensor:
    draws = layer.chip.converters[0, :, 0, :, 0].double()  # [tile, column]
    assert draws.shape == (3, 6) and 0.3 < float(draws.std()) < 3
    gains = (1 + 0.05 * draws).unsqueeze(1)
    return outputs(
        layer, x, layer.input_range, layer.output_range, lambda i, limit: logarithmic(i * gains, limit)
    )


def hardware(own: ColumnConverter) -> mho.Hardware:
    return mho.Hardware(device=mho.devices.PCM(read_scale=0.0), dac=mho.DAC(), adc=own)


STRANGERS = [
    Stranger(Logarithmic(), hardware, by_formula, check_adc, [Normalised()], fast=True),
    Stranger(Skewed(), hardware, each_by_itself, check_adc, [Lifted()]),
]
