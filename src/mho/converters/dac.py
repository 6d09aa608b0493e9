"""Digital numbers to row voltages."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, InstanceOf

from mho.config import NonNegative, config
from mho.converters.grid import Uniform
from mho.converters.ranges import Calibrated, Range
from mho.converters.stream import Stream


@config
class DAC(Uniform):
    """A uniform DAC. Full scale is the read voltage of the device.

    Attributes:
        bits: resolution; with ``signed`` and ``zero`` the grid has ``2^bits - 1`` levels, else ``2^bits``.
            None for no rounding and no clipping.
        steps: number of steps between the levels, instead of ``bits`` (254 steps: 255 levels).
        signed: levels on both sides of zero.
        zero: whether zero is a level of a signed grid.
        range: where full scale comes from.
        noise: standard deviation added to each input, in units of full scale; to each group of bits if
            they are streamed.
        stream: drive the bits of an input one group after the other; None for all at once.

    >>> import torch
    >>> DAC(bits=8).quantise(torch.tensor([0.3, 0.5, 1.2]), 1.0)
    tensor([0.2992, 0.5039, 1.0000])
    """

    bits: Annotated[int, Field(ge=1, le=24)] | None = 8
    steps: Annotated[int, Field(ge=1)] | None = None
    signed: bool = True
    zero: bool = True
    range: InstanceOf[Range] = Calibrated()
    noise: NonNegative = 0.0
    stream: Stream | None = None

    def validate(self) -> None:
        """Bits can be streamed if codes are whole numbers."""
        Uniform.validate(self)
        if self.stream is not None and (self.ideal or self.grid().shift):
            raise ValueError(
                f"stream = {self.stream!r}: inputs are driven bit by bit if their codes are whole numbers; "
                "give bits or steps, and zero=True or signed=False"
            )

    @property
    def peak(self) -> float:
        """The largest magnitude of a code."""
        grid = self.grid()
        return max(grid.high, -grid.low)
