"""Inputs driven bit by bit.

A DAC of few bits drives an input of many, one group of bits after the other: the code of an input is
``k = sign * sum_j 2^(bits * j) digit_j``, and the array is read once for each ``j``, with the voltages
``sign * digit_j / (2^bits - 1)``.

Source: A. Shafiee et al., "ISAAC", ISCA 2016; T. P. Xiao et al., IEEE Circuits Syst. Mag. 22(4), 26 (2022).
"""

from __future__ import annotations

import torch
from torch import Tensor

from mho.autograd import learns, straight_through
from mho.config import Count, config


@config
class Stream:
    """How the bits of an input are driven: in groups, the lowest first.

    Attributes:
        bits: bits of each group; the drivers have ``2^bits`` voltages, those of a signed DAC the same
            with the other sign.
        each: the ADC converts the currents of each group, which are then shifted and added digitally.
            Else the currents are shifted and added as charges, and the ADC converts the sum.

    >>> stream = Stream(bits=2)
    >>> codes = torch.tensor([[5.0, -9.0]])
    >>> stream.count(high=127), stream.digits(codes, 127, axis=0)[:2].tolist()
    (4, [[1.0, -1.0], [1.0, -2.0]])
    """

    bits: Count = 1
    each: bool = True

    @property
    def high(self) -> float:
        """The digit of full scale."""
        return float((1 << self.bits) - 1)

    def count(self, high: float) -> int:
        """Number of groups for codes up to ``high``."""
        return -(-int(high).bit_length() // self.bits)

    def weights(self, high: float, like: Tensor) -> Tensor:
        """What each group counts in codes, ``[count]``."""
        places = torch.arange(self.count(high), dtype=like.dtype, device=like.device)
        return torch.exp2(places * self.bits)

    def together(self, high: float) -> float:
        """What all groups count together, the sum of :meth:`weights`."""
        return float(sum(1 << place * self.bits for place in range(self.count(high))))

    def digits(self, codes: Tensor, high: float, axis: int) -> Tensor:
        """The digits of whole numbers, with their sign; the groups are folded into one axis.

        The gradient goes straight through: to each digit in proportion to what it counts.

        Args:
            codes: whole numbers up to ``high`` in magnitude.
            high: the largest one.
            axis: the axis of the vectors: of size n before, ``count * n`` after, group by group.
        """
        weights = self.weights(high, codes)
        shape = [-1 if k == axis else 1 for k in range(codes.dim() + 1)]
        with torch.no_grad():
            scale = torch.cat([weights, weights[-1:] * 2.0**self.bits]).reciprocal()
            whole = (codes.detach().unsqueeze(axis) * scale.view(shape)).trunc()
            count = len(weights)
            digits = whole.narrow(axis, 0, count) - whole.narrow(axis, 1, count) * 2.0**self.bits
        if learns(codes):
            ideal = codes.unsqueeze(axis) * (weights / (weights * weights).sum()).view(shape)
            digits = straight_through(ideal, digits)
        return digits.flatten(axis, axis + 1)

    def total(self, values: Tensor, high: float, axis: int) -> Tensor:
        """Shift and add: the sum over the groups in an axis, each times what it counts."""
        weights = self.weights(high, values)
        groups = values.unflatten(axis, (len(weights), -1))
        if values.is_contiguous():  # one product reads each value once
            flat = groups.flatten(axis + 1).view(values.shape[:axis].numel(), len(weights), -1)
            return torch.matmul(weights, flat).view(*values.shape[:axis], *groups.shape[axis + 1 :])
        shape = [-1 if k == axis else 1 for k in range(groups.dim())]
        total: Tensor = (groups * weights.view(shape)).sum(axis)
        return total
