"""NeuroSim: how many bits an ADC needs for the partial sums of 128 rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch.utils.data import TensorDataset

import mho
from mho.config import Count, Positive, config
from mho.converters import Dynamic, Stream
from mho.experiments.data import Data
from mho.experiments.models import SmallVGG
from mho.experiments.reproduce.base import Bench, Paper, Row, mean
from mho.experiments.reproduce.published import NEUROSIM
from mho.mapping import BitSlicing

CELLS = {1: 8, 2: 4}  # bits of a cell, slices of a weight
NO_ADC = 0  # stands for outputs that are not rounded
NETWORK = SmallVGG(widths=(8, 16, 32))  # its last layers have more than 128 rows
TESTED, SEEN = 250, 100  # images; each takes 64 reads of every array


@config
class NeuroSim(Paper):
    """8-bit weights in offset slices, 8-bit inputs bit by bit, 128 rows, cells without errors.

    The full scale of a converter is the largest current of an array in each read, so each input bit and
    each slice has its own, as in the inference code of V1.4; levels are uniform, as there.

    Attributes:
        steps, learning_rate: of the training, without hardware.
        adc: bits of the converters.
    """

    steps: Count = 660
    learning_rate: Positive = 0.05
    adc: tuple[Count, ...] = (3, 4)

    claim = NEUROSIM

    def measure(self, bench: Bench) -> Iterator[Row]:
        """Each cell with each converter, and without one. Cells have no errors: one chip."""
        bench = replace(
            bench, data=_pixels(bench), chips=1, images=min(bench.images, TESTED), calibrating=SEEN
        )
        network = bench.trained(NETWORK, self.steps, self.learning_rate)
        for cell in CELLS:
            for bits in (NO_ADC, *self.adc):
                analog = bench.on(network, _hardware(cell, bits))
                yield from bench.on_chips(analog, f"{cell}-bit cells", float(bits))

    def figures(self, rows: Sequence[Row]) -> dict[str, float]:
        """Points lost to outputs that are not rounded."""
        return {
            f"cells{cell}_adc{bits}": 100
            * (mean(rows, f"{cell}-bit cells") - mean(rows, f"{cell}-bit cells", float(bits)))
            for cell in CELLS
            for bits in (3, 4)
        }


def _hardware(cell: int, bits: int) -> mho.Hardware:
    return mho.Hardware(
        mapping=BitSlicing(bits=8, slices=CELLS[cell], offset=True),
        tile=mho.Tile(rows=128, columns=128, full=True),
        dac=mho.DAC(bits=8, signed=False, stream=Stream(bits=1)),
        adc=None if bits == NO_ADC else mho.ADC(bits=bits, signed=False, range=Dynamic()),
    )


def _pixels(bench: Bench) -> Data:
    """Images from 0 to 1, for rows that are driven with one sign."""
    data = bench.data
    shape = (1, -1, 1, 1)
    std, mean_ = (torch.tensor(values).view(shape) for values in (data.std, data.mean))

    def shown(part: TensorDataset) -> TensorDataset:
        images, labels = part.tensors
        return TensorDataset(images * std + mean_, labels)

    parts = (shown(part) for part in (data.train, data.validation, data.test))
    train, validation, test = parts
    return replace(data, train=train, validation=validation, test=test)
