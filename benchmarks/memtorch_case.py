"""The network of MemTorch's tutorial through its face: conversion, inference, non-linear reads.

python -m benchmarks.memtorch_case [images]

Two convolutions and two linear layers on images of MNIST's shape, random weights. Inference times are medians
of processor time over interleaved runs, next to the digital network's.
"""

import copy
import os
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

import mho.compat.memtorch as memtorch
from mho.compat.memtorch.bh.nonideality.NonIdeality import NonIdeality, apply_nonidealities
from mho.compat.memtorch.mn.Module import patch_model

IMAGES = int(sys.argv[1]) if len(sys.argv) > 1 else 64


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
    ).eval()  # fmt: skip


def patched(model: nn.Module) -> nn.Module:
    return patch_model(
        model,
        memristor_model=memtorch.bh.memristor.VTEAM,
        memristor_model_params={"time_series_resolution": 1e-10},
        module_parameters_to_patch=[nn.Conv2d, nn.Linear],
        tile_shape=(128, 128),
        max_input_voltage=0.3,
        ADC_resolution=8,
        quant_method="linear",
        verbose=False,
        seed=0,
    )


def medians(models: dict[str, nn.Module], x: torch.Tensor, rounds: int) -> dict[str, float]:
    """Seconds of processor time of one inference each, the models taking turns."""
    times: dict[str, list[float]] = {name: [] for name in models}
    with torch.no_grad():
        for _ in range(rounds):
            for name, model in models.items():
                times[name].append(worked(lambda model=model: model(x)))
    return {name: statistics.median(values[1:] or values) for name, values in times.items()}


def timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def worked(run: Callable[[], object]) -> float:
    """Processor time, which other programs on the machine change less."""
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    torch.manual_seed(0)
    model, x = network(), torch.rand(IMAGES, 1, 28, 28)
    made: list[nn.Module] = []
    cpu = time.process_time()
    convert = timed(lambda: made.append(patched(model)))
    analog = made[0]
    tune = timed(lambda: analog.tune_(seed=0))
    cpu = time.process_time() - cpu
    print(f"patch_model (convert, program): {convert:.2f} s, tune_: {tune:.2f} s; processor time {cpu:.2f} s")
    fast = medians({"digital": model, "tiles 128 x 128, 8-bit ADC": analog}, x, 12)
    slow = copy.deepcopy(analog)
    apply = timed(lambda: apply_nonidealities(slow, [NonIdeality.NonLinear], simulate=True))
    few = medians({"digital": model, "simulated in each read": slow}, x[:8], 3)
    print(f"apply NonLinear(simulate=True): {apply:.2f} s")
    for number, times in ((IMAGES, fast), (8, few)):
        for name, seconds in times.items():
            ratio = seconds / times["digital"]
            print(f"{name:28} {1e3 * seconds / number:9.3f} ms an image ({number} at once) {ratio:8.1f} x")


if __name__ == "__main__":
    main()
