"""Mehonic 2019: what a small ratio of the highest to the lowest conductance costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

import mho
from mho.config import Count, Fraction, Positive, config
from mho.experiments.models import MLP
from mho.experiments.reproduce.base import Bench, Paper, Row, mean, plain
from mho.experiments.reproduce.published import MEHONIC
from mho.mapping import DifferentialPair, Percentile


@config
class RaisedPair(DifferentialPair):
    """A pair of which the one cell is absent and the other has its least conductance at least.

    Weights below ``1 / ratio`` of the reference weight are raised to it, with their sign.

    Attributes:
        ratio: highest conductance over the lowest.

    >>> import torch
    >>> RaisedPair(ratio=4.0).targets(torch.tensor([[0.1, -0.5]]), 0.0, 1.0).tolist()
    [[[0.25, 0.0]], [[0.0, 0.5]]]
    """

    ratio: Positive = 3.0

    def targets(self, w: Tensor, g_min: float, g_max: float) -> Tensor:
        """``g_target[2, ..., row, column]``: plus, minus."""
        return super().targets(w.sign() * w.abs().clamp(min=1 / self.ratio), g_min, g_max)


@config
class Mehonic2019(Paper):
    """A perceptron on cells without errors whose conductances span little.

    The part of the largest weights that is clipped is chosen for each ratio on the validation images.

    Attributes:
        hidden: units of the hidden layer.
        steps, learning_rate: of the training, without hardware.
        ratios: of the highest to the lowest conductance.
        kept: parts of the weights that are not clipped, to choose among.
    """

    hidden: Count = 128
    steps: Count = 1650
    learning_rate: Positive = 0.1
    ratios: tuple[Positive, ...] = (1.5, 2.0, 3.0, 5.0, 10.0)
    kept: tuple[Fraction, ...] = (1.0, 0.99, 0.98, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)

    claim = MEHONIC

    def measure(self, bench: Bench) -> Iterator[Row]:
        """The network, and each ratio with the best of the clipped parts. Cells have no errors: one chip."""
        network = bench.trained(MLP(hidden=(self.hidden,)), self.steps, self.learning_rate)
        yield plain("digital", bench.score(network))
        for ratio in self.ratios:
            chips = []
            for kept in self.kept:
                mapping = RaisedPair(ratio=ratio, scale=Percentile(fraction=kept))
                analog = bench.on(network, mho.Hardware(mapping=mapping))
                mho.program(analog, 0)
                chips.append((bench.score(analog, "validation"), analog))
            best = max(chips, key=lambda chip: chip[0])[1]
            yield {"setting": "ratio", "strength": ratio, "chip": 0, "accuracy": bench.score(best)}

    def figures(self, rows: Sequence[Row]) -> dict[str, float]:
        """Points lost."""
        low, three = (mean(rows, "ratio", ratio) for ratio in (1.5, 3.0))
        return {
            "ratio_3": 100 * (mean(rows, "digital") - three),
            "ratio_decides": 100 * (three - low),
        }
