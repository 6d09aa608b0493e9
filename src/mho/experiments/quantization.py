"""Real states, real noise: networks on levels that were measured on a memristor.

Four networks are compared: full precision (the baseline), straight-through and alpha blending (trained
with the levels), and the baseline quantised after training. Then noise is put on their weights.

>>> study = QuantizationStudy(training=Schedule(epochs=3, learning_rate=0.1))
>>> len(study.levels.values()), study.seed
(200, 40)
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import InstanceOf

from mho.config import config, to_dict
from mho.experiments.data import CIFAR10, Data, Digits, Source
from mho.experiments.files import DamagedFileError, save_tensors
from mho.experiments.fitting import Schedule, limited_threads
from mho.experiments.harness.measuring import Place, measure
from mho.experiments.machine import usable_device, versions
from mho.experiments.methods import METHODS, Methods, file_of, load_file
from mho.experiments.models import Network, ResNet18, SmallResNet
from mho.experiments.progress import Progress
from mho.experiments.robustness import RobustnessResult, RobustnessTest, measure_robustness
from mho.experiments.store import Log, Store
from mho.mapping import LevelSet, Normalisation, SingleDevice, Symmetric, measured_states
from mho.training import Modifier

if TYPE_CHECKING:
    import pandas as pd

TRAINING_FILE = "experiment_results.pth"
ROBUSTNESS_FILE = "robustness_experiment_results.pth"
COMBINED_FILE = "combined_experiment_results.pth"
CURVES_TABLE, ROBUSTNESS_TABLE, DOCUMENT = "training.csv", "robustness.csv", "results.json"
LOG = Log(
    "robustness.jsonl",
    key=("method", "levels", "part", "std", "hardware", "compensated", "seconds", "repeats"),
    bounds={"accuracies": (0, 1), "changes": (0, math.inf)},
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


@dataclass(frozen=True)
class TrainingResult:
    """What the trainings gave.

    Attributes:
        history: loss and validation accuracy of each epoch, by method.
        facts: validation and test accuracy and seconds of training, by method.
    """

    history: Mapping[str, Mapping[str, list[float]]]
    facts: Mapping[str, Mapping[str, float]]

    def table(self) -> pd.DataFrame:
        """One row for each epoch of each method: ``method, epoch, loss, validation_accuracy``."""
        import pandas as pd

        rows = [
            (method, epoch + 1, loss, validation)
            for method, curves in self.history.items()
            for epoch, (loss, validation) in enumerate(zip(curves["loss"], curves["validation"], strict=True))
        ]
        table: pd.DataFrame = pd.DataFrame(rows, columns=["method", "epoch", "loss", "validation_accuracy"])
        return table


@dataclass(frozen=True)
class QuantizationResult:
    """The tables of a study.

    Attributes:
        training: the trainings.
        robustness: the tests under noise; None if they were not asked for.
        document: configuration, versions and summaries: the content of ``results.json``. It keeps the
            tests of an earlier run in the folder.
    """

    training: TrainingResult
    robustness: RobustnessResult | None
    document: Mapping[str, Any]


def run(
    study: QuantizationStudy,
    output: Path,
    test: RobustnessTest | None = None,
    *,
    train: bool = True,
    robustness: bool = True,
    data_folder: Path | None = None,
    progress: Progress | None = None,
    device: str = "cpu",
    threads: int = 1,
    recompute: bool = False,
) -> QuantizationResult:
    """Run the study or one half of it, or what an earlier run in the same folder left of it.

    Args:
        study: the configuration.
        output: folder for the results; one configuration and one process each.
        test: the noise; more repeats or strengths may be asked for later. None for the usual one.
        train: train the networks that are not stored; False takes them as they are.
        robustness: test them under noise.
        data_folder: where the files of the data set lie, for data that has files.
        progress: told how far the run is.
        device: the torch device that computes.
        threads: threads on the CPU.
        recompute: make stored files again that cannot be read.

    Raises:
        MissingNetworkError: ``train`` is False and a network was not trained yet.
        FolderInUseError: another process works in the folder.
        OtherStudyError: the folder holds results of another configuration, or of other images.
        DamagedRecordError: a finished test is not as it was written.
        DamagedFileError: a stored file cannot be read.
        MissingDataError: files of the data set are missing.
        ValueError: the training diverged, memory did not suffice, or torch has no such device.
    """
    progress = progress if progress is not None else Progress()
    target = usable_device(device)
    test = test if test is not None else RobustnessTest()
    data = study.data.load(data_folder)
    with Store(output, study, LOG, images=fingerprint(data)) as store, limited_threads(threads):
        methods = Methods(study, data, store, progress, target, recompute)
        if train or recompute:
            methods.train(missing=train)
        trained = _training(study, store, methods)
        tested = measure_robustness(test, methods, threads) if robustness else None
        results = _kept(store, progress) if tested is None else tested.document
        document = _document(study, data, trained, results, target)
        _write(store, document, trained, tested)
    return QuantizationResult(training=trained, robustness=tested, document=document)


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


def _kept(store: Store, progress: Progress) -> Mapping[str, Any] | None:
    """The robustness that an earlier run measured with these networks."""
    path = store.folder / ROBUSTNESS_FILE
    if not path.is_file():
        return None
    try:
        kept: Mapping[str, Any] = load_file(path, store, {"study": int, "document": dict})["document"]
    except DamagedFileError:
        progress.note(f"{path}: damaged; run without --skip-robustness to write it again")
        return None
    return kept


def _training(study: QuantizationStudy, store: Store, methods: Methods) -> TrainingResult:
    records = {method: methods.record(method) for method in METHODS}
    result = TrainingResult(
        history={method: history for method, (history, _) in records.items()},
        facts={method: facts for method, (_, facts) in records.items()},
    )
    content = {"study": store.digest, "configuration": to_dict(study)}
    save_tensors(store.folder / TRAINING_FILE, {**content, "history": result.history, "facts": result.facts})
    return result


def _document(
    study: QuantizationStudy,
    data: Data,
    trained: TrainingResult,
    robustness: Mapping[str, Any] | None,
    device: torch.device,
) -> dict[str, Any]:
    return {
        "format": 1,
        "study": to_dict(study),
        "seed": study.seed,
        "versions": versions(),
        "device": str(device),
        "images": {part: len(getattr(data, part)) for part in ("train", "validation", "test")},
        "files": {method: file_of(method) for method in METHODS},
        "methods": {method: dict(facts) for method, facts in trained.facts.items()},
        "robustness": robustness,
    }


def _write(
    store: Store, document: dict[str, Any], trained: TrainingResult, tested: RobustnessResult | None
) -> None:
    store.write_text(CURVES_TABLE, trained.table().to_csv(index=False, lineterminator="\n"))
    parts: dict[str, Any] = {
        "study": store.digest,
        "configuration": document["study"],
        "training": {"history": trained.history, "facts": trained.facts},
    }
    if tested is not None:
        store.write_text(ROBUSTNESS_TABLE, tested.table.to_csv(index=False, lineterminator="\n"))
        save_tensors(store.folder / ROBUSTNESS_FILE, {"study": store.digest, **tested.tensors()})
        save_tensors(store.folder / COMBINED_FILE, {**parts, "robustness": tested.tensors()})
    store.write_json(DOCUMENT, document)


@config
class QuantizationExperiment:
    """The quantisation study with its test under noise, as one description.

    Attributes:
        study: the four networks.
        test: the noise.
    """

    study: QuantizationStudy = QuantizationStudy()
    test: RobustnessTest = RobustnessTest()


@measure.register
def _(study: QuantizationStudy, place: Place) -> dict[str, float]:
    return _quantization(study, None, place)


@measure.register
def _(study: QuantizationExperiment, place: Place) -> dict[str, float]:
    return _quantization(study.study, study.test, place)


def _quantization(study: QuantizationStudy, test: RobustnessTest | None, place: Place) -> dict[str, float]:
    result = run(
        study,
        place.folder,
        test,
        robustness=test is not None,
        data_folder=place.data,
        device=place.device,
        threads=place.threads,
    )
    figures = {f"{method}_test": facts["test"] for method, facts in result.training.facts.items()}
    if result.robustness is not None:
        for area in result.robustness.summary.areas:
            figures[f"{area.method}_{area.levels}_area"] = area.area
    return {"accuracy": figures["ste_test"], **figures}
