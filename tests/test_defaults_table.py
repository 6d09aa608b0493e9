"""The parts of ``make defaults`` that need no weights from elsewhere: its inputs, its changes, its figure."""

from __future__ import annotations

import functools

import pytest
import torch
from benchmarks.defaults import BASE, CHANGES, Case, Change, ONet, error, voices
from torch import nn

from mho.experiments.real.speakers import SpeakerEncoder


def test_voices_are_spectrograms_whose_harmonics_are_apart() -> None:
    mel = voices(6, seed=0)
    assert mel.shape == (6, 80, 40) and bool((mel >= 0).all())
    assert torch.equal(mel, voices(6, seed=0)) and not torch.equal(mel, voices(6, seed=1))
    assert bool((mel.mean(1).argmax(1) < 35).all())  # formants lie below 3.5 kHz


def test_networks_take_what_they_are_given() -> None:
    assert SpeakerEncoder().eval()(voices(2, 0)).shape == (2, 256)
    assert ONet().eval()(torch.randn(2, 3, 48, 48)).shape == (2, 16)


@functools.cache
def small() -> Case:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(300, 40), nn.ReLU(), nn.Linear(40, 8)).eval()
    x = torch.randn(1240, 300)
    return Case(model, lambda net, batch: net(batch), [x[:600], x[600:1200]], x[1200:])


@functools.cache
def usual() -> float:
    return error(small(), Change(), 0)


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_is_one(name: str) -> None:
    found = error(small(), CHANGES[name], 0)
    assert 0 < found < 2 and found != usual()
    assert CHANGES[name].make(BASE) != BASE or CHANGES[name].bias_rows or CHANGES[name].batches
