"""Keeping weights in range."""

from __future__ import annotations

from typing import Literal

import torch

from mho.config import Positive, config
from mho.nn import AnalogLayer
from mho.nn.computed import is_computed
from mho.training.base import Modifier


@config
class WeightClip(Modifier):
    """Clip the Parameter at a number of standard deviations.

    A long tail of large weights wastes conductance range: the mapping gives the full range to the
    largest weight. Clipped in place before each training forward, and on entering evaluation.

    Attributes:
        sigmas: standard deviations of the weights that stay in range.
        relative_to: deviation of the ``"tensor"`` or of each ``"column"`` (output).

    Source: V. Joshi et al., Nat. Commun. 11, 2473 (2020).
    """

    sigmas: Positive = 2.5
    relative_to: Literal["tensor", "column"] = "tensor"

    def constrain(self, layer: AnalogLayer) -> None:
        """``weight = clip(weight, -sigmas * std, sigmas * std)``."""
        if is_computed(layer):
            raise TypeError(
                f"WeightClip clips the Parameter itself, and the weight of {layer.path or 'the layer'!r} is "
                "computed (parametrised or pruned): clip in the parametrisation, or leave this layer out"
            )
        with torch.no_grad():
            weight = layer.matrix(layer.weight)
            if weight.numel() < 2:
                return
            spread = weight.std(dim=1, keepdim=True) if self.relative_to == "column" else weight.std()
            limit = self.sigmas * spread
            layer.weight.copy_(layer.from_matrix(torch.clamp(weight, -limit, limit)))
