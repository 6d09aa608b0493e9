"""How much of the range of its cells a matrix uses: a bad scale is found before anything is programmed."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from mho.nn import Crossbar

LOW = 0.1  # of the range; normally distributed weights use about 0.4 (100 rows) to 0.25 (10,000 rows)


@torch.no_grad()
def range_use(layer: Crossbar) -> Tensor:
    """Root mean square of the weights over their reference weight, for each group that shares a scale.

    The error of a cell is a fraction of the reference weight, so the relative error of a product is that
    fraction divided by this number.

    Args:
        layer: an analog layer; bias rows count.

    Returns:
        One number in [0, 1] for each group of the scale whose weights are not all zero: one for each column,
        or a single one. Empty where all weights are zero, or not here (on the meta device, or sharded).

    >>> from torch import nn
    >>> import mho
    >>> model = nn.Linear(4, 2, bias=False)
    >>> _ = nn.init.constant_(model.weight, 0.5)
    >>> range_use(mho.convert(model, mho.Hardware())).tolist()
    [1.0, 1.0]
    """
    if layer.weight.is_meta or hasattr(layer.weight, "full_tensor"):
        return torch.empty(0)
    weight = layer.logical(layer.weight.detach()).detach()
    reference = layer.hardware.mapping.scale.reference(weight)
    shared = [axis for axis in range(weight.dim()) if reference.shape[axis] == 1]
    size = math.sqrt(math.prod(weight.shape[axis] for axis in shared))
    norm = torch.linalg.vector_norm(weight.float(), dim=shared, keepdim=True)
    used: Tensor = (norm / (size * reference.float())).clamp(max=1).flatten()
    some: Tensor = used[used > 0]
    return some


def together(layers: Iterable[Crossbar]) -> Tensor:
    """:func:`range_use` of several layers, one after the other."""
    return torch.cat([range_use(layer).cpu() for layer in layers])
