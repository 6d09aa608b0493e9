"""``make wires-in-training``: what a transformer loses by its wires, and what brings it back.

A BERT of two layers (width 128, the shape of BERT-Tiny, with a causal mask) learns in the run which letter
comes next in Python's language reference and docstrings. It is put on arrays of 128 and 256 rows with 22 nm
wires and 8-bit converters, on ideal cells of up to 25 uS and on PCM. Then it distils itself on the training
text, with converters and Gaussian noise on the weights, once for wires without resistance (noise training)
and once through the exact circuit of the wires. Both begin with the same weights, see the same batches
and noise, have the same steps, and take their rate and noise from the same list by their accuracy on the
validation text, on arrays of 128 rows with wires. Each network is tested as it is, and with a gain and shift
of each layer or column.

The figure is the share of the loss by wires that comes back: the mean of value - b over the mean of a - b,
with the untrained network on wires (b) and without (a). Its 95 % interval is over chips (programming errors
and read noise), paired; on ideal cells, where all chips are alike, it is over parts of the test text.

    python -m benchmarks.wires_in_training                  # prints what is finished already, does the rest
    python -m benchmarks.wires_in_training --quick          # shows that it runs

What is finished lies in the folder, one line for each network and each test; a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mho
from mho.array import Ideal, Wires
from mho.config import append_line
from mho.config.sealed import load_tensors, save_tensors
from mho.experiments.data import PythonProse
from mho.experiments.data.language import Words, windows
from mho.experiments.fitting import chip_seed, limited_threads, seeded
from mho.experiments.statistics import estimate, paired
from mho.periphery import Affine
from mho.training import Recipe, WeightNoise, attach, detach

LENGTH, BATCH = 64, 64
CELLS = {"ideal": mho.devices.Ideal(), "PCM": mho.devices.PCM()}
WIRES = Wires.from_node("22nm")  # 4.9 ohm from a cell to the next
TRAININGS = ("noise", "wires")
SETTINGS = ((1e-3, 0.01), (2e-3, 0.01), (2e-3, 0.04))  # learning rate; noise, of a column's largest weight
CORRECTIONS = ("none", "layer", "column")  # gain and shift of each, fitted on training text
PARTS = 10  # of a text
VALIDATION = 1000  # the number of the chip that settings are chosen on
Score = list[list[float]]  # accuracy and nats of each part of a text
Setting = tuple[float, float]
Found = dict[tuple[str, str, str], list[Score]]  # by training, array and correction


class NextLetter(nn.Module):
    """A BERT with a causal mask and a linear layer: letters ``[n, length]`` to ``[n, letter, length]``."""

    def __init__(self, letters: int) -> None:
        from transformers import BertConfig, BertModel

        super().__init__()
        shape = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
        shape |= {"intermediate_size": 512, "max_position_embeddings": LENGTH, "vocab_size": letters}
        still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        described = BertConfig(is_decoder=True, use_cache=False, **shape, **still)
        self.bert = BertModel(described, add_pooling_layer=False)
        self.head = nn.Linear(128, letters)

    def forward(self, letters: Tensor) -> Tensor:
        scores: Tensor = self.head(self.bert(input_ids=letters).last_hidden_state)
        return scores.movedim(-1, 1)


@dataclass(frozen=True)
class Effort:
    """How much is computed."""

    digital_steps: int = 600
    steps: int = 40
    windows: int = 1380  # of 64 letters that ideal cells are tested on
    noisy_windows: int = 200  # and each chip of PCM: a noisy read through wires costs eight clean ones
    chips: int = 5
    lines: tuple[int, ...] = (128, 256)
    settings: tuple[Setting, ...] = SETTINGS


QUICK = Effort(
    digital_steps=60, steps=2, windows=40, noisy_windows=40, chips=2, lines=(128,), settings=SETTINGS[:1]
)


@dataclass(frozen=True)
class Place:
    """Where a network is tested: cells, lines of an array, and whether they have resistance."""

    cells: str
    lines: int
    wires: bool = True

    @property
    def name(self) -> str:
        return "wires" if self.wires else "no wires"

    @property
    def corrections(self) -> tuple[str, ...]:
        """All, on wires; on PCM not that of a layer, which takes an hour."""
        if not self.wires:
            return CORRECTIONS[:1]
        return CORRECTIONS if self.cells == "ideal" else CORRECTIONS[::2]

    @property
    def hardware(self) -> mho.Hardware:
        """With 8-bit converters."""
        return mho.Hardware(
            device=CELLS[self.cells], tile=mho.Tile(rows=self.lines, columns=self.lines),
            array=WIRES if self.wires else Ideal(), dac=mho.DAC(bits=8), adc=mho.ADC(bits=8),
        )  # fmt: skip


class Book:
    """What is finished: a line for each record, a file for each network."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.file = folder, folder / "finished.jsonl"
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        whole = lines if not lines or self.file.read_bytes().endswith(b"\n") else lines[:-1]
        if len(whole) < len(lines):  # stopped in the middle of a line
            self.file.write_text("".join(line + "\n" for line in whole))
        self.records = dict(json.loads(line) for line in whole)

    def __call__(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self.records:
            self.records[key] = made = make()
            append_line(self.file, json.dumps([key, made]) + "\n")
            print(f"  {key}" + (f": {made:.0f}" if isinstance(made, float) else ""), flush=True)
        return self.records[key]

    def network(self, key: str, network: nn.Module, train: Callable[[], nn.Module]) -> nn.Module:
        """The network with its weights from the folder, or trained; the record has the seconds it took."""
        place = self.folder / f"{key}.pt"

        def trained() -> float:
            start = time.process_time()
            save_tensors(place, train().state_dict())
            return time.process_time() - start

        self(f"seconds {key}", trained)
        network.load_state_dict(load_tensors(place))
        return network.eval()


class Bench:
    """The text, the digital network, and what is done with it."""

    def __init__(self, effort: Effort, book: Book) -> None:
        self.effort, self.book = effort, book
        self.letters, self.text = numbered(PythonProse(vocabulary=30_000).load())
        self.train = self.text["train"][0]
        self.seen = list(self.train[:BATCH].split(BATCH // 2))

    @cached_property
    def digital(self) -> nn.Module:
        return self.book.network("digital", self.new(), self._digital)

    def new(self) -> nn.Module:
        with seeded(0, "weights"):
            return NextLetter(self.letters)

    def _digital(self) -> nn.Module:
        network, (x, y) = self.new(), self.text["train"]
        steps = self.effort.digital_steps
        optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
        rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)

        def loss(at: Tensor) -> Tensor:
            return F.cross_entropy(network(x[at]), y[at])

        self._fit(network, optimizer, rates, steps, loss)
        return network

    def trained(self, training: str, lines: int, setting: Setting) -> nn.Module:
        """The network after noise training, or after training through the wires."""
        name = named(training, lines, setting)
        return self.book.network(name, self.new(), lambda: self._distilled(training, lines, *setting))

    def _distilled(self, training: str, lines: int, rate: float, noise: float) -> nn.Module:
        analog = mho.convert(self.digital, Place("ideal", lines, wires=training == "wires").hardware)
        mho.calibrate(analog, self.seen)
        attach(analog, Recipe(modifiers=(WeightNoise(std=noise, relative_to="column"),)))
        optimizer = torch.optim.AdamW(analog.parameters(), lr=rate, weight_decay=0.0)
        rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=self.effort.steps)

        def loss(at: Tensor) -> Tensor:
            x = self.train[at]
            with torch.no_grad():
                wanted = self.digital(x).log_softmax(1)
            found = analog(x).log_softmax(1)
            return F.kl_div(found, wanted, log_target=True, reduction="sum") / x.numel()

        self._fit(analog, optimizer, rates, self.effort.steps, loss)
        detach(analog)
        return mho.revert(analog)

    def _fit(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        rates: torch.optim.lr_scheduler.LRScheduler,
        steps: int,
        loss: Callable[[Tensor], Tensor],
    ) -> None:
        network.train()
        with seeded(0, "training"):
            for _ in range(steps):
                at = torch.randint(len(self.train), (BATCH,))
                optimizer.zero_grad()
                loss(at).backward()
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                rates.step()

    @torch.no_grad()
    def score(self, network: nn.Module, text: str, cells: str = "ideal") -> Score:
        """Accuracy and cross entropy (nats) of each part of a text."""
        count = self.effort.windows if cells == "ideal" else self.effort.noisy_windows
        x, y = (tensor[:count] for tensor in self.text[text])
        found = []
        for some, wanted in zip(x.chunk(PARTS), y.chunk(PARTS), strict=True):
            scores = torch.cat([network(few) for few in some.split(128)])
            right = (scores.argmax(1) == wanted).double().mean()
            found.append([float(right), float(F.cross_entropy(scores, wanted))])
        return found

    def on_chip(self, network: nn.Module, place: Place, chip: int, text: str = "test") -> dict[str, Score]:
        """The scores of one chip with each correction."""
        found = {}
        with seeded(0, "reads", str(chip)):
            analog = mho.convert(network, place.hardware).eval()
            mho.program(analog, seed=chip_seed(0, chip))
            for correction in place.corrections if text == "test" else CORRECTIONS[:1]:
                if len(found) > 1:
                    mho.age(analog, 0.0)  # undoes the correction before
                mho.calibrate(analog, self.seen)
                if correction != "none":
                    mho.compensate(analog, Affine(per_column=correction == "column"), data=self.seen)
                    mho.calibrate(analog, self.seen)  # the signals are larger now
                found[correction] = self.score(analog, text, place.cells)
        return found

    def chosen(self, training: str, cells: str) -> Setting:
        """The setting with the best accuracy on the validation text, on wires and the first arrays."""
        lines = self.effort.lines[0]
        place = Place(cells, lines)

        def accuracy(setting: Setting) -> float:
            def measure() -> dict[str, Score]:
                return self.on_chip(self.trained(training, lines, setting), place, VALIDATION, "validation")

            found = self.book(f"validation {named(training, lines, setting)} {cells}", measure)["none"]
            return sum(part[0] for part in found)

        return max(self.effort.settings, key=accuracy)

    def measured(self, lines: int, cells: str) -> Found:
        """The scores of each chip; ideal cells are one chip."""
        networks: dict[str, nn.Module] = {"none": self.digital}
        for training in TRAININGS:
            setting = self.chosen(training, cells)
            networks[training] = self.trained(training, lines, setting)
            seconds = self.book.records[f"seconds {named(training, lines, setting)}"]
            print(f"{training}: rate {setting[0]:g}, noise {setting[1]:g}; trained in {seconds:.0f} s")
        found: Found = {}
        for training, network in networks.items():
            for place in (Place(cells, lines, wires=False), Place(cells, lines)):
                for chip in range(1 if cells == "ideal" else self.effort.chips):
                    measure = partial(self.on_chip, network, place, chip)
                    scores = self.book(f"test {training} {lines} {cells} {place.name} {chip}", measure)
                    for correction in place.corrections:
                        found.setdefault((training, place.name, correction), []).append(scores[correction])
        return found


def named(training: str, lines: int, setting: Setting) -> str:
    """What a trained network is called in the folder."""
    return f"{training}-{lines}-rate{setting[0]:g}-noise{setting[1]:g}"


def numbered(words: Words) -> tuple[int, dict[str, tuple[Tensor, ...]]]:
    """The letters of the text as numbers, in windows of inputs and the letters that follow."""
    texts = {
        part: " ".join(words.vocabulary[k] for k in getattr(words, part).tolist())
        for part in ("train", "validation", "test")
    }
    number = {letter: k for k, letter in enumerate(sorted(set(texts["train"])))}
    rows = {part: torch.tensor([number.get(letter, 0) for letter in text]) for part, text in texts.items()}
    return len(number), {part: windows(row, LENGTH).tensors for part, row in rows.items()}


def samples(scores: list[Score], figure: int) -> list[float]:
    """What the interval is over: the chips; the parts of the text where there is one chip."""
    if len(scores) == 1:
        return [part[figure] for part in scores[0]]
    return [sum(part[figure] for part in score) / len(score) for score in scores]


def shares(found: Found, figure: int) -> dict[tuple[str, ...], list[float]]:
    """The share of the loss by wires that comes back: values whose mean is the ratio of the means.

    The ratio is linearised in the gain and the loss of each sample, so that what both share cancels and a
    sample with little loss counts for little.
    """
    best, worst = (samples(found["none", where, "none"], figure) for where in ("no wires", "wires"))
    losses = [a - b for a, b in zip(best, worst, strict=True)]
    loss = sum(losses) / len(losses)
    back = {}
    for arm, scores in found.items():
        gains = [value - b for value, b in zip(samples(scores, figure), worst, strict=True)]
        ratio = sum(gains) / sum(losses)
        back[arm] = [ratio + (g - ratio * lost) / loss for g, lost in zip(gains, losses, strict=True)]
    return back


def shown(values: list[float]) -> str:
    e = estimate(values)
    return f"{100 * e.mean:6.1f} % ({100 * e.low:.1f} to {100 * e.high:.1f})"


def table(found: Found) -> str:
    """Accuracy and cross entropy of each arm, and the shares of both that come back."""
    accuracy, nats = shares(found, 0), shares(found, 1)
    back = "back, by accuracy"
    lines = [f"{'training':9}{'tested on':10}{'correction':11}{'accuracy':>9}{'nats':>7}  {back:27}by nats"]
    for arm, scores in found.items():
        means = [sum(values) / len(values) for values in (samples(scores, 0), samples(scores, 1))]
        row = f"{arm[0]:9}{arm[1]:10}{arm[2]:11}{100 * means[0]:7.2f} %{means[1]:7.3f}"
        lines.append(f"{row}  {shown(accuracy[arm]):27}{shown(nats[arm])}")
    for correction in [arm[2] for arm in found if arm[:2] == ("wires", "wires")]:
        arms = [("wires", "wires", correction), ("noise", "wires", correction)]
        parts = []
        for share in (accuracy, nats):
            e = paired(share[arms[0]], share[arms[1]]).difference
            parts.append(f"{100 * e.mean:.1f} ({100 * e.low:.1f} to {100 * e.high:.1f})")
        lines.append(
            f"wires minus noise, correction {correction}: {parts[0]} points by accuracy, {parts[1]} by nats"
        )
    return "\n".join(lines)


def processor() -> str:
    """The name of this machine's processor, where Linux tells it."""
    place = Path("/proc/cpuinfo")
    lines = place.read_text().splitlines() if place.exists() else []
    return next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown processor"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=None, help="folder of what is finished")
    parser.add_argument("--quick", action="store_true", help="few steps, one size: shows that it runs")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    name = "wires-in-training-quick" if options.quick else "wires-in-training"
    book, effort = Book(options.output or Path("runs", name)), QUICK if options.quick else Effort()
    with limited_threads(1):
        bench = Bench(effort, book)
        plain = book("digital test", lambda: bench.score(bench.digital, "test"))
        print(f"digital: {100 * sum(p[0] for p in plain) / PARTS:.2f} %, one thread of {processor()}")
        for cells in CELLS:
            for lines in effort.lines:
                print(f"\n{cells} cells, arrays of {lines} x {lines}", flush=True)
                print(table(bench.measured(lines, cells)), flush=True)
    spent = sum(value for key, value in book.records.items() if key.startswith("seconds "))
    print(f"\nall trainings together: {spent:.0f} s of processor time")


if __name__ == "__main__":
    main()
