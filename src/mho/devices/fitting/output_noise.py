"""The statistics of an ADC's outputs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mho.devices.fitting.tables import Array, Quantity, read_table

OUTPUT = Quantity(("output", "code", "level"), "")
MEAN, STD = Quantity(("mean", "mu"), ""), Quantity(("std", "sigma"), "")


class OutputNoise(NamedTuple):
    """What an array and its ADC gave for each ideal output, in steps of the ADC.

    Attributes:
        output: the ideal outputs, rising.
        mean: mean of the measured outputs.
        std: their standard deviation.
    """

    output: Array
    mean: Array
    std: Array

    @property
    def gain(self) -> float:
        """Relative error of the slope of ``mean`` over ``output``, of least squares."""
        return float(np.polyfit(self.output, self.mean, 1)[0]) - 1

    @property
    def offset(self) -> float:
        """Where the line through ``mean`` lies at output 0, steps."""
        return float(np.polyfit(self.output, self.mean, 1)[1])

    @property
    def inl(self) -> float:
        """Largest distance of ``mean`` from its line, steps."""
        slope, offset = np.polyfit(self.output, self.mean, 1)
        return float(np.abs(self.mean - slope * self.output - offset).max())

    @property
    def noise(self) -> float:
        """Root mean square of ``std`` over the outputs, steps."""
        return float(np.sqrt(np.mean(self.std**2)))


def read_output_noise(source: Any) -> OutputNoise:
    """The output-noise file of NeuroSim: columns ``output``, ``mean`` and ``std``, in steps of the ADC.

    It describes no cell: its figures go into the ADC of a hardware. A step of a signed ADC of b bits with the
    full scale ``limit`` is ``2 limit / (2^b - 2)``, so that ``noise=`` of the ADC is ``noise`` steps.

    Args:
        source: the path of the CSV file, a data frame, or a mapping of names to columns.

    Raises:
        ValueError: a column is missing, a cell is no number, a standard deviation is negative, or an output
            comes twice.

    Example:
        >>> table = {"output": [0, 1, 2, 3], "mean": [0.5, 1.5, 2.5, 3.5], "std": [0.3, 0.3, 0.3, 0.3]}
        >>> found = read_output_noise(table)
        >>> round(found.offset, 6), round(found.noise, 6)
        (0.5, 0.3)
    """
    table = read_table(source)
    output, mean, std = (table.take(quantity) for quantity in (OUTPUT, MEAN, STD))
    for line, value in zip(table.lines(), std, strict=True):
        if value < 0:
            raise ValueError(f"{table.name}, line {line}: a standard deviation of {value:g} is negative")
    order = np.argsort(output, kind="stable")
    output, mean, std = output[order], mean[order], std[order]
    if len(output) < 2 or bool((np.diff(output) <= 0).any()):
        raise ValueError(f"{table.name}: give at least two outputs, each once")
    return OutputNoise(output, mean, std)
