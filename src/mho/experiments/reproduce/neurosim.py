"""NeuroSim: how many bits an ADC needs for the partial sums of 128 rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from pydantic import InstanceOf
from torch import Tensor
from torch.utils.data import TensorDataset

import mho
from mho.autograd import straight_through
from mho.calibration.profiling import LayerProfile
from mho.config import Count, NonNegative, Positive, config
from mho.converters import Calibrated, ColumnConverter, Histogram, Range, Stream
from mho.experiments.data import Data
from mho.experiments.models import SmallVGG
from mho.experiments.reproduce.base import Bench, Paper, Row, mean
from mho.experiments.reproduce.published import NEUROSIM
from mho.mapping import BitSlicing

CELLS = {1: 8, 2: 4}  # bits of a cell, slices of a weight
ROUNDS = 100  # of Lloyd's fit
NO_ADC = 0  # stands for outputs that are not rounded
NETWORK = SmallVGG(widths=(8, 16, 32))  # its last layers have more than 128 rows
TESTED, SEEN = 250, 100  # images; each takes 64 reads of every array


@config
class FittedLevels(ColumnConverter):
    """An ADC whose levels lie where its currents are.

    Attributes:
        levels: rising, in units of full scale.

    >>> FittedLevels(levels=(0.0, 0.1, 1.0)).quantise(torch.tensor([0.03, 0.3, 0.9]), 2.0)
    tensor([0.0000, 0.2000, 0.2000])
    """

    levels: tuple[NonNegative, ...] = (0.0, 1.0)
    range: InstanceOf[Range] = Calibrated(per_tile=True)
    noise: NonNegative = 0.0

    def validate(self) -> None:
        """Rising levels, two at least."""
        if len(self.levels) < 2 or any(a >= b for a, b in pairwise(self.levels)):
            raise ValueError(f"levels = {self.levels!r}: give two at least, each larger than the one before")

    def quantise(self, value: Tensor, limit: float | Tensor) -> Tensor:
        """The nearest level."""
        share = value / limit
        levels = torch.tensor(self.levels, dtype=share.dtype, device=share.device)
        code = torch.bucketize(share.detach().contiguous(), (levels[1:] + levels[:-1]) / 2)
        return straight_through(share.clamp(0, 1), levels[code]) * limit


def fitted_levels(seen: Iterable[Histogram], bits: int) -> tuple[float, ...]:
    """The levels with the least mean squared error for currents of converters, each in its full scale.

    Source: S. P. Lloyd, IEEE Trans. Inf. Theory 28, 129 (1982).

    Args:
        seen: currents of each converter.
        bits: resolution; fewer levels where fewer are hit.
    """
    bins = [(at.clamp(min=0) / h.largest, n / h.count) for h in seen if h.largest for at, n in [h.bins()]]
    share, weight = (torch.cat(part) for part in zip(*bins, strict=True))
    share, order = share.sort()
    weight = weight[order]
    levels = torch.linspace(0, 1, 2**bits, dtype=share.dtype) ** 2
    for _ in range(ROUNDS):
        cell = torch.bucketize(share, (levels[1:] + levels[:-1]) / 2)
        mass = torch.zeros_like(levels).index_add(0, cell, weight)
        total = torch.zeros_like(levels).index_add(0, cell, weight * share)
        levels = torch.where(mass > 0, total / mass, levels)
    return tuple(sorted(set(levels.tolist())))


@config
class NeuroSim(Paper):
    """8-bit weights in offset slices, 8-bit inputs bit by bit, 128 rows, cells without errors.

    The levels of the converters are fitted to the partial sums of each layer (Lloyd).

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
            seeing = bench.on(network, _hardware(cell, mho.ADC(bits=None)))
            seen = mho.profile(seeing, [bench.seen]).layers
            for bits in (NO_ADC, *self.adc):
                hardware = {path: _hardware(cell, _adc(layer, bits)) for path, layer in seen.items()}
                analog = bench.on(network, hardware)
                yield from bench.on_chips(analog, f"{cell}-bit cells", float(bits))

    def figures(self, rows: Sequence[Row]) -> dict[str, float]:
        """Points lost to outputs that are not rounded."""
        return {
            f"cells{cell}_adc{bits}": 100
            * (mean(rows, f"{cell}-bit cells") - mean(rows, f"{cell}-bit cells", float(bits)))
            for cell in CELLS
            for bits in (3, 4)
        }


def _hardware(cell: int, adc: ColumnConverter | None) -> mho.Hardware:
    return mho.Hardware(
        mapping=BitSlicing(bits=8, slices=CELLS[cell], offset=True),
        tile=mho.Tile(rows=128, columns=128, full=True),
        dac=mho.DAC(bits=8, signed=False, stream=Stream(bits=1)),
        adc=adc,
    )


def _adc(layer: LayerProfile, bits: int) -> ColumnConverter | None:
    """A converter for all slices of a layer."""
    if bits == NO_ADC:
        return None
    return FittedLevels(levels=fitted_levels((h for each in layer.currents for h in each), bits))


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
