"""An ADC known by the figures of its data sheet."""

from __future__ import annotations

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import Finite, NonNegative, config
from mho.converters.circuit import Bits, Columns, Comparing
from mho.converters.ranges import Calibrated, Range


@config
class Measured(Comparing):
    """An ADC described by its gain and offset errors and its nonlinearities.

    The width of each code is ``1 + dnl * xi`` steps. The widths add up to a random walk, which is tied
    to zero at both ends; a cubic of peak ``inl`` is added to it.

    Attributes:
        bits: resolution.
        signed: full scale on both sides of zero; else from zero upwards.
        columns: neighbouring columns of an array that share one converter.
        gain: standard deviation of the relative error of the gain.
        offset: standard deviation of the offset, in steps.
        dnl: standard deviation of the width of a code, in steps.
        inl: peak of the integral nonlinearity ``inl * (3 sqrt(3) / 2) (z - z^3)`` common to all
            converters, in steps; ``z`` runs from -1 to 1 over the span.
        range: where full scale comes from.
        noise: standard deviation of the noise of each conversion, in cell currents.

    Source: the definitions of IEEE Std 1241-2010 (gain, offset, DNL, INL).

    >>> import torch
    >>> Measured(bits=2).quantise(torch.tensor([-2.0, -0.3, 0.1, 0.6]), 1.0)
    tensor([-0.7500, -0.2500,  0.2500,  0.7500])
    """

    bits: Bits = 8
    signed: bool = True
    columns: Columns = 1
    gain: NonNegative = 0.0
    offset: NonNegative = 0.0
    dnl: NonNegative = 0.0
    inl: Finite = 0.0
    range: InstanceOf[Range] = Calibrated()
    noise: NonNegative = 0.0

    @property
    def own_draws(self) -> int:
        """Gain, offset, and the width of each code."""
        return 2 + (1 << self.bits)

    def table(self, own: Tensor, shared: Tensor) -> Tensor:
        """Rising thresholds, ``[..., 2^bits - 1]``."""
        count = 2**self.bits
        walk = (self.dnl * own[..., 2:]).cumsum(-1)
        place = torch.arange(1, count, dtype=own.dtype, device=own.device) / count
        z = 2 * place - 1
        error = walk[..., :-1] - place * walk[..., -1:] + self.inl * (1.5 * 3**0.5) * (z - z**3)
        read = z - error * (2 / count)  # a read that is too high means thresholds that are too low
        threshold = (read - self.offset * own[..., 1:2] * (2 / count)) / (1 + self.gain * own[..., :1])
        rising: Tensor = threshold.sort(-1).values
        return rising
