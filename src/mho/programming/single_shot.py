"""The device's own statistics of programming, in one step."""

from __future__ import annotations

import torch
from torch import Tensor

from mho import random
from mho.blocks import by_blocks
from mho.config import config
from mho.programming.base import Cell, Programming, ProgrammingResult, Site, Summary, drawn_cells


@config
class SingleShot(Programming):
    """Each cell gets ``device.programmed(g_target)``: the published error after programming.

    Most measured devices were programmed with their maker's own algorithm, and their statistics include
    it. Energy and time are not known (NaN).
    """

    def write(
        self, device: Cell, g_target: Tensor, seed: int, path: str = "", site: Site | None = None
    ) -> ProgrammingResult:
        """See :meth:`Programming.write`."""
        eps = random.normal(g_target.shape, seed, path, "program").to(g_target)
        cells = drawn_cells(device, g_target, seed, path)
        if cells is device:
            g = by_blocks(device.programmed, g_target, eps)
        else:
            g = cells.programmed(g_target, eps)

        def each(value: float, dtype: torch.dtype) -> Tensor:
            return torch.full((), value, dtype=dtype, device=g.device).expand(g.shape)

        unknown = each(torch.nan, g.dtype)
        return ProgrammingResult(g, each(1, torch.int32), each(0, torch.bool), unknown, unknown)

    def summary(self, result: ProgrammingResult, g_target: Tensor, g_max: float) -> Summary | None:
        """Nothing to tell."""
        return None
