"""Speed of the switching models: pulses on a million cells, a waveform in chunks, the integrators.

python benchmarks/dynamics.py [cells]
"""

import resource
import sys
import time
from collections.abc import Callable

import torch

from mho.devices.dynamics import (
    JART,
    VTEAM,
    Adaptive,
    DataDriven2018,
    DataDriven2021,
    Euler,
    Exact,
    Implicit,
    LinearIonDrift,
    Method,
    StanfordPKU,
    SwitchingModel,
    Waveform,
    Yakopcic,
    sine,
    triangle,
)

CELLS = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000

# model, pulse (V, s)
PULSES: list[tuple[SwitchingModel, float, float]] = [
    (LinearIonDrift(), 1.0, 1e-3),
    (VTEAM(), 0.5, 1e-9),
    (Yakopcic(), 0.45, 1e-5),
    (StanfordPKU(), 1.5, 1e-10),
    (DataDriven2018(), 1.0, 1e-6),
    (DataDriven2021(), 1.0, 1e-6),
    (JART(), 0.5, 1e-6),
]


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Shortest of some runs."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def memory() -> float:
    """Most memory used so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@torch.no_grad()
def pulses() -> None:
    print(f"one pulse on each of {CELLS:,} cells, a voltage of its own for each cell, float32")
    for model, volts, dt in PULSES:
        count = CELLS if not isinstance(model, JART) else CELLS // 100
        low, high = (float(b) for b in model.bounds)
        state = (low + (high - low) * torch.rand(count)).float()
        voltage = volts * (1 + 0.01 * torch.randn(count))
        used = seconds(lambda m=model, x=state, v=voltage, t=dt: m.step(x, v, t))  # type: ignore[misc]
        print(f"  {type(model).__name__:15} {1e3 * used:9.1f} ms   {1e9 * used / count:9.1f} ns per cell")


@torch.no_grad()
def waveform() -> None:
    wave = sine(1.0, 50e6, 1, 1000, torch.float32)
    state = torch.rand(CELLS) * 3e-9
    print(f"a sine of {len(wave.time)} samples on {CELLS:,} VTEAM cells, float32, 11 samples kept, Exact()")
    before = memory()
    for chunk in (2**14, 2**16, 2**18, CELLS):
        used = seconds(lambda c=chunk: VTEAM().simulate(*wave, state, Exact(), every=100, chunk=c), 1)  # type: ignore[misc]
        rate = CELLS * len(wave.time) / used
        print(f"  chunks of {chunk:9,}: {used:6.2f} s, {rate:.2e} steps/s, {memory() - before:6.0f} MiB more")


@torch.no_grad()
def integrators() -> None:
    print("one cell, one period: seconds, and largest error of the state in the span")
    cases: list[tuple[SwitchingModel, Waveform, Method]] = [
        (VTEAM(), sine(1.0, 50e6, 1, 1000), Adaptive(tolerance=1e-8)),
        (StanfordPKU(), sine(1.5, 10.0, 1, 1000), Adaptive(tolerance=1e-8)),
        (JART(), triangle(-1.5, 1 / 6, 1, 300), Implicit(tolerance=1e-5)),
    ]
    for model, wave, reference in cases:
        low, high = (float(b) for b in model.bounds)
        truth = model.simulate(*wave, method=reference).state
        for method in (Euler(), Exact(), Adaptive(tolerance=1e-4), Adaptive(), Implicit(tolerance=1e-4)):
            if isinstance(method, Exact) and not model.has_exact:
                continue
            start = time.perf_counter()
            state = model.simulate(*wave, method=method).state
            used = time.perf_counter() - start
            error = float((state - truth).abs().max()) / (high - low)
            print(f"  {type(model).__name__:12} {method!s:45} {used:7.2f} s   {error:.1e}")


print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
pulses()
waveform()
integrators()
