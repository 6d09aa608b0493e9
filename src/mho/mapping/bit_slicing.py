"""Each weight as an integer whose digits lie in several cells.

Source: T. P. Xiao et al., IEEE Circuits Syst. Mag. 22(4), 26 (2022), bit slicing; A. Shafiee et al.,
"ISAAC", ISCA 2016.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from mho.config import config
from mho.mapping.base import Mapping, Readout
from mho.mapping.scale import Maximum, Scale


@config
class BitSlicing(Mapping):
    """``slices`` cells (or pairs of cells) hold the base-2^b digits of an integer weight.

    ``w_int = round(w * (2^(bits-1) - 1))``. Balanced: the digits of ``|w_int|``, each slice a pair of
    cells, the sign chooses which. Offset: the digits of ``w_int + 2^(bits-1)``, one cell each. Each
    slice is converted on its own, then shifted and added digitally.

    Attributes:
        bits: bits of the weight, with the sign.
        slices: number of slices, lowest digit first.
        offset: offset digits in single cells instead of signed digits in pairs.
        unit_column: with ``offset``, subtract a column that holds zero instead of a digital multiple
            of the sum of inputs.
        scale: how the reference weight is chosen; by default the largest magnitude of each column.

    >>> cells = BitSlicing(bits=8, slices=4).targets(torch.tensor([[1.0], [-63 / 127]]), 0.0, 3e-6) * 1e6
    >>> cells.flatten(1).round().int().T.tolist()
    [[3, 0, 3, 0, 3, 0, 1, 0], [0, 3, 0, 3, 0, 3, 0, 0]]
    """

    bits: Annotated[int, Field(ge=2, le=24)] = 8
    slices: Annotated[int, Field(ge=1)] = 4
    offset: bool = False
    unit_column: bool = False
    scale: InstanceOf[Scale] = Maximum(per_column=True)

    def validate(self) -> None:
        """Each slice must hold at least one bit; a unit column needs the offset style."""
        if self.slices > self._bits:
            raise ValueError(
                f"slices = {self.slices!r}: a weight of {self.bits} bits has {self._bits} bits to share "
                f"among slices; choose at most {self._bits}"
            )
        if self.unit_column and not self.offset:
            raise ValueError(
                "unit_column = True: balanced slices need no reference; set offset=True or drop it"
            )

    @property
    def _bits(self) -> int:
        return self.bits if self.offset else self.bits - 1

    @property
    def smooth(self) -> bool:
        """No: digits jump."""
        return False

    @property
    def bits_per_slice(self) -> int:
        """Bits held by each slice."""
        if self.bits % self.slices == 0:
            return self.bits // self.slices
        return -(-self._bits // self.slices)

    @property
    def copies(self) -> int:
        """Cells for each weight."""
        return self.slices if self.offset else 2 * self.slices

    def targets(self, w: Tensor, g_min: float, g_max: float) -> Tensor:
        """``g_target[copy, ..., row, column]``: slice 0 plus, slice 0 minus, slice 1 plus, ..."""
        if self.unit_column:
            w = torch.cat([w, torch.zeros_like(w[..., :1])], dim=-1)
        top = 2 ** (self.bits - 1) - 1
        integer = (w.clamp(-1, 1) * top).round()
        rest = integer + 2 ** (self.bits - 1) if self.offset else integer.abs()
        base = float(2**self.bits_per_slice)
        digits = []
        for k in range(self.slices):
            last = k == self.slices - 1
            digit = rest if last else torch.remainder(rest, base)
            rest = torch.div(rest - digit, base)
            digits += [digit] if self.offset else [digit * (integer > 0), digit * (integer < 0)]
        return g_min + (g_max - g_min) * torch.stack(digits) / (base - 1)

    def readout(self, g_min: float, g_max: float) -> Readout:
        """One channel for each slice."""
        base, top = 2**self.bits_per_slice, 2 ** (self.bits - 1) - 1
        span = g_max - g_min
        factors = [base**k * (base - 1) / top for k in range(self.slices)]
        analog = []
        for k in range(self.slices):
            row = [0.0] * self.copies
            if self.offset:
                row[k] = 1.0
            else:
                row[2 * k], row[2 * k + 1] = 1.0, -1.0
            analog.append(tuple(row))
        offset = 0.0
        if self.offset and not self.unit_column:
            offset = sum(factors) * g_min / span + 2 ** (self.bits - 1) / top
        digital = tuple(f * g_max / span for f in factors)
        return Readout(tuple(analog), digital, offset, self.unit_column)
