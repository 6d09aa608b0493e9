"""Where the full scale of a converter comes from."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from mho.autograd import clip_learned
from mho.config import Finite, NonNegative, Positive, config
from mho.converters.histogram import Histogram
from mho.converters.least_squares import Quantise, least_squares_limit

Spans = tuple[tuple[int, int], ...]
Histograms = Sequence[Sequence[Histogram]]


class Range(ABC):
    """The full-scale value of a converter.

    A range says by one of three methods where full scale comes from; a range of your own writes that one:

    - :meth:`given`: it is known in advance;
    - :meth:`choose`: ``mho.calibrate`` takes it from data, and the layer keeps it;
    - :meth:`full_scale`: it is measured anew for each vector.

    Attributes:
        per_tile: what is chosen from data is chosen for each tile (and slice) instead of once for a layer.
        per_slice: likewise for each slice of the weights, the same in all tiles; for an ADC.
    """

    per_tile: bool = False
    per_slice: bool = False

    def given(self) -> float | tuple[float, ...] | None:
        """The full scale that is known in advance; a tuple has one for each channel of an ADC."""
        return None

    def choose(self, seen: Histogram, quantise: Quantise) -> float | None:
        """The full scale for the values that were seen.

        Args:
            seen: the values, at least one.
            quantise: values and a full scale to what the converter gives.

        Returns:
            The full scale; 0 if all values are zero. (None: no data are asked for.)
        """
        return None

    def full_scale(self, values: Tensor, axes: tuple[int, ...], columns: Spans = ()) -> Tensor | None:
        """The full scale of these very values, for each vector by itself.

        Args:
            values: inputs, or cell currents; any shape.
            axes: of the values that belong to one vector; of currents, that of the columns first.
            columns: of currents, the first and last + 1 column of each array.

        Returns:
            To broadcast over ``values``, without gradient; 0 where there is nothing. None if it does not
            depend on them.
        """
        return None

    # --- what a layer keeps of what was chosen ---------------------------------------------------

    def shape(self, tiles: int, channels: int | None) -> tuple[int, ...] | None:
        """The shape in which a layer keeps its full scales; None if it keeps none.

        Args:
            tiles: of rows.
            channels: that an ADC converts one by one; None for a DAC.

        Returns:
            ``[]``; ``[tile]`` for the DAC of each tile; ``[channel, tile or 1, 1]`` for ADCs.
        """
        if type(self).choose is Range.choose:
            return None
        if channels is None:
            return (tiles,) if self.per_tile else ()
        if self.per_tile:
            return (channels, tiles, 1)
        return (channels, 1, 1) if self.per_slice else ()

    def start(self, tiles: int, channels: int | None) -> Tensor | None:
        """What a layer keeps before anything was chosen, in that shape; None for nothing.

        A tensor that requires a gradient becomes a Parameter of the layer.
        """
        return None

    def clip(self, values: Tensor, unit: float | Tensor, limit: Tensor) -> tuple[Tensor, float | Tensor]:
        """Values to be converted, as the gradient of a training step sees them.

        Args:
            values: what will be converted.
            unit: what they count in.
            limit: what the layer keeps, perhaps a Parameter.

        Returns:
            The values and what they count in.
        """
        return values, unit

    def chosen(self, seen: Histograms, quantise: Quantise) -> Tensor:
        """All full scales of a layer.

        Args:
            seen: values of each channel and tile, ``[channel][tile]``.
            quantise: as for :meth:`choose`.

        Returns:
            ``[channel, tile]``, one of each where all have the same; 0 where nothing was seen.
        """
        if not self.per_tile:
            seen = [[joined(row)] for row in seen]
        if not (self.per_tile or self.per_slice):
            seen = [[joined([row[0] for row in seen])]]
        return torch.tensor([[self._one(h, quantise) for h in row] for row in seen])

    def _one(self, seen: Histogram, quantise: Quantise) -> float:
        limit = self.choose(seen, quantise) if seen.count else 0.0
        if limit is None or not 0 <= limit < math.inf:
            raise ValueError(
                f"{self!r} chose {limit!r} from {seen.what}: a full scale is a finite number above 0, or 0 "
                "where all values are"
            )
        return limit

    def with_limits(self, limits: tuple[tuple[float, ...], ...]) -> Range:
        """A range that starts with full scales that were chosen, ``limits[channel][tile]``.

        It takes the place of this one in a description; a range with a span or a gradient of its own says it.
        """
        return Calibrated(per_tile=self.per_tile, per_slice=self.per_slice, limits=limits)

    # --- what it fits -----------------------------------------------------------------------------

    def lowest(self) -> float | None:
        """The lowest value over full scale; None for what the converter says."""
        return None

    def check(self, channels: int | None) -> None:
        """Raise ``ValueError`` if a converter cannot have this range.

        Args:
            channels: that an ADC converts one by one; None for a DAC.
        """
        name, given = type(self).__name__, self.given()
        if given is None and self.shape(1, channels) is None and self._measures_nothing():
            raise ValueError(
                f"range = {self!r}: it says no full scale, so nothing would be converted; write given, "
                "choose or full_scale (see mho.converters.Range)"
            )
        for limit in given if isinstance(given, tuple) else () if given is None else (given,):
            if not 0 < limit < math.inf:
                raise ValueError(
                    f"range = {self!r}: it gives {limit!r}; a full scale is a finite number above 0"
                )
        if channels is None and isinstance(given, tuple):
            raise ValueError(f"dac.range = {name}(...): all slices get the same inputs; use Fixed(...)")
        if channels is None and self.per_slice:
            raise ValueError("dac.range.per_slice = True: all slices get the same inputs; leave it out")
        if isinstance(given, tuple) and len(given) != channels:
            raise ValueError(
                f"adc.range.limits = {given!r}: this mapping gives an ADC {channels} channels (slices); give "
                "as many limits"
            )

    def _measures_nothing(self) -> bool:
        return self.full_scale(torch.ones(1, 1), (1,), ((0, 1),)) is None


def joined(histograms: Sequence[Histogram], factors: Sequence[float] | None = None) -> Histogram:
    """The values of several histograms together, each times its factor."""
    total = Histogram(histograms[0].what)
    for place, histogram in enumerate(histograms):
        total.absorb(histogram, 1.0 if factors is None else factors[place])
    return total


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

    def given(self) -> float:
        """The limit."""
        return self.limit

    def lowest(self) -> float | None:
        """From the two ends."""
        return None if self.low is None else self.low / self.limit


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

    def given(self) -> tuple[float, ...]:
        """One for each channel."""
        return self.limits


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
        """The full scale for the values that were seen (see :meth:`Range.choose`)."""

    def chosen(self, seen: Histograms, quantise: Quantise) -> Tensor:
        """Each by itself; then related by powers of two, if they are to be."""
        limits = super().chosen(seen, quantise)
        return related_by_powers_of_two(limits) if self.powers_of_two else limits

    def start(self, tiles: int, channels: int | None) -> Tensor | None:
        """The limits of the description."""
        shape = self.shape(tiles, channels)
        if self.limits is None or shape is None:
            return None
        limits = torch.tensor(self.limits, dtype=torch.float32)
        wanted = (channels or 1) if self.per_tile or self.per_slice else 1, tiles if self.per_tile else 1
        if tuple(limits.shape) != wanted:
            raise ValueError(
                f"{'dac' if channels is None else 'adc'}.range.limits has {limits.shape[0]} x "
                f"{limits.shape[1]} values and this layer's ranges are {wanted[0]} x {wanted[1]} (slices x "
                "tiles): these limits are of another layer; leave limits out and call mho.calibrate"
            )
        return limits.reshape(shape)

    def with_limits(self, limits: tuple[tuple[float, ...], ...]) -> OnData:
        """The same, with its limits."""
        known: Any = self
        made: OnData = replace(known, limits=limits)
        return made


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

    def choose(self, seen: Histogram, quantise: Quantise) -> float:
        """The largest magnitude, for training to go on from."""
        return seen.largest

    def start(self, tiles: int, channels: int | None) -> Tensor:
        """The initial value, to be trained."""
        return torch.tensor(self.initial, requires_grad=True)

    def clip(self, values: Tensor, unit: float | Tensor, limit: Tensor) -> tuple[Tensor, float | Tensor]:
        """Clipped, with the gradient above."""
        if isinstance(unit, Tensor) or unit != 1.0:
            values = values * unit
        return clip_learned(values, limit.to(values.dtype), self.decay, self.inside), 1.0

    def with_limits(self, limits: tuple[tuple[float, ...], ...]) -> Learned:
        """The same from another initial value."""
        return replace(self, initial=limits[0][0])


@config
class Dynamic(Range):
    """The largest magnitude of each vector (of each sample in a convolution).

    It models a chip that measures each input before it converts it. Outputs never depend on the
    other vectors of a batch.
    """

    def full_scale(self, values: Tensor, axes: tuple[int, ...], columns: Spans = ()) -> Tensor | None:
        """The largest magnitude."""
        return values.detach().abs().amax(axes, keepdim=True)
