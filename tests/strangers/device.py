"""A cell of one's own: its charge leaks away, with a time constant for each cell."""

from __future__ import annotations

import torch
from torch import Tensor

import mho
from mho import random
from mho.config import NonNegative, Positive, config
from mho.devices import Device
from mho.testing import check_device

from .life import SECONDS, Stranger, of_weights, outputs


@config
class Leaking(Device):
    """A charge-trap cell with a proportional programming error and an exponential leak.

    Attributes:
        error: standard deviation of the programming error, relative to the target.
        tau: median time constant of the leak, seconds.
        spread: standard deviation of the logarithm of the time constant.
    """

    g_min: NonNegative = 0.0
    g_max: Positive = 10e-6
    v_read: Positive = 0.1
    program_scale: NonNegative = 1.0
    drift_scale: NonNegative = 1.0
    read_scale: NonNegative = 1.0
    error: NonNegative = 0.02
    tau: Positive = 5e5
    spread: NonNegative = 0.5

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        return (g_target * (1 + self.program_scale * self.error * eps)).clamp_min(0)

    def drift_state(self, g_target: Tensor, eps: Tensor) -> Tensor:
        rate = torch.exp(self.spread * eps) / self.tau
        return self.drift_scale * rate.unsqueeze(0)

    def aged(self, g: Tensor, cells: Tensor, seconds: float) -> Tensor:
        self.check_time(seconds)
        return g * torch.exp(-cells[0] * seconds)

    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        self.check_time(seconds)
        return torch.zeros_like(g_now)


@config
class Restless(Leaking):
    """Wrong: it leaks before any time has passed."""

    def aged(self, g: Tensor, cells: Tensor, seconds: float) -> Tensor:
        return super().aged(g, cells, seconds) * 0.999


def by_formula(layer: mho.nn.AnalogLinear, x: Tensor, data: Tensor) -> Tensor:
    target = of_weights(layer, 0.0, 10e-6)
    program, drift = (
        random.normal(tuple(target.shape), 0, "", name).double() for name in ("program", "drift")
    )
    g = (target * (1 + 0.02 * program)).clamp(min=0) * torch.exp(-SECONDS / 5e5 * torch.exp(0.5 * drift))
    return outputs(layer, x, layer.input_range, layer.output_range, g=g)


def hardware(own: Device) -> mho.Hardware:
    return mho.Hardware(device=own, dac=mho.DAC(), adc=mho.ADC())


STRANGERS = [Stranger(Leaking(), hardware, by_formula, check_device, [Restless()], fast=True)]
