"""What ends a column of an array: the interface of all ADCs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho import random
from mho.config import NonNegative, field_names
from mho.converters.ranges import Calibrated, Range
from mho.converters.ready import Ready

if TYPE_CHECKING:
    from mho.converters.dac import DAC

Converter = TypeVar("Converter", bound="DAC | ColumnConverter")


class ColumnConverter(ABC):
    """Column currents to codes.

    There are two families here: :class:`mho.converters.ADC`, the same uniform steps for every column, and
    :class:`mho.converters.Circuit`, where each converter of a chip has levels of its own. A third one writes
    :meth:`quantise`, and has as fields what of range and noise is to be set. One whose converters differ says
    how many frozen draws each has (``own_draws``, ``array_draws``) and writes :meth:`pack` and :meth:`read`
    too.

    A product works with *digits*: what a conversion gives, in steps of its own. Here they are fractions of
    full scale.

    Attributes:
        range: where full scale comes from.
        noise: standard deviation of the noise of each conversion, in cell currents.
        columns: neighbouring columns of an array that one converter reads, one after the other.
    """

    range: InstanceOf[Range] = Calibrated()
    noise: NonNegative = 0.0
    columns: int = 1

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

    @property
    def high(self) -> float:
        """The digit of full scale."""
        return 1.0

    def per_current(self, unit: float | Tensor, limit: float | Tensor) -> float | Tensor:
        """Digits in ``unit`` cell currents, before they are rounded; ``limit`` is full scale."""
        return unit / limit

    def digits(self, z: Tensor) -> Tensor:
        """What a converter without mismatch gives.

        Args:
            z: currents in digits, not rounded, any shape; it may be overwritten.
        """
        return self.quantise(z, self.high)

    def clips(self, z: Tensor) -> Tensor:
        """Where a conversion is beyond what codes stand for: its error is more than half a step.

        Args:
            z: currents in digits, not rounded, any shape.
        """
        return z.abs() > self.high

    def ready(self) -> Ready:
        """What a read needs of this converter, made once."""
        return Ready(
            self.range,
            self.ideal,
            self.high,
            self.per_current,
            self.digits,
            self.read,
            self.noise,
            errors=self.errors,
        )

    @property
    def code_span(self) -> tuple[float, float] | None:
        """The lowest and the highest code, where rounding to whole codes and clipping is all that is done.

        For readers of chip files; None says that this converter does something else.
        """
        return None

    # --- outputs that are known by their statistics ------------------------------------------------

    errors: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    """Mean and standard deviation of what is read for an ideal output, both in digits; None: it is read."""

    def quiet(self: Any) -> Any:
        """The same without noise that is drawn at each conversion."""
        return replace(self, noise=0.0) if self.noise else self

    # --- converters that differ ------------------------------------------------------------------

    @property
    def own_draws(self) -> int:
        """Number of frozen standard normal draws of each converter."""
        return 0

    @property
    def array_draws(self) -> int:
        """Number of frozen standard normal draws that all converters of an array share."""
        return 0

    def draw(
        self, places: tuple[int, int, int], columns: Sequence[int], seed: int, path: str
    ) -> Tensor | None:
        """The frozen draws of all converters of a layer, laid out over the columns that they read.

        Args:
            places: number of groups, of tiles of rows, and of channels: each has arrays of its own.
            columns: columns of each array beside another.
            seed: the chip.
            path: the layer's path in its model.

        Returns:
            ``[*places, column, own_draws + array_draws]``, float32 on the CPU, from the streams (seed,
            path, "adc") and (seed, path, "adc array"); None if converters have no draws.
        """
        if not self.own_draws + self.array_draws:
            return None
        first, which, array = 0, [], []
        for k, width in enumerate(columns):
            which += [first + c // self.columns for c in range(width)]
            array += [k] * width
            first = which[-1] + 1
        own = random.normal((*places, first, self.own_draws), seed, path, "adc")
        shared = random.normal((*places, len(columns), self.array_draws), seed, path, "adc array")
        return torch.cat([own[..., which, :], shared[..., array, :]], dim=-1)

    def pack(self, draws: Tensor) -> Tensor:
        """What :meth:`read` needs of each converter, made once for a chip.

        Args:
            draws: what :meth:`draw` gave, ``[..., own_draws + array_draws]``.

        Returns:
            ``[..., k]``.
        """
        return draws

    def read(self, value: Tensor, packed: Tensor, rows: Tensor) -> Tensor:
        """:meth:`digits` by converters that differ.

        Args:
            value: currents in digits, not rounded, ``[row, vector]``.
            packed: what :meth:`pack` gave, ``[converter, k]``.
            rows: which converter reads each row, ``[row]``.
        """
        return self.digits(value)


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
