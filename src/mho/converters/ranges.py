"""Where the full scale of a converter comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mho.config import Finite, NonNegative, Positive, config
from mho.converters.histogram import Histogram
from mho.converters.least_squares import Quantise, least_squares_limit


class Range(ABC):
    """The full-scale value of a converter."""


@config
class Fixed(Range):
    """A full scale given in advance.

    Attributes:
        limit: highest value; input units for a DAC, cell currents (``v_read * g_max``) for an ADC.
        low: lowest value; None for ``-limit`` (signed) or 0 (unsigned).
    """

    limit: Positive
    low: Finite | None = None

    def validate(self) -> None:
        """The lowest value must be below the highest."""
        if self.low is not None and self.low >= self.limit:
            raise ValueError(f"low = {self.low!r} must be below limit = {self.limit!r}")


@config
class EachSlice(Range):
    """A full scale for each channel that an ADC converts by itself: for each slice of the weights.

    Attributes:
        limits: highest value of each channel, in cell currents, lowest digit first; the lowest is
            ``-limit`` (signed) or 0 (unsigned).
    """

    limits: tuple[Positive, ...]

    def validate(self) -> None:
        """There is one channel at least."""
        if not self.limits:
            raise ValueError("limits = (): give one full scale for each slice")


class OnData(Range):
    """A full scale that ``mho.calibrate`` measures on data.

    Attributes:
        per_tile: one range for each tile (and slice) instead of one for each layer.
        per_slice: one range for each slice of the weights, the same in all tiles; for an ADC.
        powers_of_two: widen the ranges of a layer until each is the largest one divided by a power of
            two: codes of different slices and tiles are then added with shifts alone.
        limits: full scales measured before, ``limits[slice][tile]``, as
            ``mho.calibration.calibrated_hardware`` writes them; None: not yet.
    """

    per_tile: bool
    per_slice: bool
    powers_of_two: bool
    limits: tuple[tuple[Positive, ...], ...] | None

    def validate(self) -> None:
        """Limits are a table, as large as the ranges are many."""
        if self.powers_of_two and not (self.per_tile or self.per_slice):
            raise ValueError(
                "powers_of_two = True: a single range has no other to be related to; set per_slice=True "
                "or per_tile=True"
            )
        if self.limits is None:
            return
        tiles = {len(row) for row in self.limits}
        several = self.per_tile or self.per_slice
        if (
            len(tiles) != 1
            or 0 in tiles
            or (len(self.limits) > 1 and not several)
            or (tiles != {1} and not self.per_tile)
        ):
            raise ValueError(
                f"limits = {self.limits!r}: give limits[slice][tile], one tile without per_tile and one "
                "slice without per_slice or per_tile"
            )

    @abstractmethod
    def choose(self, seen: Histogram, quantise: Quantise) -> float:
        """The full scale for the values that were seen.

        Args:
            seen: the values.
            quantise: values and a full scale to what the converter gives.

        Returns:
            The full scale; 0 if all values are zero.
        """


@config
class Calibrated(OnData):
    """A full scale measured on data by ``mho.calibrate``: the largest magnitude, or a quantile.

    Attributes:
        quantile: fraction of the magnitudes that stay in range; 1 for the largest one seen.
        per_tile: one range for each tile (and slice) instead of one for each layer.
        per_slice: one range for each slice of the weights; for an ADC.
        powers_of_two: ranges of a layer related by powers of two.
        limits: full scales measured before; None: not yet. See :class:`OnData`.
    """

    quantile: Annotated[float, Field(gt=0, le=1)] = 1.0
    per_tile: bool = False
    per_slice: bool = False
    powers_of_two: bool = False
    limits: tuple[tuple[Positive, ...], ...] | None = None

    def choose(self, seen: Histogram, quantise: Quantise) -> float:
        """The quantile."""
        return seen.quantile(self.quantile)


@config
class LeastSquares(OnData):
    """A full scale measured on data by ``mho.calibrate``: that with the least mean squared error.

    A wide range rounds coarsely, a narrow one clips: with few bits it pays to clip the tails.

    Attributes:
        per_tile: one range for each tile (and slice) instead of one for each layer.
        per_slice: one range for each slice of the weights; for an ADC.
        powers_of_two: ranges of a layer related by powers of two.
        limits: full scales measured before; None: not yet. See :class:`OnData`.

    Source: R. Banner et al., "Post training 4-bit quantization of convolutional networks for
    rapid-deployment", NeurIPS 2019, for the trade between clipping and rounding; here it is searched
    on the histogram of the data instead of a fitted law.
    """

    per_tile: bool = False
    per_slice: bool = False
    powers_of_two: bool = False
    limits: tuple[tuple[Positive, ...], ...] | None = None

    def choose(self, seen: Histogram, quantise: Quantise) -> float:
        """The minimum of the error on the histogram."""
        return least_squares_limit(seen, quantise)


def related_by_powers_of_two(limits: Tensor) -> Tensor:
    """Each limit widened to the largest one divided by a power of two; zeros stay zero.

    >>> related_by_powers_of_two(torch.tensor([8.0, 4.0, 3.9, 1.1, 0.0])).tolist()
    [8.0, 4.0, 4.0, 2.0, 0.0]
    """
    top = limits.max()
    octaves = torch.frexp(top / limits).exponent - 1  # floor(log2) without rounding
    return torch.where(limits > 0, torch.ldexp(top.expand_as(limits), -octaves), limits)


@config
class Learned(Range):
    """A full scale that is a Parameter, trained with the weights.

    The gradient counts only the values at or beyond the limit, and a decay narrows a range that
    clips little, as in M. J. Rasch et al., Nat. Commun. 14, 5282 (2023); see
    :func:`mho.autograd.clip_learned`. ``mho.calibrate`` sets its value from data.

    Attributes:
        initial: value before calibration.
        decay: pull towards zero while more than ``inside`` of the values are within range.
        inside: that fraction.
    """

    initial: Positive = 3.0
    decay: NonNegative = 1e-3
    inside: Annotated[float, Field(ge=0, le=1)] = 0.95


@config
class Dynamic(Range):
    """The largest magnitude of each vector (of each sample in a convolution).

    It models a chip that measures each input before it converts it. Outputs never depend on the
    other vectors of a batch.
    """
