"""The bilinear layer on arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mho.chip.layouts import BilinearLayout, no_tensor
from mho.errors import NotMappableError
from mho.hardware import Hardware
from mho.nn.crossbar import Crossbar
from mho.nn.layer import AnalogLayer


class AnalogBilinear(AnalogLayer, nn.Bilinear):
    """``nn.Bilinear`` on arrays. Arguments as in torch, ``hardware`` and ``bias_rows``.

    The array is read with the first input; the product of what it gives with the second input is one
    of activations, and digital. So is the bias, which comes after it: it cannot lie on rows of the array.

    >>> layer = AnalogBilinear(3, 4, 5, hardware=Hardware())
    >>> layer(torch.ones(2, 3), torch.ones(2, 4)).shape
    torch.Size([2, 5])
    """

    report_remark = "the product with the second input stays digital"

    def __init__(self, *args: Any, hardware: Hardware, bias_rows: int = 0, **names: Any) -> None:
        super().__init__(*args, **names)
        self.setup(hardware, bias_rows)

    def setup(
        self, hardware: Hardware, bias_rows: int = 0, each: Mapping[str, Hardware] | None = None
    ) -> None:
        """Its array; ``NotMappableError`` if a bias is to lie on it."""
        if bias_rows and self.bias is not None:
            raise NotMappableError(
                f"bias_rows = {bias_rows!r}: the bias of a {type(self).__name__} is added after the product "
                "with the second input, which is digital; give this layer 0"
            )
        super().setup(hardware, 0, each)

    def make_arrays(self) -> dict[str, Crossbar]:
        """One array, of the first input."""
        return {"weight": Crossbar(self, layout=BilinearLayout.of)}

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """``x1 A_k x2 + b_k`` for each output ``k``; inputs ``[..., first]`` and ``[..., second]``."""
        for given in (input1, input2):
            if not isinstance(given, Tensor):
                raise TypeError(no_tensor(given, self.path or type(self).__name__))
        if input2.shape[-1:] != (self.in2_features,) or input1.shape[:-1] != input2.shape[:-1]:
            raise ValueError(
                f"the inputs have the shapes {tuple(input1.shape)} and {tuple(input2.shape)}: "
                f"{self.path or type(self).__name__!r} takes [..., {self.in1_features}] and "
                f"[..., {self.in2_features}] with the same leading sizes"
            )
        currents = self.array("weight")(input1).unflatten(-1, (self.out_features, self.in2_features))
        y = torch.einsum("...ks,...s->...k", currents, input2)
        return y if self.bias is None else y + self.bias.to(y.dtype)
