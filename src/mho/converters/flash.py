"""The flash ADC: a comparator for each threshold, all at once."""

from __future__ import annotations

from pydantic import InstanceOf
from torch import Tensor

from mho.config import NonNegative, config
from mho.converters.circuit import Bits, Columns, Comparing
from mho.converters.ranges import Calibrated, Range


@config
class Flash(Comparing):
    """An ADC with ``2^bits - 1`` comparators on a ladder of ``2^bits`` resistors.

    The code is the number of comparators that say yes, so that bubbles do no harm. The errors of the
    ladder add up to an integral nonlinearity that is zero at both ends.

    Attributes:
        bits: resolution.
        signed: full scale on both sides of zero; else from zero upwards.
        columns: neighbouring columns of an array that share one converter.
        resistor: relative standard deviation of each resistor of the ladder.
        comparator: standard deviation of a comparator's offset, in units of full scale.
        range: where full scale comes from.
        noise: standard deviation of the noise of each conversion, in cell currents.

    Source: the circuit itself, B. Razavi, Principles of Data Conversion System Design (IEEE Press, 1995).

    >>> import torch
    >>> Flash(bits=2).quantise(torch.tensor([-2.0, -0.3, 0.1, 0.6]), 1.0)
    tensor([-0.7500, -0.2500,  0.2500,  0.7500])
    """

    bits: Bits = 4
    signed: bool = True
    columns: Columns = 1
    resistor: NonNegative = 0.0
    comparator: NonNegative = 0.0
    range: InstanceOf[Range] = Calibrated()
    noise: NonNegative = 0.0

    @property
    def own_draws(self) -> int:
        """Resistors and comparators."""
        return (2 << self.bits) - 1

    def table(self, own: Tensor, shared: Tensor) -> Tensor:
        """Rising thresholds, ``[..., 2^bits - 1]``."""
        count = 2**self.bits
        ladder = (1 + self.resistor * own[..., :count]).cumsum(-1)
        threshold = 2 * ladder[..., :-1] / ladder[..., -1:] - 1
        return (threshold - self.comparator * own[..., count:]).sort(-1).values
