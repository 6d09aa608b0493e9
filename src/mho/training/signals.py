"""Noise on the inputs and outputs of a training step, and converters that come in later.

Source: M. J. Rasch et al., Nat. Commun. 14, 5282 (2023).
"""

from __future__ import annotations

import torch
from torch import Tensor

from mho.config import NonNegative, config
from mho.nn import Crossbar
from mho.random import fresh_normal_like
from mho.training.base import Modifier, Steps, input_scale, ramp


@config
class InputNoise(Modifier):
    """Normal noise on each input, relative to the full scale of the inputs.

    Full scale is that of the DAC; without one, or before its calibration, the largest input of the
    forward. An embedding drives its rows fully or not at all: its inputs have no noise.

    Attributes:
        std: standard deviation, as a fraction of full scale.
        ramp_steps: training forwards over which the noise rises from 0.
    """

    std: NonNegative = 0.01
    ramp_steps: Steps = 0

    def modify_input(self, x: Tensor, layer: Crossbar) -> Tensor:
        """``x + std * full scale * xi``."""
        scale = input_scale(layer, x).amax() * (self.std * ramp(layer, self.ramp_steps))
        return x + fresh_normal_like(x.detach()) * scale.to(x.dtype)


@config
class OutputNoise(Modifier):
    """Normal noise on each output, relative to one cell: the reference weight at a full-scale input.

    Each tile of rows is read on its own and adds its own noise. The reference weight is the one that the
    layer's mapping gives the full conductance range; full scale as in :class:`InputNoise`.

    Attributes:
        std: standard deviation of the read of one tile, in currents of such a cell. 0.04 in the source.
        ramp_steps: training forwards over which the noise rises from 0.
    """

    std: NonNegative = 0.04
    ramp_steps: Steps = 0

    def modify_output(self, y: Tensor, x: Tensor, layer: Crossbar) -> Tensor:
        """``y + std * sqrt(sum over tiles of (reference weight * full scale)^2) * xi``."""
        tiles = len(layer.layout.rows)
        full = input_scale(layer, x).expand(tiles).square().sum().sqrt()
        weight = layer.logical(layer.weight.detach()).detach()
        cell = layer.hardware.mapping.scale.reference(weight)
        if cell.numel() > 1:
            cell = cell.expand(weight.shape[0], 1, weight.shape[2])
        scale = cell.flatten() * full * (self.std * ramp(layer, self.ramp_steps))
        return y + fresh_normal_like(y.detach()) * layer.layout.over_output(scale).to(y.dtype)


@config
class ConverterSchedule(Modifier):
    """DAC and ADC come in during training: off at first, then all at once or over a ramp.

    On the ramp the output is a blend, ``share`` of the product with converters and the rest without, so
    the gradient of a learned range comes in with it. While this is attached each forward multiplies
    twice; attach a recipe without it when the ramp is over to save that.

    Attributes:
        off_steps: training forwards without converters.
        ramp_steps: training forwards after those over which the converters come in.
    """

    off_steps: Steps = 0
    ramp_steps: Steps = 0

    def begin(self, layer: Crossbar) -> None:
        """The ranges must be known before the inputs."""
        for name, converter in (("dac", layer.hardware.dac), ("adc", layer.hardware.adc)):
            if converter is None:
                continue
            how = converter.range  # known before the values: given, or kept
            if how.given() is None and how.shape(1, None if name == "dac" else 1) is None:
                raise ValueError(
                    f"the {name} of {layer.path or 'this layer'!r} has a {type(how).__name__} range, which "
                    "is always on: choose a Fixed, Calibrated or Learned one for a schedule"
                )

    def conversion(self, layer: Crossbar) -> Tensor:
        """0 before ``off_steps``, then up to 1."""
        since = (layer.training_step - self.off_steps).to(torch.float32)
        share: Tensor = (since / self.ramp_steps).clamp(0, 1) if self.ramp_steps else (since >= 0).to(since)
        return share
