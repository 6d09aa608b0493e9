"""The ramp ADC: one ramp for an array, one comparator for each column."""

from __future__ import annotations

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import NonNegative, Positive, config
from mho.converters.circuit import Bits, Columns, Comparing, amplified, binary_digits
from mho.converters.ranges import Calibrated, Range


@config
class Ramp(Comparing):
    """An ADC that counts until a ramp passes the current.

    One capacitor array makes the ramp for all columns of an array; each column has a comparator with an
    offset of its own. A value is read as the nearest level of the ramp; where the ramp steps back, the
    counter has stopped already.

    Attributes:
        bits: resolution.
        signed: full scale on both sides of zero; else from zero upwards.
        columns: neighbouring columns of an array that share one comparator.
        symmetric: the sign is the polarity of the reference and the magnitude a sum of capacitors; else
            one sum of capacitors spans the whole range.
        capacitor: relative standard deviation of a unit capacitor; a capacitor of ``2^n`` units has
            ``capacitor * 2^(n/2)`` units.
        comparator: standard deviation of a comparator's offset, in units of full scale.
        gain_db: gain of the amplifier that drives the ramp, dB.
        range: where full scale comes from.
        noise: standard deviation of the noise of each conversion, in cell currents.

    Source: M. Spear et al., IEEE J. Explor. Solid-State Comput. Devices Circuits 9, 176 (2023).

    >>> import torch
    >>> Ramp(bits=2).quantise(torch.tensor([-2.0, -0.3, 0.1, 0.6]), 1.0)
    tensor([-0.7500, -0.2500,  0.2500,  0.7500])
    """

    bits: Bits = 8
    signed: bool = True
    columns: Columns = 1
    symmetric: bool = True
    capacitor: NonNegative = 0.0
    comparator: NonNegative = 0.0
    gain_db: Positive = 100.0
    range: InstanceOf[Range] = Calibrated()
    noise: NonNegative = 0.0

    @property
    def own_draws(self) -> int:
        """The comparator."""
        return 1

    @property
    def array_draws(self) -> int:
        """The capacitors, and the feedback capacitor."""
        return self.bits + 1

    def table(self, own: Tensor, shared: Tensor) -> Tensor:
        """Rising thresholds, ``[..., 2^bits - 1]``: half-way between the levels of the ramp."""
        level = (self._symmetric if self.symmetric else self._whole)(shared)
        middle = (level[..., 1:] + level[..., :-1]) / 2
        return middle.cummax(-1).values - self.comparator * own

    def _symmetric(self, eps: Tensor) -> Tensor:
        """Levels of all codes; the magnitude of the lowest one takes the top capacitor alone."""
        half = 2 ** (self.bits - 1)
        size = 2.0 ** torch.arange(self.bits, dtype=eps.dtype, device=eps.device)
        size = torch.cat([size, size[-1:]])  # and the feedback capacitor
        capacitors = size + self.capacitor * eps * size.sqrt()
        total = capacitors[..., :-1] @ binary_digits(half + 1, self.bits, eps).t()
        total = torch.cat([-total[..., 1:].flip(-1), total[..., :-1]], dim=-1)
        return self._through(total, capacitors[..., -1:], 1.0, 0.5 / half)

    def _whole(self, eps: Tensor) -> Tensor:
        """Levels of all codes as one sum."""
        size = 2.0 ** torch.arange(self.bits + 1, dtype=eps.dtype, device=eps.device)
        capacitors = size + self.capacitor * eps * size.sqrt()
        total = capacitors[..., :-1] @ binary_digits(2**self.bits, self.bits, eps).t()
        return self._through(total, capacitors[..., -1:], 2.0, 0.5**self.bits - 1)

    def _through(self, total: Tensor, feedback: Tensor, span: float, start: float) -> Tensor:
        """From capacitors to levels, through the amplifier."""
        level = total / feedback * span + start
        return amplified(level, self.gain_db, feedback / (feedback + total.abs()))
