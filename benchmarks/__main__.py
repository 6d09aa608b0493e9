"""``python -m benchmarks``: mho against plain torch, as multiples, in one process.

8-bit DAC and ADC calibrated, 256-row tiles; one thread unless ``--threads`` says otherwise; CPU time,
medians of interleaved rounds. ``--quick`` leaves ResNet-18 and the compilers out; ``--json`` is for
``benchmarks.compare``.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import resource
import time
import warnings
from collections.abc import Iterator

import torch
from torch import nn

import mho
from benchmarks.cases import CASES, RESNET, Case, chip, hardware, streamed, student, training_step
from benchmarks.harness import paired, rounds_for
from benchmarks.peers import installed

Row = tuple[str, str, float, float]


def inference(case: Case, compiled: bool) -> Iterator[Row]:
    """Times of a frozen chip without and with read noise, and what the noise adds."""
    model, x = case.build().eval(), torch.randn(case.shape)
    chips = {"inference": chip(model, x, 0.0), "with read noise": chip(model, x, 1.0)}
    with torch.inference_mode():

        def base() -> object:
            return model(x)

        rounds = rounds_for(base)
        for way in ("eager", "compiled") if compiled and case.compiled else ("eager",):
            ratios = []
            for name, analog in chips.items():
                torch._dynamo.reset()  # one compiled network at a time, as in a program of its own
                run = torch.compile(analog, fullgraph=True) if way == "compiled" else analog
                times = paired({"torch": base, "mho": lambda run=run: run(x)}, rounds)
                ratios.append(times["mho"] / times["torch"])
                yield case.name, f"{name}, {way}", 1e3 * times["torch"], ratios[-1]
            yield case.name, f"read noise adds, {way}", 1e3 * times["torch"], ratios[1] - ratios[0]


def training(case: Case, compiled: bool) -> Iterator[Row]:
    """Times of a training step with fresh weight noise."""
    model, x = case.build().train(), torch.randn(case.shape)
    analog = student(model, x)
    models: dict[str, nn.Module] = {"torch": model, "training step, eager": analog}
    if compiled:
        torch._dynamo.reset()
        twin = copy.deepcopy(analog)
        models["training step, compiled"] = torch.compile(twin, fullgraph=True)  # type: ignore[assignment]
    subjects = {name: training_step(m, x) for name, m in models.items()}
    yield from _rows(case.name, subjects, rounds_for(subjects["torch"]))


def peers(case: Case) -> Iterator[Row]:
    """Inference of the installed peers on the same linear layer, eager."""
    model, x = case.build().eval(), torch.randn(case.shape)
    if not isinstance(model, nn.Linear):
        return
    models: dict[str, nn.Module] = {"torch": model}
    for name, build in installed().items():
        models[f"{name}, inference"] = build(copy.deepcopy(model))
    if len(models) > 1:
        with torch.no_grad():
            subjects = {name: (lambda m=m: m(x)) for name, m in models.items()}
            yield from _rows(case.name, subjects, rounds_for(subjects["torch"]))


def bit_by_bit() -> tuple[float, float]:
    """4 slices x 8 input bits on 512 x 512, batch 64: as multiples of the plain array and of torch."""
    model, x = nn.Linear(512, 512), torch.randn(64, 512)
    with torch.inference_mode():
        models = {"torch": model, "plain": chip(model, x, 0.0), "streamed": streamed(model, x)}
        subjects = {name: (lambda m=m: m(x)) for name, m in models.items()}
        times = paired(subjects, rounds_for(subjects["torch"]))
    return times["streamed"] / times["plain"], times["streamed"] / times["torch"]


def _rows(name: str, subjects: dict, rounds: int) -> Iterator[Row]:  # type: ignore[type-arg]
    """Each subject in turns with torch alone: a third one would push both out of the cache."""
    for what, subject in subjects.items():
        if what != "torch":
            times = paired({"torch": subjects["torch"], what: subject}, rounds)
            yield name, what, 1e3 * times["torch"], times[what] / times["torch"]


def making_a_chip() -> str:
    """Wall time and memory of converting and programming a ResNet-18 on PCM."""
    model = RESNET.build()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    analog = mho.convert(model, hardware(1.0))
    mho.program(analog, seed=0)
    seconds = time.perf_counter() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    weights = sum(p.numel() for p in model.parameters())
    size = f"{weights / 1e6:.1f} M weights"
    return f"convert and program ResNet-18 ({size}): {seconds:.1f} s, {grown:.0f} MiB more"


def rows(case: Case, quick: bool) -> Iterator[Row]:
    """The rows of a case that are mho's."""
    yield from inference(case, not quick)
    if case.train:
        yield from training(case, not quick)


def main() -> None:
    """Time everything and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="thread counts to run with")
    parser.add_argument("--quick", action="store_true", help="eager layers only")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--json", action="store_true", help="one row a line: case, what, torch ms, x torch")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="torch")
    torch.set_num_threads(options.threads[0])
    cases = [case for case in CASES if options.only in case.name and not (options.quick and case is RESNET)]
    if options.json:
        for case in cases:
            for row in rows(case, options.quick):
                print(json.dumps(row), flush=True)
        return
    print(making_a_chip(), flush=True)
    for threads in options.threads:
        torch.set_num_threads(threads)
        print(f"\n{threads} thread(s)\n{'case':<26}{'what':<28}{'torch ms':>10}{'x torch':>9}")
        plain, digital = bit_by_bit()
        print(f"4 weight slices x 8 input bits: {plain:.1f} x the plain array, {digital:.1f} x torch")
        for case in cases:
            for name, what, base, ratio in itertools.chain(rows(case, options.quick), peers(case)):
                print(f"{name:<26}{what:<28}{base:>10.4f}{ratio:>9.2f}", flush=True)


if __name__ == "__main__":
    main()
