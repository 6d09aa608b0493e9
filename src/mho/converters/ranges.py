"""Where the full scale of a converter comes from."""

from __future__ import annotations

from abc import ABC
from typing import Annotated

from pydantic import Field

from mho.config import Finite, NonNegative, Positive, config


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


@config
class Calibrated(Range):
    """A full scale measured on data by ``mho.calibrate``.

    Attributes:
        quantile: fraction of the magnitudes that stay in range; 1 for the largest one seen.
        per_tile: one range for each tile (and slice) instead of one for each layer.
    """

    quantile: Annotated[float, Field(gt=0, le=1)] = 1.0
    per_tile: bool = False


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
