"""NeuRRAM, 48 cores of 256 x 256 cells at 130 nm, with converters that are the neurons.

A neuron integrates a bit ``2^k`` times, as much as it counts; a conversion is a step for each bit. Inputs
beyond three bits come in two phases; the bits that the first one has given need not be converted again.

Source: W. Wan et al., Nature 608, 504 (2022); the times and energies of a step as in the public notebook of
AccelForge (MIT licence). One figure is fitted: a cell takes 3.87 fJ in the pulse of a bit, its driver
included; with it the ten published points of TOPS/W are met within 11 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from mho.config import NonNegative, config
from mho.costs.base import Floor, Work
from mho.costs.parts import Chip, Part

_LINES = 256
_CORE_AREA = 1.161e-6  # square metres, of which neurons are 28 %, drivers 21 % and cells 12 %
_NEURONS, _DRIVERS, _CELLS = 1270e-12 * _LINES, 243_840e-12, 139_337e-12


class Steps(NamedTuple):
    """How often a neuron samples, integrates and compares for one vector, and in how many phases."""

    samples: int
    integrations: int
    comparisons: int
    phases: int


@config
class NeuRRAM(Chip):
    """See :mod:`mho.costs.neurram`. Take ``mho.Tile(rows=128, columns=256)``: a pair lies on two rows.

    Attributes:
        one_phase: all bits in one phase, however many.
        step, addition, integration, sample: joules of a comparison, of adding its bit, of an integration,
            of a sample.
        gate, driver: capacitance of a word line for each column, and of its driver, farad.
        gate_volts: at which word lines are switched.
        pulse: joules of a cell in the pulse of one bit, its driver included.
    """

    name: str = "NeuRRAM"
    node: float = 130e-9
    tiles: int | None = 48
    cell_area: NonNegative = _CELLS / _LINES**2
    one_phase: bool = False
    step: NonNegative = 0.3e-12
    addition: NonNegative = 0.1e-12
    integration: NonNegative = 0.25e-12
    sample: NonNegative = 1.2e-12
    gate: NonNegative = 2.1e-15
    driver: NonNegative = 48e-15
    gate_volts: NonNegative = 1.8
    pulse: NonNegative = 3.87e-15
    parts: tuple[Part, ...] = (
        Part(name="neurons", each="column", area=_NEURONS / _LINES, source="W. Wan et al. (2022)"),
        Part(name="drivers", each="row", area=_DRIVERS / (_LINES / 2), source="W. Wan et al. (2022)"),
        Part(
            name="other", each="array", area=_CORE_AREA - _NEURONS - _DRIVERS - _CELLS,
            source="W. Wan et al. (2022): the rest of a core",
        ),
    )  # fmt: skip

    def steps(self, work: Work) -> Steps:
        """Of one vector.

        >>> from mho.costs.base import Work
        >>> NEURRAM.steps(Work.one(streams=7, bits_out=10))
        Steps(samples=7, integrations=22, comparisons=16, phases=2)
        """
        bits = work.streams
        phases = (bits,) if self.one_phase or bits <= 3 else (math.ceil(bits / 2), bits // 2)
        comparisons = done = 0
        for phase in phases:
            comparisons += max(work.bits_out - done, 0)
            done += phase
        return Steps(bits, sum(2**phase - 1 for phase in phases), comparisons, len(phases))

    def energy(self, work: Work, floor: Floor) -> Mapping[str, float]:
        """Joules by part: ``neurons``, ``word lines``, ``cells``."""
        steps = self.steps(work)
        each = (
            (self.step + self.addition) * steps.comparisons
            + self.integration * steps.integrations
            + self.sample * steps.samples
        )
        columns = work.columns_read / work.streams
        lines = work.drives * work.cells
        farad = self.gate * work.size[1] + self.driver
        return {
            "neurons": columns * each,
            "word lines": lines * farad * self.gate_volts**2,
            "cells": work.cell_reads * self.pulse,
        }

    def seconds(self, work: Work) -> float:
        """.27 us for an integration, .3 us for a comparison and for each phase."""
        steps = self.steps(work)
        return 0.27e-6 * steps.integrations + 0.3e-6 * (steps.comparisons + steps.phases)


NEURRAM = NeuRRAM()
