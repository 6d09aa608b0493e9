"""The noise of the cells of one read, as the sums of the currents have it.

The noise of the cells of a column adds up. Behind wires, what the sense amplifiers see of it is found by the
array (:mod:`mho.array._noise`), for all tiles of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mho.array import SeenNoise
from mho.array._noise import PLACES
from mho.chip.layout import Layout
from mho.chip.reads import Lines
from mho.chip.state import readout, tile_columns
from mho.hardware import Hardware
from mho.mapping import Readout


class LineNoise(NamedTuple):
    """What the currents of bit lines take from the noise of their cells (see :class:`mho.chip.reads.Lines`).

    Attributes:
        currents: in units of g_max, ``[group of rows, copy, channel, group, row, column]``.
        cross: likewise; None without noise of conductances.
        factor: ``[group of rows, group of rows, copy, channel, group, tile, column]``; None likewise.
        shot: as ``currents``, in units of the noise of a cell of g_max; None without shot noise.
    """

    currents: Tensor
    cross: Tensor | None
    factor: Tensor | None
    shot: Tensor | None


class CellNoise(NamedTuple):
    """Variance of the channel sums of one read, each ``[channel, group, row, column]``, or None.

    Attributes:
        cells: of the conductances, in units of g_max squared: goes with the square of the input.
        shot, thermal: of the currents of cells, in squares of that of a cell of g_max at full scale: that
            with the magnitude of the input, and that of any input.
        lines: what the currents of bit lines take from that of the conductances, behind wires.
    """

    cells: Tensor | None
    shot: Tensor | None
    thermal: Tensor | None
    lines: LineNoise | None = None


def combine(cells: Tensor, how: Readout) -> Tensor:
    """``cells[copy, group, row, column]`` added as currents: ``[channel, group, row, column]``."""
    channels = [added(cells, factors) for factors in how.analog]
    return channels[0].unsqueeze(0) if len(channels) == 1 else torch.stack(channels)


def added(terms: Tensor, factors: Sequence[float]) -> Tensor:
    """The sum of ``terms[k]`` times ``factors[k]``, one after the other.

    A matrix product would add them in an order that depends on the processor and on the shape; so the
    weights of a chip are the same bits whichever chips are made with it.
    """
    total: Tensor | None = None
    for term, factor in zip(terms, factors, strict=True):
        if factor == -1 and total is not None:
            total = total - term
        elif factor != 0:
            part = term if factor == 1 else term * factor
            total = part if total is None else total + part
    return torch.zeros_like(terms[0]) if total is None else total


def squared(how: Readout) -> Readout:
    """The constants with which variances of independent cells add up."""
    analog = tuple(tuple(a * a for a in row) for row in how.analog)
    return how._replace(analog=analog, digital=tuple(f * f for f in how.digital), offset=0.0)


def noise_through_wires(hardware: Hardware, g: Tensor, variance: Tensor, layout: Layout) -> SeenNoise:
    """How the noise of the cells of all tiles is seen from outside.

    Args:
        hardware: the description.
        g: ``g[copy, group, row, column]``, siemens.
        variance: of the conductances, siemens squared, likewise.
        layout: how the layer's matrix lies in tiles.

    Returns:
        Rows and columns are those of the layer; what is of columns alone has the tiles of rows before them,
        ``[copy, group, tile, column]``.
    """
    array, analog = hardware.array, readout(hardware).analog
    groups = array.noise_groups(max(b - a for a, b in layout.rows), hardware.device.g_max)
    columns = tile_columns(layout, g)
    places = [(k, r, c) for k, r in enumerate(layout.rows) for c in columns]
    found: SeenNoise | None = None
    for shape in dict.fromkeys((r[1] - r[0], c[1] - c[0]) for _, r, c in places):
        alike = [(k, r, c) for k, r, c in places if (r[1] - r[0], c[1] - c[0]) == shape]
        cells, spread = (
            torch.stack([x[..., slice(*r), slice(*c)] for _, r, c in alike], dim=1) for x in (g, variance)
        )
        solved = array.seen_noise(cells, spread, analog, groups)
        if found is None:
            sizes = (*g.shape[:2], len(layout.rows), g.shape[-1])
            of_columns = (
                solved.heat.new_empty(sizes),
                solved.lines.new_empty((*solved.lines.shape[:2], *sizes)),
            )
            of_cells = (p.new_empty((*p.shape[:a], *g.shape)) for p, a in zip(solved, PLACES, strict=True))
            found = SeenNoise(*of_cells)._replace(heat=of_columns[0], lines=of_columns[1])
        for n, (k, r, c) in enumerate(alike):
            for whole, part, axis in zip(found, solved, PLACES, strict=True):
                one = part.select(axis + 1, n)
                place = (slice(*r),) if whole is not found.heat and whole is not found.lines else (k,)
                index: tuple[Any, ...] = (..., *place, slice(*c))
                whole[index] = one
    assert found is not None
    return found


def heat_of_rows(seen: SeenNoise, layout: Layout, shared: bool = False) -> Tensor:
    """Conductance of heat of each column for each of its rows, siemens; ``shared``: a part for each row."""
    tiles = zip(seen.heat.unbind(2), layout.rows, strict=True)
    each = [
        (heat / (b - a if shared else 1)).unsqueeze(-2).expand(-1, -1, b - a, -1) for heat, (a, b) in tiles
    ]
    return torch.cat(each, dim=2)


def of_one_row(lines: LineNoise, layout: Layout) -> Tensor:
    """What lines take from the variance where one row alone is on, ``[channel, group, row, column]``."""
    currents, cross, factor, shot = lines
    total = torch.zeros_like(currents[0, 0])
    if cross is not None and factor is not None:
        heights = torch.tensor([b - a for a, b in layout.rows], device=currents.device)
        factor = factor[..., torch.repeat_interleave(heights), :]
        total = torch.einsum("gkcnrx,hkcnrx,ghkcnrx->cnrx", currents, currents, factor)
        total = total - 2 * (currents * cross).sum((0, 1))
    if shot is not None:
        sums = [
            shot[..., a:b, :].sum(-2, keepdim=True).expand(shot[..., a:b, :].shape) for a, b in layout.rows
        ]
        rest = (currents * (torch.cat(sums, -2) - shot)).sum(0).abs().sum(0)
        total = total + rest - (currents * shot).sum((0, 1))
    return total


def of_each_row(seen: SeenNoise, layout: Layout) -> tuple[Tensor, Tensor]:
    """Noise of the currents of each copy where one row alone is driven by one volt.

    Returns:
        Variance from the conductances, siemens squared, and what shot noise goes with, siemens; both
        ``[copy, group, row, column]``.
    """
    currents = seen.currents.unsqueeze(1)  # each copy is a channel of its own
    noise = LineNoise(currents, seen.cross.unsqueeze(1), seen.lines.unsqueeze(2), None)
    charge = LineNoise(currents, None, None, seen.shot_cross.unsqueeze(1))
    if not len(seen.currents):
        return seen.squares, seen.shot
    return seen.squares + of_one_row(noise, layout), seen.shot + of_one_row(charge, layout)


def behind_wires(
    hardware: Hardware, g: Tensor, variance: Tensor | None, shot: float, thermal: float, layout: Layout
) -> CellNoise | None:
    """Noise of cells as the sense amplifiers see it; ``variance`` of the conductances in units of g_max."""
    if variance is None and not shot and not thermal:
        return None
    how, g_max = readout(hardware), hardware.device.g_max
    squares = squared(how)
    spread = torch.zeros_like(g) if variance is None else variance * g_max**2
    seen = noise_through_wires(hardware, g, spread, layout)
    heat = heat_of_rows(seen, layout, shared=True)  # a product adds the rows up
    return CellNoise(
        None if variance is None else combine(seen.squares / g_max**2, squares),
        combine(seen.shot / g_max, squares) * shot if shot else None,
        combine(heat / g_max, squares) * thermal if thermal else None,
        _lines(seen, how, g_max, variance is not None, shot) if len(seen.currents) else None,
    )


def _lines(seen: SeenNoise, how: Readout, g_max: float, noisy: bool, shot: float) -> LineNoise | None:
    """The bit lines of the cells of each channel, as many of them in each; None without what they act on."""
    if not noisy and not shot:
        return None
    members = [[(k, a * a) for k, a in enumerate(row) if a] for row in how.analog]
    most = max(len(m) for m in members)
    members = [m + [(0, 0.0)] * (most - len(m)) for m in members]
    index = torch.tensor([[m[k][0] for m in members] for k in range(most)], device=seen.heat.device)
    weight = seen.heat.new_tensor([[m[k][1] for m in members] for k in range(most)])
    weight = weight.view(*weight.shape, 1, 1, 1)  # group, row or tile, column

    def chosen(part: Tensor, axis: int) -> Tensor:
        picked: Tensor = part.index_select(axis, index.flatten()).unflatten(axis, index.shape)
        return picked

    return LineNoise(
        chosen(seen.currents, 1) / g_max,
        chosen(seen.cross, 1) / g_max * weight if noisy else None,
        chosen(seen.lines, 2) * weight if noisy else None,
        chosen(seen.shot_cross, 1) * weight * shot if shot else None,
    )


def packed_lines(lines: LineNoise, layout: Layout) -> Lines:
    """In the layout of the product, with the factors that a sum over each pair of groups once has."""
    cross_twice = None if lines.cross is None else lines.cross * -2
    groups = len(lines.currents)
    once = torch.ones(groups, groups).triu() + torch.ones(groups, groups).triu(1)

    def kernel(part: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        if part is None:
            return None, None
        matrices, bias = apart(part.flatten(0, 2), layout)
        return layout.kernel(matrices), bias

    def factors(part: Tensor) -> Tensor:
        """``[..., channel, group, tile, column]``, each to broadcast over a partial."""
        lead = part.shape[:-4]
        each = part.movedim(-4, -2).flatten(0, -5)
        stacked: Tensor = torch.stack([layout.over_partial(one) for one in each]).unflatten(0, lead)
        return stacked

    (currents, bias_currents), (cross, bias_cross), (shot, bias_shot) = (
        kernel(part) for part in (lines.currents, cross_twice, lines.shot)
    )
    whole = None
    if lines.shot is not None:
        whole = factors(torch.stack([lines.shot[..., a:b, :].sum(-2) for a, b in layout.rows], -2))
    assert currents is not None
    factor = None
    if lines.factor is not None:
        factor = factors(lines.factor * once.to(lines.factor).view(groups, groups, 1, 1, 1, 1, 1))
    return Lines(currents, cross, factor, shot, whole, bias_currents, bias_cross, bias_shot)


def apart(sums: Tensor, layout: Layout) -> tuple[Tensor, Tensor | None]:
    """``sums[channel, group, row, column]`` of the inputs, and the sum of the bias rows of each tile."""
    if not layout.bias_rows:
        return sums, None
    inputs = sums.shape[-2] - layout.bias_rows
    tiles = [sums[..., max(a, inputs) : max(b, inputs), :].sum(-2) for a, b in layout.rows]
    return sums[..., :inputs, :], torch.stack(tiles).permute(2, 0, 1, 3)
