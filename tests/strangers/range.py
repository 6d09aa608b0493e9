"""A range of one's own: some standard deviations of the data."""

from __future__ import annotations

import torch
from torch import Tensor

import mho
from mho.config import Positive, config
from mho.converters import Histogram, Range
from mho.testing import check_range

from .life import Stranger, outputs


@config
class Sigmas(Range):
    """Full scale lies at a number of standard deviations of the values.

    Attributes:
        count: of standard deviations.
    """

    count: Positive = 3.0

    def choose(self, seen: Histogram, quantise: object) -> float:
        return self.count * seen.std


@config
class MeanSquare(Range):
    """Each vector is measured: full scale is a multiple of its root mean square."""

    count: Positive = 2.5

    def full_scale(self, values: Tensor, axes: tuple[int, ...], columns: object = ()) -> Tensor:
        return self.count * values.detach().square().mean(axes, keepdim=True).sqrt()


@config
class Absolute(Sigmas):
    """Wrong: it adds a number of volts, and so depends on the unit."""

    def choose(self, seen: Histogram, quantise: object) -> float:
        return self.count * seen.std + 0.1


@config
class Together(Range):
    """Wrong: it measures all vectors of a batch together."""

    def full_scale(self, values: Tensor, axes: tuple[int, ...], columns: object = ()) -> Tensor:
        return values.detach().abs().amax().expand([1] * values.dim())


@config
class Silent(Range):
    """Wrong: it says nothing."""


@config
class Odd(Range):
    """Wrong: it chooses what is no full scale."""

    value: float

    def choose(self, seen: Histogram, quantise: object) -> float:
        return self.value


@config
class Backwards(Range):
    """Wrong: a full scale below zero."""

    def given(self) -> float:
        return -1.0


def by_formula(layer: mho.nn.AnalogLinear, x: Tensor, data: Tensor) -> Tensor:
    wanted = 3 * data.double().std(correction=0)
    torch.testing.assert_close(layer.input_range.double(), wanted, rtol=1e-6, atol=0.0)
    return outputs(layer, x, wanted, layer.output_range)


def of_each_vector(layer: mho.nn.AnalogLinear, x: Tensor, data: Tensor) -> Tensor:
    assert layer.input_range is None
    limit = 2.5 * x.double().square().mean(-1, keepdim=True).sqrt()
    return outputs(layer, x, limit, layer.output_range)


def hardware(own: Range) -> mho.Hardware:
    return mho.Hardware(device=mho.devices.PCM(read_scale=0.0), dac=mho.DAC(bits=6, range=own), adc=mho.ADC())


STRANGERS = [
    Stranger(Sigmas(), hardware, by_formula, check_range, [Absolute()], fast=True),
    Stranger(MeanSquare(), hardware, of_each_vector, check_range, [Together(), Silent()]),
]
