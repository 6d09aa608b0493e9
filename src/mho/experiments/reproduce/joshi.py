"""Joshi 2020: a residual network on phase-change memory over a day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import mho
from mho.config import Count, Positive, config
from mho.experiments.models import SmallResNet
from mho.experiments.reproduce.base import Bench, Paper, Row, mean, plain
from mho.experiments.reproduce.published import JOSHI
from mho.mapping import DifferentialPair, Maximum
from mho.training import Recipe, WeightClip, WeightNoise, re_estimate_batch_norm

BATCH = 250
RAW, GAIN, NORMS = "raw", "gain per layer", "gain and batch normalisation"


@config
class Joshi2020(Paper):
    """A residual network, trained with noise on its weights, on pairs of PCM cells with one scale a layer.

    Attributes:
        steps, learning_rate: of its training, and of one without noise that it is compared with.
        noise: standard deviation, of the largest weight of the layer.
        clip: standard deviations of a layer's weights at which they are clipped.
        times: seconds since programming: at once, and a day.
    """

    steps: Count = 550
    learning_rate: Positive = 0.1
    noise: Positive = 0.038
    clip: Positive = 2.0
    times: tuple[Positive, Positive] = (1.0, 86_400.0)

    claim = JOSHI

    def measure(self, bench: Bench) -> Iterator[Row]:
        """The network without noise in training, digital; the other one raw and corrected, at both times."""
        how = self.steps, self.learning_rate
        yield plain("digital", bench.score(bench.trained(SmallResNet(), *how)))
        recipe = Recipe(modifiers=(WeightClip(sigmas=self.clip), WeightNoise(std=self.noise)))
        network = bench.trained(SmallResNet(), *how, recipe)
        yield plain("digital, trained with noise", bench.score(network))
        hardware = mho.Hardware(
            device=mho.devices.PCM(), mapping=DifferentialPair(scale=Maximum()),
            dac=mho.DAC(bits=8), adc=mho.ADC(bits=8),
        )  # fmt: skip
        for correction in (RAW, GAIN, NORMS):
            analog = bench.on(network, hardware)
            for seconds in self.times:

                def then(seconds: float = seconds, correction: str = correction) -> None:
                    mho.age(analog, seconds)  # noqa: B023
                    if correction != RAW:
                        mho.compensate(analog)  # noqa: B023
                    if correction == NORMS:
                        re_estimate_batch_norm(analog, bench.seen.split(BATCH))  # noqa: B023

                yield from bench.on_chips(analog, correction, seconds, then)

    def figures(self, rows: Sequence[Row]) -> dict[str, float]:
        """Points lost to the network without noise in training."""
        first, last = self.times
        digital = mean(rows, "digital")
        return {
            "mapped": 100 * (digital - mean(rows, RAW, first)),
            "day": 100 * (digital - mean(rows, NORMS, last)),
        }
