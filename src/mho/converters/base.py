"""What ends a column of an array: the interface of all ADCs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import InstanceOf
from torch import Tensor

from mho.config import NonNegative, field_names
from mho.converters.ranges import Range

if TYPE_CHECKING:
    from mho.converters.dac import DAC

Converter = TypeVar("Converter", bound="DAC | ColumnConverter")


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


def with_bits(converter: Converter, bits: int) -> Converter:
    """The same converter with another resolution: its range, errors and all other fields stay.

    Args:
        converter: a DAC or any ADC; a number of steps, which stands for bits, gives way to them.
        bits: the resolution.

    Raises:
        ConfigError: it cannot have that many bits.
        ValueError: its resolution is no number of bits.

    >>> from mho.converters import SAR
    >>> with_bits(SAR(bits=8, capacitor=0.02), 5) == SAR(bits=5, capacitor=0.02)
    True
    """
    known: Any = converter
    if "bits" not in field_names(type(known)):
        raise ValueError(f"{known!r} has no field bits: its resolution cannot be set; use another converter")
    steps = {"steps": None} if getattr(known, "steps", None) is not None else {}
    made: Converter = replace(known, bits=bits, **steps)
    return made
