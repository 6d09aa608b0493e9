"""Column currents to codes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, InstanceOf

from mho.config import NonNegative, config
from mho.converters.base import ColumnConverter
from mho.converters.grid import Uniform
from mho.converters.ranges import Calibrated, Range


@config
class ADC(Uniform, ColumnConverter):
    """A uniform ADC on each column of each tile.

    Currents are counted in cell currents: the current ``v_read * g_max`` of one cell at its highest
    conductance under a full-scale input.

    Attributes:
        bits: resolution; with ``signed`` and ``zero`` the grid has ``2^bits - 1`` levels, else ``2^bits``.
            None for no rounding and no clipping.
        steps: number of steps between the levels, instead of ``bits``, which is None then.
        signed: levels on both sides of zero.
        zero: whether zero is a level of a signed grid.
        range: where full scale comes from.
        noise: standard deviation of the noise of each conversion, in cell currents.

    >>> import torch
    >>> x = torch.tensor([0.1])
    >>> ADC(bits=4).quantise(x, 1.0), ADC(bits=4, zero=False).quantise(x, 1.0)
    (tensor([0.1429]), tensor([0.0667]))
    """

    bits: Annotated[int, Field(ge=1, le=24)] | None = 8
    steps: Annotated[int, Field(ge=1)] | None = None
    signed: bool = True
    zero: bool = True
    range: InstanceOf[Range] = Calibrated()
    noise: NonNegative = 0.0
