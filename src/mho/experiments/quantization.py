"""Real states, real noise: networks on levels that were measured on a memristor.

Four networks are compared: full precision (the baseline), straight-through and alpha blending (trained
with the levels), and the baseline quantised after training. Then noise is put on their weights.

>>> study = QuantizationStudy(training=Schedule(epochs=3, learning_rate=0.1))
>>> len(study.levels.values()), study.seed
(200, 40)
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import InstanceOf

from mho.config import config, digest, kind_of, to_dict
from mho.config.sealed import DamagedFileError, save_tensors
from mho.experiments.data import CIFAR10, Data, Digits, Source
from mho.experiments.fitting import Schedule
from mho.experiments.harness import Result, Study, Work, run
from mho.experiments.harness.measuring import Place, measure
from mho.experiments.harness.study import csv_of
from mho.experiments.methods import BASELINE, METHODS, PTQ, TRAINED, Methods, file_of, load_file
from mho.experiments.models import Network, ResNet18, SmallResNet
from mho.experiments.robustness import NOISE, Disturbed, RobustnessTest
from mho.experiments.robustness_tables import COLUMNS, summarise
from mho.experiments.store import RESULTS, Log, Store
from mho.mapping import LevelSet, Normalisation, SingleDevice, Symmetric, measured_states
from mho.training import Modifier

if TYPE_CHECKING:
    import pandas as pd

TRAINING_FILE = "experiment_results.pth"
ROBUSTNESS_FILE = "robustness_experiment_results.pth"
COMBINED_FILE = "combined_experiment_results.pth"
CURVES_TABLE, ROBUSTNESS_TABLE = "training.csv", "robustness.csv"
STILL = (NOISE, 0.0)
LOG = Log(
    "robustness.jsonl",
    key=("method", "levels", "part", "std", "hardware", "compensated", "seconds"),
    bounds={"accuracy": (0, 1), **dict.fromkeys(("strength", "took", "cpu"), (0, math.inf))},
    needs=("rows",),
)
IMAGES_AT_ONCE = 1000
COMMON_MULTIPLE = 4080  # of 255 and 16: the brightest pixel of photographs and of the digits


@config
class QuantizationStudy:
    """Everything that decides the four networks.

    Attributes:
        data: the images.
        model: the network.
        levels: the normalised weights that straight-through and alpha blending train for, and that the
            baseline is quantised to.
        normalisation: how the weights of a layer lie on the levels.
        training: how each network is trained.
        annealing: how alpha goes from 0 to 1 over the training: ``"linear"`` or ``"cosine"``.
        alpha_changes: after each ``"epoch"`` or each ``"step"``.
        modifiers: what training does to the weights of all networks beside, such as weight noise.
        re_estimate: measure the batch normalisation again after post-training quantisation.
        seed: names all random numbers.
    """

    data: InstanceOf[Source] = Digits()
    model: InstanceOf[Network] = SmallResNet()
    levels: InstanceOf[LevelSet] = SingleDevice(states=measured_states())
    normalisation: InstanceOf[Normalisation] = Symmetric()
    training: Schedule = Schedule(epochs=50, learning_rate=0.1, batch=64, weight_decay=5e-4, last_rate=0.01)
    annealing: Literal["linear", "cosine"] = "linear"
    alpha_changes: Literal["epoch", "step"] = "epoch"
    modifiers: tuple[InstanceOf[Modifier], ...] = ()
    re_estimate: bool = False
    seed: int = 40


def cifar_study() -> QuantizationStudy:
    """The study on CIFAR-10 with ResNet-18: 50 epochs, rate 0.1, batch 64, seed 40."""
    return QuantizationStudy(data=CIFAR10(), model=ResNet18())


@config
class QuantizationExperiment(Study):
    """The quantisation study with its test under noise, as one description.

    The table has one row for each level set, method, disturbance, strength or time, and repeat. Without a
    test the document keeps that of an earlier run in the folder.

    Attributes:
        study: the four networks.
        test: the noise; more repeats or strengths may be asked for later. None for the trainings alone.
    """

    study: QuantizationStudy = QuantizationStudy()
    test: RobustnessTest | None = RobustnessTest()

    pieces = "tests under noise"
    stages = MappingProxyType({"training": TRAINED, "post-training": (PTQ,)})

    def identity(self) -> QuantizationStudy:
        """The networks: more noise may be asked for later."""
        return self.study

    def load(self, folder: Path | None) -> Data:
        """Read the images."""
        return self.study.data.load(folder)

    def fingerprint(self, data: Data) -> str:
        """See :func:`fingerprint`."""
        return fingerprint(data)

    def prepare(self, work: Work, data: Data) -> Methods:
        """The networks."""
        return Methods(self.study, data, work.store, work.progress, work.device, work.recompute)

    def log(self, data: Data) -> Log:
        """The finished tests; a test with more repeats than before is the same one."""
        return LOG

    def noise(self) -> RobustnessTest:
        """The test, with the level sets of the study where it names none."""
        return (self.test or RobustnessTest()).of(self.study.levels)

    def places(self) -> list[dict[str, Any]]:
        """Each network on each level set (the baseline is on none) under each disturbance."""
        if self.test is None:
            return []
        test, others = self.noise(), [method for method in METHODS if method != BASELINE]
        networks = [(BASELINE, 0), *itertools.product(others, map(digest, test.levels or ()))]
        repeats = list(range(test.repeats))
        return [
            {"method": method, "levels": levels, **cell, "repeats": repeats}
            for method, levels in networks
            for cell in test.cells()
        ]

    def left(self, place: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
        """The repeats that an earlier run has not done."""
        done = {row["repeat"] for row in rows}
        repeats = [repeat for repeat in place["repeats"] if repeat not in done]
        return {**place, "repeats": repeats} if repeats else None

    def measure(self, place: Mapping[str, Any], shared: Methods) -> list[dict[str, Any]]:
        """Strength and accuracy of each repeat."""
        test = self.noise()
        sets = {digest(levels): levels for levels in test.levels or ()}
        network = shared.kept(place["method"], sets.get(place["levels"], self.study.levels))
        return Disturbed(test, shared, network, place).rows(place["repeats"])

    def detail(self, place: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], shared: Methods) -> str:
        """The method, and its accuracy."""
        mean = math.fsum(row["accuracy"] for row in rows) / max(1, len(rows))
        return f"{place['method']}: {100 * mean:.1f} %" if rows else str(place["method"])

    def _on_levels(self, records: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The records with the name of their level set: those of the baseline again and again."""
        for name, levels in self.noise().named_levels().items():
            yield from ((name, record) for record in records if record["levels"] in (0, digest(levels)))

    def table(self, records: Sequence[Mapping[str, Any]], shared: Methods) -> pd.DataFrame:
        """One row for each repeat; the baseline is repeated for every level set, to be compared with."""
        import pandas as pd

        test, rows = self.noise(), []
        for name, record in self._on_levels(records):
            noisy = record["part"] == NOISE
            if not noisy or record["std"] in test.noise:
                kind = NOISE if noisy else kind_of(type(test.device)).rpartition(".")[2]
                seconds = math.nan if noisy else record["seconds"]
                told = {"levels": name, "method": record["method"], "disturbance": kind, "seconds": seconds}
                rows += [{**told, **row} for row in record["rows"] if row["repeat"] < test.repeats]
        table: pd.DataFrame = pd.DataFrame(rows, columns=list(COLUMNS))
        return table

    def document(self, table: pd.DataFrame, shared: Methods, work: Work) -> dict[str, Any]:
        """What ``results.json`` holds beside the configuration; the tests of an earlier run are kept."""
        records, data = shared.records(), shared.data
        return {
            "device": str(work.device),
            "images": {part: len(getattr(data, part)) for part in ("train", "validation", "test")},
            "files": {method: file_of(method) for method in METHODS},
            "history": records["history"],
            "methods": records["facts"],
            "robustness": self._robustness(table, work.store) if self.test else _kept(work),
        }

    def _robustness(self, table: pd.DataFrame, store: Store) -> dict[str, Any]:
        test = (self.test or RobustnessTest()).of(self.study.levels)
        still = (
            pair for pair in self._on_levels(store.records) if (pair[1]["part"], pair[1]["std"]) == STILL
        )
        clean = {(name, record["method"]): record["rows"][0]["accuracy"] for name, record in still}
        levels = {name: len(levels.values()) for name, levels in test.named_levels().items()}
        return {"test": to_dict(test), "levels": levels, **summarise(table, clean)}

    def write(self, result: Result, shared: Methods, work: Work) -> None:
        """The tables, ``results.json``, and everything as tensors."""
        store, document = work.store, result.document
        store.write_text(CURVES_TABLE, csv_of(curves(document["history"])))
        told = {"study": store.digest, "configuration": document["study"]}
        training = {"history": document["history"], "facts": document["methods"]}
        save_tensors(store.folder / TRAINING_FILE, {**told, **training})
        if self.test is not None:
            store.write_text(ROBUSTNESS_TABLE, csv_of(result.table))
            tested = {"document": document["robustness"], "table": _tensors(result.table)}
            save_tensors(store.folder / ROBUSTNESS_FILE, {"study": store.digest, **tested})
            whole = {**told, "training": training, "robustness": tested}
            save_tensors(store.folder / COMBINED_FILE, whole)
        store.write_json(RESULTS, document)


def curves(history: Mapping[str, Mapping[str, list[float]]]) -> pd.DataFrame:
    """One row for each epoch of each method: ``method, epoch, loss, validation_accuracy``."""
    import pandas as pd

    rows = [
        (method, epoch, loss, validation)
        for method, each in history.items()
        for epoch, (loss, validation) in enumerate(zip(each["loss"], each["validation"], strict=True), 1)
    ]
    table: pd.DataFrame = pd.DataFrame(rows, columns=["method", "epoch", "loss", "validation_accuracy"])
    return table


def _tensors(table: pd.DataFrame) -> dict[str, Any]:
    """The columns of a table: numbers as tensors, words as lists."""
    numbers = ("strength", "accuracy", "seconds", "repeat")
    columns = {str(name): table[name].tolist() for name in table.columns}
    return {k: torch.tensor(v, dtype=torch.float64) if k in numbers else v for k, v in columns.items()}


def _kept(work: Work) -> dict[str, Any] | None:
    """The robustness that an earlier run measured with these networks."""
    path = work.store.folder / ROBUSTNESS_FILE
    if not path.is_file():
        return None
    try:
        kept: dict[str, Any] = load_file(path, work.store, {"study": int, "document": dict})["document"]
    except DamagedFileError:
        work.progress.note(f"{path}: damaged; run without --skip-robustness to write it again")
        return None
    return kept


@measure.register
def _(study: QuantizationStudy, place: Place) -> dict[str, float]:
    return measure(QuantizationExperiment(study=study, test=None), place)


@measure.register
def _(study: QuantizationExperiment, place: Place) -> dict[str, float]:
    how = {"device": place.device, "threads": place.threads}
    document = run(study, place.folder, place.data, **how).document
    figures = {f"{method}_test": facts["test"] for method, facts in document["methods"].items()}
    for area in document["robustness"]["areas"] if study.test else ():
        figures[f"{area['method']}_{area['levels']}_area"] = area["area"]
    return {"accuracy": figures["ste_test"], **figures}


def fingerprint(data: Data) -> str:
    """Tells images and labels from other ones; the same for the same files on every machine.

    Pixels of 256 or 17 values are compared as the integers that they came from; the mean that is taken
    off them may differ in its last bit between machines. Of other images only labels and sizes count.
    """
    found = hashlib.sha256()
    mean, std = (torch.tensor(values)[:, None, None] for values in (data.mean, data.std))
    for part in (data.train, data.validation, data.test):
        images, labels = part.tensors
        found.update(repr(tuple(images.shape)).encode() + labels.numpy().tobytes())
        for some in images.split(IMAGES_AT_ONCE):
            pixels = (some * std + mean) * COMMON_MULTIPLE
            whole = pixels.round()
            if (pixels - whole).abs().max() < 0.05:
                found.update(whole.to(torch.int16).numpy().tobytes())
    return found.hexdigest()
