"""Pulse trains: how many pulses each cell gets from one pair of vectors.

The rank-one update ``-lr d x^T`` is made by coincidences. In each slot of a train line *j* of the rows fires
with the chance ``p_j = min(B |x_j|, 1)``, line *k* of the columns with ``q_k = min(A |d_k|, 1)``, and a cell
on which both fire gets one pulse, up or down by the sign of the product. Of ``BL`` slots it gets
``BL p_j q_k`` on average, with the variance ``BL p q (1 - p q)``; cells that share a line are correlated.
With ``A B BL dw = lr`` the mean is the update, in steps of ``dw``.

T. Gokmen and Y. Vlasov, Front. Neurosci. 10, 333 (2016); update management: T. Gokmen, O. M. Onen and
W. Haensch, Front. Neurosci. 11, 538 (2017).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from mho.config import NonNegative, Positive, config

_WHOLE = 1e-6  # a quotient that is whole but for rounding is whole
_LARGEST = 16_384  # slots of one train


class Pulses(NamedTuple):
    """What one update sends.

    Attributes:
        counts: signed number of pulses, ``[vector, group, row, column]``; positive ones go up.
        clipped: vectors whose update was larger than their train can be, ``[vector, group]``.
    """

    counts: Tensor
    clipped: Tensor


class Slots(NamedTuple):
    """The trains of some vectors.

    Attributes:
        length: number of slots, 0 where nothing is to be sent, ``[vector, group, 1]``.
        rows, columns: chance with which each line fires in a slot, ``[vector, group, line]``.
        clipped: whether the update does not fit into the train, ``[vector, group, 1]``.
    """

    length: Tensor
    rows: Tensor
    columns: Tensor
    clipped: Tensor


class Train(ABC):
    """A way to make pulses of two vectors."""

    @property
    def longest(self) -> int:
        """Most pulses that one update sends to a weight."""
        return 1

    @abstractmethod
    def send(self, x: Tensor, d: Tensor, lr: Tensor, step: float, generator: torch.Generator) -> Pulses:
        """The pulses of the updates ``-lr d x^T``.

        Args:
            x: what was on the rows, ``[vector, group, row]``.
            d: the error of the columns, ``[vector, group, column]``.
            lr: learning rate of each vector, ``[vector]``.
            step: size of a step, in the unit of ``d x``.
            generator: of random numbers.
        """


@config
class _Managed(Train):
    """What trains share: their length, and how it is fitted to each update.

    Attributes:
        desired_bl: largest number of slots.
        fixed_bl: without bit-length management: never more slots than that.
        update_bl_management: take no more slots than the largest pulse count needs, for each vector.
        update_management: share the update out to rows and columns so that neither clips.
        um_grad_scale: factor on the largest error; below 1 larger errors are clipped.
    """

    desired_bl: Annotated[int, Field(ge=1, le=_LARGEST)] = 31
    fixed_bl: bool = True
    update_bl_management: bool = True
    update_management: bool = True
    um_grad_scale: Positive = 1.0

    @property
    def longest(self) -> int:
        """Slots of the longest train."""
        return self.desired_bl

    def slots(self, x: Tensor, d: Tensor, lr: Tensor, step: float) -> Slots:
        """The trains of these updates; arguments as of :meth:`send`."""
        rows, columns = x.abs(), d.abs()
        x_max, d_max = rows.amax(-1, keepdim=True), columns.amax(-1, keepdim=True)
        if self.um_grad_scale != 1:
            d_max = d_max * self.um_grad_scale
        rate = (lr / step).view(-1, 1, 1)
        k = rate * x_max * d_max
        most = float(self.desired_bl)
        if self.update_bl_management:
            length = (k * (1 - _WHOLE)).ceil_().clamp_(max=most)
        elif self.fixed_bl:
            length = (k > 0) * most
        else:
            length = (k > 0) * (rate * (1 - _WHOLE)).ceil().clamp(min=most)
        slots = length.clamp(min=1)
        if (
            self.update_management
        ):  # the largest input and error fire alike often; larger errors than fit clip
            share = (k / slots).sqrt_().clamp_(max=1)
            of_rows, of_columns = share / x_max, torch.maximum(share, k / most) / d_max
            nothing = k == 0
            of_rows.masked_fill_(nothing, 0.0)
            of_columns.masked_fill_(nothing, 0.0)
            return Slots(
                length,
                (rows * of_rows).clamp_(max=1),
                (columns * of_columns).clamp_(max=1),
                k > most * (1 + _WHOLE),
            )
        gain = (rate / slots).sqrt()
        fires, falls = rows * gain, columns * gain
        over = (gain * torch.maximum(x_max, d_max) > 1 + _WHOLE) & (k > 0)
        if not (self.fixed_bl or self.update_bl_management):
            over = torch.zeros_like(over)
        return Slots(length, fires.clamp_(max=1), falls.clamp_(max=1), over)


@config
class Stochastic(_Managed):
    """Lines that fire at random: the coincidences that an array makes.

    Attributes:
        desired_bl, fixed_bl, update_bl_management, update_management, um_grad_scale: as of all trains.
        shared_lines: draw each line once for all its cells, as arrays do. False draws each cell on its own:
            the same mean and variance of every cell, without the correlation of cells that share a line.

    >>> x, d = torch.ones(1, 1, 2), torch.tensor([[[0.5, -0.5]]])
    >>> sent = Stochastic().send(x, d, torch.tensor([0.02]), 0.001, torch.Generator().manual_seed(0))
    >>> sent.counts.tolist()
    [[[[-10.0, 10.0], [-10.0, 10.0]]]]
    """

    shared_lines: bool = True

    def send(self, x: Tensor, d: Tensor, lr: Tensor, step: float, generator: torch.Generator) -> Pulses:
        """Counts of coincidences."""
        slots = self.slots(x, d, lr, step)
        if not self.shared_lines:
            chance = slots.rows.unsqueeze(-1) * slots.columns.unsqueeze(-2)
            drawn = torch.binomial(
                slots.length.unsqueeze(-1).expand_as(chance).contiguous(), chance, generator
            )
            return Pulses(drawn * -(x.sign().unsqueeze(-1) * d.sign().unsqueeze(-2)), slots.clipped[..., 0])
        most = int(slots.length.max()) if len(x) else 0
        chance = torch.cat((slots.rows, slots.columns), dim=-1).unsqueeze(-2)
        signs = torch.cat((x, -d), dim=-1).sign_().unsqueeze(-2)
        shape = (*chance.shape[:-2], most, chance.shape[-1])
        drawn = torch.rand(shape, dtype=chance.dtype, device=chance.device, generator=generator)
        rows, columns = ((drawn < chance) * signs).split((x.shape[-1], d.shape[-1]), dim=-1)
        within = torch.arange(most, device=x.device) < slots.length  # [vector, group, slot]
        return Pulses((rows * within.unsqueeze(-1)).transpose(-1, -2) @ columns, slots.clipped[..., 0])


@config
class MeanCount(_Managed):
    """Counts of lines, multiplied: ``rint(c_x c_d / BL)`` with ``c = rint(BL p)``; nothing is drawn.

    Small products vanish for ever.
    """

    def send(self, x: Tensor, d: Tensor, lr: Tensor, step: float, generator: torch.Generator) -> Pulses:
        """Counts rounded twice."""
        slots = self.slots(x, d, lr, step)
        rows = (slots.length * slots.rows).round() * x.sign()
        columns = (slots.length * slots.columns).round() * -d.sign()
        product = rows.unsqueeze(-1) * columns.unsqueeze(-2)
        return Pulses((product / slots.length.clamp(min=1).unsqueeze(-1)).round(), slots.clipped[..., 0])


@config
class Deterministic(_Managed):
    """The mean count of each cell, rounded: ``rint(BL p_x p_d)``; nothing is drawn.

    Small products vanish for ever.

    Attributes:
        desired_bl, fixed_bl, update_bl_management, update_management, um_grad_scale: as of all trains.
        x_resolution, d_resolution: step to which the chances of rows and columns are rounded; 0 for none.
    """

    x_resolution: NonNegative = 0.0
    d_resolution: NonNegative = 0.0

    def send(self, x: Tensor, d: Tensor, lr: Tensor, step: float, generator: torch.Generator) -> Pulses:
        """Counts rounded once."""
        slots = self.slots(x, d, lr, step)
        rows = _rounded(slots.rows, self.x_resolution) * x.sign()
        columns = _rounded(slots.columns, self.d_resolution) * -d.sign()
        product = rows.unsqueeze(-1) * columns.unsqueeze(-2)
        return Pulses((slots.length.unsqueeze(-1) * product).round(), slots.clipped[..., 0])


def _rounded(chance: Tensor, step: float) -> Tensor:
    return (chance / step).round() * step if step > 0 else chance
