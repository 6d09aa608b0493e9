"""One cell for each weight; zero sits in the middle of the range.

Source: T. P. Xiao et al., IEEE Circuits Syst. Mag. 22(4), 26 (2022), offset subtraction.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from mho.config import config
from mho.errors import ConfigError
from mho.mapping.base import Mapping, Readout
from mho.mapping.levels import on_levels
from mho.mapping.scale import Maximum, Scale


@config
class Offset(Mapping):
    """``g = g_mid + (g_max - g_low) / 2 * w``.

    Attributes:
        unit_column: subtract a column programmed to ``g_mid`` (its errors are common to all columns
            of the layer) instead of a digital multiple of the sum of inputs.
        levels: number of conductance levels of a cell; an even number leaves the lowest one unused,
            so that zero is a level. None for continuous.
        counts_unused: scale the outputs as if the unused level were used too. Every product, and every
            weight read back, is then smaller by the factor ``(levels - 2) / (levels - 1)``. This is a
            fault of CrossSim 3.2.0; it is here to reproduce its figures. Only with an even ``levels``.
        scale: how the reference weight is chosen; by default the largest magnitude of each column.

    >>> w = torch.tensor([[0.5, -1.0], [0.25, 0.0]])
    >>> (Offset().targets(w, 0.0, 20e-6) * 1e6).tolist()
    [[[15.0, 0.0], [12.5, 10.0]]]

    Raises:
        ConfigError: ``counts_unused`` where no level is unused.
    """

    unit_column: bool = False
    levels: Annotated[int, Field(ge=3)] | None = None
    counts_unused: bool = False
    scale: InstanceOf[Scale] = Maximum(per_column=True)

    def validate(self) -> None:
        """``counts_unused`` needs an unused level."""
        if self.counts_unused and (self.levels is None or self.levels % 2):
            raise ConfigError(
                f"Offset.counts_unused = True and levels = {self.levels}: all levels are used; give an even "
                "number of levels, or leave counts_unused out"
            )

    @property
    def smooth(self) -> bool:
        """Unless the cells have levels."""
        return self.levels is None

    @property
    def copies(self) -> int:
        """One."""
        return 1

    def targets(self, w: Tensor, g_min: float, g_max: float) -> Tensor:
        """``g_target[1, ..., row, column]``, with the unit column last if there is one."""
        g_low, used = self._used(g_min, g_max)
        if self.unit_column:
            w = torch.cat([w, torch.zeros_like(w[..., :1])], dim=-1)
        fraction = on_levels((1 + w.clamp(-1, 1)) / 2, used)
        return (g_low + (g_max - g_low) * fraction).unsqueeze(0)

    def readout(self, g_min: float, g_max: float) -> Readout:
        """One channel; the offset is ``(g_max + g_low) / (g_max - g_low)``.

        With ``counts_unused`` both are divided by ``g_max - g_min``.
        """
        g_low, _ = self._used(g_min, g_max)
        span = g_max - (g_min if self.counts_unused else g_low)
        offset = 0.0 if self.unit_column else (g_max + g_low) / span
        return Readout(((1.0,),), (2 * g_max / span,), offset, self.unit_column)

    def _used(self, g_min: float, g_max: float) -> tuple[float, int | None]:
        """The lowest conductance used and the number of levels used: an odd number."""
        if self.levels is None or self.levels % 2:
            return g_min, self.levels
        return g_min + (g_max - g_min) / (self.levels - 1), self.levels - 1
