"""A network that knows the resistance of its wires while it trains.

A small CNN learns scikit-learn's digits, then is fine-tuned twice from the same weights, over the same
batches, with the programming error of its cells in the loop: once for wires without resistance, once with
the IR drop of the wires. Both are programmed on the same chips and tested with the exact solution of the
wires. Each may choose learning rate and clipping from the same list, by its accuracy on the validation
images on other chips with exact wires; the test images are only used for the figures printed.

The chip: arrays of 256 x 256 cells, resistive memory from 50 to 225 uS (V. Milo et al., IRPS 2021), one
22 nm copper wire of 5 ohm from a cell to the next, DAC and ADC of 8 bits. That is dense: most of the
current is lost. Training uses the cheap model of the drop (`Approximate`), fitted once to each layer.

    python examples/wires_in_training.py            # about two minutes
    python examples/wires_in_training.py --quick    # one training, three chips
    python examples/wires_in_training.py --node 14nm --lines 128
"""

import argparse
import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import nn

import mho
from mho import random
from mho.array import Approximate, Array, Ideal, Wires, approximation_error
from mho.array.wire_table import segment_resistance
from mho.config import write_whole
from mho.experiments.data import Data, Digits
from mho.experiments.fitting import Schedule, accuracy, fit, limited_threads, seeded
from mho.experiments.models import SmallCNN
from mho.experiments.progress import Progress, for_terminal
from mho.experiments.statistics import estimate, paired
from mho.nn import crossbars
from mho.periphery import Affine
from mho.training import ProgrammingNoise, Recipe, WeightClip, attach

DEVICE = mho.devices.ReRAMMilo2021()
PLAIN, AWARE = "plain", "wires in training"
COLOURS = {PLAIN: "#d55e00", AWARE: "#0072b2"}  # of M. Okabe and K. Ito: told apart by the colour-blind


@dataclass(frozen=True)
class Chip:
    """Arrays of some size, with the wires of a technology node."""

    node: str = "22nm"
    lines: int = 256

    @property
    def ohm(self) -> float:
        """From one cell to the next: 5 ohm at 22 nm."""
        return segment_resistance(self.node)

    @property
    def wires(self) -> Wires:
        return Wires(row=self.ohm, column=self.ohm)

    def hardware(self, array: Array) -> mho.Hardware:
        """Without converters: as the networks are trained."""
        return mho.Hardware(device=DEVICE, tile=mho.Tile(rows=self.lines, columns=self.lines), array=array)

    def tested(self, array: Array) -> mho.Hardware:
        return replace(self.hardware(array), dac=mho.DAC(bits=8), adc=mho.ADC(bits=8))


@dataclass(frozen=True)
class Effort:
    """How much is computed."""

    seeds: int = 2
    epochs: int = 20
    fine_tuning: int = 12
    rates: tuple[float, ...] = (0.02, 0.05)
    clips: tuple[float, ...] = (2.5, 9.0)  # standard deviations; 9 clips nothing
    validation_chips: int = 2
    chips: int = 10


QUICK = Effort(seeds=1, fine_tuning=4, rates=(0.05,), clips=(9.0,), validation_chips=1, chips=3)


@dataclass(frozen=True)
class Result:
    """Test accuracy of one chip."""

    seed: int
    trained: str
    tested: str
    chip: int
    accuracy: float


class Study:
    """One training seed: its networks and its chips."""

    def __init__(self, seed: int, chip: Chip, effort: Effort, data: Data, progress: Progress) -> None:
        self.seed, self.chip, self.effort, self.data, self.progress = seed, chip, effort, data, progress
        self.calibration = data.train.tensors[0].split(500)

    def run(self) -> list[Result]:
        start = self._pretrained()
        models = self._surrogates(start)
        on_wires = {path: self.chip.hardware(model) for path, model in models.items()}
        plain, aware = self._best(start, PLAIN, None), self._best(start, AWARE, on_wires)
        self._report_approximation(models, start, "where it was fitted")
        self._report_approximation(models, aware, "on the trained network")
        rows = []
        with self.progress.stage("chips", self.effort.chips) as step:
            for chip in range(self.effort.chips):
                tests = (
                    (PLAIN, "ideal wires", plain, Ideal(), False),
                    (PLAIN, "wires", plain, self.chip.wires, False),
                    (PLAIN, "wires, corrected", plain, self.chip.wires, True),
                    (AWARE, "ideal wires", aware, Ideal(), False),
                    (AWARE, "wires", aware, self.chip.wires, False),
                )
                for trained, tested, network, array, corrected in tests:
                    analog = self._programmed(network, array, "chip", chip, corrected)
                    rows.append(Result(self.seed, trained, tested, chip, accuracy(analog, self.data.test)))
                step.advance(f"chip {chip}")
        return rows

    # --- networks ----------------------------------------------------------------------------

    def _pretrained(self) -> nn.Module:
        with seeded(self.seed, "weights"):
            network = SmallCNN().build(self.data.channels, self.data.size, self.data.classes)
        self._fit(network, "training", Schedule(epochs=self.effort.epochs, learning_rate=0.05))
        return network

    def _best(self, start: nn.Module, arm: str, layers: Mapping[str, mho.Hardware] | None) -> nn.Module:
        """Fine-tune with each setting of the list; keep the best on validation images and chips."""
        found = []
        for rate, clip in product(self.effort.rates, self.effort.clips):
            network = self._fine_tuned(start, arm, layers, rate, clip)
            scores = [
                accuracy(self._programmed(network, self.chip.wires, "validation", chip), self.data.validation)
                for chip in range(self.effort.validation_chips)
            ]
            found.append((estimate(scores).mean, rate, clip, network))
        best = max(found, key=lambda trial: trial[0])
        self.progress.note(
            f"seed {self.seed}, {arm}: rate {best[1]:g}, clip {best[2]:g} chosen of {len(found)} "
            f"(validation with wires {best[0]:.1%})"
        )
        return best[3]

    def _fine_tuned(
        self, start: nn.Module, arm: str, layers: Mapping[str, mho.Hardware] | None, rate: float, clip: float
    ) -> nn.Module:
        schedule = Schedule(epochs=self.effort.fine_tuning, learning_rate=rate)
        analog = mho.convert(start, self.chip.hardware(Ideal()), layers)
        attach(analog, Recipe(modifiers=(WeightClip(sigmas=clip), ProgrammingNoise())))
        with seeded(self.seed, "fine-tuning"):
            self._fit(analog, f"fine-tuning, {arm}", schedule)
        return mho.revert(analog)

    def _fit(self, network: nn.Module, title: str, schedule: Schedule) -> None:
        generator = random.fork(self.seed, "batches", str(schedule.epochs))  # the same for both arms
        with self.progress.stage(title, schedule.epochs) as step:
            fit(network, self.data.train, Digits(), schedule, generator, step)

    # --- chips -------------------------------------------------------------------------------

    def _programmed(
        self, network: nn.Module, array: Array, name: str, number: int, corrected: bool = False
    ) -> nn.Module:
        """A programmed chip; with one gain and shift for each column, measured on it, if ``corrected``."""
        analog = mho.convert(network, self.chip.tested(array))
        mho.program(analog, seed=random.fork(self.seed, name, str(number)).initial_seed())
        mho.calibrate(analog, self.calibration)
        if corrected:
            mho.compensate(analog, Affine(), data=self.calibration)
            mho.calibrate(analog, self.calibration)  # the signals are larger now
        return analog

    # --- the cheap model of the drop ------------------------------------------------------------

    def _tiles(self, network: nn.Module) -> dict[str, torch.Tensor]:
        """Conductances ``[tile, row, column]`` of each layer on a chip that is used for nothing else."""
        analog = mho.convert(network, self.chip.hardware(Ideal()))
        mho.program(analog, seed=random.fork(self.seed, "surrogate").initial_seed())
        held = mho.conductances(analog)
        return {
            path: torch.cat(
                [
                    held[path][..., slice(*rows), slice(*columns)].flatten(0, 1)
                    for rows, columns in product(layer.layout.rows, layer.layout.columns)
                ]
            )
            for path, layer in crossbars(analog).items()
        }

    def _surrogates(self, start: nn.Module) -> dict[str, Approximate]:
        model = Approximate(row=self.chip.ohm, column=self.chip.ohm)
        return {path: model.fitted(tiles) for path, tiles in self._tiles(start).items()}

    def _report_approximation(
        self, models: Mapping[str, Approximate], network: nn.Module, which: str
    ) -> None:
        """How far the currents of the cheap model are from the exact ones."""
        errors = [
            approximation_error(models[path], self.chip.wires, g) for path, g in self._tiles(network).items()
        ]
        worst = max(errors, key=lambda e: e.output)
        self.progress.note(
            f"cheap model, worst layer, {which}: {worst.output:.1%} of the largest current "
            f"(without any model {worst.ideal:.0%})"
        )


# --- what is shown --------------------------------------------------------------------------------


def groups(rows: Sequence[Result]) -> dict[tuple[int, str, str], list[float]]:
    """Accuracies in the order of the chips."""
    found: dict[tuple[int, str, str], list[float]] = {}
    for row in rows:
        found.setdefault((row.seed, row.trained, row.tested), []).append(row.accuracy)
    return found


def table(rows: Sequence[Result]) -> str:
    """Means over chips, and the differences chip by chip."""
    by = groups(rows)
    lines = [f"{'seed':>4}  {'trained':<18}{'tested on':<18}{'mean':>7}  95 % interval over chips"]
    for (seed, trained, tested), values in by.items():
        e = estimate(values)
        lines.append(f"{seed:>4}  {trained:<18}{tested:<18}{e.mean:>7.1%}  {e.low:.1%} to {e.high:.1%}")
    lines += ["", f"{AWARE} minus {PLAIN}, chip by chip, in points"]
    for seed in sorted({row.seed for row in rows}):
        for tested in ("wires", "wires, corrected"):
            gap = paired(by[seed, AWARE, "wires"], by[seed, PLAIN, tested])
            e, against = gap.difference, f"{PLAIN} on {tested}"
            interval = f"{100 * e.low:+.1f} to {100 * e.high:+.1f}"
            lines.append(f"{seed:>4}  {against:<36}{100 * e.mean:+7.1f}  {interval}  p = {gap.p:.1g}")
    return "\n".join(lines)


def figure(rows: Sequence[Result]) -> Figure:
    """Every chip as a dot, the mean and its interval beside."""
    picture = Figure(figsize=(8.2, 4.6), dpi=160, facecolor="white", layout="constrained")
    axes, by = picture.add_subplot(), groups(rows)
    seeds = sorted({row.seed for row in rows})
    kinds = list(dict.fromkeys((row.trained, row.tested) for row in rows))
    for place, (trained, tested) in enumerate(kinds):
        for k, seed in enumerate(seeds):
            values = by[seed, trained, tested]
            x, e = place + 0.36 * (k - (len(seeds) - 1) / 2), estimate(values)
            marker = "os^Dv"[k % 5]
            across = [x + 0.02 * (i - (len(values) - 1) / 2) for i in range(len(values))]
            axes.scatter(
                across, [100 * v for v in values], s=14, marker=marker, color=COLOURS[trained], alpha=0.55
            )
            bar = 100 * (e.high - e.mean) if len(values) > 1 else None
            axes.errorbar(x, 100 * e.mean, yerr=bar, fmt="_", color="#1d2733", markersize=16, capsize=4)
    labels = [f"{trained}\non {tested}" for trained, tested in kinds]
    axes.set_xticks(range(len(kinds)), labels, fontsize=9)
    axes.set_ylabel("test accuracy, %")
    axes.set_title("A CNN on digits, IR drop in training", loc="left", fontweight="bold", pad=24)
    chips = max(row.chip for row in rows) + 1
    note = f"{chips} chips each; one shape of dot for each training; mean and its 95 % interval over chips"
    axes.text(0, 1.03, note, transform=axes.transAxes, fontsize=9, color="#5b6b7b")
    axes.grid(axis="y", color="#dde3ea")
    axes.set_axisbelow(True)
    return picture


def write(rows: Sequence[Result], folder: Path) -> None:
    """``results.csv`` and the figure."""

    def text(path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(Result.__annotations__)
            writer.writerows([vars(row).values() for row in rows])

    write_whole(folder / "results.csv", text)
    write_whole(folder / "wires-training.png", figure(rows).savefig)


def run(chip: Chip, effort: Effort, folder: Path, progress: Progress, threads: int = 1) -> list[Result]:
    """All seeds; results go to the folder."""
    data = Digits().load()
    with limited_threads(threads):
        rows = [
            row for seed in range(effort.seeds) for row in Study(seed, chip, effort, data, progress).run()
        ]
    write(rows, folder)
    return rows


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("runs/wires"), help="folder for the results")
    parser.add_argument("--quick", action="store_true", help="one training, three chips, no tuning")
    parser.add_argument("--node", default=Chip.node, help="width of the wires")
    parser.add_argument("--lines", type=int, default=Chip.lines, help="rows and columns of an array")
    parser.add_argument("--threads", type=int, default=1, help="threads on the CPU")
    options = parser.parse_args(words)
    start = time.perf_counter()
    chip = Chip(node=options.node, lines=options.lines)
    rows = run(chip, QUICK if options.quick else Effort(), options.output, for_terminal(), options.threads)
    print(table(rows))
    print(f"{options.output / 'wires-training.png'}  (also results.csv; {time.perf_counter() - start:.0f} s)")


if __name__ == "__main__":
    main()
