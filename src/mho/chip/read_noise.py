"""The noise of one read: of the cells' conductances, of the charge of electrons, of heat.

A cell with the input ``u``, in units of full scale, adds to the variance of its column's current

- noise of its conductance in proportion to ``u^2``: a second product, with the squares of the inputs; behind
  wires also with what the currents of its bit line take from its voltage;
- shot noise in proportion to ``|u|``: one more product, with their magnitudes;
- thermal noise whatever ``u`` is, also without a voltage: one number for each column.

An array without converters knows no voltage: there an input of one is taken for full scale.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mho.autograd import may_overwrite
from mho.chip.layout import Layout
from mho.chip.reads import Lines, Read
from mho.random import fresh_normal_like


def over_currents(layout: Layout, values: Tensor) -> Tensor:
    """``values[group, tile, channel, column]`` to broadcast over what the product gives."""
    return _flat(layout, layout.over_partial(values))


def of_bias(layout: Layout, bias: Tensor, one: float | Tensor) -> Tensor:
    """What bias rows with the input ``one`` add to the currents, or to their variance."""
    if isinstance(one, Tensor) and one.dim() == 1:  # for each tile
        bias, one = bias * one.view(1, -1, 1, 1), 1.0
    return over_currents(layout, bias) * one


def on_output(
    read: Read, layout: Layout, x: Tensor, y: Tensor, step: float | Tensor, high: float | Tensor
) -> Tensor:
    """Outputs ``y`` with the noise of one read, where tiles are not kept apart.

    No gradient goes through the noise.

    Args:
        read: its ``variance``, ``shot`` and ``thermal`` are in outputs.
        layout: how the layer's matrix lies in tiles.
        x: the layer's input, as converted.
        y: the layer's output.
        step: inputs per code.
        high: code of full scale.
    """
    squares = None if read.variance is None and read.shot is None else layout.squares(x.detach())
    parts: list[Tensor] = []
    if read.variance is not None and squares is not None:
        parts.append(layout.whole_product(squares, read.variance, read.bias_variance))
    if read.shot is not None and squares is not None:
        parts.append(layout.whole_product(squares.sqrt(), read.shot, read.bias_shot) * (step * high))
    if read.thermal is not None:
        parts.append(layout.over_output(read.thermal) * (step * high) ** 2)
    std = _sum(parts).clamp(min=0).sqrt()
    return torch.addcmul(y, std, _normal(std, y))


def on_currents(
    read: Read, layout: Layout, v: Tensor, currents: Tensor, high: float | Tensor, one: float | Tensor
) -> Tensor:
    """Column currents with the noise of one read; the tensor may be overwritten.

    No gradient goes through the noise.

    Args:
        read: its ``variance``, ``shot`` and ``thermal`` are in cell currents.
        layout: how the layer's matrix lies in tiles.
        v: converted inputs.
        currents: what the product of ``v`` gave.
        high: the converted input of full scale.
        one: that of one, for the bias rows.
    """
    squares = None if read.variance is None and read.shot is None else layout.squares(v.detach())
    parts: list[Tensor] = []
    if read.variance is not None and squares is not None:
        parts.append(layout.product(squares, read.variance))
        if read.bias_variance is not None:
            parts.append(of_bias(layout, read.bias_variance, one * one))
    if read.shot is not None and squares is not None:
        parts.append(layout.product(squares.sqrt(), read.shot) * high)
        if read.bias_shot is not None:
            magnitude = one.abs() if isinstance(one, Tensor) else abs(one)
            parts.append(of_bias(layout, read.bias_shot, magnitude) * high)
    if read.thermal is not None:
        parts.append(read.thermal * high**2)
    if read.lines is not None:
        parts += _of_lines(read.lines, layout, v.detach(), one, high)
    variance = _sum(parts)
    if may_overwrite():
        std = variance.clamp_(min=0).sqrt_()
        return currents.addcmul_(std, _normal(std, currents))
    std = variance.clamp(min=0).sqrt()
    return torch.addcmul(currents, std, _normal(std, currents))


def _of_lines(lines: Lines, layout: Layout, v: Tensor, one: float | Tensor, high: float | Tensor) -> list[Tensor]:
    """What the currents of the bit lines take from the variance, in the layout of the product."""
    sizes = lines.factor.shape[1:] if lines.factor is not None else _needed(lines.whole).shape
    groups, copies, channels = sizes[0], sizes[1], sizes[2 + layout.channel_axis]

    def each(
        kernel: Tensor | None, x: Tensor, bias: Tensor | None, one: float | Tensor
    ) -> tuple[Tensor, ...]:
        found = layout.product(x, _needed(kernel))
        found = found if bias is None else found + of_bias(layout, bias, one)
        return layout.partial(found, groups * copies * channels).chunk(groups * copies, layout.channel_axis)

    currents = each(lines.currents, v, lines.bias_currents, one)
    parts: list[Tensor] = []
    if lines.factor is not None:
        cross = each(lines.cross, v, lines.bias_cross, one)
        for k in range(copies):
            own, shared = currents[k::copies], cross[k::copies]
            for a in range(groups):
                taken = shared[a]
                for b in range(a, groups):
                    taken = torch.addcmul(taken, own[b], lines.factor[a, b, k])
                parts.append(own[a] * taken)
    if lines.whole is not None:
        signs = v.sign()
        driven = each(lines.shot, signs, lines.bias_shot, 1.0)
        some = each(lines.shot, signs.abs(), lines.bias_shot, 1.0)
        rests = [w - s for w, s in zip(lines.whole.flatten(0, 1).unbind(0), some, strict=True)]
        parts += [i * s * -high for i, s in zip(currents, driven, strict=True)]
        for k in range(copies):
            lost = [i * r for i, r in zip(currents[k::copies], rests[k::copies], strict=True)]
            parts.append(_sum(lost).abs() * high)
    return [_flat(layout, _sum(parts))]


def _needed(part: Tensor | None) -> Tensor:
    """A part that is there."""
    assert part is not None
    return part


def _flat(layout: Layout, partial: Tensor) -> Tensor:
    """A partial in the layout of the product."""
    return partial.flatten(layout.column_axis - (partial.dim() - layout.product_axes), layout.column_axis)


def _sum(parts: list[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _normal(std: Tensor, like: Tensor) -> Tensor:
    """Draws for each current: thermal noise alone is alike for all vectors."""
    return fresh_normal_like(std if std.shape == like.shape else like)
