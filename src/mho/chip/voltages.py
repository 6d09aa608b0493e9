"""What is driven on the rows of an array: the voltages after the DAC."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mho.autograd import materialise
from mho.chip.layout import Layout
from mho.chip.product import constant_input, full_scale_in
from mho.chip.reads import Limit
from mho.converters import DAC


class Voltages(NamedTuple):
    """What is driven on the rows of an array, or of one tile, in units of full scale.

    Attributes:
        rows: the rows, without those of a bias.
        values: in the shape of the inputs, groups of bits one after the other in the first axis.
        times: how many groups that are.
        one: what an input of one is driven as, for each of them or for all; or for each vector.
        noise: standard deviation of each value.
    """

    rows: slice
    values: Tensor
    times: int
    one: Tensor
    noise: float


def driven_voltages(layout: Layout, x: Tensor, dac: DAC | None, limit: Limit) -> list[Voltages]:
    """What is driven, without the errors of single drivers; that of each tile, where these differ.

    Args:
        layout: of the array, no look-up.
        x: inputs, not arranged.
        dac: what drives them; None for no converter: then in units of the inputs.
        limit: its full scale; None where it is left out, or measures its own.
    """
    x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x  # codes beyond 8 bits need it
    if isinstance(limit, Tensor) and limit.numel() > 1:  # each tile has one
        parts = [driven_voltages(layout, x, dac, one)[0] for one in limit.flatten()]
        return [part._replace(rows=slice(*span)) for part, span in zip(parts, layout.rows, strict=True)]
    every = slice(0, layout.rows[-1][1] - layout.bias_rows)
    limit = None if dac is None else full_scale_in(layout, x, dac, limit, plain=True)
    if dac is None or limit is None:
        return [Voltages(every, x, 1, x.new_ones(()), 0.0)]
    if isinstance(limit, Tensor):
        limit = limit.detach().to(x.dtype)
    driven, top, times, stream = x * materialise(dac.high / limit), dac.high, 1, dac.stream
    one = constant_input(layout, top / limit, dac, stream)
    if not dac.ideal:
        driven = dac.digits(driven)
    if stream is not None:
        driven, top, times = stream.digits(driven, dac.peak, 0), stream.high, stream.count(dac.peak)
    return [Voltages(every, driven / top, times, torch.as_tensor(one, device=x.device) / top, dac.noise)]


def squared_voltages(layout: Layout, x: Tensor, driven: list[Voltages]) -> tuple[Tensor, Tensor]:
    """Squares of what is driven, in units of full scale.

    Args:
        layout: of the array.
        x: inputs, not arranged.
        driven: what :func:`driven_voltages` made of them; nothing for a look-up.

    Returns:
        Their sum over all vectors, ``[group, row]``, the mean of what is driven one after the other; and the
        mean square of an input of one, for bias rows.
    """
    if layout.one_hot:
        return layout.row_sums(x), torch.ones((), device=x.device)
    sums = [layout.row_sums(v.values.square() + v.noise**2)[:, v.rows] / v.times for v in driven]
    return torch.cat(sums, 1), driven[-1].one.square().mean()
