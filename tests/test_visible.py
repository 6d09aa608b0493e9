"""Noise is visible in every layer type; what bypasses an array is found."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

import mho
from mho.convert.bypassed import reads_weight_of
from mho.convert.multiplications import count_macs
from mho.converters import Fixed
from mho.testing import check_visible

PCM = mho.Hardware(device=mho.devices.PCM(), tile=mho.Tile(rows=16, columns=16))
IDS = torch.tensor([[0, 1, 2, 3], [4, 5, 6, 7]])


def sequence(kind: type[nn.Module], **names: Any) -> tuple[nn.Module, Any]:
    """With as few steps as pass a state on: compilers unroll them."""
    return kind(6, 5, **names), (torch.randn(2, 3, 6),)


CASES: dict[str, Callable[[], tuple[nn.Module, Any]]] = {
    "Linear": lambda: (nn.Linear(6, 4), torch.randn(3, 6)),
    "Conv1d": lambda: (nn.Conv1d(3, 4, 3, dilation=2), torch.randn(2, 3, 9)),
    "Conv2d": lambda: (nn.Conv2d(4, 6, 3, groups=2, padding="same"), torch.randn(2, 4, 7, 7)),
    "Conv3d": lambda: (nn.Conv3d(2, 3, 2, padding=1, padding_mode="replicate"), torch.randn(1, 2, 4, 4, 4)),
    "ConvTranspose1d": lambda: (nn.ConvTranspose1d(3, 4, 3, stride=2), torch.randn(2, 3, 6)),
    "ConvTranspose2d": lambda: (nn.ConvTranspose2d(3, 4, 3, stride=2), torch.randn(2, 3, 5, 5)),
    "ConvTranspose3d": lambda: (nn.ConvTranspose3d(2, 3, 2), torch.randn(1, 2, 3, 3, 3)),
    "RNN": lambda: sequence(nn.RNN, num_layers=2, bidirectional=True),
    "LSTM": lambda: sequence(nn.LSTM, num_layers=2, proj_size=3, dropout=0.1),
    "GRU": lambda: (nn.GRU(6, 5, batch_first=True, bidirectional=True), (torch.randn(3, 2, 6),)),
    "RNNCell": lambda: (nn.RNNCell(6, 5), (torch.randn(3, 6), torch.randn(3, 5))),
    "LSTMCell": lambda: (nn.LSTMCell(6, 5), (torch.randn(3, 6), (torch.randn(3, 5), torch.randn(3, 5)))),
    "GRUCell": lambda: (nn.GRUCell(6, 5), (torch.randn(3, 6), torch.randn(3, 5))),
    "MultiheadAttention": lambda: (
        nn.MultiheadAttention(8, 2, batch_first=True),
        (torch.randn(2, 5, 8),) * 3,
    ),
    "separate projections": lambda: (
        nn.MultiheadAttention(8, 2, kdim=6, vdim=4),
        (torch.randn(5, 2, 8), torch.randn(4, 2, 6), torch.randn(4, 2, 4)),
    ),
    "TransformerEncoder": lambda: (
        nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 1),
        {
            "src": torch.randn(2, 5, 8),
            "src_key_padding_mask": torch.tensor([[False] * 5, [False] * 4 + [True]]),
        },
    ),
    "TransformerDecoderLayer": lambda: (
        nn.TransformerDecoderLayer(8, 2, 16),
        (torch.randn(5, 2, 8), torch.randn(4, 2, 8)),
    ),
    "Bilinear": lambda: (nn.Bilinear(6, 5, 4), (torch.randn(3, 6), torch.randn(3, 5))),
    "Embedding": lambda: (nn.Embedding(9, 4), IDS),
    "EmbeddingBag": lambda: (nn.EmbeddingBag(9, 4), IDS),
    "tied": lambda: (Tied(), IDS),
    "parametrised": lambda: (weight_norm(nn.Linear(6, 4)), torch.randn(3, 6)),
}


class Tied(nn.Module):
    """A language model in miniature: the embedding is the head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(9, 4), nn.Linear(4, 9, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids: Tensor) -> Tensor:
        y: Tensor = self.head(self.embedding(ids))
        return y


def test_through_converters() -> None:
    """Codes of 8 bits show the noise too."""
    dac, adc = mho.DAC(bits=8, range=Fixed(limit=3.0)), mho.ADC(bits=8, range=Fixed(limit=4.0))
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 5))
    hardware = mho.Hardware(device=mho.devices.PCM(), tile=mho.Tile(rows=16), dac=dac, adc=adc)
    check_visible(mho.convert(model, hardware), torch.randn(2, 2, 5, 5))


TRACED = {"Conv2d", "GRUCell", "EmbeddingBag"}  # by the second stage too; attention in nn/test_attention.py
EAGER = {"TransformerDecoderLayer", "RNN"}  # nothing new to the compiler


@pytest.mark.parametrize("name", CASES)
def test_noise_is_visible(name: str) -> None:
    """Eagerly and in one graph; torch's compiler takes its recurrent modules whole only if it is told to."""
    torch._dynamo.reset()
    model, example = CASES[name]()
    backend = "aot_eager" if name in TRACED else "eager"
    compiler = None if name in EAGER else functools.partial(torch.compile, backend=backend, fullgraph=True)
    with torch._dynamo.config.patch(allow_rnn=True):
        check_visible(mho.convert(model, PCM), example, compiler=compiler)


# --- what bypasses an array ------------------------------------------------------------------------


class Rogue(nn.Module):
    """Reads the weight of its child, always or in evaluation only."""

    def __init__(self, always: bool) -> None:
        super().__init__()
        self.always, self.projection = always, nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        if self.always or not self.training:
            return F.linear(x, self.projection.weight, self.projection.bias)
        y: Tensor = self.projection(x)
        return y


class Reader(nn.Module):
    """Never calls its child; a method reads the weight."""

    def __init__(self) -> None:
        super().__init__()
        self.projection, self.other = nn.Linear(6, 4), nn.Linear(4, 2)

    def project(self, x: Tensor) -> Tensor:
        return F.linear(x.to(self.other.weight.dtype), self.projection.weight)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.other(self.project(x))
        return y


@pytest.mark.parametrize("always", [True, False])
def test_a_bypass_is_found(always: bool) -> None:
    """By perturbing the chip, and by watching the operands of all products."""
    analog = mho.convert(nn.Sequential(Rogue(always), nn.Linear(4, 2)), PCM)
    with pytest.raises(AssertionError, match="do not change the output: '0.projection' in eval") as failed:
        check_visible(analog, torch.randn(3, 6))
    assert ("train()" in str(failed.value)) == always and "'1'" not in str(failed.value)
    with pytest.raises(ValueError, match="'0' reads '0.projection.weight'"):
        analog.report.measure(torch.randn(3, 6))


def test_a_parent_that_only_reads_is_known_beforehand() -> None:
    assert reads_weight_of(Reader, "projection") and not reads_weight_of(Reader, "other")
    assert not reads_weight_of(Rogue, "projection")
    analog = mho.convert(Reader(), PCM)
    notes = {row.path: (row.analog, row.note) for row in analog.report.rows}
    assert (
        notes["projection"] == (False, "Reader reads its weight instead of calling it") and notes["other"][0]
    )
    check_visible(analog, torch.randn(3, 6))
    with pytest.raises(mho.errors.NotMappableError, match="projection"):
        mho.convert(Reader(), PCM, strict=True)


def test_digital_weights_that_leak_are_found() -> None:
    class Leaky(nn.Linear):
        pass

    class Parent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.child = Leaky(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.child(x) + 0.1 * self.child.weight.sum()
            return y

    with pytest.raises(AssertionError, match="digital weights of 'child' change the output"):
        check_visible(mho.convert(Parent(), PCM), torch.randn(3, 6))


def test_a_layer_that_the_example_does_not_reach() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 4), nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.a(x)
            return y

    with pytest.raises(AssertionError, match="'b' in eval") as failed:
        check_visible(mho.convert(Half(), PCM), torch.randn(3, 6))
    assert "'a'" not in str(failed.value)


def test_the_model_is_left_as_it_is() -> None:
    analog = mho.convert(nn.Linear(6, 4), PCM)
    mho.program(analog, seed=5)
    before = {k: v.clone() for k, v in analog.state_dict().items()}
    check_visible(analog.train(), torch.randn(3, 6))
    assert analog.training and not analog.on_chip
    assert all(torch.equal(v, before[k]) for k, v in analog.state_dict().items())


# --- counting --------------------------------------------------------------------------------------


def test_multiply_accumulates() -> None:
    """By hand: convolutions, recurrences, attention; what stays digital is told apart."""
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Flatten(), nn.Linear(48, 5))
    analog = mho.convert(model, PCM, select=lambda path, _: path == "0")
    macs = count_macs(analog, torch.randn(7, 2, 4, 4))
    assert macs.of("0").analog == 7 * 16 * 2 * 3 * 9 and macs.of("2").weights == 7 * 48 * 5
    lstm = mho.convert(nn.LSTM(6, 5, 2), PCM)
    assert count_macs(lstm, torch.randn(4, 3, 6)).analog == 4 * 3 * 20 * (6 + 5 + 5 + 5)
    assert count_macs(nn.LSTM(6, 5, 2), torch.randn(4, 3, 6)).weights == 4 * 3 * 20 * (6 + 5 + 5 + 5)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    for module in (layer, mho.convert(layer, PCM)):
        macs = count_macs(module, torch.randn(2, 5, 8))
        assert macs.activations == 2 * 2 * (5 * 5 * 4) * 2
        assert macs.analog + macs.weights == 2 * 5 * (4 * 8 * 8 + 2 * 8 * 16)
        assert (macs.analog > 0) == (module is not layer) and bool(macs.weights) == (module is layer)


def test_the_report_of_a_transformer() -> None:
    analog = mho.convert(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), PCM)
    assert analog.report.analog_mac_fraction is None and "report.measure(batch)" in str(analog.report)
    analog.report.measure(torch.randn(2, 5, 8))
    text = str(analog.report)
    assert "products of activations (QK^T, PV) stay digital" in text
    assert analog.report.analog_mac_fraction == pytest.approx(5120 / (5120 + 800))
    frame = analog.report.to_frame().set_index("path")
    attention = frame.loc["self_attn"]
    assert (attention["arrays"], attention["tiles"], attention["cells"]) == (3, 6, 2 * 3 * 64)
    assert attention["utilisation"] == pytest.approx(2 * 3 * 64 / (6 * 256))
    assert attention["macs"] == 2 * 5 * 3 * 64 + 800 and attention["analog_macs"] == 2 * 5 * 3 * 64
    assert mho.Hardware.from_json(attention["hardware"]) == PCM
    assert not frame.loc["norm1", "analog"] and frame["parameters"].sum() == sum(
        p.numel() for p in analog.parameters()
    )
