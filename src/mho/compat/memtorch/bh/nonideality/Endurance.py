"""Cells that were switched many times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

import mho
from mho.compat.memtorch.bh.nonideality.endurance_retention_models import model_endurance_retention
from mho.devices import Endurance, Failure


def apply_endurance_model(
    layer: nn.Module,
    x: float,
    endurance_model: Callable[..., Any] = model_endurance_retention,
    endurance_model_kwargs: dict[str, Any] | None = None,
) -> None:
    """Wear out cells: ``mho.devices.Endurance``.

    Args:
        layer: a patched layer or network.
        x: SET-RESET cycles so far.
        endurance_model: makes a ``mho.devices.Failure``.
        endurance_model_kwargs: its arguments.
    """
    law = endurance_model(**(endurance_model_kwargs or {}))
    if not isinstance(law, Failure):
        raise TypeError(f"endurance_model gave {law!r}: give model_endurance_retention")
    mho.degrade(layer, Endurance(cycles=float(x), law=law), seed=0)  # draws nothing
