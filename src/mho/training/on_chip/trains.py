"""Pulse trains: how many pulses each cell gets from one pair of vectors.

The rank-one update ``-lr d x^T`` is made by coincidences. In each slot of a train line *j* of the rows fires
with the chance ``p_j = min(B |x_j|, 1)``, line *k* of the columns with ``q_k = min(A |d_k|, 1)``, and a cell
on which both fire gets one pulse, up or down by the sign of the product. Of ``BL`` slots it gets
``BL p_j q_k`` on average, with the variance ``BL p q (1 - p q)``; cells that share a line are correlated. With
``A B BL dw = lr`` the mean is the update, in steps of ``dw``.

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
    """The trains of some vectors, each ``[vector, group, 1]``.

    Attributes:
        length: number of slots, 0 where nothing is to be sent.
        row, column: chance with which a line fires for each unit of its input and of its error.
        clipped: whether the update does not fit into the train.
    """

    length: Tensor
    row: Tensor
    column: Tensor
    clipped: Tensor


class Train(ABC):
    """A way to make pulses of two vectors."""

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

    def slots(self, x: Tensor, d: Tensor, lr: Tensor, step: float) -> Slots:
        """The trains of these updates; arguments as of :meth:`send`."""
        x_max = x.abs().amax(-1, keepdim=True)
        d_max = d.abs().amax(-1, keepdim=True) * self.um_grad_scale
        lr = lr.view(-1, 1, 1)
        k = lr * x_max * d_max / step
        most = torch.full_like(k, float(self.desired_bl))
        if self.update_bl_management:
            length = torch.minimum((k * (1 - _WHOLE)).ceil(), most)
        elif not self.fixed_bl:
            length = torch.maximum((lr / step * (1 - _WHOLE)).ceil().expand_as(k), most)
        else:
            length = most
        nothing = (x_max == 0) | (d_max == 0) | (lr == 0)
        length = torch.where(nothing, 0.0, length)
        gain = (lr / (step * length.clamp(min=1))).sqrt()
        if self.update_management:
            fitting = d_max * torch.where(k > most, most / k, 1.0)
            share = torch.where(nothing, 1.0, (x_max / fitting)).sqrt()
            return Slots(length, gain / share, gain * share, (k > most * (1 + _WHOLE)) & ~nothing)
        if self.fixed_bl or self.update_bl_management:
            over = 1 + _WHOLE
            return Slots(length, gain, gain, ((gain * x_max > over) | (gain * d_max > over)) & ~nothing)
        return Slots(length, gain.clamp(max=1), gain.clamp(max=1), torch.zeros_like(nothing))


@config
class Stochastic(_Managed):
    """Lines that fire at random: the coincidences that an array makes.

    Attributes:
        desired_bl, fixed_bl, update_bl_management, update_management, um_grad_scale: as of all trains.
        shared_lines: draw each line once for all its cells, as arrays do. False draws each cell on its own: the
            same mean and variance of every cell, without the correlation of cells that share a line.

    >>> x, d = torch.ones(1, 1, 2), torch.tensor([[[0.5, -0.5]]])
    >>> sent = Stochastic().send(x, d, torch.tensor([0.02]), 0.001, torch.Generator().manual_seed(0))
    >>> sent.counts.tolist()
    [[[[-10.0, 10.0], [-10.0, 10.0]]]]
    """

    shared_lines: bool = True

    def send(self, x: Tensor, d: Tensor, lr: Tensor, step: float, generator: torch.Generator) -> Pulses:
        """Counts of coincidences."""
        slots = self.slots(x, d, lr, step)
        rows, columns = (slots.row * x.abs()).clamp(max=1), (slots.column * d.abs()).clamp(max=1)
        if not self.shared_lines:
            chance = rows.unsqueeze(-1) * columns.unsqueeze(-2)
            drawn = torch.binomial(slots.length.unsqueeze(-1).expand_as(chance).contiguous(), chance, generator)
            return Pulses(drawn * -(x.sign().unsqueeze(-1) * d.sign().unsqueeze(-2)), slots.clipped[..., 0])
        most = int(slots.length.max()) if len(x) else 0
        fired = self._fired(rows, most, generator) & self._within(slots.length, most)
        row_bits = fired * x.sign().unsqueeze(-2)
        column_bits = self._fired(columns, most, generator) * -d.sign().unsqueeze(-2)
        return Pulses(row_bits.transpose(-1, -2) @ column_bits, slots.clipped[..., 0])

    @staticmethod
    def _fired(chance: Tensor, slots: int, generator: torch.Generator) -> Tensor:
        """Which lines fire in which slot, ``[vector, group, slot, line]``."""
        shape = (*chance.shape[:-1], slots, chance.shape[-1])
        drawn = torch.rand(shape, dtype=chance.dtype, device=chance.device, generator=generator)
        return drawn < chance.unsqueeze(-2)

    @staticmethod
    def _within(length: Tensor, slots: int) -> Tensor:
        """Which slots a train has, ``[vector, group, slot, 1]``."""
        return (torch.arange(slots, device=length.device) < length).unsqueeze(-1)


@config
class MeanCount(_Managed):
    """Counts of lines, multiplied: ``rint(c_x c_d / BL)`` with ``c = rint(BL p)``; nothing is drawn.

    Small products vanish for ever.
    """

    def send(self, x: Tensor, d: Tensor, lr: Tensor, step: float, generator: torch.Generator) -> Pulses:
        """Counts rounded twice."""
        slots = self.slots(x, d, lr, step)
        rows = (slots.length * (slots.row * x.abs()).clamp(max=1)).round() * x.sign()
        columns = (slots.length * (slots.column * d.abs()).clamp(max=1)).round() * -d.sign()
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
        rows = _rounded((slots.row * x.abs()).clamp(max=1), self.x_resolution) * x.sign()
        columns = _rounded((slots.column * d.abs()).clamp(max=1), self.d_resolution) * -d.sign()
        product = rows.unsqueeze(-1) * columns.unsqueeze(-2)
        return Pulses((slots.length.unsqueeze(-1) * product).round(), slots.clipped[..., 0])


def _rounded(chance: Tensor, step: float) -> Tensor:
    return (chance / step).round() * step if step > 0 else chance
