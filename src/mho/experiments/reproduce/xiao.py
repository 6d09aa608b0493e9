"""Xiao 2022: differential pairs beside offsets, unsliced weights beside slices, under programming errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import mho
from mho.config import Count, Positive, config
from mho.devices import Generic, Independent, Proportional
from mho.experiments.models import SmallVGG
from mho.experiments.reproduce.base import Bench, Paper, Row, tolerated
from mho.experiments.reproduce.published import XIAO
from mho.mapping import BitSlicing, DifferentialPair, Mapping, Offset

LAWS = {"independent": Independent, "proportional": Proportional}
MAPPINGS: dict[str, Mapping] = {
    "differential": DifferentialPair(levels=128),
    "offset": Offset(levels=256),
    "differential, 7 slices": BitSlicing(bits=8, slices=7),
    "offset, 8 slices": BitSlicing(bits=8, slices=8, offset=True),
}


@config
class Xiao2022(Paper):
    """8-bit weights in four mappings, on cells without a least conductance whose error grows.

    Attributes:
        steps, learning_rate: of the training, without hardware.
        strengths: standard deviation of the error, of g_max or of g, rising.
    """

    steps: Count = 440
    learning_rate: Positive = 0.05
    strengths: tuple[Positive, ...] = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)

    claim = XIAO

    def measure(self, bench: Bench) -> Iterator[Row]:
        """Each mapping with each law of the error."""
        network = bench.trained(SmallVGG(), self.steps, self.learning_rate)
        for law, error in LAWS.items():
            for name, mapping in MAPPINGS.items():

                def hardware(sigma: float, error: type = error, mapping: Mapping = mapping) -> mho.Hardware:
                    return mho.Hardware(device=Generic(program=error(sigma=sigma)), mapping=mapping)

                yield from bench.stronger(network, f"{name}, {law}", self.strengths, hardware)

    def figures(self, rows: Sequence[Row]) -> dict[str, float]:
        """Ratios of the errors that cost a point."""
        found: dict[str, float] = {}
        for law in LAWS:
            pair, offset, sliced = (
                tolerated(rows, f"{name}, {law}")
                for name in ("differential", "offset", "differential, 7 slices")
            )
            found |= {law: pair / offset, f"{law}_unsliced": pair / sliced}
        return found
