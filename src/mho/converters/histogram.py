"""A histogram of magnitudes that grows with its data and needs constant memory."""

from __future__ import annotations

import torch
from torch import Tensor

BINS = 4096


class Histogram:
    """Counts of ``|x|`` in equal bins; the width doubles when a value falls outside.

    Doubling merges neighbouring bins exactly, so that the counts do not depend on the order of the
    data. A quantile is right to one bin: 1/2048 of the largest value or better.

    >>> h = Histogram()
    >>> h.add(torch.tensor([0.5, -4.0, 1.0]))
    >>> h.quantile(1.0), h.quantile(0.5) <= 1.01
    (4.0, True)
    """

    def __init__(self) -> None:
        self.counts = torch.zeros(BINS, dtype=torch.int64)
        self.width = 0.0
        self.largest = 0.0

    def add(self, x: Tensor) -> None:
        """Count the magnitudes of ``x``, any shape."""
        magnitude = x.detach().abs().flatten().float().cpu()
        if magnitude.numel() == 0:
            return
        peak = float(magnitude.max())
        if not peak < float("inf"):
            raise ValueError(
                "calibration data gives NaN or infinite values; check the inputs and the weights"
            )
        self.largest = max(self.largest, peak)
        if peak > 0 and self.width == 0.0:
            exponent = torch.frexp(torch.tensor(peak)).exponent
            self.width = 2.0 ** int(exponent) / BINS
        while peak > self.width * BINS:
            merged = self.counts.view(-1, 2).sum(1)
            self.counts = torch.cat([merged, torch.zeros_like(merged)])
            self.width *= 2
        if self.width == 0.0:
            self.counts[0] += magnitude.numel()
            return
        index = (magnitude / self.width).long().clamp_(max=BINS - 1)
        self.counts += torch.bincount(index, minlength=BINS)

    def quantile(self, fraction: float) -> float:
        """The smallest bin edge below which ``fraction`` of the magnitudes lie; the maximum at 1."""
        total = int(self.counts.sum())
        if total == 0:
            raise ValueError("no data was seen: the loader gave no batches to this layer")
        if fraction >= 1.0:
            return self.largest
        reached = self.counts.cumsum(0) >= fraction * total
        return min((int(reached.nonzero()[0]) + 1) * self.width, self.largest)
