"""ONNX twins give what the chip gives, bit for bit; what cannot be one is named and not written."""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mho
from mho.chip.layouts import ExactLayout
from mho.chip_file import read
from mho.converters import SAR, Fixed, Stream
from mho.errors import NotExportableError
from mho.experiments.models.resnet import ResNet20
from mho.export import exact_sums, onnx_twin

onnx = pytest.importorskip("onnx", reason="pip install 'mho[onnx]'")
pytest.importorskip("onnxscript", reason="pip install 'mho[onnx]'")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime runs the twins")

QUIET = mho.devices.PCM(read_scale=0.0)


def hardware(device: Any = QUIET, rows: int = 64, limit: float | None = None) -> mho.Hardware:
    given = [{} if limit is None else {"range": Fixed(limit=full)} for full in (limit, limit and 3 * limit)]
    return mho.Hardware(
        device=device,
        tile=mho.Tile(rows=rows, columns=rows),
        dac=mho.DAC(bits=8, **given[0]),
        adc=mho.ADC(bits=8, **given[1]),
    )


def chip(
    network: nn.Module, inputs: tuple[Tensor, ...], described: mho.Hardware, bias_rows: int = 0
) -> nn.Module:
    analog = mho.convert(network.eval(), described, bias_rows=bias_rows).eval()
    mho.calibrate(analog, [inputs[0]])
    mho.program(analog, seed=0)
    mho.age(analog, 3_600)
    mho.compensate(analog)
    return analog


def linear(described: mho.Hardware, bias_rows: int = 0) -> tuple[nn.Module, Tensor]:
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(2)
        x = torch.randn(4, 24)
        return chip(nn.Linear(24, 6), (x,), described, bias_rows), x


def run(path: Path, inputs: tuple[Tensor, ...]) -> list[np.ndarray]:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    found: list[np.ndarray] = session.run(None, dict(zip(names, (x.numpy() for x in inputs), strict=True)))
    return found


def outputs(analog: nn.Module, inputs: tuple[Tensor, ...]) -> list[np.ndarray]:
    with torch.no_grad():
        y = analog(*inputs)
    return [part.numpy() for part in torch.utils._pytree.tree_leaves(y)]


# --- networks ------------------------------------------------------------------------------------


class Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(8, 20, batch_first=True), nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def encoder() -> nn.Module:
    """A layer of a sentence encoder as MiniLM's, and a classifier on it."""
    layer = nn.TransformerEncoderLayer(96, 4, 192, batch_first=True, activation="gelu")
    return nn.Sequential(layer, nn.Linear(96, 5))


NETWORKS = {
    "lstm": (Lstm, (6, 3, 8), 18),
    "lenet": (lenet, (6, 1, 28, 28), 19),
    "encoder": (encoder, (6, 7, 96), 20),
}


def made(name: str) -> tuple[nn.Module, Tensor]:
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(1)
        build, shape, _ = NETWORKS[name]
        network = build()
        return network, torch.randn(shape)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_equals_its_chip_bit_for_bit(name: str, tmp_path: Path) -> None:
    network, x = made(name)
    analog = chip(network, (x,), hardware())
    exact_sums(analog)  # whatever the processor
    onnx_twin(analog, tmp_path / "twin.onnx", x, opset=NETWORKS[name][2])
    for batch in (x, x[:1], torch.cat([x.flip(0), x])):  # any batch
        (found,), (wanted,) = run(tmp_path / "twin.onnx", (batch,)), outputs(analog, (batch,))
        assert np.array_equal(found, wanted)
    assert not np.array_equal(wanted, outputs(network, (batch,))[0])  # the chip is not the network


# --- layers --------------------------------------------------------------------------------------

X, IDS = torch.randn(4, 3, 8), torch.randint(0, 7, (4, 3))
IMAGE = torch.randn(4, 4, 7, 7)
FEW = X[:, :1]  # steps of a recurrent layer, which a graph has one after the other: NETWORKS has three
OLDEST: dict[str, tuple[nn.Module, tuple[Tensor, ...]]] = {
    "linear": (nn.Linear(8, 5), (X,)),
    "conv1d": (nn.Conv1d(3, 5, 3, padding=1), (X,)),
    "conv2d circular": (nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"), (IMAGE,)),
    "grouped": (nn.Conv2d(4, 6, 3, groups=2), (IMAGE,)),
    "transposed 1d": (nn.ConvTranspose1d(3, 5, 3, stride=2), (X,)),
    "transposed 3d": (nn.ConvTranspose3d(3, 5, 3), (torch.randn(4, 3, 4, 4, 4),)),
    "embedding bag": (nn.EmbeddingBag(7, 5), (IDS,)),
    "rnn": (nn.RNN(8, 5, batch_first=True), (FEW,)),
    "lstm cell": (nn.LSTMCell(8, 5), (X[:, 0],)),
    "gru cell": (nn.GRUCell(8, 5), (X[:, 0],)),
}
NEWEST: dict[str, tuple[nn.Module, tuple[Tensor, ...]]] = {
    "conv2d": (nn.Conv2d(4, 6, 3, stride=2, padding="valid"), (IMAGE,)),
    "conv2d same": (nn.Conv2d(4, 6, 2, padding="same", dilation=2), (IMAGE,)),
    "depthwise": (nn.Conv2d(4, 8, 3, groups=4), (IMAGE,)),
    "conv3d": (nn.Conv3d(3, 5, 3), (torch.randn(4, 3, 5, 5, 5),)),
    "transposed 2d": (nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1, groups=2), (IMAGE,)),
    "bilinear": (nn.Bilinear(3, 4, 5), (torch.randn(4, 3), torch.randn(4, 4))),
    "embedding": (nn.Embedding(7, 5), (IDS,)),
    "attention": (nn.MultiheadAttention(8, 2, batch_first=True), (X, X, X)),
    "lstm": (nn.LSTM(8, 5, batch_first=True), (FEW,)),
    "gru": (nn.GRU(8, 5, batch_first=True), (FEW,)),
    "rnn cell": (nn.RNNCell(8, 5), (X[:, 0],)),
}
CASES = [pytest.param(17, name, marks=pytest.mark.exhaustive) for name in OLDEST] + [
    (21, name) for name in NEWEST
]
LAYERS = OLDEST | NEWEST
DIGITAL_LAST = {"attention", "rnn", "lstm", "gru", "rnn cell", "lstm cell", "gru cell", "bilinear"}
"""Layers that end in digital functions, ``tanh`` or ``softmax``; the others are equal as they are."""


class Side(nn.ModuleDict):
    """Layers side by side, each with inputs of its own: one graph is traced faster than twenty."""

    def forward(self, *inputs: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        left, found = list(inputs), []
        for name, each in self.items():
            y = each(*(left.pop(0) for _ in LAYERS[name][1]))
            found.append(tuple(torch.utils._pytree.tree_leaves(y)))
        return tuple(found)


@functools.cache
def every_layer(opset: int) -> dict[str, tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]]:
    """What twin and chip give for other inputs than the example, by the name of the layer."""
    layers = OLDEST if opset == 17 else NEWEST
    inputs = tuple(x for _, given in layers.values() for x in given)
    analog = mho.convert(
        Side({name: each for name, (each, _) in layers.items()}), hardware(rows=8, limit=4.0)
    ).eval()
    mho.program(analog, seed=0)
    for name in DIGITAL_LAST.intersection(layers):
        exact_sums(analog[name])
    more = tuple(torch.cat([x, x.flip(0)])[1:] for x in inputs)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "twin.onnx"
        onnx_twin(analog, path, inputs, opset=opset)
        assert [o.version for o in onnx.load(path).opset_import if not o.domain] == [opset]
        left = run(path, more)
    with torch.no_grad():
        wanted = analog(*more)
    found = [tuple(left.pop(0) for _ in each) for each in wanted]
    values = [tuple(y.numpy() for y in each) for each in wanted]
    return dict(zip(layers, zip(found, values, strict=True), strict=True))


@pytest.mark.parametrize("opset, name", CASES)
def test_every_layer_equals_its_chip(opset: int, name: str) -> None:
    for found, wanted in zip(*every_layer(opset)[name], strict=True):
        assert np.array_equal(found, wanted)


PARTS: dict[str, dict[str, Any]] = {
    "offset and bias rows": {"mapping": mho.mapping.Offset()},
    "bits one by one": {"dac": mho.DAC(bits=8, stream=Stream(), gain=0.02, offset=0.01)},
    "SAR": {"adc": SAR(bits=6, capacitor=0.05)},
    "wires": {"array": mho.array.Wires(row=2.0, column=2.0)},
    "cells without Ohm's law": {
        "dac": mho.DAC(bits=2),
        "array": mho.array.Nonlinear(law=mho.array.Sinh(v_c=0.1)),
    },
}


@functools.cache
def other_parts() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What twin and chip give, by the name of the part."""
    described = {name: dataclasses.replace(hardware(rows=8), **part) for name, part in PARTS.items()}
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(2)
        x = torch.randn(4, 24)
        network = Fan({name: nn.Linear(24, 6) for name in PARTS})
    analog = mho.convert(network, described, bias_rows=1).eval()
    mho.calibrate(analog, [x])
    mho.program(analog, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        onnx_twin(analog, Path(folder) / "twin.onnx", x)
        found = run(Path(folder) / "twin.onnx", (x,))
    return dict(zip(PARTS, zip(found, outputs(analog, (x,)), strict=True), strict=True))


class Fan(nn.ModuleDict):
    """Layers with one input."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(layer(x) for layer in self.values())


@pytest.mark.parametrize("name", PARTS)
def test_other_parts_of_hardware(name: str) -> None:
    found, wanted = other_parts()[name]
    assert np.array_equal(found, wanted) and np.abs(wanted).max() > 0.1


# --- what it holds -------------------------------------------------------------------------------


@functools.cache
def one() -> tuple[nn.Module, Tensor, Any]:
    """A layer, its inputs and its twin."""
    analog, x = linear(hardware(rows=8))
    with tempfile.TemporaryDirectory() as folder:
        onnx_twin(analog, Path(folder) / "twin.onnx", x)
        return analog, x, onnx.load(Path(folder) / "twin.onnx")


def test_the_metadata_say_which_chip_it_is_and_inputs_have_names(tmp_path: Path) -> None:
    analog, x, proto = one()
    analog = copy.deepcopy(analog)
    mho.save_chip(analog, tmp_path / "chip.safetensors")
    said = {entry.key: entry.value for entry in proto.metadata_props}
    assert said["mho.version"] == mho.__version__ and said["mho.noise"] == "off"
    assert said["mho.chip"] == read(tmp_path / "chip.safetensors").document["chip"]
    assert json.loads(said["mho.seed"]) == {"": 0} and json.loads(said["mho.seconds"]) == {"": 3_600.0}
    mho.age(analog, 7_200)
    onnx_twin(analog, tmp_path / "later.onnx", {"input": x[:1]}, batch_axis=None)
    later = {entry.key: entry.value for entry in onnx.load(tmp_path / "later.onnx").metadata_props}
    assert later["mho.chip"] != said["mho.chip"] and json.loads(later["mho.seconds"]) == {"": 7_200.0}
    (only,) = onnx.load(tmp_path / "later.onnx").graph.input  # one size of batch, an input by name
    assert only.name == "input" and [d.dim_value for d in only.type.tensor_type.shape.dim] == [1, 24]
    assert np.array_equal(run(tmp_path / "later.onnx", (x[:1],))[0], outputs(analog, (x[:1],))[0])


def test_converters_and_tiles_are_plain_operators() -> None:
    kinds = [node.op_type for node in one()[2].graph.node]
    assert kinds.count("Round") == kinds.count("Clip") == 2  # a DAC and an ADC
    assert not {"QuantizeLinear", "RandomNormalLike"} & set(kinds)


def test_the_twin_of_a_noisy_chip_is_the_mean_of_its_reads_or_draws_them(tmp_path: Path) -> None:
    noisy = mho.Hardware(
        device=mho.devices.PCM(), tile=mho.Tile(rows=8, columns=8), dac=mho.DAC(bits=8, noise=0.01)
    )
    analog, x = linear(noisy)
    many = x[:1].expand(4_000, -1).contiguous()
    with torch.no_grad():
        reads = analog(many).numpy()
    onnx_twin(analog, tmp_path / "mean.onnx", x)
    onnx_twin(analog, tmp_path / "drawn.onnx", x, noise=True)
    mean, drawn = (run(tmp_path / f"{name}.onnx", (many,))[0] for name in ("mean", "drawn"))
    assert np.ptp(mean, axis=0).max() == 0
    spread = reads.std(axis=0)
    assert (np.abs(reads.mean(axis=0) - mean[0]) < 4 * spread / 4_000**0.5).all()
    np.testing.assert_allclose(drawn.std(axis=0), spread, rtol=0.06)
    np.testing.assert_allclose(
        drawn.mean(axis=0), reads.mean(axis=0), atol=float(6 * spread.max() / 4_000**0.5)
    )
    assert not np.array_equal(drawn[0], drawn[1])
    assert analog(x).std() > 0 and analog.crossbar.packed_variance is not None  # it is as it was


# --- what is refused -----------------------------------------------------------------------------


def test_what_onnx_cannot_hold_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    class Bessel(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.special.bessel_j0(x)

    x = torch.randn(4, 24)
    analog = chip(nn.Sequential(nn.Linear(24, 8), Bessel(), nn.Linear(8, 3)), (x,), hardware())
    with pytest.raises(
        NotExportableError, match="ONNX cannot hold aten.special_bessel_j0.default, which '1' needs"
    ):
        onnx_twin(analog, tmp_path / "twin.onnx", x)

    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(24, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.layer(x)
            return y if float(y.sum()) > 0 else -y

    with pytest.raises(NotExportableError, match="the model cannot be traced .*decisions about values"):
        onnx_twin(chip(Branch(), (x,), hardware()), tmp_path / "twin.onnx", x)
    assert list(tmp_path.iterdir()) == []


def test_bad_arguments(tmp_path: Path) -> None:
    analog, x = linear(hardware())
    path = tmp_path / "twin.onnx"
    for opset in (16, 22, True, "18"):
        with pytest.raises(ValueError, match="give a whole number from 17 to 21"):
            onnx_twin(analog, path, x, opset=opset)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a batch of 2 or more"):
        onnx_twin(analog, path, x[:1])
    with pytest.raises(ValueError, match="batch_axis = 5"):
        onnx_twin(analog, path, x, batch_axis=5)
    with pytest.raises(TypeError, match="example holds no tensor"):
        onnx_twin(analog, path, ())
    with pytest.raises(mho.errors.NotProgrammedError, match="onnx_twin needs a programmed chip"):
        onnx_twin(mho.convert(nn.Linear(24, 6), hardware()), path, x)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    analog, x = linear(hardware())
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"pip install 'mho\[onnx\]'"):
        onnx_twin(analog, tmp_path / "twin.onnx", x)


# --- sums that no order of additions changes -----------------------------------------------------


class Inside(nn.Module):
    """A ResNet that also gives what its last convolutions give."""

    def __init__(self, network: nn.Sequential) -> None:
        super().__init__()
        self.features, self.top = network[:-3], network[-3:]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.features(x)
        return y, self.top(y)


@pytest.mark.exhaustive
def test_resnet_20_equals_its_chip_bit_for_bit(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        network = ResNet20().build(3, 16, 10)
        with torch.no_grad():
            network.train()(torch.randn(32, 3, 16, 16))
        network, x = mho.fold_batch_norm(network.eval()), torch.randn(24, 3, 16, 16)
    analog = chip(Inside(network), (x,), hardware(rows=128))
    plain = outputs(analog, (x,))
    exact_sums(analog)
    onnx_twin(analog, tmp_path / "twin.onnx", x, batch_axis=None)  # of one size: half the tracing
    (inside, found), (wanted_inside, wanted) = run(tmp_path / "twin.onnx", (x,)), outputs(analog, (x,))
    assert np.array_equal(inside, wanted_inside)  # all of its 19 convolutions
    equal = (found == wanted).all(axis=1)
    assert equal.all()
    assert np.abs(wanted - plain[1]).max() < 0.2 * np.abs(wanted - network(x).detach().numpy()).max()


def test_exact_sums_are_those_of_float64_in_any_order() -> None:
    analog, _ = linear(hardware(rows=8))
    layout = analog.crossbar.layout
    exact_sums(analog)
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(-127, 128, (3, 6, 8), generator=generator).float()
    kernel = torch.randn(3, 8, 5, generator=generator)
    made = analog.crossbar.layout.product(codes, kernel)
    order = torch.randperm(8, generator=generator)
    assert torch.equal(made, analog.crossbar.layout.product(codes[..., order], kernel[:, order]))
    assert (made.double() - codes.double() @ kernel.double()).abs().max() < 127 * 8 * 2.0**-27 + 1e-4
    kernel.requires_grad_()
    analog.crossbar.layout.product(codes, kernel).sum().backward()
    assert torch.equal(kernel.grad, codes.sum(1).unsqueeze(-1).expand(3, 8, 5))
    copied = copy.deepcopy(analog)
    assert isinstance(copied.crossbar.layout, ExactLayout)
    exact_sums(copied, on=False)
    assert copied.crossbar.layout == layout


def test_exact_sums_need_whole_codes() -> None:
    given = {"adc": mho.ADC(bits=8, range=Fixed(limit=1.0))}
    fine = {"bits": 8, "range": Fixed(limit=1.0)}
    for dac in (None, mho.DAC(bits=None), mho.DAC(noise=0.1, **fine), mho.DAC(stream=Stream(), **fine)):
        analog = mho.convert(nn.Linear(4, 2), mho.Hardware(dac=dac, **given))
        with pytest.raises(ValueError, match="sums are exact of whole codes"):
            exact_sums(analog)
    wide = mho.Hardware(tile=mho.Tile(rows=None), dac=mho.DAC(bits=14), **given)
    with pytest.raises(ValueError, match="need more than the 24 bits of a float32"):
        exact_sums(mho.convert(nn.Conv1d(512, 2, 1), wide))
