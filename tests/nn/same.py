"""Comparing an analog module with the torch module that it stands for."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence


def flat(value: Any) -> list[torch.Tensor]:
    """All tensors of a result."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, PackedSequence):
        return [value.data]
    return [] if value is None else [tensor for item in value for tensor in flat(item)]


def compare(
    ours: nn.Module, theirs: nn.Module, *inputs: Any, tolerance: float = 1e-10, **options: Any
) -> None:
    """Equal outputs, input gradients and Parameter gradients, dropout included.

    ``inputs`` are copied with what they share: query, key and value may be one tensor.
    """
    results = []
    for module in (ours, theirs):
        module.zero_grad()
        given = copy.deepcopy(inputs)
        leaves = [t.requires_grad_() for t in flat(given) if t.is_floating_point()]
        torch.manual_seed(11)
        found = flat(module(*given, **options))
        torch.manual_seed(12)
        sum((torch.randn_like(y) * y).sum() for y in found).backward()
        names = {n: p.grad for n, p in module.named_parameters() if ".arrays." not in n}
        results.append((found, [leaf.grad for leaf in leaves], names))
    (y, dx, dw), (y_, dx_, dw_) = results
    assert dw.keys() == dw_.keys()
    for a, b in zip([*y, *dx, *dw.values()], [*y_, *dx_, *(dw_[n] for n in dw)], strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
