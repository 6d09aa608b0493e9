"""An array and its ADC known by statistics: what comes out for each ideal output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Any

import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from mho.config import Finite, NonNegative, config
from mho.converters.adc import ADC
from mho.converters.ranges import Calibrated, Range


@config
class OutputErrors(ADC):
    """A uniform ADC whose outputs have the mean and spread that a circuit simulation or a chip gave.

    What lies between an ideal column current and the code that is read (cells, wires, converter) is one
    table: for the ideal output of each conversion the mean of what is read and its standard deviation,
    drawn anew at each conversion. Such a table replaces device physics: take ``devices.Ideal()`` with it.
    Between levels both are linear, beyond the ends the error stays what it is there.

    Attributes:
        bits, steps, signed, zero, range, noise: as in :class:`ADC`.
        levels: ideal outputs, rising, in units of full scale.
        mean: mean of what is read for each of them, in units of full scale.
        std: its standard deviation, likewise.

    >>> adc = OutputErrors(bits=4, levels=(-1.0, 1.0), mean=(-0.9, 0.9), std=(0.01, 0.03))
    >>> mean, std = adc.errors(torch.tensor([0.0, 7.0]))  # in codes
    >>> [round(x, 3) for x in (*mean.tolist(), *std.tolist())]
    [0.0, 6.3, 0.14, 0.21]
    """

    bits: Annotated[int, Field(ge=1, le=24)] | None = 8
    steps: Annotated[int, Field(ge=1)] | None = None
    signed: bool = True
    zero: bool = True
    range: InstanceOf[Range] = Calibrated()
    noise: NonNegative = 0.0
    levels: tuple[Finite, ...]
    mean: tuple[Finite, ...]
    std: tuple[NonNegative, ...]

    def validate(self) -> None:
        """A code for each output, rising levels, one mean and one deviation for each."""
        super().validate()
        if self.ideal:
            raise ValueError("bits = None: outputs are codes; give bits or steps")
        if len(self.levels) < 2 or any(a >= b for a, b in pairwise(self.levels)):
            raise ValueError(f"levels = {self.levels!r}: give two at least, each larger than the one before")
        if not len(self.levels) == len(self.mean) == len(self.std):
            raise ValueError(
                f"levels, mean and std have {len(self.levels)}, {len(self.mean)} and {len(self.std)} values: "
                "give one of each for each level"
            )

    @staticmethod
    def of_codes(
        levels: Sequence[float], mean: Sequence[float], std: Sequence[float], **named: Any
    ) -> OutputErrors:
        """From a table in codes, as ``mho.devices.read_output_noise`` reads it.

        Args:
            levels: ideal codes, rising.
            mean, std: of the codes that were read.
            named: the other fields, such as ``bits`` and ``range``.

        >>> OutputErrors.of_codes([0, 7], [0.7, 6.3], [0.07, 0.07], bits=4).std
        (0.01, 0.01)
        """
        high = ADC(**named).high
        fractions = (tuple(float(value) / high for value in column) for column in (levels, mean, std))
        made: dict[str, Any] = dict(zip(("levels", "mean", "std"), fractions, strict=True))
        return OutputErrors(**made, **named)

    def errors(self, digits: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of what is read where ``digits`` would be right, in codes."""
        levels, mean, std = (
            torch.tensor(column, dtype=digits.dtype, device=digits.device) * self.high
            for column in (self.levels, self.mean, self.std)
        )
        above = torch.searchsorted(levels, digits.contiguous()).clamp(1, len(self.levels) - 1)
        low, high = levels[above - 1], levels[above]
        share = ((digits - low) / (high - low)).clamp(0, 1)
        error = torch.lerp((mean - levels)[above - 1], (mean - levels)[above], share)
        return digits + error, torch.lerp(std[above - 1], std[above], share)

    def quiet(self) -> OutputErrors:
        """The same without fresh noise: each output is its mean."""
        return replace(self, noise=0.0, std=(0.0,) * len(self.std))
