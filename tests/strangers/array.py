"""An array of one's own: a resistance at the foot of each bit line."""

from __future__ import annotations

import torch
from torch import Tensor

import mho
from mho.array import Array
from mho.config import Positive, config
from mho.testing import check_array

from .life import Stranger, outputs


@config
class Foot(Array):
    """Each bit line reaches its sense amplifier through one resistance: ``g / (1 + R sum over rows of g)``.

    Attributes:
        ohms: of the resistance.
    """

    ohms: Positive = 2000.0

    def effective_conductance(self, g: Tensor) -> Tensor:
        return g / (1 + self.ohms * g.sum(-2, keepdim=True))


@config
class Common(Foot):
    """Wrong: the resistance carries the currents of all tiles."""

    def effective_conductance(self, g: Tensor) -> Tensor:
        carried = g.sum(-2, keepdim=True)
        return g / (1 + self.ohms * carried.mean())


def by_formula(layer: mho.nn.AnalogLinear, x: Tensor, data: Tensor) -> Tensor:
    g = mho.conductances(layer)[""].double()
    seen = torch.zeros_like(g)
    for a, b in layer.layout.rows:
        for c in range(6):
            line = g[..., a:b, c]
            seen[..., a:b, c] = line / (1 + 2000 * line.sum(-1, keepdim=True))
    assert 0.8 < float(seen.sum() / g.sum()) < 0.95
    return outputs(layer, x, layer.input_range, layer.output_range, g=seen)


def hardware(own: Array) -> mho.Hardware:
    return mho.Hardware(device=mho.devices.PCM(read_scale=0.0), array=own, dac=mho.DAC(), adc=mho.ADC())


STRANGERS = [Stranger(Foot(), hardware, by_formula, check_array, [Common()], fast=True)]
