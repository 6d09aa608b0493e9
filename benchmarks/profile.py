"""``python -m benchmarks.profile``: where the time of a compiled chip goes, operator by operator.

Torch's profiler over the same network in plain torch and on arrays (8-bit converters, 256-row tiles, one
thread), as shares of the time of plain torch. ``--case`` chooses the network, ``--read-noise`` reads with
noise, ``--eager`` leaves the compiler out.
"""

from __future__ import annotations

import argparse
import warnings

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.cases import CASES, chip
from benchmarks.harness import Subject

NAMES = {
    "CompiledFxGraph": "compiled elementwise loops",
    "TorchDynamo Cache Lookup": "compiler: guards",
    "Torch-Compiled Region": "compiler: entry",
}


def shares(subject: Subject, rounds: int) -> dict[str, float]:
    """Milliseconds of each operator in one call."""
    for _ in range(5):
        subject()
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as found:
        for _ in range(rounds):
            subject()
    times: dict[str, float] = {}
    for event in found.key_averages():
        name = next((plain for part, plain in NAMES.items() if part in event.key), event.key)
        times[name] = times.get(name, 0.0) + event.self_cpu_time_total / 1e3 / rounds
    return times


def main() -> None:
    """Profile one case and print two tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--case", type=int, default=len(CASES) - 1, help=", ".join(
        f"{k}: {case.name}" for k, case in enumerate(CASES)))  # fmt: skip
    parser.add_argument("--read-noise", action="store_true")
    parser.add_argument("--eager", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="torch")
    torch.set_num_threads(1)
    case = CASES[options.case]
    model, x = case.build().eval(), torch.randn(case.shape)
    analog = chip(model, x, float(options.read_noise))
    run = analog if options.eager else torch.compile(analog, fullgraph=True)
    with torch.inference_mode():
        rounds = 200 if x.dim() == 2 else 5
        plain = shares(lambda: model(x), rounds)
        ours = shares(lambda: run(x), rounds)
    whole = sum(plain.values())
    for title, times in (("plain torch", plain), ("on arrays", ours)):
        print(
            f"\n{case.name}, {title}: {sum(times.values()):.2f} ms, {sum(times.values()) / whole:.2f} x torch"
        )
        for name, ms in sorted(times.items(), key=lambda item: -item[1])[:8]:
            if ms > 0.002 * whole:
                print(f"  {ms / whole:6.3f}  {name}")


if __name__ == "__main__":
    main()
