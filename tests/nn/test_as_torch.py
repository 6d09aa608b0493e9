"""What is called by name in torch is called by the same name here."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

import mho
from mho.convert import TWINS
from mho.periphery import Affine

TORCH = [kind for kind in TWINS if isinstance(kind, type) and kind.__module__.startswith("torch.")]


@pytest.mark.parametrize("kind", TORCH, ids=lambda kind: kind.__name__)
def test_inputs_have_torchs_names(kind: type[nn.Module]) -> None:
    wanted, found = (list(inspect.signature(k.forward).parameters) for k in (kind, TWINS[kind]))
    assert found == wanted


@pytest.mark.parametrize(
    ("layer", "given"),
    [
        (nn.Linear(6, 4), {"input": torch.randn(3, 6)}),
        (nn.Conv2d(2, 3, 2), {"input": torch.randn(2, 2, 4, 4)}),
        (nn.ConvTranspose2d(2, 3, 2, stride=2), {"output_size": [7, 7], "input": torch.randn(2, 2, 3, 3)}),
        (nn.Embedding(5, 3), {"input": torch.tensor([1, 4, 0])}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_inputs_by_name(layer: nn.Module, given: dict[str, torch.Tensor]) -> None:
    """In a forward, and in the batches of calibration and of an affine correction."""
    hardware = mho.Hardware(device=mho.devices.PCM(read_scale=0.0), adc=mho.ADC(bits=12))
    by_name, in_order = mho.convert(layer, hardware), mho.convert(layer, hardware)
    for chip in (by_name, in_order):
        mho.program(chip, seed=0)
        mho.age(chip, 1e5)
    mho.calibrate(by_name, [given])
    mho.compensate(by_name, Affine(), [given])
    if len(given) == 1:
        mho.calibrate(in_order, [given["input"]])
        mho.compensate(in_order, Affine(), [given["input"]])
        assert torch.equal(by_name.eval()(**given), in_order.eval()(given["input"]))
    assert by_name.eval()(**given).shape == layer(**given).shape
