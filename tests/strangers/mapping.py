"""A mapping of one's own: each weight in two pairs of cells, whose currents are averaged."""

from __future__ import annotations

import torch
from pydantic import InstanceOf
from torch import Tensor

import mho
from mho.config import config
from mho.mapping import Mapping, Maximum, Readout, Scale
from mho.testing import check_mapping

from .life import Stranger, outputs


@config
class TwoPairs(Mapping):
    """Four cells for each weight: the errors of two pairs average out."""

    scale: InstanceOf[Scale] = Maximum(per_column=True)

    @property
    def copies(self) -> int:
        return 4

    def targets(self, w: Tensor, g_min: float, g_max: float) -> Tensor:
        pair = torch.stack([w, -w, w, -w]).clamp(0, 1)
        return g_min + (g_max - g_min) * pair

    def readout(self, g_min: float, g_max: float) -> Readout:
        return Readout(analog=((0.5, -0.5, 0.5, -0.5),), digital=(g_max / (g_max - g_min),))


@config
class Doubled(TwoPairs):
    """Wrong: it forgets that both pairs count."""

    def readout(self, g_min: float, g_max: float) -> Readout:
        return Readout(analog=((1.0, -1.0, 1.0, -1.0),), digital=(g_max / (g_max - g_min),))


def by_formula(layer: mho.nn.AnalogLinear, x: Tensor, data: Tensor) -> Tensor:
    held = mho.conductances(layer)[""]
    averaged = (held[:2] + held[2:]) / 2
    assert held.shape[0] == 4 and not torch.equal(held[:2], held[2:])
    g = torch.cat([averaged, averaged])
    return outputs(layer, x, layer.input_range, layer.output_range, g=g)


def hardware(own: Mapping) -> mho.Hardware:
    return mho.Hardware(device=mho.devices.PCM(read_scale=0.0), mapping=own, dac=mho.DAC(), adc=mho.ADC())


STRANGERS = [Stranger(TwoPairs(), hardware, by_formula, check_mapping, [Doubled()], fast=True)]
