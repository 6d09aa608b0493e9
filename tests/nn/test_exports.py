"""What torch exports of its layers it exports of the layers on arrays: alone, with any batch, with noise."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

import mho
from mho.converters import Fixed
from mho.errors import NotProgrammedWarning
from mho.export import onnx_twin
from mho.random import fresh_normal_like

X, IDS = torch.randn(4, 3, 8), torch.randint(0, 7, (4, 3))
LAYERS: dict[str, tuple[nn.Module, tuple[Tensor, ...]]] = {
    "linear": (nn.Linear(8, 5), (X,)),
    "conv1d": (nn.Conv1d(3, 5, 3), (X,)),
    "conv2d": (nn.Conv2d(3, 5, 3), (torch.randn(4, 3, 5, 5),)),
    "conv3d": (nn.Conv3d(3, 5, 3), (torch.randn(4, 3, 5, 5, 5),)),
    "transposed": (nn.ConvTranspose2d(3, 5, 3), (torch.randn(4, 3, 5, 5),)),
    "bilinear": (nn.Bilinear(3, 4, 5), (torch.randn(4, 3), torch.randn(4, 4))),
    "embedding": (nn.Embedding(7, 5), (IDS,)),
    "embedding bag": (nn.EmbeddingBag(7, 5), (IDS,)),
    "attention": (nn.MultiheadAttention(8, 2, batch_first=True), (X, X, X)),
    "lstm": (nn.LSTM(8, 5, batch_first=True, bidirectional=True), (X,)),
    "gru": (nn.GRU(8, 5, batch_first=True), (X,)),
    "rnn cell": (nn.RNNCell(8, 5), (X[:, 0],)),
    "lstm cell": (nn.LSTMCell(8, 5), (X[:, 0],)),
    "gru cell": (nn.GRUCell(8, 5), (X[:, 0],)),
}


def layer(name: str, noise: bool, programmed: bool = True) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """An analog layer of tiles with converters, and inputs for it."""
    torch_layer, inputs = LAYERS[name]
    hardware = mho.Hardware(
        device=mho.devices.PCM() if noise else mho.devices.Ideal(),
        tile=mho.Tile(rows=4, columns=4),
        dac=mho.DAC(bits=8, range=Fixed(limit=4.0)),
        adc=mho.ADC(bits=8, range=Fixed(limit=20.0)),
    )
    analog = mho.convert(torch_layer, hardware).eval()
    if programmed:
        mho.program(analog, seed=0)
    return analog, inputs


def export(analog: nn.Module, inputs: tuple[Tensor, ...], **options: Any) -> ExportedProgram:
    """Exported for any batch."""
    batch = Dim("batch", min=2, max=64)
    shapes = tuple({0: batch} for _ in inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotProgrammedWarning)
        return torch.export.export(analog, inputs, dynamic_shapes=shapes, **options)


def output(found: Any) -> Tensor:
    """The first output."""
    return found[0] if isinstance(found, tuple) else found  # type: ignore[no-any-return]


@pytest.mark.parametrize("programmed", [True, False])
@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_exported_alone_for_any_batch(name: str, noise: bool, programmed: bool) -> None:
    analog, inputs = layer(name, noise, programmed)
    exported = export(analog, inputs)
    operators = {str(n.target) for n in exported.graph.nodes if n.op == "call_function"}
    assert not any(operator.startswith("mho") for operator in operators), (
        operators
    )  # no other runtime has them
    more = tuple(torch.cat([x, x, x]) for x in inputs)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotProgrammedWarning)
        found, wanted = output(exported.module()(*more)), output(analog(*more))
    assert found.shape == wanted.shape
    torch.testing.assert_close(found, wanted, atol=2.0 if noise and programmed else 1e-5, rtol=0)


@pytest.mark.parametrize("name", ["linear", "conv2d"])
def test_exported_by_dynamo_and_without_gradients(name: str) -> None:
    analog, inputs = layer(name, noise=True)
    with torch.no_grad():
        for options in ({"strict": True}, {"strict": False}):
            made = export(analog, inputs, **options).module()
            assert made(*inputs).shape == analog(*inputs).shape


def test_each_run_draws_its_own_noise() -> None:
    class Draw(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return fresh_normal_like(x)

    made = export(Draw(), (torch.zeros(3, 5),)).module()  # an odd number of them
    first, second = made(torch.zeros(41, 5)), made(torch.zeros(41, 5))
    assert not torch.equal(first, second)
    assert abs(float(first.mean())) < 0.4 and abs(float(first.std()) - 1) < 0.3


def test_export_says_that_there_is_no_chip() -> None:
    analog, inputs = layer("linear", noise=True, programmed=False)
    with pytest.warns(NotProgrammedWarning, match="mho.program"):
        torch.export.export(analog, inputs)


@pytest.mark.parametrize("name", ["conv2d", pytest.param("lstm", marks=pytest.mark.exhaustive)])
def test_onnx_with_noise(name: str, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    analog, inputs = layer(name, noise=True)
    onnx_twin(analog, tmp_path / "layer.onnx", inputs, noise=True)
    kinds = [node.op_type for node in onnx.load(tmp_path / "layer.onnx").graph.node]
    reads = 2 * (1 + 3) if name == "lstm" else 1  # two directions: all inputs at once, then step by step
    assert sum(kind.startswith("RandomNormal") for kind in kinds) == reads
