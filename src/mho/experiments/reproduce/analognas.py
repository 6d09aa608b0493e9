"""AnalogNAS: width and skip connections against drift."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

import mho
from mho.config import Count, Positive, config
from mho.experiments.models import Network, SmallResNet
from mho.experiments.reproduce.base import Bench, Paper, Row, mean, plain
from mho.experiments.reproduce.published import ANALOGNAS

BLOCKS = 3  # of each of three stages: with skip connections a ResNet of 20 layers
NETWORKS: dict[str, Network] = {
    "width 4": SmallResNet(width=4, blocks=BLOCKS),
    "width 8": SmallResNet(width=8, blocks=BLOCKS),
    "width 4, no skips": SmallResNet(width=4, skips=False, blocks=BLOCKS),
}


@config
class AnalogNAS(Paper):
    """Three residual networks on phase-change memory, corrected by one gain for each layer.

    Attributes:
        steps, learning_rate: of the training, without hardware.
        times: seconds since programming, the first and the last.
    """

    steps: Count = 440
    learning_rate: Positive = 0.1
    times: tuple[Positive, Positive] = (1.0, 2.592e6)

    claim = ANALOGNAS

    def measure(self, bench: Bench) -> Iterator[Row]:
        """Each network at both times."""
        for name, model in NETWORKS.items():
            network = bench.trained(model, self.steps, self.learning_rate)
            yield plain(name, bench.score(network))
            analog = bench.on(network, mho.Hardware(device=mho.devices.PCM()))
            for seconds in self.times:

                def then(seconds: float = seconds, analog: nn.Module = analog) -> None:
                    mho.age(analog, seconds)
                    mho.compensate(analog)

                yield from bench.on_chips(analog, name, seconds, then)

    def figures(self, rows: Sequence[Row]) -> dict[str, float]:
        """Differences of points lost."""
        first, last = self.times
        narrow, wide, straight = NETWORKS
        lost = {name: mean(rows, name) - mean(rows, name, last) for name in NETWORKS}
        drifted = {name: mean(rows, name, first) - mean(rows, name, last) for name in NETWORKS}
        return {
            "width": 100 * (lost[narrow] - lost[wide]),
            "skips": 100 * (drifted[straight] - drifted[narrow]),
        }
