"""The linear layer on arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from mho.chip.layouts import ArraySize, MatrixLayout
from mho.hardware import Hardware
from mho.nn.crossbar import Crossbar
from mho.nn.layer import AnalogLayer


class AnalogLinear(AnalogLayer, nn.Linear):
    """``nn.Linear`` on arrays: rows are inputs, columns are outputs.

    Args:
        in_features, out_features, bias, device, dtype: as in ``nn.Linear``.
        hardware: the description of the arrays.
        bias_rows: rows of the array that hold the bias; 0 for a digital bias (see ``mho.nn.Crossbar``).

    >>> import torch
    >>> layer = AnalogLinear(3, 2, hardware=Hardware())
    >>> layer(torch.ones(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None,
        *, hardware: Hardware, bias_rows: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(in_features, out_features, bias, device, dtype)
        self.setup(hardware, bias_rows)

    def make_arrays(self) -> dict[str, Crossbar]:
        """The array of the matrix."""
        return {"crossbar": Crossbar(self, "weight", "bias", layout=_layout)}

    def forward(self, input: Tensor) -> Tensor:
        """Read the array with the vectors ``input[..., in_features]``; returns ``[..., out_features]``."""
        return self.array()(input)  # type: ignore[no-any-return]


def _layout(shape: tuple[int, ...], size: ArraySize) -> MatrixLayout:
    return replace(MatrixLayout.of(shape, size), called="in_features")
