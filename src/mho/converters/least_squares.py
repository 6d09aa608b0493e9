"""The full scale with the least mean squared error."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mho.converters.histogram import Histogram

Quantise = Callable[[Tensor, float], Tensor]

_PER_OCTAVE = 8
_OCTAVES = 11  # the last full scale is two bins of the histogram
_FINE = 8


def squared_error(seen: Histogram, quantise: Quantise, limit: float) -> float:
    """Mean squared difference between values and what a converter makes of them: clipping and rounding.

    Args:
        seen: the values; each bin is taken at a quarter and at three quarters of its width.
        quantise: values and a full scale to what the converter gives.
        limit: the full scale.
    """
    centres, counts = seen.bins()
    quarter = seen.width / 4
    values = torch.cat([centres - quarter, centres + quarter])
    error = (quantise(values, limit) - values).square()
    return float(error @ counts.double().repeat(2)) / (2 * seen.count)


def least_squares_limit(seen: Histogram, quantise: Quantise) -> float:
    """The full scale, up to the largest magnitude, whose mean squared error is least.

    A wider range rounds more coarsely, a narrower one clips more. Candidates lie eight to an octave
    below the largest magnitude, as long as clipping alone costs less than the best one, then 16 around it.

    Args:
        seen: the values.
        quantise: values and a full scale to what the converter gives.

    Returns:
        The full scale; 0 if all values are zero.
    """
    if seen.largest == 0.0:
        return 0.0
    best, least = seen.largest, float("inf")
    for k in range(_OCTAVES * _PER_OCTAVE + 1):
        limit = seen.largest * 2 ** (-k / _PER_OCTAVE)
        if _clipping(seen, limit) > least:
            break
        error = squared_error(seen, quantise, limit)
        if error < least:  # the widest of equal ones
            best, least = limit, error
    ratio = 2 ** (1 / _PER_OCTAVE / _FINE)
    fine = [min(best * ratio**k, seen.largest) for k in range(-_FINE, _FINE + 1)]
    return min([best, *fine], key=lambda limit: squared_error(seen, quantise, limit))


def _clipping(seen: Histogram, limit: float) -> float:
    """The part of the error that no number of codes avoids; it grows as the full scale shrinks."""
    centres, counts = seen.bins()
    beyond = (centres.abs() - seen.width / 2 - limit).clamp(min=0).square()
    return float(beyond @ counts.double()) / seen.count
