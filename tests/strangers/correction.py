"""Corrections of one's own: from the reference read, and from outputs on data."""

from __future__ import annotations

import torch
from torch import Tensor

import mho
from mho.config import config
from mho.periphery import Compensation
from mho.testing import check_compensation

from .life import Stranger, outputs


@config
class Median(Compensation):
    """One gain for each layer: the median over the columns, which a few dead ones do not move."""

    def from_reference(self, before: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        ratio = before / now.clamp(min=1e-6)
        return ratio.median().expand_as(ratio).clone(), torch.zeros_like(ratio)


class _Means:
    def __init__(self) -> None:
        self.count, self.sums = 0, torch.zeros(2, 1)

    def add(self, measured: Tensor, wanted: Tensor) -> None:
        self.count += len(measured)
        self.sums = self.sums + torch.stack([measured.sum(0), wanted.sum(0)])

    def solve(self) -> tuple[Tensor, Tensor]:
        measured, wanted = self.sums / self.count
        return torch.ones_like(measured), wanted - measured


@config
class Centred(Compensation):
    """The mean of each output on data is moved to that of the digital layer."""

    def from_outputs(self, owner: str) -> _Means:
        return _Means()


@config
class Unbounded(Median):
    """Wrong: an array that reads nothing gets an infinite gain."""

    def from_reference(self, before: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        return before / now, torch.zeros_like(before)


@config
class Nothing(Compensation):
    """Wrong: it corrects nothing."""


@config
class Forgetful(Centred):
    """Wrong: it has no gain for each column."""

    def from_outputs(self, owner: str) -> _Means:
        made = _Means()
        made.solve = lambda: (torch.ones(()), torch.zeros(()))
        return made


def by_formula(layer: mho.nn.AnalogLinear, x: Tensor, data: Tensor) -> Tensor:
    gain = layer.chip.gain
    assert bool((gain == gain[0]).all()) and 1.05 < float(gain[0]) < 2
    assert not bool(layer.chip.shift.any())
    return outputs(layer, x, layer.input_range, layer.output_range)


def centred(layer: mho.nn.AnalogLinear, x: Tensor, data: Tensor) -> Tensor:
    with torch.no_grad():
        far = (layer(data) - layer.digital_forward(data)).mean(0)
    assert float(far.abs().max()) < 1e-5
    return outputs(layer, x, layer.input_range, layer.output_range)


def hardware(own: Compensation) -> mho.Hardware:
    return mho.Hardware(device=mho.devices.PCM(read_scale=0.0), dac=mho.DAC(), adc=mho.ADC(bits=10))


STRANGERS = [
    Stranger(Median(), hardware, by_formula, check_compensation, [Unbounded()], fast=True),
    Stranger(Centred(), hardware, centred, check_compensation, [Forgetful()], fast=True),
]
