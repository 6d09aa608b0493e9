"""The linear layer that keeps its weight as ``[input, output]``: Hugging Face's ``Conv1D`` (GPT-2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mho.hardware import Hardware
from mho.nn.base import AnalogLayer
from mho.nn.linear import LinearCut, linear_cut


class AnalogTransposedLinear(AnalogLayer):
    """``y = x W + b`` with ``W[input, output]``, on arrays.

    ``mho.convert`` makes it from ``transformers.pytorch_utils.Conv1D``.

    Args:
        in_features, out_features, bias, device, dtype: as in ``nn.Linear``.
        hardware: the description of the arrays.
        bias_rows: rows of the array that hold the bias; 0 for a digital bias (see ``mho.nn.bias.BiasRows``).

    >>> layer = AnalogTransposedLinear(3, 2, hardware=Hardware())
    >>> layer.weight.shape, layer(torch.ones(5, 3)).shape
    (torch.Size([3, 2]), torch.Size([5, 2]))
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None,
        *, hardware: Hardware, bias_rows: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        made = nn.Linear(in_features, out_features, bias, device, dtype)
        self.weight = nn.Parameter(made.weight.detach().t().contiguous())
        self.register_parameter("bias", made.bias)
        self.setup(hardware, bias_rows)

    def make_cut(self) -> LinearCut:
        """Tiles of the input x output matrix."""
        return linear_cut(self, *self.weight.shape)

    def matrix(self, weight: Tensor) -> Tensor:
        """``[1, input, output]``."""
        return weight.unsqueeze(0)

    def from_matrix(self, matrix: Tensor) -> Tensor:
        """``[input, output]``."""
        return matrix[0]

    def digital_forward(self, x: Tensor) -> Tensor:
        """``x W + b``."""
        y = torch.matmul(x, self.weight)
        return y if self.bias is None else y + self.bias

    def forward(self, x: Tensor) -> Tensor:
        """Read the array with the vectors ``x[..., input]``; returns ``[..., output]``."""
        if x.shape[-1] != self.weight.shape[0]:
            raise ValueError(
                f"x has shape {tuple(x.shape)}: its last size must be {self.weight.shape[0]}, the rows of "
                f"{self.path or type(self).__name__!r}"
            )
        return self.analog(x)

    def extra_repr(self) -> str:
        """Sizes, and the state of the chip."""
        rows, columns = self.weight.shape
        return (
            f"in_features={rows}, out_features={columns}, bias={self.bias is not None}" + super().extra_repr()
        )
