"""A programming of one's own: pulses of one step, counted."""

from __future__ import annotations

import torch
from torch import Tensor

import mho
from mho.config import Count, config
from mho.programming import Programming, ProgrammingResult
from mho.testing import check_programming

from .life import Stranger, of_weights, outputs


@config
class Steps(Programming):
    """Each pulse raises a cell by the same step; a cell takes as many as come nearest to its target.

    Attributes:
        count: of steps from the lowest conductance to the highest.
    """

    count: Count = 20

    def write(
        self, device: mho.devices.Device, g_target: Tensor, seed: int, path: str = "", site: object = None
    ) -> ProgrammingResult:
        step = (device.g_max - device.g_min) / self.count
        pulses = ((g_target - device.g_min) / step).round()
        g = device.g_min + pulses * step
        return ProgrammingResult(
            g=g,
            pulses=pulses.to(torch.int32),
            failed=(g - g_target).abs() > step,
            energy=pulses * 1e-12,
            seconds=pulses * 1e-7,
        )


@config
class Moody(Steps):
    """Wrong: two chips of the same seed differ."""

    def write(
        self, device: mho.devices.Device, g_target: Tensor, seed: int, path: str = "", site: object = None
    ) -> ProgrammingResult:
        share = torch.rand(g_target.shape, dtype=g_target.dtype)
        return super().write(device, device.g_min + share * (g_target - device.g_min), seed, path, site)


def by_formula(layer: mho.nn.AnalogLinear, x: Tensor, data: Tensor) -> Tensor:
    target = of_weights(layer, 0.0, 25e-6)
    pulses = (target / 1.25e-6).round()
    assert layer.written.pulses == int(pulses.sum()) and layer.written.failures == 0
    assert abs(layer.written.energy / (1e-12 * float(pulses.sum())) - 1) < 1e-6
    return outputs(layer, x, layer.input_range, layer.output_range, g=pulses * 1.25e-6)


def hardware(own: Programming) -> mho.Hardware:
    return mho.Hardware(programming=own, dac=mho.DAC(), adc=mho.ADC())


STRANGERS = [Stranger(Steps(), hardware, by_formula, check_programming, [Moody()], fast=True)]
