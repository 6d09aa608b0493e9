"""Weights as conductances."""

from __future__ import annotations

from torch import Tensor

from mho.compat.memtorch.bh.crossbar.scheme import Scheme
from mho.mapping import DifferentialPair, Mapping, Offset, scale


def naive_map(
    weight: Tensor,
    r_on: float,
    r_off: float,
    scheme: Scheme = Scheme.DoubleColumn,
    p_l: float | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Weights as conductances between ``1 / r_off`` and ``1 / r_on``, siemens, in the shape of the weights.

    Args:
        weight: any shape.
        r_on: lowest resistance, ohms.
        r_off: highest resistance, ohms.
        scheme: a pair of tensors, positive and negative, or a single one.
        p_l: see :func:`mapping`.

    >>> import torch
    >>> plus, minus = naive_map(torch.tensor([0.5, -1.0]), r_on=100.0, r_off=1000.0)
    >>> [round(g * 1e3, 4) for g in (*plus.tolist(), *minus.tolist())]
    [5.5, 1.0, 1.0, 10.0]
    """
    if not 0 < r_on < r_off:
        raise ValueError(f"r_on = {r_on!r} must be positive and below r_off = {r_off!r}")
    made = mapping(scheme, p_l)
    flat = weight.reshape(1, 1, -1)
    g = made.targets(flat / made.scale.reference(flat), 1 / r_off, 1 / r_on)
    cells = [copy.view(weight.shape) for copy in g]
    return (cells[0], cells[1]) if len(cells) == 2 else cells[0]


def mapping(scheme: Scheme, p_l: float | None) -> Mapping:
    """mho's mapping of a scheme.

    Args:
        scheme: a pair of columns, or one beside a digital offset.
        p_l: fraction of the weights that are kept, the smallest ones: the rest is clipped. None for all.
    """
    if not isinstance(scheme, Scheme):
        raise TypeError(f"scheme = {scheme!r}: give Scheme.DoubleColumn or Scheme.SingleColumn")
    reference = scale.Maximum() if p_l is None else scale.Percentile(fraction=float(p_l))
    return (DifferentialPair if scheme is Scheme.DoubleColumn else Offset)(scale=reference)
