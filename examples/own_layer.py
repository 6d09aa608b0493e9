"""A layer of your own on arrays: a linear layer in two factors, and its analog twin.

Nothing here is part of mho. The digital layer could come from any package; the twin says which of its
Parameters are matrices on arrays and in which order they are read. ``mho.convert`` then finds it in any
model, and the checks of ``mho.testing`` certify it.

    python examples/own_layer.py
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mho
from mho.convert import TWINS
from mho.nn import AnalogLayer, Crossbar
from mho.testing import check_layer, check_visible


class FactoredLinear(nn.Module):
    """``y = U (V x) + b`` with few columns in between: a third-party layer, all digital."""

    def __init__(self, in_features: int, out_features: int, rank: int) -> None:
        super().__init__()
        self.v = nn.Parameter(torch.randn(rank, in_features) / in_features**0.5)
        self.u = nn.Parameter(torch.randn(out_features, rank) / rank**0.5)
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.linear(x, self.v), self.u, self.bias)


class AnalogFactoredLinear(AnalogLayer, FactoredLinear):
    """The same on two arrays."""

    def __init__(self, *args: Any, hardware: mho.Hardware, **names: Any) -> None:
        super().__init__(*args, **names)
        self.setup(hardware)

    def make_arrays(self) -> dict[str, Crossbar]:
        # Name of the Parameter, and of the digital bias that is added to this array's outputs.
        return {"v": Crossbar(self, "v"), "u": Crossbar(self, "u", "bias")}

    def forward(self, x: Tensor) -> Tensor:
        return self.array("u")(self.array("v")(x))  # type: ignore[no-any-return]


TWINS[FactoredLinear] = AnalogFactoredLinear  # convert knows it from now on


def main() -> None:
    torch.manual_seed(0)
    check_layer(AnalogFactoredLinear(20, 12, rank=4, hardware=mho.Hardware()), torch.randn(7, 20))

    model = nn.Sequential(nn.Linear(16, 20), nn.ReLU(), FactoredLinear(20, 12, rank=4))
    analog = mho.convert(model, mho.Hardware(device=mho.devices.PCM()), strict=True)
    x = torch.randn(32, 16)
    check_visible(analog, x)
    analog.report.measure(x)
    print(analog.report)

    mho.program(analog, seed=0)
    print()
    with torch.no_grad():
        for seconds in (1, 86_400, 31_536_000):
            mho.age(analog, seconds)
            mho.compensate(analog)
            error = (analog.eval()(x) - model(x)).std() / model(x).std()
            print(f"{seconds:>12,} s: output error {error:.1%}")
    assert type(mho.revert(analog)[2]) is FactoredLinear


if __name__ == "__main__":
    main()
