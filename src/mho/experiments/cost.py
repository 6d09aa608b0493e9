"""What hardware costs: conversions, cells and energy of one inference.

The energy of a converter is taken as ``step_energy * 2^bits`` for each conversion (R. H. Walden, IEEE J.
Sel. Areas Commun. 17, 539, 1999: energy for each conversion step). Programming to a tolerance is paid
once and shared by many inferences. These are relative prices to compare hardware with, not a design.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mho import tile
from mho.config import NonNegative, Positive, config
from mho.nn import AnalogLayer, analog_layers
from mho.nn.unprogrammed import on_purpose


@config
class Prices:
    """What is paid for what. The defaults are typical values, not verified for any one design.

    Attributes:
        step_energy: energy of a conversion over ``2^bits``, joule; the figure of merit of a converter.
        pulse_energy: energy of one programming pulse and its verifying read, joule.
        pulse_error: standard deviation of where one pulse ends, as a fraction of g_max.
        inferences: inferences between two programmings.
    """

    step_energy: Positive = 10e-15
    pulse_energy: NonNegative = 100e-12
    pulse_error: Positive = 0.05
    inferences: Positive = 1e5

    def pulses(self, tolerance: float) -> float:
        """Expected pulses until a cell is within ``tolerance * g_max`` of its target.

        Each pulse ends at a normal distance from the target, on its own, so the number of pulses is
        geometric: its mean is ``1 / P(|error| <= tolerance)``.

        >>> round(Prices(pulse_error=0.05).pulses(0.05), 3)
        1.465
        """
        if not tolerance > 0:
            raise ValueError(
                f"tolerance = {tolerance!r}: no number of pulses ends exactly on the target; give more"
            )
        return 1 / math.erf(tolerance / self.pulse_error / math.sqrt(2))


@dataclass(frozen=True)
class Cost:
    """Counts for one inference.

    Attributes:
        adc: conversions of column currents.
        dac: conversions of inputs.
        cells: cells that hold weights.
        converting: energy of all conversions, joule; an absent converter is ideal and free.
    """

    adc: int
    dac: int
    cells: int
    converting: float

    def energy(self, prices: Prices, tolerance: float | None = None) -> float:
        """Joule for each inference; with a tolerance, programming is shared among the inferences."""
        if tolerance is None:
            return self.converting
        programming = self.cells * prices.pulses(tolerance) * prices.pulse_energy
        return self.converting + programming / prices.inferences


def count(model: nn.Module, x: Tensor, prices: Prices | None = None) -> Cost:
    """Count the conversions of one inference.

    Args:
        model: what ``mho.convert`` made.
        x: one input, with a batch axis of 1.
        prices: of a conversion step.

    >>> import mho
    >>> hardware = mho.Hardware(tile=mho.Tile(rows=4, columns=None), dac=mho.DAC(bits=8), adc=mho.ADC(bits=8))
    >>> analog = mho.convert(nn.Linear(8, 3), hardware)
    >>> mho.calibrate(analog, [torch.ones(2, 8)])
    >>> cost = count(analog, torch.ones(1, 8))
    >>> cost.adc, cost.dac, cost.cells
    (6, 8, 48)
    """
    prices = prices if prices is not None else Prices()
    if len(x) != 1:
        raise ValueError(f"x has {len(x)} inputs: costs are counted for one")
    totals = {"adc": 0, "dac": 0, "cells": 0}
    energy = 0.0

    def see(layer: Any, inputs: Any, output: Tensor) -> None:
        nonlocal energy
        adc, dac, cells = _of_layer(layer, output)
        hardware = layer.hardware
        for name, number, converter in (("adc", adc, hardware.adc), ("dac", dac, hardware.dac)):
            totals[name] += number
            if converter is None:
                continue
            if converter.bits is not None:
                energy += number * prices.step_energy * 2.0**converter.bits
            elif getattr(converter, "steps", None) is not None:
                energy += number * prices.step_energy * (converter.steps + 1.0)
        totals["cells"] += cells

    handles = [layer.register_forward_hook(see) for layer in analog_layers(model).values()]
    try:
        with torch.no_grad(), on_purpose(model):
            model.eval()(x)
    finally:
        for handle in handles:
            handle.remove()
    return Cost(totals["adc"], totals["dac"], totals["cells"], energy)


def _of_layer(layer: AnalogLayer, output: Tensor) -> tuple[int, int, int]:
    """ADC conversions, DAC conversions and cells of one layer's run."""
    groups, rows, columns = layer.matrix(layer.wide_weight().detach()).shape
    how, cut = tile.readout(layer.hardware), layer.cut
    vectors = output.numel() // (groups * columns)
    read = columns + (len(cut.columns) if how.unit_column else 0)
    adc = vectors * groups * read * len(how.digital) * len(cut.rows)
    dac = vectors * groups * rows * len(cut.columns)
    cells = groups * (rows + layer.bias_rows) * read * layer.hardware.mapping.copies
    return adc, dac, cells
