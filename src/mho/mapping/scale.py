"""The reference weight ``w_ref``: the weight that gets the full conductance range."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mho.config import Positive, config

_SAMPLE = 1 << 22  # torch.quantile refuses more than 2^24 elements; a strided sample is enough


class Scale(ABC):
    """Chooses the reference weight of an array."""

    @abstractmethod
    def reference(self, weight: Tensor) -> Tensor:
        """The reference weight.

        Args:
            weight: ``weight[group, row, column]``.

        Returns:
            Positive tensor that broadcasts over ``weight``: shape [1, 1, 1], or [group, 1, column].
        """


def _peak(magnitude: Tensor, per_column: bool) -> Tensor:
    if per_column:
        return magnitude.amax(dim=-2, keepdim=True)
    return magnitude.amax().reshape(1, 1, 1)


def _guard(reference: Tensor) -> Tensor:
    """An all-zero array or column has reference weight 1."""
    return torch.where(reference > 0, reference, torch.ones_like(reference))


@config
class Maximum(Scale):
    """The largest ``|weight|`` of the tensor, or of each column.

    >>> Maximum().reference(torch.tensor([[[0.5, -2.0], [0.25, 1.0]]])).flatten().tolist()
    [2.0]
    >>> Maximum(per_column=True).reference(torch.tensor([[[0.5, -2.0], [0.25, 1.0]]])).flatten().tolist()
    [0.5, 2.0]
    """

    per_column: bool = False

    def reference(self, weight: Tensor) -> Tensor:
        """Largest magnitude; 1 where all weights are zero."""
        return _guard(_peak(weight.detach().abs(), self.per_column))


@config
class Percentile(Scale):
    """The ``fraction`` quantile of ``|weight|``; larger weights are clipped to it."""

    fraction: Annotated[float, Field(gt=0, le=1)] = 0.999
    per_column: bool = False

    def reference(self, weight: Tensor) -> Tensor:
        """Quantile of the magnitude (of a strided sample of at most 4 million weights)."""
        magnitude = weight.detach().abs()
        if self.per_column:
            return _guard(
                torch.quantile(magnitude.float(), self.fraction, dim=-2, keepdim=True).to(magnitude)
            )
        flat = magnitude.flatten()
        flat = flat[:: max(1, flat.numel() // _SAMPLE)]
        return _guard(torch.quantile(flat.float(), self.fraction).to(magnitude).reshape(1, 1, 1))


@config
class Fixed(Scale):
    """A reference weight given in advance; larger weights are clipped to it."""

    weight: Positive = 1.0

    def reference(self, weight: Tensor) -> Tensor:
        """The given weight."""
        return torch.full((1, 1, 1), self.weight, dtype=weight.dtype, device=weight.device)
