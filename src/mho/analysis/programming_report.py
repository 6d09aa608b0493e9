"""What programming took, layer by layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from mho.nn import crossbars
from mho.programming import Summary

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class ProgrammingReport:
    """What programming took, layer by layer.

    Attributes:
        layers: the numbers of each layer by path. A layer programmed with ``SingleShot()`` has none and is
            not here.
    """

    layers: dict[str, Summary]

    @property
    def failures(self) -> int:
        """Number of cells that were last read outside the tolerance."""
        return sum(layer.failures for layer in self.layers.values())

    @property
    def pulses(self) -> int:
        """Number of pulses on all cells."""
        return sum(layer.pulses for layer in self.layers.values())

    @property
    def energy(self) -> float:
        """Joules."""
        return math.fsum(layer.energy for layer in self.layers.values())

    @property
    def seconds(self) -> float:
        """Of all cells, one after the other."""
        return math.fsum(layer.seconds for layer in self.layers.values())

    def rows(self) -> list[dict[str, str | int | float]]:
        """One row for each layer, for a table of your own."""
        return [
            {
                "layer": path,
                "cells": s.cells,
                "pulses": s.pulses,
                "pulses per cell": s.pulses / s.cells,
                "most pulses": len(s.histogram) - 1,
                "failures": s.failures,
                "energy (J)": s.energy,
                "seconds": s.seconds,
                "error": s.error,
            }
            for path, s in self.layers.items()
        ]

    def to_frame(self) -> pandas.DataFrame:
        """The rows as a table of pandas, which ``pip install mho[study]`` brings."""
        import pandas

        frame: pandas.DataFrame = pandas.DataFrame(self.rows())
        return frame

    def __str__(self) -> str:
        """One line for each layer."""
        lines = [
            f"{r['layer'] or '(model)'}: {r['pulses per cell']:.2f} pulses per cell, at most "
            f"{r['most pulses']}; {r['failures']} of {r['cells']} cells failed; {r['energy (J)']:.3g} J; "
            f"{r['seconds']:.3g} s; error {r['error']:.3g} of g_max"
            for r in self.rows()
        ]
        return "\n".join(lines) or "no layer was programmed with pulses"


def programming_report(model: nn.Module) -> ProgrammingReport:
    """What the last ``mho.program`` took: pulses, failures, energy and time of each layer.

    It is kept with the model in memory, not in its ``state_dict``.

    Args:
        model: a programmed model.

    Raises:
        NotProgrammedError: no chip.
        ValueError: no analog layer.

    >>> import mho, torch
    >>> hardware = mho.Hardware(device=mho.devices.PCM(), programming=mho.programming.WriteVerify())
    >>> analog = mho.convert(torch.nn.Linear(8, 4), hardware)
    >>> mho.program(analog, seed=0)
    >>> mho.programming_report(analog).layers[""].cells
    64
    """
    found = {}
    for path, layer in crossbars(model).items():
        layer.require_chip("programming_report")
        if layer.written is not None:
            found[path] = layer.written
    return ProgrammingReport(found)
