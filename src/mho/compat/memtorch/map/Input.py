"""Inputs as voltages."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def naive_scale(module: Any, input: Tensor, force_scale: bool = True) -> Tensor:
    """Inputs as voltages: the largest magnitude of each vector or sample is ``module.max_input_voltage``.

    A patched layer does this by its DAC, and undoes it at its output.

    Args:
        module: anything with ``max_input_voltage``; None leaves the inputs as they are.
        input: the first axis is the batch.
        force_scale: also scale vectors that are smaller than ``max_input_voltage`` throughout.

    >>> from types import SimpleNamespace
    >>> naive_scale(SimpleNamespace(max_input_voltage=0.3), torch.tensor([[1.0, -2.0], [0.0, 0.5]]))
    tensor([[ 0.1500, -0.3000],
            [ 0.0000,  0.3000]])
    """
    top = module.max_input_voltage
    if top is None:
        return input
    if input.dim() < 2:
        raise ValueError(
            f"input has shape {tuple(input.shape)}: its first axis is the batch, give [batch, n]"
        )
    peak = input.abs().flatten(1).amax(1).view(-1, *(1 for _ in input.shape[1:]))
    scaled = input * (top / torch.where(peak > 0, peak, torch.ones_like(peak)))
    return scaled if force_scale else torch.where(peak > top, scaled, input)
