"""The contract of mappings."""

from __future__ import annotations

import torch
from torch import Tensor

from mho.mapping import Mapping, Scale
from mho.testing.promise import check_description, check_place, demand, near, same

_BOUNDS = ((0.0, 25e-6), (1e-6, 20e-6), (90e-6, 100e-6))  # siemens


def check_mapping(mapping: Mapping) -> None:
    """Check that a mapping keeps the contract of all mappings.

    The mapping must: travel through JSON; give each weight conductances between ``g_min`` and ``g_max``
    that do not depend on the other weights; treat weights beyond 1 as 1; be undone by its readout, up
    to its own levels: -1, 0 and 1 come back as they are, larger weights never smaller than smaller ones,
    and what came back maps to the same conductances again. It must keep the dtype, leave its arguments
    as they are and decide nothing by their values. Its scale must give positive reference weights.

    Args:
        mapping: any instance; check one for each setting that changes its behaviour.

    Raises:
        AssertionError: naming the mapping and the broken promise.

    Example:
        >>> from mho.mapping import Offset
        >>> check_mapping(Offset(levels=16))
    """
    demand(isinstance(mapping, Mapping), mapping, "must derive from mho.mapping.Mapping")
    check_description(mapping, Mapping)
    _check_scale(mapping)
    for g_min, g_max in _BOUNDS:
        _check_readout(mapping, g_min, g_max)
        for dtype in (torch.float32, torch.float64):
            _check_targets(mapping, g_min, g_max, dtype)
        _check_way_back(mapping, g_min, g_max)


def _weights(dtype: torch.dtype) -> Tensor:
    """All weights from -1 to 1, ``[1, 67, 3]``: 201 of them, rising."""
    return torch.linspace(-1, 1, 201, dtype=dtype).view(1, 67, 3)


def _check_scale(mapping: Mapping) -> None:
    demand(isinstance(mapping.scale, Scale), mapping, "scale must be a mho.mapping.Scale")
    weight = torch.linspace(-3, 2, 24).view(2, 4, 3)
    for given in (weight, torch.zeros(2, 4, 3), weight[:1, :1, :1], weight.double()):
        reference = mapping.scale.reference(given)
        shapes = {(1, 1, 1), (given.shape[0], 1, given.shape[2])}
        demand(tuple(reference.shape) in shapes, mapping, "scale must give [1, 1, 1] or [group, 1, column]")
        demand(bool((reference > 0).all()), mapping, "reference weights must be positive, for zeros too")
        demand(reference.dtype == given.dtype, mapping, "scale must keep the dtype")


def _check_readout(mapping: Mapping, g_min: float, g_max: float) -> None:
    how = mapping.readout(g_min, g_max)
    plain = all(
        isinstance(v, float) for v in (*how.digital, how.offset, *(v for row in how.analog for v in row))
    )
    demand(plain, mapping, "readout must be plain floats")
    shaped = len(how.analog) == len(how.digital) and all(len(row) == mapping.copies for row in how.analog)
    demand(
        shaped,
        mapping,
        "readout needs a coefficient for each channel and cell, and a factor for each channel",
    )


def _recovered(mapping: Mapping, targets: Tensor, g_min: float, g_max: float) -> Tensor:
    """The normalised weights that the formula of ``mho.mapping.Mapping`` gives."""
    how = mapping.readout(g_min, g_max)
    total = torch.zeros_like(targets[0])
    for factor, row in zip(how.digital, how.analog, strict=True):
        total = total + factor * sum(a * g / g_max for a, g in zip(row, targets, strict=True))
    if how.unit_column:
        total = total[..., :-1] - total[..., -1:]
    return total - how.offset


def _check_targets(mapping: Mapping, g_min: float, g_max: float, dtype: torch.dtype) -> None:
    w = _weights(dtype)
    kept = w.clone()
    g = mapping.targets(w, g_min, g_max)
    demand(same(w, kept), mapping, "must not change its arguments in place")
    width = 3 + mapping.readout(g_min, g_max).unit_column
    shape = (mapping.copies, 1, 67, width)
    demand(tuple(g.shape) == shape, mapping, f"targets must have shape {shape}, have {tuple(g.shape)}")
    demand(g.dtype == dtype, mapping, f"targets must keep the dtype, give {g.dtype}")
    slack = 1e-6 * g_max
    inside = bool(((g >= g_min - slack) & (g <= g_max + slack)).all())
    demand(inside, mapping, "targets must lie between g_min and g_max")
    demand(same(mapping.targets(w, g_min, g_max), g), mapping, "must give the same for the same weights")
    beyond, clipped = (mapping.targets(v, g_min, g_max) for v in (3 * w, (3 * w).clamp(-1, 1)))
    demand(near(beyond, clipped, g_max, 1e-6), mapping, "weights beyond 1 must be treated as 1")
    for row in (20, 60):  # one weight below zero, one above
        part = mapping.targets(w[:, row : row + 1, 1:2], g_min, g_max)[..., :1]
        alone = near(part, g[:, :, row : row + 1, 1:2], g_max, 1e-6)
        demand(alone, mapping, "a weight's cells must not depend on other weights")
    empty = mapping.targets(w[:, :0], g_min, g_max)
    demand(empty.numel() == 0, mapping, "targets of no weights must be empty")
    check_place(mapping, lambda: mapping.targets(w.to("meta"), g_min, g_max))


def _check_way_back(mapping: Mapping, g_min: float, g_max: float) -> None:
    w = _weights(torch.float64)
    g = mapping.targets(w, g_min, g_max)
    back = _recovered(mapping, g, g_min, g_max)
    demand(back.shape == w.shape, mapping, "readout must give one weight back for each weight")
    line = back.flatten()
    ends, wanted = line[[0, 100, 200]], torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    kept = near(ends, wanted, 1.0, 1e-9)
    demand(kept, mapping, f"-1, 0 and 1 must come back as they are, not as {ends.tolist()}")
    demand(bool((line.diff() >= -1e-9).all()), mapping, "a larger weight must not come back smaller")
    far = float((line - w.flatten()).abs().max())
    demand(far <= 0.5 + 1e-9, mapping, f"a weight must come back to half a level; one moved by {far}")
    again = mapping.targets(back.clamp(-1, 1), g_min, g_max)
    demand(near(again, g, g_max, 1e-9), mapping, "what came back must map to the same conductances")
