"""Loading a saved chip into a model of another dtype: fresh stays fresh, stale stays stale."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

import mho
from mho.converters import Fixed
from mho.errors import StaleChipWarning
from mho.nn import analog_layers

DEVICE = mho.devices.PCM(read_scale=0.0)
HARDWARE = mho.Hardware(
    device=DEVICE, dac=mho.DAC(range=Fixed(limit=3.0)), adc=mho.ADC(range=Fixed(limit=4.0))
)
LAYERS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(20, 10),
    "conv": lambda: nn.Conv2d(3, 4, 3),
    "weight norm": lambda: parametrizations.weight_norm(nn.Linear(20, 10)),
    "spectral norm": lambda: parametrizations.spectral_norm(nn.Linear(20, 10)),
    "pruned": lambda: prune.random_unstructured(nn.Linear(20, 10), "weight", amount=0.5),
    "lstm": lambda: nn.LSTM(20, 10),
    "pruned lstm": lambda: prune.random_unstructured(nn.LSTM(20, 10), "weight_hh_l0", amount=0.5),
    "attention": lambda: nn.MultiheadAttention(20, 2),
}
PAIRS = [
    (torch.float32, torch.bfloat16),
    (torch.bfloat16, torch.float32),
    (torch.float32, torch.float64),
    (torch.float64, torch.float16),
]


def analog(name: str, dtype: torch.dtype, bias_rows: int) -> nn.Module:
    torch.manual_seed(8)
    return mho.convert(nn.Sequential(LAYERS[name]()).to(dtype), HARDWARE, bias_rows=bias_rows)


def nudge(model: nn.Module) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("saved, here", PAIRS)
@pytest.mark.parametrize("bias_rows", [0, 2])
def test_a_chip_loads_into_another_dtype(
    name: str, saved: torch.dtype, here: torch.dtype, bias_rows: int
) -> None:
    chip, model = analog(name, saved, bias_rows), analog(name, here, bias_rows).eval()
    mho.program(chip, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.load_state_dict(chip.state_dict())
        model.eval()
    layers = analog_layers(model).values()
    assert not any(layer.is_stale() for layer in layers)
    before = [layer.chip_g.clone() for layer in layers]
    nudge(model)
    assert all(layer.is_stale() for layer in layers)
    nudge(chip)
    model.load_state_dict(chip.state_dict())
    assert all(layer.is_stale() for layer in layers), "a chip that was stale when it was saved stays stale"
    assert all(torch.equal(layer.chip_g, g) for layer, g in zip(layers, before, strict=True))


def test_the_forward_after_it_is_quiet_and_the_dict_is_left_alone() -> None:
    chip, model = analog("linear", torch.float32, 0), analog("linear", torch.bfloat16, 0).eval()
    mho.program(chip, seed=0)
    state = chip.state_dict()
    before = {key: value.clone() for key, value in state.items()}
    x = torch.randn(4, 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.load_state_dict(state)
        y = model(x.bfloat16()).detach()
    assert all(torch.equal(before[key], value) for key, value in state.items())
    assert float((y.float() - chip.eval()(x).detach()).abs().max()) < 0.1


def test_a_chip_for_other_weights_of_another_dtype_is_stale() -> None:
    chip, model = analog("linear", torch.float32, 0), analog("linear", torch.bfloat16, 0)
    mho.program(chip, seed=0)
    state = chip.state_dict()
    state["0.weight"] = torch.randn(10, 20)
    model.load_state_dict(state)
    with pytest.warns(StaleChipWarning):
        model.eval()
