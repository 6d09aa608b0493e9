"""Runs of another simulator (MemTorch 1.1.6), with its scheme and its order of updates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mho.devices.dynamics import VTEAM, DataDriven2018, DataDriven2021, Euler, StanfordPKU

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


def test_stanford_pku() -> None:
    """Their temperature comes from the current of the sample before, and their constants are older."""
    index, volts, amperes, gaps = golden("Stanford_PKU_hysteresis")
    voltage = sine_samples(1.5, 10.0, 1e-4, 5001)
    torch.testing.assert_close(voltage[index], volts, atol=1e-9, rtol=1e-9)
    cell = StanfordPKU(k_b=1.3806503e-23, q=1.6e-19)
    low, high = cell.bounds
    gap = torch.as_tensor(cell.initial)
    current = torch.zeros((), dtype=torch.float64)
    states, currents = [], []
    for v in voltage:
        t = cell.temperature(gap, v, current)
        gap = (gap + 1e-4 * cell.rate(gap, v, temperature=t)).clamp(low, high)
        current = cell.current(v, gap)
        states.append(gap)
        currents.append(current)
    check(torch.stack(states)[index], gaps, 1.7e-9)
    check(torch.stack(currents)[index], amperes, 0.1)


# The current is read first, then the resistance moves by the closed form: our Exact, held.
@pytest.mark.parametrize(
    "name, cell",
    [("Data_Driven_hysteresis", DataDriven2018()), ("Data_Driven2021_hysteresis_dt1e-8", DataDriven2021())],
)
def test_data_driven(name: str, cell: DataDriven2018 | DataDriven2021) -> None:
    index, volts, amperes, resistances = golden(name)
    samples = 12_001  # of ten periods, a little more than the first
    voltage = sine_samples(1.5, 10e3, 1e-8, samples)
    index = index[index < samples - 1]
    count = len(index)
    torch.testing.assert_close(voltage[index], volts[:count], atol=1e-9, rtol=1e-9)
    time = torch.arange(samples, dtype=torch.float64) * 1e-8
    trace = cell.simulate(voltage, time, held=True)
    check(trace.state[index + 1], resistances[:count], 1e3)
    check(trace.current[index], amperes[:count], 1e-2)
