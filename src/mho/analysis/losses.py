"""What a part of a chip costs: means over chips with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch


@dataclass(frozen=True)
class Interval:
    """A mean over chips and its 95 % confidence interval (Student's t).

    Attributes:
        mean: over chips.
        low, high: ends of the interval; NaN for one chip.
    """

    mean: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Interval:
        """The interval of a sample of at least one value."""
        from scipy import special

        sample = torch.tensor(values, dtype=torch.float64)
        n, mean = len(sample), float(sample.mean())
        if n == 1:
            return Interval(mean, math.nan, math.nan)
        half = float(special.stdtrit(n - 1, 0.975)) * float(sample.std()) / math.sqrt(n)
        return Interval(mean, mean - half, mean + half)


@dataclass(frozen=True)
class Part:
    """What one mechanism or one layer costs.

    Attributes:
        kind: ``"mechanism"`` or ``"layer"``.
        name: the mechanism, or the path of the layer.
        alone: loss with this part alone.
        without: the part of the total loss that is gone when this part alone is left out.
        layer: of a layer, what it is: ``"Conv2d"``.
    """

    kind: Literal["mechanism", "layer"]
    name: str
    alone: Interval
    without: Interval
    layer: str = ""

    @property
    def label(self) -> str:
        """The name, and what a layer is where its path has no word of its own: ``"0 (Conv2d)"``."""
        bare = self.name.replace(".", "").isdigit() or not self.name
        return f"{self.name} ({self.layer})".lstrip() if bare and self.layer else self.name
