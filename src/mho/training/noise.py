"""Noise on the weights of a training step.

Source: V. Joshi et al., Nat. Commun. 11, 2473 (2020); M. J. Rasch et al., Nat. Commun. 14, 5282 (2023).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mho import tile
from mho.autograd import straight_through
from mho.config import Fraction, NonNegative, config
from mho.nn import AnalogLayer
from mho.random import fresh_normal_like
from mho.training.base import Modifier, Steps, ramp


@config
class WeightNoise(Modifier):
    """Normal noise, fresh in each forward, with a standard deviation relative to the largest weight.

    Attributes:
        std: standard deviation, as a fraction of the largest magnitude.
        relative_to: largest of the ``"tensor"`` or of each ``"column"`` (output).
        ramp_steps: training forwards over which the noise rises from 0.
    """

    std: NonNegative = 0.05
    relative_to: Literal["tensor", "column"] = "tensor"
    ramp_steps: Steps = 0

    def modify(self, weight: Tensor, layer: AnalogLayer) -> Tensor:
        """``weight + std * max|weight| * xi``."""
        clean = weight.detach()
        if self.relative_to == "column":
            matrix = layer.matrix(clean)
            peak = layer.from_matrix(matrix.abs().amax(dim=1, keepdim=True).expand_as(matrix))
        else:
            peak = clean.abs().amax()
        strength = self.std * ramp(layer, self.ramp_steps)
        return weight + fresh_normal_like(clean) * (peak * strength)


@config
class ProgrammingNoise(Modifier):
    """The programming error of the layer's own device, fresh in each forward.

    The weights are mapped to conductances, programmed with new draws and read back, without drift.

    Attributes:
        strength: factor on the error.
        ramp_steps: training forwards over which the error rises from 0.
    """

    strength: NonNegative = 1.0
    ramp_steps: Steps = 0

    def modify(self, weight: Tensor, layer: AnalogLayer) -> Tensor:
        """``weight + strength * (programmed weight - mapped weight)``."""
        hardware, clean = layer.hardware, layer.matrix(weight.detach())
        device, how = hardware.device, tile.readout(hardware)
        scale = hardware.mapping.scale.reference(clean)
        target = hardware.mapping.targets(clean / scale, device.g_min, device.g_max)
        error = device.programmed(target, fresh_normal_like(target)) - target
        error = tile.normalised(tile.combine(error / device.g_max, how), how) + how.offset
        return weight + layer.from_matrix(error * scale) * (self.strength * ramp(layer, self.ramp_steps))


@config
class DropConnect(Modifier):
    """Each weight is zero with probability ``p``, drawn anew in each forward."""

    p: Fraction = 0.01

    def modify(self, weight: Tensor, layer: AnalogLayer) -> Tensor:
        """Weights with some set to zero; the gradient goes straight through."""
        kept = torch.rand_like(weight.detach()) >= self.p
        return straight_through(weight, weight.detach() * kept)
