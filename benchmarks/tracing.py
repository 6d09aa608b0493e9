"""What a trace costs: CPU time of an evaluation that is listened to, over that of the same one alone.

::

    python -m benchmarks.tracing

Each row is the median over rounds that take turns; counts alone, voltages and conversions of one vector in
eight, and all of them; and what ``mho.cost`` keeps of one in eight.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn

import mho
from mho.chip.power import PowerMeter
from mho.nn import crossbars
from mho.nn.tapping import counter_of, tapped

ROUNDS, SECONDS = 31, 0.02  # of each turn, about
SHARES = {"counts": 0.0, "one in 8": 1 / 8, "all": 1.0}
NAMES = (*SHARES, "cost, 1/8")


def cases() -> Iterator[tuple[str, nn.Module, Tensor]]:
    """Layers and an input each."""
    yield "linear 32, batch 1", nn.Linear(32, 32), torch.randn(1, 32)
    yield "linear 512, batch 128", nn.Linear(512, 512), torch.randn(128, 512)
    yield "convolution 64, batch 8", nn.Conv2d(64, 64, 3, padding=1), torch.randn(8, 64, 16, 16)
    yield "LSTM 64, 32 steps, batch 16", nn.LSTM(64, 64, batch_first=True), torch.randn(16, 32, 64)


def ratios(layer: nn.Module, x: Tensor) -> dict[str, float]:
    """CPU time with each kind of trace over that without."""
    hardware = mho.Hardware(
        device=mho.devices.PCM(),
        tile=mho.Tile(rows=256, columns=256),
        dac=mho.DAC(bits=8),
        adc=mho.ADC(bits=8),
    )
    model = mho.convert(nn.Sequential(layer), hardware).eval()
    mho.calibrate(model, [x])
    mho.program(model, seed=0)
    times: dict[str, list[float]] = {name: [] for name in ("alone", *NAMES)}
    with torch.no_grad():
        runs = max(1, int(SECONDS / _seconds(model, x, 3)))
        for _ in range(ROUNDS):
            for name, each in times.items():
                with _listening(model, name):
                    each.append(_seconds(model, x, runs))
    middle = {name: statistics.median(each) for name, each in times.items()}
    return {name: middle[name] / middle["alone"] for name in NAMES}


def _listening(model: nn.Module, name: str) -> contextlib.AbstractContextManager[object]:
    if name == "alone":
        return contextlib.nullcontext()
    if name in SHARES:
        return mho.trace(model, SHARES[name])
    arrays = crossbars(model)
    return tapped(arrays, {path: counter_of(PowerMeter, array, 8) for path, array in arrays.items()})


def _seconds(model: nn.Module, x: Tensor, runs: int) -> float:
    start = time.process_time()
    for _ in range(runs):
        model(x)
    return (time.process_time() - start) / runs


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print(f"{'CPU time over that without a trace':36s}" + "".join(f"{name:>11s}" for name in NAMES))
    for name, layer, x in cases():
        found = ratios(layer, x)
        print(f"{name:36s}" + "".join(f"{found[each]:11.3f}" for each in NAMES), flush=True)


if __name__ == "__main__":
    main()
