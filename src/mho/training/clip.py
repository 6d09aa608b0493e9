"""Keeping weights in range."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from mho.config import Positive, config
from mho.nn import Crossbar
from mho.nn.sharded import whole
from mho.training.base import (
    LearnedWeight,
    Modifier,
    change,
    holder,
    learn,
    learned,
    trained_weight,
    weight_range,
)


@config
class WeightClip(Modifier):
    """Clip the Parameter at a number of standard deviations.

    A long tail of large weights wastes conductance range: the mapping gives the full range to the
    largest weight, of each column or of the layer (:class:`~mho.mapping.Maximum`). Clipped in place
    before each training forward, and on entering evaluation.

    Attributes:
        sigmas: standard deviations of the weights that stay in range.
        relative_to: deviation of the ``"tensor"`` or of each ``"column"`` (output).

    Source: V. Joshi et al., Nat. Commun. 11, 2473 (2020).
    """

    sigmas: Positive = 2.5
    relative_to: Literal["tensor", "column"] = "tensor"

    def constrain(self, layer: Crossbar) -> None:
        """``weight = clip(weight, -sigmas * std, sigmas * std)``."""

        def clipped(weight: Tensor) -> Tensor:
            if weight.numel() < 2:
                return weight
            spread = weight.std(dim=1, keepdim=True) if self.relative_to == "column" else weight.std()
            limit = self.sigmas * spread
            return torch.clamp(weight, -limit, limit)

        change(layer, "WeightClip", clipped)


@config
class FixedClip(Modifier):
    """Clip the Parameter at a fixed value, in place, before each training forward and on evaluation.

    Attributes:
        limit: largest magnitude.
        relative_to: ``"unit"`` for a limit in weights, ``"range"`` for a factor on the layer's weight
            range (see :class:`~mho.training.WeightRange`), which may be of each column.
    """

    limit: Positive = 1.0
    relative_to: Literal["unit", "range"] = "unit"

    def begin(self, layer: Crossbar) -> None:
        """There must be a range."""
        if self.relative_to == "range":
            weight_range(layer)

    def constrain(self, layer: Crossbar) -> None:
        """``weight = clip(weight, -limit, limit)``."""

        def clipped(weight: Tensor) -> Tensor:
            if self.relative_to == "unit":
                return torch.clamp(weight, -self.limit, self.limit)
            span = self.limit * weight_range(layer)
            return torch.clamp(weight, -span, span)

        change(layer, "FixedClip", clipped)


class ClipParameter(LearnedWeight):
    """``clip(weight, -limit, limit)`` with a learned limit."""

    def __init__(self, limit: Tensor) -> None:
        super().__init__()
        self.limit = nn.Parameter(limit)

    def forward(self, weight: Tensor) -> Tensor:
        """The clipped weights."""
        limit = whole(self.limit).abs().to(weight.dtype)
        return torch.clamp(whole(weight).clone(), -limit, limit)


@config
class LearnedClip(Modifier):
    """Multiply by clipped weights and learn where to clip, one limit for each weight tensor.

    The limit is a Parameter (a parametrisation of the weight, so evaluation, programming and reverting
    see the clipped weights too); attach the recipe before you make the optimizer. The gradient is exact:
    that of a clipped weight goes to the limit. ``detach`` clips the Parameter itself.

    Attributes:
        sigmas: the limit at the start, in standard deviations of the weights.

    Source: for a learned range, S. K. Esser et al., "Learned step size quantization", ICLR 2020.
    """

    sigmas: Positive = 2.5

    def begin(self, layer: Crossbar) -> None:
        """Start at ``sigmas`` standard deviations."""
        trained_weight(layer, "LearnedClip")
        if learned(layer, ClipParameter) is not None:  # of another part of this Parameter, or kept
            return
        module, name = holder(layer)
        weight = getattr(module, name).detach()
        spread = weight.std() if weight.numel() > 1 else weight.abs().amax()
        learn(layer, ClipParameter((self.sigmas * spread).view(1)))  # fully_shard takes no numbers
