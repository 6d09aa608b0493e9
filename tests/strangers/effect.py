"""An effect of one's own: some cells have a crack that lets half of the current through."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import InstanceOf
from torch import Tensor

import mho
from mho import random
from mho.config import config
from mho.devices import PCM, Device, Effect, Ideal
from mho.testing import check_device

from .life import SECONDS, Stranger, outputs


@config
class Fissured(Effect):
    """One cell in ten conducts half of what it should."""

    device: InstanceOf[Device] = Ideal()

    draws: ClassVar[int] = 1
    parameters: ClassVar[int] = 1

    def own_state(self, eps: Tensor, tiles: object = None) -> Tensor:
        return (eps > 1.2816).to(eps)

    def moved(self, g: Tensor, own: Tensor, now: Tensor, seconds: float) -> Tensor:
        return now * (1 - 0.5 * own[0])


@config
class Meddling(Fissured):
    """Wrong: what is written is no effect's business."""

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        return 0.9 * self.device.programmed(g_target, eps)


def by_formula(layer: mho.nn.AnalogLinear, x: Tensor, data: Tensor) -> Tensor:
    chip, cell = layer.chip, PCM(read_scale=0.0)
    cracked = random.normal(tuple(chip.g.shape), 0, "", "Fissured/0") > 1.2816
    assert 4 < int(cracked.sum()) < 30
    g = torch.where(cracked, 0.5, 1.0) * cell.aged(chip.g, chip.cells[1:], SECONDS)
    return outputs(layer, x, layer.input_range, layer.output_range, g=g)


def hardware(own: Effect) -> mho.Hardware:
    return mho.Hardware(device=own, dac=mho.DAC(), adc=mho.ADC())


STRANGERS = [
    Stranger(
        Fissured(device=PCM(read_scale=0.0)), hardware, by_formula, check_device,
        [Meddling(device=PCM(read_scale=0.0))], fast=True,
    ),
]  # fmt: skip
