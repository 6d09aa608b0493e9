"""What exact wires may cost, in CPU time of one thread; medians of subjects that take turns."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import pytest
import torch
from torch import nn

import mho
from mho.array import Ideal, Wires

pytestmark = pytest.mark.slow
WIRES = Wires(row=2.0, column=2.0)


def seconds(*subjects: Callable[[], object], rounds: int) -> list[float]:
    times: list[list[float]] = [[] for _ in subjects]
    for subject in subjects:
        subject()
    for _ in range(rounds):
        for subject, record in zip(subjects, times, strict=True):
            start = time.process_time()
            subject()
            record.append(time.process_time() - start)
    return [median(record) for record in times]


def test_backward_within_three_forwards(conductances) -> None:
    g = conductances(128, 128).requires_grad_()
    result: list[torch.Tensor] = []

    def forward() -> None:
        result[:] = [WIRES.effective_conductance(g)]

    def backward() -> None:
        result[0].sum().backward()

    solve, back = seconds(forward, backward, rounds=7)
    assert back < 3 * solve


def test_64_tiles_together(conductances) -> None:
    g = torch.stack([conductances(128, 128, seed) for seed in range(64)]).float()
    together, one = seconds(
        lambda: WIRES.effective_conductance(g), lambda: WIRES.effective_conductance(g[0]), rounds=3
    )
    assert together < 2.5 and together < 1.5 * 64 * one


def test_inference_costs_nothing(conductances) -> None:
    """The solve belongs to the chip, not to the read."""
    layer, x = nn.Linear(256, 256), torch.randn(64, 256)
    chips = []
    for array in (Ideal(), Wires(row=1.0, column=1.0)):
        chip = mho.convert(layer, mho.Hardware(device=mho.devices.PCM(read_scale=0.0), array=array)).eval()
        mho.program(chip, seed=0)
        chips.append(chip)
    with torch.inference_mode():
        ideal, wires = seconds(lambda: chips[0](x), lambda: chips[1](x), rounds=300)
    assert wires < 1.05 * ideal


def test_hundred_times_the_peer(conductances) -> None:
    """One thousand inputs on 128 x 128 cells, the same circuit solved exactly by badcrossbar."""
    peer = pytest.importorskip("badcrossbar", reason="badcrossbar is not installed (pip install badcrossbar)")
    logging.getLogger("badcrossbar").setLevel(logging.ERROR)
    g, v = conductances(128, 128), torch.rand(1000, 128, dtype=torch.float64)
    ohms, volts = (1 / g).numpy(), v.T.numpy()
    found: list[np.ndarray] = []

    def ours() -> None:
        found[:1] = [(v @ WIRES.effective_conductance(g)).numpy()]

    def theirs() -> None:
        found[1:] = [
            np.asarray(
                peer.compute(volts, ohms, 2.0, node_voltages=False, all_currents=False).currents.output
            )
        ]

    mine, other = seconds(ours, theirs, rounds=3)
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-9 * np.abs(found[1]).max())
    assert other > 100 * mine
