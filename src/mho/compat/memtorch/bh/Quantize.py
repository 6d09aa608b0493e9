"""The quantiser of MemTorch's ADCs, on tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mho.converters import AutoRange, TwosComplement


def quantize(
    tensor: Tensor, quant: int, overflow_rate: float = 0.0, quant_method: str | None = None, **bounds: Any
) -> Tensor:
    """Values on the grid of an ADC, with the range that they have together; nothing is changed in place.

    Args:
        tensor: any shape; all values share a range.
        quant: bits, with ``quant_method="linear"``; else the number of evenly spaced levels from ``min`` to
            ``max``.
        overflow_rate: fraction of the values that may lie beyond the range.
        quant_method: ``"linear"`` for powers of two, or None for levels.
        bounds: ``min`` and ``max`` of levels; by default those of the values.

    Raises:
        ValueError: another method. (``"log"`` of MemTorch makes 1 of every magnitude below 1.)

    >>> quantize(torch.tensor([0.1, -0.6, 0.9]), 3, quant_method="linear").tolist()
    [0.0, -0.5, 0.75]
    >>> quantize(torch.tensor([0.1, -0.6, 0.9]), 3, min=-1.0, max=1.0).tolist()
    [0.0, -1.0, 1.0]
    """
    for name in bounds:
        if name not in ("min", "max"):
            raise TypeError(f"quantize() got {name!r}: it takes min and max")
    if quant_method == "linear":
        adc, flat = TwosComplement(bits=quant), tensor.detach().flatten()
        limit = AutoRange(overflow=overflow_rate).full_scale(flat, (0,), ((0, len(flat)),))
        return adc.quantise(flat, torch.where(limit > 0, limit, 1.0)).view_as(tensor)
    if quant_method is not None:
        raise ValueError(
            f"quant_method = {quant_method!r}: give 'linear', or None for evenly spaced levels; a "
            f"logarithm of "
            "currents below one ampere has no use for its sign"
        )
    if quant < 2:
        raise ValueError(f"quant = {quant!r}: give two levels at least")
    low, high = (
        float(bounds.get(key, value)) for key, value in zip(("min", "max"), tensor.aminmax(), strict=True)
    )
    if not low < high:
        return tensor.detach().clone()
    step = (high - low) / (quant - 1)
    return low + step * ((tensor.detach().clamp(low, high) - low) / step).round()
