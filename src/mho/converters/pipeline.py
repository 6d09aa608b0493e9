"""Pipeline and cyclic ADCs: one bit and a half for each stage, the rest amplified by two."""

from __future__ import annotations

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import NonNegative, Positive, config
from mho.converters.circuit import Bits, Circuit, Columns
from mho.converters.ranges import Calibrated, Range


@config
class Pipeline(Circuit):
    """An ADC of ``bits - 1`` stages that work on one value after the other, each with its own errors.

    A stage has two comparators at a quarter of full scale; one more comparator stands at the end. With
    ``s`` the number of thresholds below the voltage ``V`` (0, 1 or 2), a stage adds ``s`` to its digit and
    passes on ``((1 + r) V + (1 - s) r) / (1 + 1 / (A beta))``, with ``r = C2 / C1`` and
    ``beta = C1 / (C1 + C2 + Cpar)``. The halves of a bit overlap: small offsets of the comparators are
    corrected by the next digit.

    Attributes:
        bits: resolution.
        signed: full scale on both sides of zero; else from zero upwards.
        columns: neighbouring columns of an array that share one converter.
        capacitor: relative standard deviation of the two capacitors of a stage.
        parasitic: standard deviation of the parasitic capacitance at the amplifier, in capacitors.
        comparator: standard deviation of a comparator's offset, in units of full scale.
        gain_db: gain of the amplifier of a stage, dB.
        range: where full scale comes from.
        noise: standard deviation of the noise of each conversion, in cell currents.

    Source: M. Spear et al., IEEE J. Explor. Solid-State Comput. Devices Circuits 9, 176 (2023).

    >>> import torch
    >>> Pipeline(bits=2).quantise(torch.tensor([-2.0, -0.3, 0.1, 0.6]), 1.0)
    tensor([-0.7500, -0.2500,  0.2500,  0.7500])
    """

    bits: Bits = 8
    signed: bool = True
    columns: Columns = 8
    capacitor: NonNegative = 0.0
    parasitic: NonNegative = 0.0
    comparator: NonNegative = 0.0
    gain_db: Positive = 100.0
    range: InstanceOf[Range] = Calibrated()
    noise: NonNegative = 0.0

    @property
    def own_draws(self) -> int:
        """Three capacitances and two comparators of each stage, and the last comparator."""
        return 5 * (self.bits - 1) + 1

    def table(self, own: Tensor, shared: Tensor) -> Tensor:
        """What each stage needs."""
        stages = self.bits - 1
        return self._table(own[..., : 3 * stages].unflatten(-1, (3, stages)), own[..., 3 * stages :])

    def _table(self, capacitors: Tensor, comparators: Tensor) -> Tensor:
        """``[..., 4 (bits - 1) + 1]``: upper and lower threshold, factor, step of each stage; the last one.

        Args:
            capacitors: draws of C1, C2 and Cpar of each stage, ``[..., 3, bits - 1]``.
            comparators: draws of the upper, the lower and the last comparator, ``[..., 2 bits - 1]``.
        """
        c1, c2, extra = capacitors.unbind(-2)
        c1, c2, extra = 1 + self.capacitor * c1, 1 + self.capacitor * c2, self.parasitic * extra
        loss = 1 + 10 ** (-self.gain_db / 20) * (c1 + c2 + extra) / c1
        ratio = c2 / c1
        offset = self.comparator * comparators
        stages = self.bits - 1
        upper, lower = 0.25 + offset[..., :stages], offset[..., stages : 2 * stages] - 0.25
        return torch.cat([upper, lower, (1 + ratio) / loss, ratio / loss, offset[..., 2 * stages :]], dim=-1)

    def convert(self, value: Tensor, table: Tensor) -> Tensor:
        """Stage after stage; all converters and vectors at once."""
        stages = self.bits - 1
        code = torch.zeros_like(value)
        for n in range(stages):
            upper, lower, factor, step = (table[:, k * stages + n, None] for k in range(4))
            count = (value > upper).to(value.dtype) + (value > lower).to(value.dtype)
            code = code + 2.0 ** (stages - 1 - n) * count
            value = factor * value + (1 - count) * step
        return code + (value > table[:, 4 * stages, None]).to(value.dtype)


@config
class Cyclic(Pipeline):
    """An ADC with one stage that each value passes ``bits - 1`` times: the same errors at every pass.

    The fields are those of :class:`Pipeline`, its errors those of the one stage.

    Source: M. Spear et al., IEEE J. Explor. Solid-State Comput. Devices Circuits 9, 176 (2023).

    >>> import torch
    >>> Cyclic(bits=2).quantise(torch.tensor([-2.0, -0.3, 0.1, 0.6]), 1.0)
    tensor([-0.7500, -0.2500,  0.2500,  0.7500])
    """

    @property
    def own_draws(self) -> int:
        """Three capacitances and three comparators."""
        return 6

    def table(self, own: Tensor, shared: Tensor) -> Tensor:
        """What the stage needs, written out for each pass."""
        stages = self.bits - 1
        capacitors = own[..., :3].unsqueeze(-1).expand(*own.shape[:-1], 3, stages)
        pair = own[..., 3:5].unsqueeze(-1).expand(*own.shape[:-1], 2, stages).flatten(-2)
        return self._table(capacitors, torch.cat([pair, own[..., 5:]], dim=-1))
