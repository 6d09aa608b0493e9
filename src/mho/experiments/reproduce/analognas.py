"""AnalogNAS: width and skip connections against drift."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

import mho
from mho.config import Count, NonNegative, Positive, config
from mho.experiments.models import Network, SmallResNet
from mho.experiments.reproduce.base import Bench, Paper, Row, mean, plain
from mho.experiments.reproduce.published import ANALOGNAS
from mho.training import Recipe, WeightClip, WeightNoise

NAMES = ("width 4", "width 8", "width 4, no skips")


@config
class AnalogNAS(Paper):
    """Three residual networks on phase-change memory, corrected by one gain for each layer.

    Attributes:
        steps, learning_rate: of the training.
        weight_noise: in training, over the largest weight of a column; weights are then clipped at 2.5
            standard deviations. 0 trains without hardware.
        times: seconds since programming, the first and the last.
        blocks: of each of the three stages; three make a ResNet of 20 layers.
    """

    steps: Count = 440
    learning_rate: Positive = 0.1
    times: tuple[Positive, Positive] = (1.0, 2.592e6)
    blocks: Count = 1
    weight_noise: NonNegative = 0.0

    claim = ANALOGNAS

    def measure(self, bench: Bench) -> Iterator[Row]:
        """Each network at both times."""
        recipe = None
        if self.weight_noise:
            noise = WeightNoise(std=self.weight_noise, relative_to="column")
            recipe = Recipe(modifiers=(WeightClip(sigmas=2.5), noise))
        for name, model in self.networks().items():
            network = bench.trained(model, self.steps, self.learning_rate, recipe)
            yield plain(name, bench.score(network))
            analog = bench.on(network, mho.Hardware(device=mho.devices.PCM()))
            for seconds in self.times:

                def then(seconds: float = seconds, analog: nn.Module = analog) -> None:
                    mho.age(analog, seconds)
                    mho.compensate(analog)

                yield from bench.on_chips(analog, name, seconds, then)

    def networks(self) -> dict[str, Network]:
        """The three of them, by name."""
        models = (
            SmallResNet(width=4, blocks=self.blocks),
            SmallResNet(width=8, blocks=self.blocks),
            SmallResNet(width=4, blocks=self.blocks, skips=False),
        )
        return dict(zip(NAMES, models, strict=True))

    def figures(self, rows: Sequence[Row]) -> dict[str, float]:
        """Differences of points lost."""
        first, last = self.times
        narrow, wide, straight = NAMES
        lost = {name: mean(rows, name) - mean(rows, name, last) for name in NAMES}
        drifted = {name: mean(rows, name, first) - mean(rows, name, last) for name in NAMES}
        return {
            "width": 100 * (lost[narrow] - lost[wide]),
            "skips": 100 * (drifted[straight] - drifted[narrow]),
        }
