"""Exact line resistance: ``python -m benchmarks.wires`` (a few minutes; ``--quick`` for seconds).

Times are CPU medians of subjects that take turns in one process, on one thread. The peer is badcrossbar
1.1.0, which solves the same circuit exactly for given inputs::

    pip install badcrossbar==1.1.0          # needs cairo's headers: apt install libcairo2-dev

Without it the table has no peer column and everything else is measured all the same.

What was predicted before the first measurement, and what came (float64, 2 ohm, AMD EPYC, one core shared
with other work, torch 2.13):

- One 128 x 128 solve: 46 n^3 operations in products, 96 million, 3 ms at the 40 GFlop/s that this core
  reaches alone; the small blocks below 8 x 8 are bound by memory and calls, guessed at another 6 ms.
  Predicted 10 ms; came 17 to 23 ms. The lower half of the levels costs as much as the upper one, and products
  of a batch of 8 x 8 matrices reach 9 GFlop/s.
- Backward: 2.3 times the products of the forward, fewer passes over memory: predicted 2.3 times the
  forward; came 1.0 to 1.9.
- 64 tiles of 128 x 128 in float32: predicted 0.5 s; came 0.9 s, the same per tile as one alone. Tiles are
  taken in portions that fit the cache, so batching neither helps nor hurts at this size.
- Growth: predicted between n^2 (calls, memory) and n^3 (products) up to 512 for time and n^2 for memory;
  came n^2.2 and n^1.8.
- Against badcrossbar with 1,000 inputs: predicted 300 times at 128 x 128 and at 256 x 256, from times
  published with all its outputs; came 140 and 142 in float64, 227 and 276 in float32, with output currents
  alone asked of it.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import mho
from benchmarks.harness import paired, rounds_for
from mho.array import Wires

OHM = 2.0
VECTORS = 1000


def conductances(n: int, dtype: torch.dtype, *lead: int, seed: int = 0) -> Tensor:
    """Log-uniform from 1 to 100 microsiemens."""
    generator = torch.Generator().manual_seed(seed)
    return 10 ** (-6 + 2 * torch.rand(*lead, n, n, generator=generator, dtype=dtype))


def ours(g: Tensor, v: Tensor) -> Callable[[], Tensor]:
    """Solve for the effective conductances, then multiply all inputs."""
    wires = Wires(row=OHM, column=OHM)
    return lambda: v @ wires.effective_conductance(g)


def badcrossbar(g: Tensor, v: Tensor) -> Callable[[], np.ndarray] | None:
    """The peer on the same array and inputs; None where it is not installed."""
    if importlib.util.find_spec("badcrossbar") is None:
        return None
    import badcrossbar as peer

    logging.getLogger("badcrossbar").setLevel(logging.ERROR)
    ohms, volts = (1 / g.double()).numpy(), v.double().T.numpy()
    return lambda: np.asarray(
        peer.compute(volts, ohms, OHM, node_voltages=False, all_currents=False).currents.output
    )


def against_peer(sizes: list[int], rounds: int) -> None:
    """Effective conductances and 1,000 inputs, against badcrossbar; sizes up to its patience."""
    print(f"\n{VECTORS} inputs, {OHM:g} ohm, one tile")
    print(f"{'size':>9}{'dtype':>9}{'mho ms':>10}{'badcrossbar ms':>16}{'x':>7}")
    for n in sizes:
        g = conductances(n, torch.float64)
        v = torch.rand(VECTORS, n, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        subjects: dict[str, Callable[[], object]] = {
            "float64": ours(g, v),
            "float32": ours(g.float(), v.float()),
        }
        other = badcrossbar(g, v)
        if other is not None:
            error = np.abs(ours(g, v)().numpy() - other()).max() / np.abs(other()).max() if n <= 128 else 0.0
            assert error < 1e-9, error
            subjects["badcrossbar"] = other
        few = rounds if other is not None else rounds_for(subjects["float64"])
        times = paired(subjects, few, warm=1)
        for dtype in ("float64", "float32"):
            peer = ""
            if other is not None:
                ratio = times["badcrossbar"] / times[dtype]
                peer = f"{1e3 * times['badcrossbar']:>16.0f}{ratio:>7.0f}"
            print(f"{n:>4} x {n:<3}{dtype:>9}{1e3 * times[dtype]:>10.1f}{peer}", flush=True)


def backward() -> None:
    """Gradient against the solve it belongs to."""
    print(f"\n{'backward of':<24}{'forward ms':>12}{'backward ms':>13}{'x':>7}")
    for n in (64, 128, 256):
        for dtype in (torch.float64, torch.float32):
            g = conductances(n, dtype).requires_grad_()
            wires = Wires(row=OHM, column=OHM)
            forward, back = [], []
            for _ in range(15):
                start = time.process_time()
                g_eff = wires.effective_conductance(g)
                middle = time.process_time()
                g_eff.backward(torch.ones_like(g_eff))
                forward.append(middle - start)
                back.append(time.process_time() - middle)
            a, b = float(np.median(forward)), float(np.median(back))
            print(f"{n:>4} x {n:<4}{dtype!s:<15}{1e3 * a:>12.1f}{1e3 * b:>13.1f}{b / a:>7.2f}", flush=True)


def many_tiles() -> None:
    """64 tiles of 128 x 128 together, against one."""
    g = conductances(128, torch.float32, 64)
    wires = Wires(row=OHM, column=OHM)
    subjects = {
        "all": lambda: wires.effective_conductance(g),
        "one": lambda: wires.effective_conductance(g[0]),
    }
    times = paired(subjects, 5, warm=1)
    together, apart = times["all"], 64 * times["one"]
    print(f"\n64 tiles of 128 x 128, float32: {together:.2f} s together, {apart:.2f} s one by one")


def inference() -> None:
    """A frozen chip with wires against the same chip without, through the whole layer."""
    layer, x = nn.Linear(256, 256), torch.randn(64, 256)
    chips = {}
    for name, array in (("ideal", mho.array.Ideal()), ("wires", Wires(row=1.0, column=1.0))):
        chip = mho.convert(layer, mho.Hardware(device=mho.devices.PCM(read_scale=0.0), array=array)).eval()
        mho.program(chip, seed=0)
        chips[name] = chip
    with torch.inference_mode():
        for chip in chips.values():
            chip(x)  # the solve happens here, once
        times = paired({name: (lambda c=c: c(x)) for name, c in chips.items()}, 200)
    print(f"inference of a programmed layer, wires over ideal: {times['wires'] / times['ideal']:.3f}")


def growth(sizes: list[int]) -> None:
    """Time and memory against the size, and the exponent of a power law through the upper sizes."""
    print(f"\ngrowth, float64\n{'size':>9}{'ms':>10}{'MiB':>9}")
    seconds, mebibytes = [], []
    for n in sizes:
        g, wires = conductances(n, torch.float64), Wires(row=OHM, column=OHM)
        solve = {"solve": lambda g=g, wires=wires: wires.effective_conductance(g)}
        seconds.append(paired(solve, max(3, min(15, rounds_for(solve["solve"]))), warm=1)["solve"])
        command = [sys.executable, "-m", "benchmarks.wires", "--memory", str(n)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        mebibytes.append(float(done.stdout))
        print(f"{n:>4} x {n:<3}{1e3 * seconds[-1]:>10.1f}{mebibytes[-1]:>9.1f}", flush=True)
    upper = [k for k, n in enumerate(sizes) if n >= 64]
    logs = [math.log(sizes[k]) for k in upper]
    for name, values in (("time", seconds), ("memory", mebibytes)):
        if not all(values[k] > 0 for k in upper):
            continue  # not measured here
        slope = float(np.polyfit(logs, [math.log(values[k]) for k in upper], 1)[0])
        print(f"{name} grows as n^{slope:.2f} from {sizes[upper[0]]} to {sizes[-1]}")


def memory(n: int) -> float:
    """MiB that one solve takes at its peak (Linux; NaN elsewhere)."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        return math.nan

    def kibibytes(name: str) -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name))

    g, wires = conductances(n, torch.float64), Wires(row=OHM, column=OHM)
    wires.effective_conductance(conductances(16, torch.float64))
    reset.write_text("5")  # the peak starts again from here
    before = kibibytes("VmRSS")
    wires.effective_conductance(g)
    return (kibibytes("VmHWM") - before) / 1024


def gpu() -> None:
    """1,024 tiles of 128 x 128 on a GPU, if there is one."""
    if not torch.cuda.is_available():
        print("\nno GPU: 1,024 tiles of 128 x 128 not timed")
        return
    g, wires = conductances(128, torch.float32, 1024).cuda(), Wires(row=OHM, column=OHM)
    wires.effective_conductance(g)
    torch.cuda.synchronize()
    start = time.perf_counter()
    wires.effective_conductance(g)
    torch.cuda.synchronize()
    print(f"\nGPU, 1,024 tiles of 128 x 128, float32: {time.perf_counter() - start:.2f} s")


def main() -> None:
    """Time everything and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wires", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small arrays only")
    parser.add_argument("--rounds", type=int, default=3, help="rounds against badcrossbar")
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory:
        print(memory(options.memory))
        return
    if importlib.util.find_spec("badcrossbar") is None:
        print(
            "badcrossbar is not installed: no peer column (pip install badcrossbar==1.1.0)", file=sys.stderr
        )
    against_peer([32, 64] if options.quick else [32, 64, 128, 256], options.rounds)
    backward()
    many_tiles()
    inference()
    growth([16, 32, 64, 128] if options.quick else [16, 32, 64, 128, 256, 512])
    gpu()


if __name__ == "__main__":
    main()
