"""Digital numbers to row voltages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from mho import random
from mho.config import NonNegative, config
from mho.converters.grid import Uniform
from mho.converters.ranges import Calibrated, Range
from mho.converters.ready import Ready
from mho.converters.stream import Stream


@config
class DAC(Uniform):
    """A uniform DAC. Full scale is the read voltage of the device.

    Attributes:
        bits: resolution; with ``signed`` and ``zero`` the grid has ``2^bits - 1`` levels, else ``2^bits``.
            None for no rounding and no clipping.
        steps: number of steps between the levels, instead of ``bits``, which is None then (254 steps: 255
            levels).
        signed: levels on both sides of zero.
        zero: whether zero is a level of a signed grid.
        range: where full scale comes from.
        noise: standard deviation added to each input, in units of full scale; to each group of bits if
            they are streamed.
        gain: standard deviation of the relative error of a driver's gain.
        offset: standard deviation of a driver's offset, in units of full scale; the same in each group of
            bits.
        stream: drive the bits of an input one group after the other; None for all at once.

    Each row of each array has a driver, which all its columns share; slices are arrays of their own. Its
    gain and offset errors are frozen in a chip: ``v = (1 + gain * xi) * v_code + offset * xi'``.

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
    gain: NonNegative = 0.0
    offset: NonNegative = 0.0
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

    def ready(self) -> Ready:
        """What a read needs of this converter, made once."""
        return super().ready()._replace(peak=1.0 if self.ideal else self.peak, stream=self.stream)

    @property
    def mismatched(self) -> bool:
        """Whether each driver has errors of its own."""
        return self.gain > 0 or self.offset > 0

    def draw(self, places: Sequence[int], arrays: int, seed: int, path: str) -> Tensor | None:
        """The frozen draws of all drivers of a layer.

        Args:
            places: number of channels, groups and rows.
            arrays: number of arrays beside another, each with drivers of its own.
            seed: the chip.
            path: the layer's path in its model.

        Returns:
            Standard normal draws of gain and offset, ``[array, *places, 2]``, float32 on the CPU, from the
            streams (seed, path, "dac", array). They do not depend on the rows of an array. None if
            drivers have no errors.
        """
        if not self.mismatched:
            return None
        return torch.stack([random.normal((*places, 2), seed, path, "dac", str(k)) for k in range(arrays)])
