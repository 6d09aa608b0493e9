"""Successive approximation: a binary search against a capacitor array."""

from __future__ import annotations

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import NonNegative, Positive, config
from mho.converters.circuit import Bits, Columns, Comparing, amplified, binary_digits, search_thresholds
from mho.converters.ranges import Calibrated, Range


@config
class SAR(Comparing):
    """An ADC that finds its code bit by bit, from the highest.

    The sign is the polarity of the reference, the magnitude a sum of binary-weighted capacitors. The
    mismatch of a capacitor grows with the root of its size: ``C_n = 2^n + capacitor * xi * 2^(n/2)``.
    The split array halves the bits between two banks joined by a bridge capacitor: it is smaller, and
    the errors of its upper bank weigh more.

    Attributes:
        bits: resolution.
        signed: full scale on both sides of zero; else from zero upwards.
        columns: neighbouring columns of an array that share one converter.
        split: two banks of capacitors and a bridge instead of one bank.
        capacitor: relative standard deviation of a unit capacitor.
        comparator: standard deviation of the comparator's offset, in units of full scale.
        gain_db: gain of the amplifier behind the capacitors, dB.
        range: where full scale comes from.
        noise: standard deviation of the noise of each conversion, in cell currents.

    Source: M. Spear et al., IEEE J. Explor. Solid-State Comput. Devices Circuits 9, 176 (2023).

    >>> import torch
    >>> SAR(bits=2).quantise(torch.tensor([-2.0, -0.3, 0.1, 0.6]), 1.0)
    tensor([-0.7500, -0.2500,  0.2500,  0.7500])
    """

    bits: Bits = 8
    signed: bool = True
    columns: Columns = 8
    split: bool = True
    capacitor: NonNegative = 0.0
    comparator: NonNegative = 0.0
    gain_db: Positive = 100.0
    range: InstanceOf[Range] = Calibrated()
    noise: NonNegative = 0.0

    @property
    def own_draws(self) -> int:
        """The capacitors, two more of a split array, and the comparator."""
        return self.bits + 2

    def table(self, own: Tensor, shared: Tensor) -> Tensor:
        """Rising thresholds, ``[..., 2^bits - 1]``."""
        magnitude = (self._split if self.split else self._plain)(own[..., :-1])
        # codes above the middle have the positive reference, codes below it the negative one
        level = torch.cat([-magnitude[..., 1:].flip(-1), magnitude], dim=-1)
        return search_thresholds(level - self.comparator * own[..., -1:])

    def _plain(self, eps: Tensor) -> Tensor:
        """Level of each magnitude 0 .. 2^(bits-1) - 1: a sum of capacitors over the feedback capacitor."""
        top = self.bits - 1
        size = 2.0 ** torch.arange(self.bits, dtype=eps.dtype, device=eps.device)
        capacitors = size + self.capacitor * eps[..., : self.bits] * size.sqrt()
        feedback = capacitors[..., top:]
        total = capacitors[..., :top] @ binary_digits(2**top, top, eps).t()
        return amplified(total / feedback, self.gain_db, feedback / (feedback + total))

    def _split(self, eps: Tensor) -> Tensor:
        """The same of a split array: the lower bank is seen through the bridge."""
        top, low = self.bits - 1, self.bits // 2
        bridge_size = 2.0**low / (2.0**low - 1)
        size = torch.tensor(
            [2.0 ** (n if n < low else n - low) for n in range(top)] + [1.0, bridge_size],
            dtype=eps.dtype,
            device=eps.device,
        )
        capacitors = size + self.capacitor * eps * size.sqrt()
        digits = binary_digits(2**top, top, eps)
        bridge = capacitors[..., top + 1 :]
        lower = capacitors[..., :low].sum(-1, keepdim=True) + capacitors[..., top : top + 1] + bridge
        upper = capacitors[..., low:top].sum(-1, keepdim=True) + bridge
        from_lower = capacitors[..., :low] @ digits[:, :low].t()
        from_upper = capacitors[..., low:top] @ digits[:, low:].t()
        level = (from_lower * bridge + from_upper * lower) / (lower * upper - bridge**2)
        return amplified(level, self.gain_db, 1.0)
