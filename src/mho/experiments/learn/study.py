"""A classifier trained on the chip, by pulses: each rule on each kind of cell, beside float training.

>>> study = LearnStudy(seeds=2, settings=settings(["SGD"], ["ReRamSB"]))
>>> [place["rule"] for place in study.places()]
['float', 'float', 'SGD', 'SGD']
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field, InstanceOf
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

import mho
from mho import random
from mho.config import Count, Fraction, Positive, config
from mho.converters import Dynamic
from mho.costs.writing import Writing
from mho.devices import Device, Ideal, Pulsed
from mho.experiments.chips import BATCH_OF_CALIBRATION
from mho.experiments.data import Data, Digits, Source
from mho.experiments.fitting import Batches, accuracy, chip_seed, seeded
from mho.experiments.harness import Column, Study, Work
from mho.experiments.learn.settings import Setting, settings
from mho.experiments.models import MLP, Network
from mho.experiments.quantization import fingerprint
from mho.experiments.statistics import estimate, paired
from mho.experiments.tables import records_of
from mho.training import DivergedError
from mho.training.on_chip import PulsedOptimizer, digital_parameters

if TYPE_CHECKING:
    import pandas as pd

FLOAT = "float"  # the rule, and the preset, of the training without a chip
GROUP = ["rule", "preset"]
ON_CHIP = ("pulses", "most_pulses", "clipped", "energy")


@config
class LearnStudy(Study):
    """A classifier that learns on simulated chips by pulses alone, by each rule on each kind of cell.

    The same networks are trained in float32 beside it: the same first weights, the same batches in the same
    order. Differences are therefore taken seed by seed. Weights lie on the arrays and move by pulses; biases
    are digital and learn by ordinary SGD. Arrays are read through their converters, forward and backward. The
    learning rate is dropped once. Nothing is chosen with the test images.

    Attributes:
        data: the images; the network sees pixels from 0 to 1.
        model: the network.
        settings: rules, cells and learning rates, one for each line of the table.
        device: what reads the cells and drifts; its g_min leaves room for cells of low bounds.
        tile: size of the arrays.
        dac: what drives rows, and columns on the way back.
        adc: what reads columns, and rows on the way back.
        epochs: times that each training image is seen.
        batch: images in a step.
        drop_at: share of the epochs after which the learning rate is dropped.
        drop_to: what it is multiplied by then.
        float_rate: learning rate of the float training.
        pulse: what a pulse on a cell takes.
        seeds: networks, each on a chip of its own.
        seed: names all random numbers.
    """

    data: InstanceOf[Source] = Digits(shuffled=True)
    model: InstanceOf[Network] = MLP()
    settings: Annotated[tuple[Setting, ...], Field(min_length=1)] = settings()
    device: InstanceOf[Device] = Ideal(g_min=20e-6, g_max=30e-6)
    tile: mho.Tile = mho.Tile()
    dac: mho.DAC = mho.DAC(bits=7, range=Dynamic())
    adc: mho.ADC = mho.ADC(bits=9, range=Dynamic())
    epochs: Count = 60
    batch: Count = 10
    drop_at: Fraction = 0.7
    drop_to: Fraction = 0.1
    float_rate: Positive = 0.3
    pulse: Writing = Writing()
    seeds: Count = 10
    seed: int = 0

    measured = (
        Column("accuracy", "", "fraction of the test images", 0, 1),
        Column("validation", "", "fraction of the validation images", 0, 1),
        Column("difference", "", "accuracy minus that of float training with the same seed", -1, 1),
        Column("pulses", "", "of a cell, mean over all arrays, those that only the rule sees too", low=0),
        Column("most_pulses", "", "of the cell that got most", low=0),
        Column("clipped", "", "share of the vectors with more pulses than a train has slots", 0, 1),
        Column("energy", "J", "of all pulses of the training", low=0),
    )
    pieces = "trainings"

    def validate(self) -> None:
        """Each line of the table has a name of its own, and cells that the device has room for."""
        names = [(s.name, s.preset) for s in self.settings]
        for name in names:
            if names.count(name) > 1 or name[0] == FLOAT:
                raise ValueError(
                    f"settings: {name[0]!r} on {name[1]!r} is there twice, or is the name of float training; "
                    "give each setting a name of its own"
                )
        for one in self.settings:
            self.hardware(one)

    def hardware(self, setting: Setting) -> mho.Hardware:
        """The chips of a setting."""
        cells = Pulsed(cell=setting.cell, device=self.device)
        return mho.Hardware(device=cells, mapping=setting.mapping, tile=self.tile, dac=self.dac, adc=self.adc)

    @property
    def middle(self) -> float:
        """Conductance of a cell in the middle of its range, siemens."""
        return (self.device.g_min + self.device.g_max) / 2

    def joules(self, pulses: float) -> float:
        """Of so many pulses, on cells in the middle of their range."""
        return self.pulse.joules(self.middle, pulses)

    def places(self) -> list[dict[str, Any]]:
        """Float training, then each setting, with each seed."""
        names = [(FLOAT, FLOAT), *((s.name, s.preset) for s in self.settings)]
        return [{"rule": r, "preset": p, "seed": seed} for r, p in names for seed in range(self.seeds)]

    def fingerprint(self, data: Data) -> str:
        """Of the images and labels."""
        return fingerprint(data)

    def prepare(self, work: Work, data: Data) -> _Learning:
        """The images."""
        return _Learning(self, work, data)

    def measure(self, place: Mapping[str, Any], shared: _Learning) -> dict[str, Any]:
        """Train one network, in float32 or on a chip, and test it."""
        found = [s for s in self.settings if (s.name, s.preset) == (place["rule"], place["preset"])]
        return shared.on_chip(found[0], place["seed"]) if found else shared.in_float(place["seed"])

    def detail(self, place: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], shared: _Learning) -> str:
        """The place, and its accuracy."""
        on = "" if place["rule"] == FLOAT else f" on {place['preset']}"
        found = f": {100 * rows[-1]['accuracy']:.1f} %" if rows else ""
        return f"{place['rule']}{on}, seed {place['seed']}{found}"

    def table(self, records: Sequence[Mapping[str, Any]], shared: _Learning) -> pd.DataFrame:
        """One row for each training; the difference is that to float training with the same seed."""
        found: pd.DataFrame = super().table(records, shared).astype(dict.fromkeys(ON_CHIP, float))
        float_ = found[found["rule"] == FLOAT].set_index("seed")["accuracy"]
        difference = (found["accuracy"] - found["seed"].map(float_)).where(found["rule"] != FLOAT)
        found.insert(list(found.columns).index("validation") + 1, "difference", difference)
        return found

    def document(self, table: pd.DataFrame, shared: _Learning, work: Work) -> dict[str, Any]:
        """The means over seeds with paired differences, and the processor time of a training."""
        return {
            "train_images": len(shared.data.train),
            "test_images": len(shared.data.test),
            "siemens": self.middle,
            "joules_per_pulse": self.joules(1.0),
            "summary": summarise(table, work.store.records),
        }

    def headline(self, table: pd.DataFrame) -> dict[str, float]:
        """Means over all trainings on chips."""
        rows = table[table["rule"] != FLOAT]
        return {column.name: float(rows[column.name].mean()) for column in self.measured}


def summarise(table: pd.DataFrame, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each rule on each kind of cell: means over seeds, and the paired difference to float.

    Args:
        table: of a :class:`LearnStudy`.
        records: of its trainings, which say how long each took.

    Returns:
        ``rule, preset, seeds, accuracy, validation``, the ends of the 95 % interval ``low, high`` of the
        accuracy, ``difference`` with ``difference_low`` and ``difference_high``, ``pulses, most_pulses,
        clipped, energy`` and ``seconds`` of processor time for a training; None where there is none.
    """
    import pandas as pd

    float_ = table[table["rule"] == FLOAT]["accuracy"].to_list()
    rows = []
    for (rule, preset), group in table.groupby(GROUP, sort=False):
        found = group["accuracy"].to_list()
        accuracies, difference = estimate(found, share=True), paired(found, float_).difference
        took = [r["cpu"] for r in records if (r["rule"], r["preset"]) == (rule, preset)]
        beside = difference if rule != FLOAT else None
        rows.append({
            "rule": rule, "preset": preset, "seeds": accuracies.n,
            "accuracy": accuracies.mean, "low": accuracies.low, "high": accuracies.high,
            "validation": group["validation"].mean(),
            "difference": math.nan if beside is None else beside.mean,
            "difference_low": math.nan if beside is None else beside.low,
            "difference_high": math.nan if beside is None else beside.high,
            "pulses": group["pulses"].mean(), "most_pulses": group["most_pulses"].max(),
            "clipped": group["clipped"].mean(), "energy": group["energy"].mean(),
            "seconds": sum(took) / len(took),
        })  # fmt: skip
    return records_of(pd.DataFrame(rows))


class _Learning:
    """The images of a study as pixels, and one training on them."""

    def __init__(self, study: LearnStudy, work: Work, data: Data) -> None:
        self.study, self.data, self.device = study, data, work.device
        self.train, self.validation, self.test = (
            _pixels(part, data) for part in (data.train, data.validation, data.test)
        )

    def network(self, seed: int) -> nn.Module:
        """A new one; the same for all rules."""
        with seeded(self.study.seed, "weights", str(seed)):
            return self.study.model.build(self.data.channels, self.data.size, self.data.classes).to(
                self.device
            )

    def in_float(self, seed: int) -> dict[str, Any]:
        """Without a chip."""
        network = self.network(seed)
        self._run(network, seed, [torch.optim.SGD(network.parameters(), lr=self.study.float_rate)])
        return {**self._tested(network), **dict.fromkeys(ON_CHIP)}

    def on_chip(self, setting: Setting, seed: int) -> dict[str, Any]:
        """By pulses."""
        study, chip = self.study, chip_seed(self.study.seed, seed)
        analog = mho.convert(self.network(seed), study.hardware(setting))
        mho.calibrate(analog, self.train.tensors[0].split(BATCH_OF_CALIBRATION))
        mho.program(analog, seed=chip)
        pulsed = PulsedOptimizer(analog, lr=setting.learning_rate, rule=setting.rule, seed=chip)
        optimizers: list[torch.optim.Optimizer] = [pulsed]
        if digital := digital_parameters(analog):
            optimizers.append(torch.optim.SGD(digital, lr=setting.digital_rate or setting.learning_rate))
        self._run(analog, seed, optimizers)
        counted = [each.flatten() for each in pulsed.pulses().values()]
        clipped = max(pulsed.clipped().values())
        pulsed.close()
        pulses = torch.cat(counted)
        return {
            **self._tested(analog),
            "pulses": float(pulses.double().mean()),
            "most_pulses": int(pulses.max()),
            "clipped": clipped,
            "energy": study.joules(float(pulses.sum())),
        }

    def _run(self, network: nn.Module, seed: int, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Train a network with several optimizers side by side."""
        study = self.study
        order = random.fork(study.seed, "batches", str(seed))
        batches = Batches(self.train, study.data, study.batch, order, self.device)
        drop = math.ceil(study.drop_at * study.epochs - 1e-9)
        schedulers = [torch.optim.lr_scheduler.MultiStepLR(o, [drop], study.drop_to) for o in optimizers]
        network.train()
        for epoch in range(study.epochs):
            loss = self._epoch(network, batches, optimizers)
            if not math.isfinite(loss):
                raise DivergedError(f"the loss is {loss} in epoch {epoch + 1}; lower the learning rate")
            for scheduler in schedulers:
                scheduler.step()

    @staticmethod
    def _epoch(network: nn.Module, batches: Batches, optimizers: Sequence[torch.optim.Optimizer]) -> float:
        """The loss of the last batch."""
        loss = torch.zeros(())
        for x, y in batches:
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss = functional.cross_entropy(network(x), y)
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
        return loss.item()

    def _tested(self, network: nn.Module) -> dict[str, float]:
        return {"accuracy": accuracy(network, self.test), "validation": accuracy(network, self.validation)}


def _pixels(part: TensorDataset, data: Data) -> TensorDataset:
    """Images with pixels from 0 to 1, as no normalisation had been."""
    images, labels = part.tensors
    mean, std = (torch.tensor(values)[:, None, None] for values in (data.mean, data.std))
    pixels: Tensor = (images * std + mean).clamp(0, 1)
    return TensorDataset(pixels, labels)
