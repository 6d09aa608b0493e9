"""A histogram that grows with its data and needs constant memory."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BINS = 4096
_BLOCK = 1 << 16  # values: what is made of a block stays in a cache


class Histogram:
    """Counts of values in equal bins on both sides of zero; the width doubles when one falls outside.

    Doubling merges neighbouring bins exactly, so that the counts do not depend on the order of the
    data. A quantile is right to one bin: 1/2048 of the largest magnitude or better. Lowest and highest
    value, mean and standard deviation are those of the values themselves.

    Args:
        what: what is counted, for messages.

    >>> h = Histogram()
    >>> h.add(torch.tensor([0.5, -4.0, 1.0]))
    >>> h.quantile(1.0), h.quantile(0.5) <= 1.01, h.lowest, h.mean
    (4.0, True, -4.0, -0.8333333333333334)
    """

    def __init__(self, what: str = "calibration data") -> None:
        self.what = what
        self.signed = torch.zeros(2 * BINS, dtype=torch.int64)  # in rising order, zero in the middle
        self.width = 0.0
        self.largest = 0.0
        self.lowest, self.highest = float("inf"), float("-inf")
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0  # sum of the squared distances from the mean

    @property
    def counts(self) -> Tensor:
        """Counts of the magnitudes, ``[bin]``."""
        return self.signed[:BINS].flip(0) + self.signed[BINS:]

    @property
    def std(self) -> float:
        """Standard deviation of the values."""
        return (self._squares / self.count) ** 0.5 if self.count else float("nan")

    def add(self, x: Tensor) -> None:
        """Count the values of ``x``, any shape.

        Raises:
            ValueError: a value is NaN or infinite.
        """
        values = x.detach().flatten().float().cpu()
        if values.numel() == 0:
            return
        low, high = (float(v) for v in values.aminmax())
        peak = max(-low, high)
        if not peak < float("inf"):
            raise ValueError(f"{self.what}: NaN or infinite values; check the inputs and the weights")
        exact = values.double()
        mean = float(exact.mean())
        exact -= mean
        self._moments(values.numel(), mean, float(exact @ exact), low, high)
        self._cover(peak)
        self._count(values, None)

    def absorb(self, other: Histogram, factor: float = 1.0) -> None:
        """Add the counts of another histogram, its values multiplied by a positive factor.

        With a factor of 1 the counts are those of all values together; with another one, values move
        by one bin at most.
        """
        if other.count == 0:
            return
        squares = other._squares * factor**2
        low, high = other.lowest * factor, other.highest * factor
        self._moments(other.count, other.mean * factor, squares, low, high)
        self._cover(other.largest * factor)
        while 0.0 < self.width < other.width * factor:
            self._double()
        centres, counts = other.bins()
        self._count(centres * factor, counts)

    def bins(self) -> tuple[Tensor, Tensor]:
        """Centre and count of each bin that is not empty, in rising order."""
        centres = (torch.arange(-BINS, BINS, dtype=torch.float64) + 0.5) * self.width
        some = self.signed > 0
        return centres[some], self.signed[some]

    def quantile(self, fraction: float) -> float:
        """The smallest bin edge below which ``fraction`` of the magnitudes lie; the maximum at 1."""
        self._require()
        if fraction >= 1.0:
            return self.largest
        reached = self.counts.cumsum(0) >= fraction * self.count
        return min((int(reached.nonzero()[0]) + 1) * self.width, self.largest)

    def percentile(self, percent: float) -> float:
        """The value below which ``percent`` of 100 values lie, with its sign, right to one bin."""
        self._require()
        below = self.signed.cumsum(0)
        wanted = max(percent / 100 * self.count - 1e-9 * self.count, 1e-9)
        place = int((below >= wanted).nonzero()[0])
        edge = place - BINS + (place < BINS)  # the one towards zero: many values are zero itself
        return min(max(edge * self.width, self.lowest), self.highest)

    def _require(self) -> None:
        if self.count == 0:
            raise ValueError(f"{self.what}: no data was seen: the loader gave no batches to this layer")

    def _moments(self, count: int, mean: float, squares: float, low: float, high: float) -> None:
        """Join mean and spread of more values: T. F. Chan et al., COMPSTAT 1982."""
        total, ahead = self.count + count, mean - self.mean
        self._squares += squares + ahead**2 * self.count * count / total
        self.mean += ahead * count / total
        self.count = total
        self.lowest, self.highest = min(self.lowest, low), max(self.highest, high)
        self.largest = max(-self.lowest, self.highest)

    def _cover(self, peak: float) -> None:
        """Make the bins wide enough for a magnitude."""
        if peak > 0 and self.width == 0.0:
            exponent = torch.frexp(torch.tensor(peak, dtype=torch.float64)).exponent
            self.width = 2.0 ** max(int(exponent), -100) / BINS  # its inverse is a number in float32
        while peak > self.width * BINS:
            self._double()

    def _double(self) -> None:
        self.signed = F.pad(self.signed.view(-1, 2).sum(1), (BINS // 2, BINS // 2))
        self.width *= 2

    def _count(self, values: Tensor, counts: Tensor | None) -> None:
        if self.width == 0.0:  # nothing but zeros so far
            self.signed[BINS] += values.numel() if counts is None else counts.sum()
            return
        for place in range(0, len(values), _BLOCK):
            part = slice(place, place + _BLOCK)
            # the width is a power of two: the quotient is exact
            index = values[part].mul(1 / self.width).floor_().clamp_(-BINS, BINS - 1).add_(BINS).int()
            if counts is None:
                self.signed += torch.bincount(index, minlength=2 * BINS)
            else:
                self.signed.index_add_(0, index, counts[part])
