"""How often the ONNX twin of a network gives another bit than its chip, in onnxruntime.

Both sides hold codes as whole numbers and add products in another order: a current within rounding of the
middle between two codes may become either. ``python -m benchmarks.onnx_ties`` counts the outputs that
this changes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

import mho
from mho.experiments.models.resnet import ResNet20, SmallResNet
from mho.export import exact_sums, onnx_twin


def resnet(kind: type[ResNet20 | SmallResNet]) -> Callable[[], tuple[nn.Module, Tensor]]:
    def make() -> tuple[nn.Module, Tensor]:
        network = kind().build(3, 32, 10)
        with torch.no_grad():
            network.train()(torch.randn(64, 3, 32, 32))  # batch normalisation has seen something
        return mho.fold_batch_norm(network.eval()), torch.randn(64, 3, 32, 32)

    return make


def lenet() -> tuple[nn.Module, Tensor]:
    layers = (
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, 10),
    )  # fmt: skip
    return nn.Sequential(*layers), torch.randn(512, 1, 28, 28)


def encoder() -> tuple[nn.Module, Tensor]:
    layer = nn.TransformerEncoderLayer(384, 12, 1536, batch_first=True, activation="gelu")
    return nn.Sequential(layer.eval(), nn.Linear(384, 2)), torch.randn(32, 16, 384)


class Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(64, 128, batch_first=True), nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


def lstm() -> tuple[nn.Module, Tensor]:
    return Lstm(), torch.randn(256, 12, 64)


NETWORKS = {"lenet": lenet, "resnet-20": resnet(ResNet20), "lstm": lstm, "minilm layer": encoder}


def measured(make: Callable[[], tuple[nn.Module, Tensor]], exact: bool) -> tuple[int, int, float, float]:
    """Samples that are equal bit for bit, all samples, the largest difference, and the chip's own error."""
    torch.manual_seed(0)
    network, x = make()
    hardware = mho.Hardware(
        device=mho.devices.PCM(read_scale=0.0), dac=mho.DAC(bits=8), adc=mho.ADC(bits=8), tile=mho.Tile()
    )
    analog = mho.convert(network.eval(), hardware).eval()
    mho.calibrate(analog, [x])
    mho.program(analog, seed=0)
    exact_sums(analog, exact)
    with torch.no_grad():
        wanted, ideal = analog(x).numpy(), network(x).numpy()
    with tempfile.TemporaryDirectory() as folder:
        onnx_twin(analog, Path(folder) / "twin.onnx", x[:2])
        session = onnxruntime.InferenceSession(f"{folder}/twin.onnx", providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    equal = (found == wanted).reshape(len(x), -1).all(axis=1)
    scale = np.abs(ideal).max()
    difference, error = (float(np.abs(y - wanted).max() / scale) for y in (found, ideal))
    return int(equal.sum()), len(x), difference, error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=[*NETWORKS], metavar="NETWORK")
    print(
        "network       sums   equal samples   largest difference   error of the chip  (of the largest output)"
    )
    for name in parser.parse_args().networks:
        for exact in (False, True):
            equal, count, difference, error = measured(NETWORKS[name], exact)
            sums = "exact" if exact else "plain"
            print(f"{name:<14}{sums:<7}{equal:>4} of {count:<7} {difference:<20.1e} {error:.1e}", flush=True)


if __name__ == "__main__":
    main()
