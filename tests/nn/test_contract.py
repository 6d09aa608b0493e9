"""The public contract of layers, on mho's own and on the example of a layer from elsewhere."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import mho
from mho import nn as analog
from mho.convert import TWINS
from mho.testing import check_layer

HARDWARE = mho.Hardware()
IDS = torch.tensor([[1, 2, 8, 2], [0, 3, 3, 7]])
LAYERS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "rnn": (lambda: analog.AnalogRNN(6, 5, hardware=HARDWARE), (torch.randn(4, 3, 6),)),
    "lstm": (lambda: analog.AnalogLSTM(6, 5, bidirectional=True, hardware=HARDWARE), (torch.randn(4, 3, 6),)),
    "gru": (lambda: analog.AnalogGRU(6, 5, batch_first=True, hardware=HARDWARE), (torch.randn(4, 3, 6),)),
    "rnn cell": (
        lambda: analog.AnalogRNNCell(6, 5, hardware=HARDWARE),
        (torch.randn(3, 6), torch.randn(3, 5)),
    ),
    "gru cell": (
        lambda: analog.AnalogGRUCell(6, 5, hardware=HARDWARE),
        (torch.randn(3, 6), torch.randn(3, 5)),
    ),
    "attention": (
        lambda: analog.AnalogMultiheadAttention(8, 2, hardware=HARDWARE),
        (torch.randn(5, 3, 8), torch.randn(4, 3, 8), torch.randn(4, 3, 8)),
    ),
    "attention, separate": (
        lambda: analog.AnalogMultiheadAttention(8, 2, kdim=4, vdim=6, hardware=HARDWARE),
        (torch.randn(5, 3, 8), torch.randn(4, 3, 4), torch.randn(4, 3, 6)),
    ),
    "bilinear": (
        lambda: analog.AnalogBilinear(6, 5, 4, hardware=HARDWARE),
        (torch.randn(3, 6), torch.randn(3, 5)),
    ),
    "embedding": (lambda: analog.AnalogEmbedding(9, 4, hardware=HARDWARE), (IDS,)),
    "embedding bag": (lambda: analog.AnalogEmbeddingBag(9, 4, hardware=HARDWARE), (IDS,)),
}


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("name", LAYERS)
def test_contract(name: str) -> None:
    make, example = LAYERS[name]
    check_layer(make(), *example)


def test_a_layer_from_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    """The example runs, checks itself, and ``convert`` picks its layer up."""
    path = Path(__file__).parents[2] / "examples" / "own_layer.py"
    example = runpy.run_path(str(path))
    try:
        example["main"]()
        table = capsys.readouterr().out
        assert "2 arrays: 20 x 4, 4 x 12" in table and "31,536,000 s: output error" in table
        model = nn.Sequential(example["FactoredLinear"](8, 6, rank=2))
        converted = mho.convert(model, HARDWARE, strict=True)
        assert type(converted[0]) is example["AnalogFactoredLinear"]
        x = torch.randn(3, 8)
        assert torch.equal(converted(x), model(x))
    finally:
        TWINS.pop(example["FactoredLinear"])
