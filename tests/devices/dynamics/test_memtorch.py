"""Runs of another simulator (MemTorch 1.1.6), with its scheme and its order of updates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mho.devices.dynamics import VTEAM, Euler

DATA = Path(__file__).parents[2] / "reference" / "data"


def golden(name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sample numbers, voltage, current, state after the step."""
    table = np.loadtxt(DATA / "memtorch" / f"{name}.csv", delimiter=",", skiprows=1)
    index, _, voltage, current, _, state = (torch.from_numpy(column) for column in table.T)
    return index.long(), voltage, current, state


def sine_samples(amplitude: float, frequency: float, dt: float, samples: int) -> torch.Tensor:
    time = torch.arange(samples, dtype=torch.float64) * dt
    return amplitude * torch.sin(2 * np.pi * frequency * time)


def check(ours: torch.Tensor, theirs: torch.Tensor, scale: float) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9 * scale)


# The state moves first, then the current is read, so row n pairs V[n] with our state n + 1.
@pytest.mark.parametrize("kind", ["hysteresis", "bipolar"])
def test_vteam(kind: str) -> None:
    index, volts, amperes, states = golden(f"VTEAM_{kind}")
    voltage = sine_samples(1.0, 50e6, 1e-10, 2001) if kind == "hysteresis" else volts
    torch.testing.assert_close(voltage[index], volts, atol=1e-9, rtol=1e-9)
    cell = VTEAM()
    time = torch.arange(len(voltage) + 1, dtype=torch.float64) * 1e-10
    trace = cell.simulate(torch.cat([voltage, voltage[-1:]]), time, method=Euler())
    check(trace.state[index + 1], states, 3e-9)
    check(cell.current(volts, trace.state[index + 1]), amperes, 0.02)
