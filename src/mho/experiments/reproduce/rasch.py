"""Rasch 2023: noise on weights, inputs and outputs, and a recurrent network beside a convolutional one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from pydantic import InstanceOf
from torch import nn

import mho
from mho import random
from mho.config import Count, Positive, config
from mho.devices import Generic, Ideal, Independent
from mho.experiments.fitting import seeded
from mho.experiments.models import RowLSTM, SmallVGG
from mho.experiments.reproduce.base import LIMIT, Bench, Paper, Row, mean, plain, tolerated
from mho.experiments.reproduce.published import RASCH
from mho.experiments.reproduce.words import NextWord
from mho.mapping import DifferentialPair
from mho.training import InputNoise, OutputNoise, Recipe, WeightClip, WeightNoise

CNN, LSTM, GUESSED = "CNN", "LSTM", "LSTM, guessed"
NOISES = ("weights", "inputs", "outputs")
ROWS = 128
AWARE = Recipe(
    modifiers=(
        WeightClip(sigmas=2.5),
        WeightNoise(std=0.04, relative_to="column"),
        InputNoise(std=0.01),
        OutputNoise(std=0.04),
    )
)
SMALL = 0.01  # the noise whose error is measured; errors grow in proportion


@config
class Rasch2023(Paper):
    """Both networks, trained with noise on all three, on arrays of 128 rows with one noise at a time.

    The strength of a noise is the error of a product that it causes: of uniform weights and inputs on a
    whole array, relative, root mean square. As in the paper, each network has a task of its own; the LSTM
    tells next words. A point of theirs is a hundredth of what it tells beyond guessing.

    Attributes:
        steps, learning_rate: of the training on images, with noise on weights, inputs and outputs.
        strengths: errors of a product, rising.
        language: what the LSTM tells; None for one that tells the same images, row by row.
    """

    steps: Count = 550
    learning_rate: Positive = 0.1
    strengths: tuple[Positive, ...] = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
    language: InstanceOf[NextWord] | None = NextWord()

    claim = RASCH

    def beside(self) -> tuple[str, str]:
        """The text, if there is one."""
        if self.language is None:
            return super().beside()
        problem = self.language.problem()
        words = problem.test.tensors[1].numel()
        return f"{words:,} next words of the {problem.origin}", problem.digest

    def measure(self, bench: Bench) -> Iterator[Row]:
        """Each network with each noise."""
        network = bench.trained(SmallVGG(), self.steps, self.learning_rate, AWARE)
        yield from self._noisy(bench, network, CNN)
        if self.language is None:
            network = bench.trained(RowLSTM(), self.steps, self.learning_rate, AWARE)
            yield from self._noisy(bench, network, LSTM)
            return
        network, words = self.language.trained(bench, AWARE)
        yield plain(GUESSED, words.guessed)
        yield from self._noisy(words, network, LSTM)

    def _noisy(self, bench: Bench, network: nn.Module, name: str) -> Iterator[Row]:
        """A network with each noise, stronger and stronger."""
        for noise in NOISES:
            unit = SMALL / error_of_product(noise)

            def hardware(error: float, noise: str = noise, unit: float = unit) -> mho.Hardware:
                return with_noise(noise, error * unit)

            yield from bench.stronger(network, f"{name}, {noise}", self.strengths, hardware)

    def figures(self, rows: Sequence[Row]) -> dict[str, float]:
        """Ratios of the errors that cost a point."""
        cnn = {noise: tolerated(rows, f"{CNN}, {noise}") for noise in NOISES}
        point = LIMIT
        if self.language is not None:
            point *= mean(rows, f"{LSTM}, weights") - mean(rows, GUESSED)
        lstm = {noise: tolerated(rows, f"{LSTM}, {noise}", point) for noise in NOISES}
        between = {noise: cnn[noise] / cnn["weights"] for noise in NOISES[1:]}
        return between | {f"lstm_{noise}": lstm[noise] / cnn[noise] for noise in NOISES}


def with_noise(noise: str, sigma: float) -> mho.Hardware:
    """Arrays with one noise, and ideal else.

    Args:
        noise: ``"weights"``: frozen in a chip, of a pair in units of the largest weight of its column;
            ``"inputs"``: in units of full scale; ``"outputs"``: in currents of a cell.
        sigma: its standard deviation.
    """
    program = Independent(sigma=sigma / 2**0.5 if noise == "weights" else 0.0)
    return mho.Hardware(
        device=Generic(program=program) if noise == "weights" else Ideal(),
        mapping=DifferentialPair(two_sided=True),
        tile=mho.Tile(rows=ROWS, columns=ROWS, full=True),
        dac=mho.DAC(bits=None, noise=sigma) if noise == "inputs" else None,
        adc=mho.ADC(bits=None, noise=sigma) if noise == "outputs" else None,
    )


@torch.no_grad()
def error_of_product(noise: str) -> float:
    """The relative error that noise of 0.01 causes in products of uniform weights and inputs on one array.

    >>> 0.01 < error_of_product("weights") < 0.03
    True
    """
    generator = random.fork(0, "product")
    x = 2 * torch.rand((1000, ROWS), generator=generator) - 1
    with seeded(0, "product"):
        layer = nn.Linear(ROWS, ROWS, bias=False)
        layer.weight.uniform_(-1, 1)
        analog = mho.convert(layer, with_noise(noise, SMALL)).eval()
        mho.calibrate(analog, [x])
        mho.program(analog, 0)
        right = layer(x)
        return float((analog(x) - right).norm() / right.norm())
