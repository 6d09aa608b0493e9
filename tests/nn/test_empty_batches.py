"""Batches of size 0, and half precision where autocast casts to another one: torch's layers take both."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mho
from mho.converters import SAR, AutoRange, Dynamic, Fixed

ROWS, IDS = torch.randn(0, 8), torch.zeros(0, 3, dtype=torch.int64)
EMPTY: dict[str, tuple[nn.Module, Tensor]] = {
    "linear": (nn.Linear(8, 5), ROWS),
    "conv1d": (nn.Conv1d(3, 5, 3), torch.randn(0, 3, 9)),
    "conv2d": (nn.Conv2d(3, 5, 3), torch.randn(0, 3, 9, 9)),
    "transposed": (nn.ConvTranspose2d(3, 5, 3), torch.randn(0, 3, 9, 9)),
    "embedding": (nn.Embedding(7, 5), IDS),
    "lstm": (nn.LSTM(8, 4, batch_first=True), torch.randn(0, 5, 8)),
    "projected lstm": (nn.LSTM(8, 4, proj_size=2), torch.randn(5, 0, 8)),
    "gru": (nn.GRU(8, 4, num_layers=2), torch.randn(5, 0, 8)),
    "rnn": (nn.RNN(8, 4, bidirectional=True), torch.randn(5, 0, 8)),
    "lstm cell": (nn.LSTMCell(8, 4), ROWS),
    "gru cell": (nn.GRUCell(8, 4), ROWS),
}
TILE, DAC = mho.Tile(rows=4, columns=4), mho.DAC(bits=8, range=Dynamic())
HARDWARE = {
    "ideal": mho.Hardware(),
    "noisy": mho.Hardware(device=mho.devices.PCM(), tile=TILE, dac=DAC, adc=mho.ADC(range=AutoRange())),
    "offset": mho.Hardware(mapping=mho.mapping.Offset(), tile=TILE, dac=DAC, adc=mho.ADC(range=Dynamic())),
    "mismatched": mho.Hardware(tile=TILE, dac=DAC, adc=SAR(bits=6, capacitor=0.02, range=Fixed(limit=9.0))),
}


def programmed(layer: nn.Module, hardware: mho.Hardware, train: bool) -> nn.Module:
    analog = mho.convert(layer, hardware)
    mho.program(analog, seed=0)
    return analog.train(train)


def outputs(found: Any) -> list[Tensor]:
    """All of them, one after the other."""
    return [found] if isinstance(found, Tensor) else [y for part in found for y in outputs(part)]


@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", EMPTY)
@pytest.mark.parametrize("hardware", HARDWARE)
def test_empty_batches(hardware: str, name: str, train: bool) -> None:
    layer, x = EMPTY[name]
    analog = programmed(layer, HARDWARE[hardware], train)
    wanted = [y.shape for y in outputs(layer(x))]
    with torch.set_grad_enabled(train):
        for _ in range(2):  # the second one by a plan
            found = outputs(analog(x))
            assert [y.shape for y in found] == wanted
    if train:
        found[0].sum().backward()


def test_an_empty_batch_of_attention() -> None:
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.randn(0, 3, 8)
    analog = programmed(layer, HARDWARE["noisy"], train=False)
    assert [y.shape for y in outputs(analog(x, x, x))] == [(0, 3, 8), (0, 3, 3)]


HALF: dict[str, tuple[nn.Module, tuple[Tensor, ...]]] = {
    "lstm": (nn.LSTM(8, 4, 2, bidirectional=True, proj_size=2), (torch.randn(5, 3, 8),)),
    "gru": (nn.GRU(8, 4), (torch.randn(5, 3, 8),)),
    "rnn": (nn.RNN(8, 4), (torch.randn(5, 3, 8),)),
    "gru cell": (nn.GRUCell(8, 4), (torch.randn(5, 8),)),
    "attention": (nn.MultiheadAttention(8, 2, add_bias_kv=True), (torch.randn(5, 3, 8),) * 3),
    "embedding bag": (nn.EmbeddingBag(7, 5, padding_idx=0), (torch.ones(2, 3, dtype=torch.int64),)),
    "convolution in portions": (nn.Conv2d(1, 64, 1), (torch.randn(3, 1, 128, 128),)),
}


@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize(
    ("own", "cast"), [(torch.float16, torch.bfloat16), (torch.bfloat16, torch.float16)], ids=str
)
@pytest.mark.parametrize("name", HALF)
@pytest.mark.parametrize("hardware", ["ideal", "noisy"])
def test_one_half_precision_under_autocast_to_the_other(
    hardware: str, name: str, own: torch.dtype, cast: torch.dtype, train: bool
) -> None:
    layer, inputs = HALF[name]
    inputs = tuple(x.to(own) if x.is_floating_point() else x for x in inputs)
    analog = programmed(layer, HARDWARE[hardware], train).to(own)
    with torch.autocast("cpu", cast):
        found = outputs(analog(*inputs))[0]
    if not train:
        wanted = outputs(analog(*inputs))[0]
        torch.testing.assert_close(found, wanted, atol=0.5, rtol=0.1, check_dtype=False)
    else:
        found.float().sum().backward()
        assert all(p.grad is not None for p in analog.parameters())


def test_packed_sequences_in_half_precision() -> None:
    layer = nn.LSTM(8, 4, bidirectional=True)
    analog = programmed(layer, HARDWARE["ideal"], train=False).half()
    x = nn.utils.rnn.pack_padded_sequence(torch.randn(5, 3, 8).half(), [5, 3, 2])
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        y, (h, c) = analog(x)
    assert y.data.dtype == torch.float16 and h.shape == c.shape == (2, 3, 4)
