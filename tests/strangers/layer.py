"""A layer of one's own on two arrays, and two that are wrong."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mho
from mho.convert import TWINS
from mho.nn import AnalogLayer, Crossbar

from .life import outputs


class Gated(nn.Module):
    """``y = (V x + b) * sigmoid(G x)``, all digital."""

    def __init__(self, inputs: int, columns: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.randn(columns, inputs) / inputs**0.5)
        self.gate = nn.Parameter(torch.randn(columns, inputs) / inputs**0.5)
        self.bias = nn.Parameter(torch.randn(columns))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.value, self.bias) * torch.sigmoid(F.linear(x, self.gate))


class AnalogGated(AnalogLayer, Gated):
    """The same on two arrays."""

    def __init__(self, *args: Any, hardware: mho.Hardware, **names: Any) -> None:
        super().__init__(*args, **names)
        self.setup(hardware)

    def make_arrays(self) -> dict[str, Crossbar]:
        return {"value": Crossbar(self, "value", "bias"), "gate": Crossbar(self, "gate")}

    def forward(self, x: Tensor) -> Tensor:
        return self.array("value")(x) * torch.sigmoid(self.array("gate")(x))


TWINS[Gated] = AnalogGated


class AnalogHalf(AnalogGated):
    """Wrong: its gate is computed with the digital weights."""

    def forward(self, x: Tensor) -> Tensor:
        return self.array("value")(x) * torch.sigmoid(F.linear(x, self.gate))


class AnalogPlus(AnalogGated):
    """Wrong: on ideal arrays it does not compute what the digital layer does."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 0.01


WRONG = [AnalogHalf, AnalogPlus]


def by_formula(layer: AnalogGated, x: Tensor) -> Tensor:
    """What the layer gives, tile by tile, in float64."""
    parts: list[Any] = [layer.array(name) for name in ("value", "gate")]
    value, gate = (outputs(array, x, array.input_range, array.output_range) for array in parts)
    return value * torch.sigmoid(gate)
