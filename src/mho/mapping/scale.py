"""The reference weight ``w_ref``: the weight that gets the full conductance range."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mho.config import Positive, config

_FEW = "a few large weights set the scale of"
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

    @property
    def remedy(self) -> str:
        """What to do where the weights use little of the range of the cells, for reports."""
        return "the reference weight is far above most weights: choose another scale"


def _guard(reference: Tensor) -> Tensor:
    """The reference weights, with one for columns and arrays that are all zero.

    The reference weight is the digital factor of what is read, so it is also the size of the error. A
    column of zeros takes the smallest one of the other columns: it is read like the quietest of them. An
    array of zeros takes one that is nothing beside any weight.
    """
    zeros = reference == 0
    others = torch.where(zeros, torch.inf, reference).amin()
    least = nothing(reference.dtype)
    return torch.where(zeros, torch.where(torch.isinf(others), least, others), reference)


def nothing(dtype: torch.dtype) -> float:
    """A reference weight that is nothing beside any weight, and still a normal number of its type.

    >>> print(f"{nothing(torch.float32):.1e}")
    9.9e-32
    """
    kind = torch.finfo(dtype)
    return max(min(kind.tiny / kind.eps, 1e-20), kind.tiny)


@config
class Maximum(Scale):
    """The largest ``|weight|`` of the tensor, or of each column.

    Attributes:
        per_column: one for each column instead of one for the tensor.

    >>> w = torch.tensor([[[0.5, -2.0, 0.0], [0.25, 1.0, 0.0]]])
    >>> Maximum().reference(w).flatten().tolist()
    [2.0]
    >>> Maximum(per_column=True).reference(w).flatten().tolist()
    [0.5, 2.0, 0.5]
    """

    per_column: bool = False

    @property
    def remedy(self) -> str:
        """A scale for each column, or a percentile."""
        if self.per_column:
            return f"{_FEW} their columns: try Percentile(fraction=0.999, per_column=True)"
        return f"{_FEW} all: give each column its own, Maximum(per_column=True)"

    def reference(self, weight: Tensor) -> Tensor:
        """Largest magnitude. A column of zeros takes the smallest reference weight of the others."""
        magnitude = weight.detach().abs()
        if self.per_column:
            return _guard(magnitude.amax(dim=-2, keepdim=True))
        return _guard(magnitude.amax().reshape(1, 1, 1))


@config
class Percentile(Scale):
    """The ``fraction`` quantile of ``|weight|``; larger weights are clipped to it.

    Weights that are exactly zero do not count: they lie on every scale, and those of a pruned network
    would otherwise clip all the others.

    Attributes:
        fraction: of the magnitudes that are not clipped.
        per_column: one for each column instead of one for the tensor.

    >>> w = torch.tensor([0.0] * 97 + [0.25, 0.5, 1.0]).reshape(1, -1, 1)
    >>> Percentile(fraction=0.5).reference(w).item()
    0.5
    """

    fraction: Annotated[float, Field(gt=0, le=1)] = 0.999
    per_column: bool = False

    @property
    def remedy(self) -> str:
        """A scale for each column, or a lower percentile."""
        if self.per_column:
            return f"{_FEW} their columns: lower Percentile.fraction, or clip the weights in training"
        own = f"Percentile(fraction={self.fraction:g}, per_column=True)"
        return f"{_FEW} all: give each column its own, {own}"

    def reference(self, weight: Tensor) -> Tensor:
        """Quantile of the magnitude (of a strided sample of at most 4 million weights)."""
        magnitude = weight.detach().abs()
        if self.per_column:
            return _guard(self._quantile(magnitude, -2))
        flat = magnitude.flatten()
        flat = flat[:: max(1, flat.numel() // _SAMPLE)]
        return _guard(self._quantile(flat, 0).reshape(1, 1, 1))

    def _quantile(self, magnitude: Tensor, axis: int) -> Tensor:
        """The quantile of what is not zero; 0 where all is."""
        weights = torch.where(magnitude == 0, torch.nan, magnitude.float())
        return torch.nanquantile(weights, self.fraction, dim=axis, keepdim=True).nan_to_num(0.0).to(magnitude)


@config
class Fixed(Scale):
    """A reference weight given in advance; larger weights are clipped to it.

    Attributes:
        weight: the magnitude that takes the whole range of conductances.
    """

    weight: Positive = 1.0

    @property
    def remedy(self) -> str:
        """A smaller weight."""
        given = f"Fixed(weight={self.weight:g})"
        return f"{given} is far above the weights: lower it, or choose Maximum(per_column=True)"

    def reference(self, weight: Tensor) -> Tensor:
        """The given weight."""
        return torch.full((1, 1, 1), self.weight, dtype=weight.dtype, device=weight.device)
