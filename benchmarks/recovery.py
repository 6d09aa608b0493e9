"""``make recovery``: what brings a year's loss back: a mapping, a correction, a training, or all of them.

Two networks of ``mho real``: CREPE-tiny on tones and all-MiniLM-L6-v2 on Python's docstrings. The loss is
what a network with one scale for each layer, untrained and uncorrected, has lost after a year on PCM with
8-bit converters. Beside it stand a scale for each column (mho's default), each correction, and a network
trained with the hardware in the loop: it distils itself, on tones and on paragraphs of Python's language
reference that are not tested, while ``DriftNoise`` puts programming error and up to a year of compensated
drift on its weights, and the converters round. One training for each mapping, on the hardware with it.

The figure is the share of the loss that comes back, the mean over chips and its 95 % interval, by chip.

    python -m benchmarks.recovery --tasks pitch             # 5 chips, 200 steps
    python -m benchmarks.recovery --chips 1 --steps 5       # shows that it runs
"""

from __future__ import annotations

import argparse
import copy
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy

import mho
from mho.experiments.data.python_text import reference
from mho.experiments.fitting import seeded
from mho.experiments.models import MiniLM
from mho.experiments.real import CORRECTIONS, Pitch, RealStudy, RealTask, Retrieval, pitch, retrieval
from mho.experiments.real.study import Bench
from mho.experiments.statistics import estimate
from mho.mapping import DifferentialPair, Maximum
from mho.training import DriftNoise, Recipe, attach, detach

YEAR = 31_536_000.0
BASE = RealStudy(times=(YEAR,))
SCALES = {
    "layer": replace(BASE.hardware, mapping=DifferentialPair(scale=Maximum())),
    "column": BASE.hardware,
}
RECIPE = Recipe(modifiers=(DriftNoise(last=YEAR, ramp_steps=40),))


class Course(NamedTuple):
    """How a network is trained.

    Attributes:
        task: what it is tested on.
        batch: inputs of a step, by its number.
        loss: of its outputs and those of the network as it came.
        rate: the highest learning rate of AdamW.
    """

    task: RealTask
    batch: Callable[[int], Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]
    rate: float


def on_tones() -> Course:
    """CREPE: other tones at each step, and the chances that it gave them."""
    return Course(Pitch(tones=256), lambda step: pitch.tones(64, 1000 + step)[0], binary_cross_entropy, 3e-4)


def on_text() -> Course:
    """MiniLM: paragraphs of the language reference, and the vectors that it gave them."""
    texts = [p for paragraphs in reference().values() for p in paragraphs]
    tokens = MiniLM(length=32).encode(texts)
    order = torch.randperm(len(tokens), generator=torch.Generator().manual_seed(0))

    def batch(step: int) -> Tensor:
        at = 32 * step % (len(order) - 32)
        return retrieval.trimmed(tokens[order[at : at + 32]])

    return Course(Retrieval(), batch, lambda found, wanted: 1 - (found * wanted).sum(1).mean(), 3e-5)


COURSES = {"pitch": on_tones, "retrieval": on_text}


def trained(
    model: nn.Module, course: Course, hardware: mho.Hardware, seen: list[Tensor], steps: int
) -> nn.Module:
    """A copy of a network that was trained with the hardware in the loop, in plain torch."""
    analog = mho.convert(copy.deepcopy(model), hardware)
    mho.calibrate(analog, seen)
    attach(analog, RECIPE)
    analog.train()
    for module in analog.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase | nn.Dropout):
            module.eval()  # its statistics are those of the data that it came from
    optimizer = torch.optim.AdamW(analog.parameters(), lr=course.rate, weight_decay=0.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    with seeded(0, "training"):
        for step in range(steps):
            x = course.batch(step)
            with torch.no_grad():
                wanted = model(x)
            optimizer.zero_grad()
            course.loss(analog(x), wanted).backward()
            nn.utils.clip_grad_norm_(analog.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
    detach(analog)
    return mho.revert(analog).eval()


def measured(course: Course, chips: int, steps: int) -> None:
    """Print the table of one network."""
    exam = course.task.load()
    model, base, digital = exam.model, None, exam.score(exam.model)
    print(f"{course.task.title}: {course.task.figure}; digital {digital:.4f}", flush=True)
    print(f"{'training':10} {'scale':8} {'correction':18} {'value':>7}  share of the loss that comes back")
    for training in ("none", "drift"):
        for scale, hardware in SCALES.items():
            start = time.process_time()
            net = model if training == "none" else trained(model, course, hardware, list(exam.seen), steps)
            spent = time.process_time() - start
            bench = Bench(replace(BASE, task=course.task, hardware=hardware), exam, net)
            found = [bench.chip(chip) for chip in range(chips)]
            by = {
                c: [row["value"] for rows in found for row in rows if row["correction"] == c]
                for c in CORRECTIONS
            }
            base = by[CORRECTIONS[0]] if base is None else base
            for correction, values in by.items():
                back = [(v - b) / (digital - b) for v, b in zip(values, base, strict=True)]
                e = estimate(back)
                interval = f" ({100 * e.low:.1f} to {100 * e.high:.1f})" if chips > 1 else ""
                mean = sum(values) / chips
                told = f"{100 * e.mean:6.1f} %{interval}"
                print(f"{training:10} {scale:8} {correction:18} {mean:7.4f}  {told}", flush=True)
            if training != "none":
                print(
                    f"{'':10} trained in {spent:.0f} s of processor time; digital {bench.digital:.4f}",
                    flush=True,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default=",".join(COURSES))
    parser.add_argument("--chips", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    for name in options.tasks.split(","):
        measured(COURSES[name](), options.chips, options.steps)


if __name__ == "__main__":
    main()
