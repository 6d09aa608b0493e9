"""What training by pulses costs: a step of it over one of plain torch, and its growth.

::

    python -m benchmarks.pulses

The first table is of the digits network, 64-32-10 at batch 10, by rule and cells: CPU time of an epoch of
110 steps over that of float training of the same network, medians over epochs that take turns, one thread.
The second one is of a single layer: milliseconds of a step of SGD by size, batch and length of the trains,
beside the same step of float torch, and bytes that an array of that size keeps for each cell.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import mho
from mho.devices import Pulsed, pulsed
from mho.training import on_chip

EPOCHS = 5
FAMILY = {"fast_lr": 0.5, "auto_scale": True, "auto_granularity": 1000.0}
RULES: dict[str, tuple[on_chip.Rule, float]] = {
    "SGD": (on_chip.SGD(), 0.3),
    "TikiTaka": (on_chip.TikiTaka(), 1.0),
    "MixedPrecision": (on_chip.MixedPrecision(), 0.1),
    "TikiTaka2": (on_chip.ChoppedTikiTaka2(in_chop_prob=0.0, **FAMILY), 1.0),  # type: ignore[arg-type]
    "ChoppedTikiTaka2": (on_chip.ChoppedTikiTaka2(in_chop_prob=0.01, **FAMILY), 1.0),  # type: ignore[arg-type]
    "AGAD": (on_chip.AGAD(in_chop_prob=0.02, **FAMILY), 1.0),  # type: ignore[arg-type]
}
CELLS = {"ReRamSB": pulsed.ReRamSB(), "ReRamArrayOM": pulsed.ReRamArrayOM()}


def hardware(cell: pulsed.PulsedCell) -> mho.Hardware:
    """One cell for each weight, 7-bit inputs, 9-bit outputs: the converters of aihwkit's presets."""
    device = Pulsed(cell=cell, device=mho.devices.Ideal(g_min=20e-6, g_max=30e-6))
    mapping = mho.mapping.Offset(scale=mho.mapping.Fixed(weight=1.0))
    measured = mho.converters.Dynamic()
    return mho.Hardware(
        device=device,
        mapping=mapping,
        dac=mho.DAC(bits=7, range=measured),
        adc=mho.ADC(bits=9, range=measured),
    )


def network() -> nn.Module:
    """The digits network."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))


Step = Callable[[Tensor, Tensor], None]


def stepper(model: nn.Module, optimizer: torch.optim.Optimizer) -> Step:
    """One step of training."""

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def on_pulses(model: nn.Module, cell: pulsed.PulsedCell, rule: on_chip.Rule, lr: float) -> Step:
    """One step of training by pulses; digital biases go along."""
    analog = mho.convert(model, hardware(cell))
    mho.program(analog, seed=0)
    digital = torch.optim.SGD(on_chip.digital_parameters(analog), lr=lr)
    return stepper(analog.train(), on_chip.PulsedOptimizer(analog, lr=lr, rule=rule, digital=digital))


def epoch(step: Step, x: Tensor, y: Tensor, batch: int) -> float:
    """CPU seconds of one epoch."""
    order = torch.randperm(len(x)).split(batch)
    begin = time.process_time()
    for some in order:
        step(x[some], y[some])
    return time.process_time() - begin


def rules() -> None:
    """Print the table of rules and cells."""
    data, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(data[:1100] / 16, dtype=torch.float32), torch.tensor(labels[:1100])
    print(f"{'':18s}" + "".join(f"{name:>14s}" for name in CELLS) + "   x the epoch of float training")
    for name, (rule, lr) in RULES.items():
        row = []
        for cell in CELLS.values():
            plain = network()
            steps = (
                stepper(plain, torch.optim.SGD(plain.parameters(), lr=0.3)),
                on_pulses(network(), cell, rule, lr),
            )
            times = [[epoch(step, x, y, 10) for step in steps] for _ in range(EPOCHS + 1)][1:]
            row.append(statistics.median(b for _, b in times) / statistics.median(a for a, _ in times))
        print(f"{name:18s}" + "".join(f"{value:14.1f}" for value in row), flush=True)


def growth() -> None:
    """Print the table of sizes, batches and lengths."""
    print("  size  batch  slots  float ms  pulses ms  ratio  B/cell")
    for size, batch, slots in (
        (128, 10, 31), (512, 10, 31), (1024, 10, 31), (2048, 10, 31),
        (512, 1, 31), (512, 100, 31), (512, 10, 1), (512, 10, 7), (512, 10, 127),
    ):  # fmt: skip
        layer = nn.Linear(size, size, bias=False)
        x, target = torch.rand(batch, size), torch.randint(0, size, (batch,))
        rule = on_chip.SGD(train=on_chip.Stochastic(desired_bl=slots, update_bl_management=False))
        analog = mho.convert(layer, hardware(pulsed.ReRamSB()))
        mho.program(analog, seed=0)
        optimizer = on_chip.PulsedOptimizer(analog, lr=0.3, rule=rule)
        steps = (
            stepper(layer, torch.optim.SGD(layer.parameters(), lr=0.3)),
            stepper(analog.train(), optimizer),
        )
        times = [[_seconds(step, x, target) for step in steps] for _ in range(5)]
        plain, pulses = (statistics.median(column) * 1e3 for column in zip(*times, strict=True))
        print(
            f"{size:6d}{batch:7d}{slots:7d}{plain:10.2f}{pulses:11.2f}{pulses / plain:7.1f}"
            f"{_bytes(optimizer) / size**2:8.0f}",
            flush=True,
        )


def _seconds(step: Step, x: Tensor, y: Tensor) -> float:
    begin = time.process_time()
    step(x, y)
    return time.process_time() - begin


def _bytes(optimizer: on_chip.PulsedOptimizer) -> int:
    """Memory of the cells that an optimizer keeps beside the chip."""
    (learner,) = optimizer.learners.values()
    bank = learner.held.weights.bank
    kept = [bank.weight, bank.pulses, bank.low, bank.high, *bank.parameters.values()]
    kept += [] if bank.shown is bank.weight else [bank.shown]
    return sum(tensor.numel() * tensor.element_size() for tensor in kept)


if __name__ == "__main__":
    torch.set_num_threads(1)
    rules()
    growth()
