"""Shapes and values of the waveform helpers."""

from __future__ import annotations

import math

import pytest
import torch

from mho.devices.dynamics import pulses, sine, staircase, triangle


def test_sine() -> None:
    wave = sine(2.0, 10.0, periods=2, samples=100)
    assert wave.voltage.shape == wave.time.shape == (201,)
    torch.testing.assert_close(wave.voltage, 2 * torch.sin(2 * math.pi * 10 * wave.time), atol=1e-12, rtol=0)
    assert float(wave.time[-1]) == pytest.approx(0.2)


def test_triangle_hits_its_corners() -> None:
    voltage, time = triangle(-1.5, 0.5, samples=8)
    assert voltage.tolist() == [0, -0.75, -1.5, -0.75, 0, 0.75, 1.5, 0.75, 0]
    assert time.tolist() == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]


def test_pulses_and_staircase() -> None:
    voltage, time = pulses([1.0, -2.0], width=3e-6, gap=1e-6)
    assert voltage.tolist() == [1, 0, -2, 0, 0]
    assert time.tolist() == pytest.approx([0, 3e-6, 4e-6, 7e-6, 8e-6])
    assert pulses([1.0, 2.0], width=1.0).time.tolist() == [0, 1, 2]
    assert staircase([0.1, 0.2], dwell=2.0).voltage.tolist() == [0.1, 0.2, 0.2]
    assert staircase([0.1], dwell=1.0, dtype=torch.float32).voltage.dtype is torch.float32


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="frequency = 0"):
        sine(1.0, 0.0)
    with pytest.raises(ValueError, match="samples = 3"):
        triangle(1.0, 1.0, samples=3)
    with pytest.raises(ValueError, match=r"gap = -1\.0"):
        pulses([1.0], 1.0, gap=-1.0)
    with pytest.raises(ValueError, match="width = inf"):
        pulses([1.0], math.inf)
    with pytest.raises(ValueError, match=r"levels = \[\]"):
        staircase([], 1.0)
    with pytest.raises(ValueError, match="amplitudes"):
        pulses([math.nan], 1.0)
