"""What ends a column of an array: the interface of all ADCs."""

from __future__ import annotations

from abc import ABC, abstractmethod

from pydantic import InstanceOf
from torch import Tensor

from mho.config import NonNegative
from mho.converters.ranges import Range


class ColumnConverter(ABC):
    """Column currents to codes.

    Two families: :class:`mho.converters.ADC`, the same uniform steps for every column, and
    :class:`mho.converters.Circuit`, where each converter of a chip has levels of its own.

    Attributes:
        range: where full scale comes from.
        noise: standard deviation of the noise of each conversion, in cell currents.
    """

    range: InstanceOf[Range]
    noise: NonNegative

    @property
    def ideal(self) -> bool:
        """Whether there are no codes at all: infinite resolution, no clipping."""
        return False

    @abstractmethod
    def quantise(self, value: Tensor, limit: float | Tensor) -> Tensor:
        """What a converter without mismatch gives for each value.

        Args:
            value: any shape.
            limit: full scale, broadcasts over ``value``.
        """
