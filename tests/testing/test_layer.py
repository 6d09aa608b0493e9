"""Every layer type keeps the contract; the check sees what it is there to see."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import mho
from mho.nn import AnalogLayer, AnalogLinear, Crossbar
from mho.testing import check_layer

LAYERS = {
    "linear": (lambda: nn.Linear(6, 5), (4, 6)),
    "linear, no bias": (lambda: nn.Linear(6, 5, bias=False), (2, 3, 6)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, padding="same", padding_mode="circular"), (2, 4, 6)),
    "conv2d": (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (2, 4, 6, 6)),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2, dilation=2), (2, 2, 4, 6, 6)),
    "conv transpose 1d": (lambda: nn.ConvTranspose1d(4, 6, 3, stride=2), (2, 4, 6)),
    "conv transpose 2d": (lambda: nn.ConvTranspose2d(4, 6, 3, output_padding=1, stride=2), (2, 4, 6, 6)),
    "conv transpose 3d": (lambda: nn.ConvTranspose3d(2, 3, 2), (2, 2, 2, 6, 6)),
    "weight norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(6, 5)), (4, 6)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_contract(name: str) -> None:
    make, shape = LAYERS[name]
    x = torch.randn(shape)
    before = x.clone()
    check_layer(mho.convert(make(), mho.Hardware()), x)
    assert torch.equal(x, before)


class Wrong(AnalogLinear):
    """The broken layers derive from this one: it is sound."""


def layer(kind: type[AnalogLinear] = Wrong) -> AnalogLinear:
    return kind(6, 5, hardware=mho.Hardware())


class Doubles(Wrong):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Detaches(Wrong):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.detach())


class Bypasses(Wrong):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight, self.bias)


class Flattens(Wrong):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).flatten(0, 1)[:5]


class WrongArray(Crossbar):
    """The broken arrays derive from this one: it is sound."""

    def __init__(self, owner: nn.Module) -> None:
        super().__init__(owner, "weight", "bias")


def holding(kind: type[Crossbar]) -> type[AnalogLinear]:
    """A layer with an array of that kind."""

    class Holding(Wrong):
        def make_arrays(self) -> dict[str, Crossbar]:
            return {"crossbar": kind(self)}

    return Holding


class Transposes(WrongArray):
    def from_matrix(self, matrix: Tensor) -> Tensor:
        return matrix[0].t().flip(0)


class Forgets(WrongArray):
    """Loses the chip on the way through ``state_dict``."""

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *rest: object) -> None:
        super()._load_from_state_dict({k: v for k, v in state_dict.items() if "chip" not in k}, prefix, *rest)


class SameChip(WrongArray):
    def program(self, seed: int, path: str) -> None:
        super().program(0, path)


class Scribbles(WrongArray):
    def program(self, seed: int, path: str) -> None:
        with torch.no_grad():
            self.weight.mul_(1.001)
        super().program(seed, path)


class Averages(Wrong):
    """Many reads instead of one."""

    def forward(self, x: Tensor) -> Tensor:
        fork = torch.random.fork_rng()
        with fork:
            torch.random.manual_seed(0)
            return super().forward(x)


BROKEN = {
    "doubles": (Doubles, "must compute what the digital layer does"),
    "loses a gradient": (Detaches, "gradient of input 0 must be that of the digital layer"),
    "bypasses its array": (Bypasses, "must change the output|another seed another"),
    "loses a part": (Flattens, "shape of the digital output"),
    "turns its matrix": (holding(Transposes), "from_matrix must undo matrix"),
    "forgets its chip": (holding(Forgets), "bit for bit from state_dict"),
    "knows one seed": (holding(SameChip), "another seed another"),
    "writes its Parameters": (holding(Scribbles), "must not change the Parameters|digital layer"),
    "freezes its noise": (Averages, "fresh noise"),
}


def test_a_sound_layer_passes() -> None:
    check_layer(layer(), torch.randn(4, 6))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_layer_is_caught(name: str) -> None:
    kind, message = BROKEN[name]
    with pytest.raises(AssertionError, match=message):
        check_layer(layer(kind), torch.randn(4, 6))


def test_other_modules_are_refused() -> None:
    with pytest.raises(AssertionError, match=r"must derive from mho\.nn\.AnalogLayer"):
        check_layer(nn.Linear(6, 5), torch.randn(4, 6))


def test_a_layer_without_a_digital_one_is_caught() -> None:
    class Alone(AnalogLayer):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2, 2))

    with pytest.raises(AssertionError, match="needs an entry in mho.convert.TWINS"):
        check_layer(Alone(), torch.randn(4, 2))
