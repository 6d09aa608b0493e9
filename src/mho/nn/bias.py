"""Where the bias of a layer is: digital, or on rows of the array."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mho.nn.computed import compute


class BiasRows(nn.Module):
    """The bias of an analog layer.

    The bias is digital, or lies on ``bias_rows`` more rows of the array: n rows, each with the n-th part
    of it. Their cells are programmed, drift and are read like all others, share the reference weight and
    pass the ADC. Their input is one, in the units of the layer's inputs, driven by a constant source:
    whatever the range of the DAC, it is neither clipped nor rounded, and has no error of the DAC. Where
    inputs are driven bit by bit, the source gives each group of bits the same voltage. Training noise acts
    on the weights, not on the bias.

    Attributes:
        bias_rows: rows of the array that hold the bias; 0 for a digital bias, or without one.
    """

    bias_rows: int = 0
    bias: Any  # the torch layer's own

    def matrix(self, weight: Tensor) -> Tensor:
        """``weight`` (the Parameter's shape) as ``[group, row, column]``."""
        raise NotImplementedError

    @property
    def digital_bias(self) -> Tensor | None:
        """The bias where it is digital; None if there is none or it lies on the array."""
        return None if self.bias_rows else self.bias

    def stored_bias(self) -> Tensor | None:
        """The tensor that holds the bias, as :meth:`stored_weight`."""
        stored = self._parameters.get("bias")
        return self.present_bias() if stored is None else stored

    def present_bias(self) -> Tensor | None:
        """The bias as it is now, as :meth:`present_weight`."""
        return None if self.bias is None else compute(self, "bias")

    def logical(self, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """What lies on the array: ``weight`` and the bias rows as ``[group, row, column]``.

        Args:
            weight: in the shape of the Parameter.
            bias: the bias of the columns; None for the layer's own.
        """
        matrix = self.matrix(weight)
        if not self.bias_rows:
            return matrix
        groups, _, columns = matrix.shape
        share = (self.bias if bias is None else bias).to(matrix.dtype) / self.bias_rows
        return torch.cat([matrix, share.view(groups, 1, columns).expand(-1, self.bias_rows, -1)], dim=1)


def check_bias_rows(value: int) -> int:
    """A number of bias rows; ``TypeError`` or ``ValueError`` if it is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"bias_rows = {value!r}: give a whole number of rows, 0 for a digital bias")
    if value < 0:
        raise ValueError(f"bias_rows = {value!r}: give 0 (a digital bias) or more rows")
    return value
