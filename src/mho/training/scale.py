"""The range that weights may use, and digital scales of columns that are learned."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from mho.config import config
from mho.mapping import Maximum
from mho.nn import Crossbar
from mho.nn.sharded import whole
from mho.training.base import (
    LearnedWeight,
    Modifier,
    Steps,
    holder,
    learn,
    learned,
    trained_weight,
    weight_range,
)

_PEAK = {"tensor": Maximum(), "column": Maximum(per_column=True)}  # made here: a compiler makes none


@config
class WeightRange(Modifier):
    """The range of weights that stands for the full range of the cells, measured at the start.

    ``FixedClip(relative_to="range")`` keeps the weights in it and noise may be relative to it. The
    weights themselves, and so the outputs, do not change: a range is what other simulators factor out
    when they remap weights to [-1, 1] and scale the outputs back. When a chip is programmed the mapping
    chooses the reference weight anew: by default each column gets the full range.

    Attributes:
        start: ``"maximum"`` for the largest magnitude; ``"fan_in"`` for ``sqrt(3 / rows)``, the bound of
            a uniform law of variance ``1 / rows``.
        relative_to: one range for each ``"column"`` (output) or for the ``"tensor"``.
        every: training forwards after which it is measured again; 0 for never.
    """

    start: Literal["maximum", "fan_in"] = "maximum"
    relative_to: Literal["tensor", "column"] = "column"
    every: Steps = 0

    def begin(self, layer: Crossbar) -> None:
        """Measure the range of the present weights."""
        layer.register_buffer("training_range", self.measured(layer))

    def end(self, layer: Crossbar) -> None:
        """Nothing is left behind."""
        if "training_range" in layer._buffers:
            del layer.training_range

    def constrain(self, layer: Crossbar) -> None:
        """Measure again when it is time."""
        if self.every == 0 or layer.training_step is None:
            return
        with torch.no_grad():
            due = (layer.training_step > 0) & (layer.training_step % self.every == 0)
            here = weight_range(layer)
            here.copy_(torch.where(due, self.measured(layer), here))

    def measured(self, layer: Crossbar) -> Tensor:
        """The range of the weights before learned scales: ``[1, 1, 1]`` or ``[group, 1, column]``."""
        scaled = learned(layer, LearnedWeight) is not None
        weight = trained_weight(layer, "WeightRange") if scaled else layer.weight
        weight = layer.matrix(whole(weight.detach()))
        if self.start == "maximum":
            return _PEAK[self.relative_to].reference(weight).clone()
        shape = (weight.shape[0], 1, weight.shape[2]) if self.relative_to == "column" else (1, 1, 1)
        return weight.new_full(shape, math.sqrt(3 / weight.shape[1]))


class ScaleParameter(LearnedWeight):
    """``weight * scale`` with a learned scale for each column, or one.

    Attributes:
        scale: ``[column]`` or ``[1]``, the columns of all groups one after the other.
    """

    column: Tensor

    def __init__(self, column: Tensor, like: Tensor) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(int(column.max()) + 1, dtype=like.dtype, device=like.device))
        self.register_buffer("column", column, persistent=False)

    def factor(self) -> Tensor:
        """The scale of each weight."""
        return whole(self.scale)[self.column]

    def forward(self, weight: Tensor) -> Tensor:
        """The scaled weights."""
        return whole(weight).clone() * self.factor().to(weight.dtype)


@config
class OutputScale(Modifier):
    """A learned digital scale for each column, or one for the layer, 1 at the start.

    The scale is a Parameter (a parametrisation of the weight, so evaluation, programming and reverting
    have it too); attach the recipe before you make the optimizer. Clipping acts on the weights without
    the scale. ``detach`` multiplies it into the weights.

    Attributes:
        relative_to: a scale for each ``"column"`` (output) or for the ``"tensor"``.

    Source: M. J. Rasch et al., Nat. Commun. 14, 5282 (2023), learned output scales.
    """

    relative_to: Literal["tensor", "column"] = "column"

    def begin(self, layer: Crossbar) -> None:
        """A scale of one."""
        trained_weight(layer, "OutputScale")
        if learned(layer, ScaleParameter) is not None:  # of another part of this Parameter, or kept
            return
        module, name = holder(layer)
        whole = getattr(module, name).detach()
        if self.relative_to == "tensor":
            column = torch.zeros([1] * whole.dim(), dtype=torch.int64, device=whole.device)
        else:
            column = _columns(layer, whole)
        learn(layer, ScaleParameter(column, whole))


def _columns(layer: Crossbar, whole: Tensor) -> Tensor:
    """The column of each weight of a Parameter, to broadcast over it."""
    if layer.part is not None:  # parts follow one another along the outputs
        return torch.arange(whole.shape[0], device=whole.device).view(-1, *[1] * (whole.dim() - 1))
    groups, _, columns = shape = layer.matrix(whole).shape
    numbers = torch.arange(groups * columns, device=whole.device).view(groups, 1, columns)
    column = layer.from_matrix(numbers.expand(shape))
    for axis in range(column.dim()):
        first = column.narrow(axis, 0, 1)
        if bool((column == first).all()):
            column = first
    return column.contiguous()
