"""Two cells for each weight, subtracted.

Source: T. P. Xiao et al., "On the accuracy of analog neural network inference accelerators",
IEEE Circuits Syst. Mag. 22(4), 26 (2022), proportional mapping.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from mho.config import config
from mho.mapping.base import Mapping, Readout
from mho.mapping.levels import on_levels
from mho.mapping.scale import Maximum, Scale


@config
class DifferentialPair(Mapping):
    """``w = (g_plus - g_minus) / (g_max - g_min)``.

    One-sided (the default): one cell of the pair stays at ``g_min``, so that a zero weight draws
    the least current and has the least error. Two-sided: both move, their sum is constant.

    Attributes:
        two_sided: move both cells of the pair.
        digital_subtraction: convert the two columns one by one and subtract the codes.
        levels: number of conductance levels of a cell, evenly spaced from g_min to g_max; None for
            continuous.
        scale: how the reference weight is chosen; by default the largest magnitude of each column.

    >>> w = torch.tensor([[0.5, -1.0], [0.25, 0.0]])
    >>> (DifferentialPair().targets(w, 0.0, 25e-6) * 1e6).tolist()
    [[[12.5, 0.0], [6.25, 0.0]], [[0.0, 25.0], [0.0, 0.0]]]
    """

    two_sided: bool = False
    digital_subtraction: bool = False
    levels: Annotated[int, Field(ge=2)] | None = None
    scale: InstanceOf[Scale] = Maximum(per_column=True)

    @property
    def smooth(self) -> bool:
        """Unless the cells have levels."""
        return self.levels is None

    @property
    def copies(self) -> int:
        """Two: plus and minus."""
        return 2

    def targets(self, w: Tensor, g_min: float, g_max: float) -> Tensor:
        """``g_target[2, ..., row, column]``: plus, minus."""
        w = w.clamp(-1, 1)
        pair = torch.stack([1 + w, 1 - w]) / 2 if self.two_sided else torch.stack([w, -w]).clamp(min=0)
        return g_min + (g_max - g_min) * on_levels(pair, self.levels)

    def readout(self, g_min: float, g_max: float) -> Readout:
        """One channel, or two with digital subtraction."""
        gain = g_max / (g_max - g_min)
        if self.digital_subtraction:
            return Readout(analog=((1.0, 0.0), (0.0, 1.0)), digital=(gain, -gain))
        return Readout(analog=((1.0, -1.0),), digital=(gain,))
