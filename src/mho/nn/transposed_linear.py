"""The linear layer that keeps its weight as ``[input, output]``: Hugging Face's ``Conv1D`` (GPT-2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mho.chip.layouts import TransposedMatrixLayout
from mho.hardware import Hardware
from mho.nn.crossbar import Crossbar
from mho.nn.layer import AnalogLayer


class AnalogTransposedLinear(AnalogLayer):
    """``y = x W + b`` with ``W[input, output]``, on arrays.

    ``mho.convert`` makes it from ``transformers.pytorch_utils.Conv1D``.

    Args:
        in_features, out_features, bias, device, dtype: as in ``nn.Linear``.
        hardware: the description of the arrays.
        bias_rows: rows of the array that hold the bias; 0 for a digital bias (see ``mho.nn.Crossbar``).

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

    def make_arrays(self) -> dict[str, Crossbar]:
        """The array of the matrix."""
        return {"crossbar": Crossbar(self, "weight", "bias", layout=TransposedMatrixLayout.of)}

    def digital_forward(self, x: Tensor) -> Tensor:
        """``x W + b``."""
        y = torch.matmul(x, self.weight)
        return y if self.bias is None else y + self.bias

    def forward(self, x: Tensor) -> Tensor:
        """Read the array with the vectors ``x[..., input]``; returns ``[..., output]``."""
        return self.array()(x)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """Sizes."""
        rows, columns = self.weight.shape
        return f"in_features={rows}, out_features={columns}, bias={self.bias is not None}"
