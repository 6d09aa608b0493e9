"""Noise on the weights of a training step.

Source: V. Joshi et al., Nat. Commun. 11, 2473 (2020); M. J. Rasch et al., Nat. Commun. 14, 5282 (2023).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mho.autograd import straight_through
from mho.chip import tile
from mho.config import Finite, Fraction, NonNegative, config
from mho.nn import Crossbar
from mho.random import fresh_normal_like
from mho.training.base import Modifier, Reference, Steps, ramp, reference, weight_range


@config
class WeightNoise(Modifier):
    """Normal noise, fresh in each forward, with a standard deviation relative to the largest weight.

    Attributes:
        std: standard deviation, as a fraction of the reference.
        relative_to: the reference: largest magnitude of the ``"tensor"`` or of each ``"column"`` (output),
            or the ``"range"`` that :class:`~mho.training.WeightRange` gave the layer.
        ramp_steps: training forwards over which the noise rises from 0.
        each: ``"batch"`` for one draw in each forward; ``"vector"`` for one for each input vector (each
            patch of a convolution). The latter is noise on the output with the variance
            ``sum_i x_i^2 sigma_i^2``, which is exactly the same, and not where an ADC clips and rounds.
    """

    std: NonNegative = 0.05
    relative_to: Reference = "tensor"
    ramp_steps: Steps = 0
    each: Literal["batch", "vector"] = "batch"

    def begin(self, layer: Crossbar) -> None:
        """There must be a range, and no ADC between noise for each vector and the output."""
        if self.relative_to == "range":
            weight_range(layer)
        if self.each == "vector" and layer.hardware.adc is not None:
            raise ValueError(
                f"each = 'vector': {layer.path or 'this layer'!r} has an ADC, and noise added after it is "
                "not noise of the weights; choose each = 'batch', or hardware without ADC"
            )

    def modify(self, weight: Tensor, layer: Crossbar) -> Tensor:
        """``weight + std * reference * xi``."""
        if self.each == "vector":
            return weight
        clean = weight.detach()
        return weight + fresh_normal_like(clean) * self._deviation(clean, layer)

    def modify_output(self, y: Tensor, x: Tensor, layer: Crossbar) -> Tensor:
        """With noise for each vector: ``y + sqrt(sum_i x_i^2 sigma_i^2) xi``."""
        if self.each == "batch" or layer.on_chip:
            return y
        clean = layer.weight.detach()
        deviation = layer.matrix(self._deviation(clean, layer).expand_as(clean))
        with torch.no_grad():
            kernel = layer.layout.whole_kernel(deviation**2).to(y.dtype)
            squares = layer.layout.squares(x.detach())
            variance = layer.layout.whole_product(squares, kernel, None).clamp(min=0)
        return y + fresh_normal_like(y.detach()) * variance.sqrt()

    def _deviation(self, clean: Tensor, layer: Crossbar) -> Tensor:
        return reference(clean, layer, self.relative_to) * (self.std * ramp(layer, self.ramp_steps))


@config
class MultiplicativeNoise(Modifier):
    """Each weight times ``1 + std * xi``, fresh in each forward.

    The gradient goes straight through: it does not see the factor.

    Attributes:
        std: standard deviation of the factor.
        ramp_steps: training forwards over which the noise rises from 0.
    """

    std: NonNegative = 0.05
    ramp_steps: Steps = 0

    def modify(self, weight: Tensor, layer: Crossbar) -> Tensor:
        """``weight (1 + std xi)``."""
        clean = weight.detach()
        return weight + fresh_normal_like(clean) * (clean * (self.std * ramp(layer, self.ramp_steps)))


@config
class PolynomialNoise(Modifier):
    """Normal noise whose deviation is a polynomial in the weight: ``strength * ref * sum_k c_k |w/ref|^k``.

    It needs no device model. Beyond ``|w/ref| = 1`` the deviation stays as it is there, and a negative
    value of the polynomial counts as zero. With the defaults: the programming error of phase-change
    memory at g_max = 25 uS.

    Attributes:
        coefficients: c_0, c_1, ...
        strength: factor on the deviation.
        relative_to: ``ref``, as in :class:`WeightNoise`.
        ramp_steps: training forwards over which the noise rises from 0.

    Source: V. Joshi et al., Nat. Commun. 11, 2473 (2020); S. R. Nandakumar et al., IEEE ICECS 2019.
    """

    coefficients: tuple[Finite, ...] = (0.26348 / 25, 1.9650 / 25, -1.1731 / 25)
    strength: NonNegative = 1.0
    relative_to: Reference = "tensor"
    ramp_steps: Steps = 0

    def validate(self) -> None:
        """At least one coefficient."""
        if not self.coefficients:
            raise ValueError("coefficients = (): give at least one; (0.05,) is constant noise")

    def begin(self, layer: Crossbar) -> None:
        """There must be a range."""
        if self.relative_to == "range":
            weight_range(layer)

    def modify(self, weight: Tensor, layer: Crossbar) -> Tensor:
        """``weight + deviation * xi``."""
        clean = weight.detach()
        ref = reference(clean, layer, self.relative_to)
        u = (clean.abs() / torch.where(ref > 0, ref, torch.ones_like(ref))).clamp(max=1)
        total = torch.full_like(u, self.coefficients[-1])
        for coefficient in reversed(self.coefficients[:-1]):
            total = total * u + coefficient
        deviation = total.clamp(min=0) * ref * (self.strength * ramp(layer, self.ramp_steps))
        return weight + fresh_normal_like(clean) * deviation


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

    def modify(self, weight: Tensor, layer: Crossbar) -> Tensor:
        """``weight + strength * (programmed weight - mapped weight)``."""
        hardware, clean = layer.hardware, layer.matrix(weight.detach())
        device, how = hardware.device, tile.readout(hardware)
        scale = hardware.mapping.scale.reference(layer.logical(weight.detach()).detach())
        target = hardware.mapping.targets(clean / scale, device.g_min, device.g_max)
        error = device.programmed(target, fresh_normal_like(target)) - target
        error = tile.normalised(tile.combine(error / device.g_max, how), how) + how.offset
        return weight + layer.from_matrix(error * scale) * (self.strength * ramp(layer, self.ramp_steps))


@config
class DropConnect(Modifier):
    """Each weight is zero with probability ``p``, drawn anew in each forward."""

    p: Fraction = 0.01

    def modify(self, weight: Tensor, layer: Crossbar) -> Tensor:
        """Weights with some set to zero; the gradient goes straight through."""
        kept = torch.rand_like(weight.detach()) >= self.p
        return straight_through(weight, weight.detach() * kept)
