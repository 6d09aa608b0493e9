"""The tones of ``make pitch`` have the pitch that they say, and its figure counts as it says."""

from __future__ import annotations

import math

import torch
from benchmarks.pitch import CENTS, Crepe, found, tones
from torch import Tensor, nn


def test_tones_have_their_pitch() -> None:
    """Most of the power of a frame lies on whole multiples of its pitch."""
    x, pitch = tones(50, seed=3)
    assert float(x.mean(1).abs().max()) < 1e-5 and float((x.var(1) - 1).abs().max()) < 1e-4
    t = torch.arange(x.shape[1]) / 16_000
    for frame, hertz in zip(x, pitch, strict=True):
        waves = [f(2 * math.pi * h * hertz * t) for h in range(1, 8) for f in (torch.sin, torch.cos)]
        fitted = torch.linalg.lstsq(torch.stack(waves, 1), frame[:, None])
        left = float((frame - (torch.stack(waves, 1) @ fitted.solution)[:, 0]).var())
        assert left < 0.03  # the noise is a hundredth of the power


class Told(nn.Module):
    """Finds a pitch that it is told, so many cents off."""

    def __init__(self, pitch: Tensor, off: float) -> None:
        super().__init__()
        self.cents = 1200 * torch.log2(pitch / 10) + off

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(-(((CENTS - self.cents[: len(x), None]) / 25) ** 2) / 2)


def test_a_pitch_is_found_to_50_cents() -> None:
    x, pitch = tones(100, seed=4)
    assert [found(Told(pitch, off), x, pitch) for off in (0.0, 45.0, -45.0, 60.0, -60.0)] == [1, 1, 1, 0, 0]


def test_the_network_is_the_tiny_one() -> None:
    model = Crepe().eval()
    assert sum(p.numel() for p in model.parameters()) == 486_552
    assert model(torch.randn(2, 1024)).shape == (2, 360)
