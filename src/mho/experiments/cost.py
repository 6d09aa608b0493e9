"""What hardware costs: conversions, cells and energy of one inference.

The energy of a converter is taken as ``step_energy * 2^bits`` for each conversion (R. H. Walden, IEEE J.
Sel. Areas Commun. 17, 539, 1999: energy for each conversion step); of a driver of groups of bits, the bits
are those of a group and the sign. Programming to a tolerance is paid once and shared by many inferences.
These are relative prices to compare hardware with, not a design.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mho.analysis.trace import trace
from mho.chip import tile
from mho.config import NonNegative, Positive, config
from mho.converters import DAC, ColumnConverter
from mho.nn import Crossbar, crossbars
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

    def programming(self, cells: float, tolerance: float) -> float:
        """Joule of an inference for programming so many cells, which its inferences share."""
        return cells * self.pulses(tolerance) * self.pulse_energy / self.inferences


@dataclass(frozen=True)
class Cost:
    """Counts for one inference.

    Attributes:
        adc: conversions of column currents.
        dac: conversions of inputs.
        cells: cells that hold weights, whether or not they are read.
        converting: energy of all conversions, joule; an absent or ideal converter makes none and is free.
    """

    adc: int
    dac: int
    cells: int
    converting: float

    def energy(self, prices: Prices, tolerance: float | None = None) -> float:
        """Joule for each inference; with a tolerance, programming is shared among the inferences."""
        return self.converting + (0 if tolerance is None else prices.programming(self.cells, tolerance))


def count(model: nn.Module, x: Tensor, prices: Prices | None = None) -> Cost:
    """Count the conversions of one inference, as they are made.

    A vector is driven into each array that holds its rows: those beside another, and those of other slices,
    have drivers and ADCs of their own. Inputs that are driven bit by bit are one conversion for each group
    of bits; the ADC converts each group too, unless their charges are added before. A look-up reads one
    array of rows and drives nothing. A converter that is absent or ideal makes no conversions.

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
    arrays = crossbars(model)
    with torch.no_grad(), on_purpose(model), trace(model) as seen:
        model.eval()(x)
    total = seen.total
    energy = sum(
        prices.step_energy
        * (e.conversions * _levels(arrays[path].hardware.adc) + e.driven * _levels(arrays[path].hardware.dac))
        for path, e in seen.layers.items()
    )
    cells = sum(_cells(array) for array in arrays.values())
    return Cost(total["conversions"], total["driven"], cells, energy)


def _cells(layer: Crossbar) -> int:
    """Cells that hold the weights of a layer, and those of a unit column."""
    groups, rows, columns = layer.matrix(layer.wide_weight().detach()).shape
    columns += tile.readout(layer.hardware).unit_column
    return groups * (rows + layer.bias_rows) * columns * layer.hardware.mapping.copies


def _levels(converter: DAC | ColumnConverter | None) -> float:
    """Levels that a conversion chooses among; 0 where they are not given by bits or steps."""
    if isinstance(converter, DAC) and converter.stream is not None:  # with a sign, as many voltages again
        return 2.0 ** (converter.stream.bits + int(converter.signed))
    bits, steps = getattr(converter, "bits", None), getattr(converter, "steps", None)
    if bits is not None:
        return float(2.0**bits)
    return 0.0 if steps is None else steps + 1.0
