"""A converter with its constants made."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from mho.converters.ranges import Range
from mho.converters.stream import Stream

Factor = float | Tensor


class Ready(NamedTuple):
    """What a read needs of a converter, its constants made, where a fresh tensor may be overwritten.

    Attributes:
        range: where full scale comes from.
        ideal: whether there are no codes.
        high: the digit of full scale.
        per_current: digits in so many cell currents, for a full scale (see ``ColumnConverter.per_current``).
        digits: what it gives for scaled values (see ``ColumnConverter.digits``).
        read: what converters that differ give (see ``ColumnConverter.read``).
        noise: of each conversion.
        peak: the largest magnitude of a code, of a DAC.
        errors: mean and deviation of what is read for ideal outputs (see ``ColumnConverter.errors``).
        stream: how a DAC drives the bits of an input one group after the other; None for all at once.
    """

    range: Range
    ideal: bool
    high: float
    per_current: Callable[[Factor, Factor], Factor]
    digits: Callable[[Tensor], Tensor]
    read: Callable[[Tensor, Tensor, Tensor], Tensor]
    noise: float
    peak: float = 1.0
    stream: Stream | None = None
    errors: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
