"""Cells that are stuck."""

from __future__ import annotations

from torch import nn

import mho
from mho.compat.memtorch.bh.StochasticParameter import fresh_seed
from mho.devices import StuckAt


def apply_device_faults(
    layer: nn.Module,
    lrs_proportion: float = 0.0,
    hrs_proportion: float = 0.0,
    electroform_proportion: float = 0.0,
    *,
    seed: int | None = None,
) -> None:
    """Let cells be stuck: ``mho.devices.StuckAt`` with exact numbers in each array, no cell twice.

    Args:
        layer: a patched layer or network.
        lrs_proportion: fraction at the lowest resistance.
        hrs_proportion: fraction at the highest resistance.
        electroform_proportion: fraction that was never formed, at the highest resistance too.
        seed: of the draws; None to draw one by torch's global generator.
    """
    high = float(hrs_proportion) + float(electroform_proportion)
    stuck = StuckAt(lrs=float(lrs_proportion), hrs=high, exact=True)
    mho.degrade(layer, stuck, seed=fresh_seed() if seed is None else seed)
