"""The studies of the three modalities: stand-ins that need no files, and the published ones.

The settings of the stand-ins were chosen on validation data, with seed 0 for images and texts and seeds 0, 1
and 2 for words, where each student has the rate that serves it best, on chips with one scale for each layer:
see docs/hwa.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from mho.experiments.data import CIFAR100, SST2, PythonProse, PythonSubjects, WikiText2
from mho.experiments.hwa.study import Course, DriftAndClip, HWAStudy, NoiseAndClip, Published
from mho.experiments.hwa.tasks import Sequence, Task, Text, Vision
from mho.experiments.models import BERT, LSTM, MiniLM, WideResNet
from mho.training import Distillation

MODALITIES = ("vision", "text", "sequence")
Length = Literal["quick", "usual", "published"]


def study_for(
    modality: str, length: Length = "usual", published_data: bool = False, seed: int = 0
) -> HWAStudy:
    """The study of one modality.

    Args:
        modality: ``"vision"``, ``"text"`` or ``"sequence"``.
        length: ``"quick"`` ends within minutes on two cores; ``"usual"`` takes more data and more epochs;
            ``"published"`` is the schedule of the public replication of Rasch et al. (2023).
        published_data: CIFAR-100, SST-2 and WikiText-2 with WideResNet-16-4, BERT and an LSTM of two
            layers, from files, always with the published optimizer; ``"quick"`` takes one epoch of each
            training and the first 1000 items of the test, ``"usual"`` a quarter of the epochs.
        seed: names all random numbers.
    """
    if modality not in MODALITIES:
        raise ValueError(f"modality = {modality!r}: choose among {', '.join(MODALITIES)}")
    if published_data:
        return _shortened(_published(modality, _REAL[modality], seed), length)
    if length == "published":
        return _published(modality, _STAND_INS[modality].task, seed)
    study = replace(_STAND_INS[modality], seed=seed)
    return study if length == "quick" else _fuller(study)


_STAND_INS = {
    "vision": HWAStudy(
        task=Vision(),
        teaching=Course(epochs=20, learning_rate=0.05, weight_decay=5e-4),
        tuning=Course(epochs=15, learning_rate=0.05, weight_decay=5e-4),
        in_the_loop=NoiseAndClip(noise=0.15, clip=2.0),
    ),
    "text": HWAStudy(
        task=Text(
            data=PythonSubjects(),
            network=MiniLM(layers=1, length=24),
            train=1600,
            validation=200,
            test=200,
        ),
        teaching=Course(epochs=3, learning_rate=0.1, batch=16, weight_decay=5e-4),
        tuning=Course(epochs=4, learning_rate=0.05, batch=16, weight_decay=5e-4),
        in_the_loop=NoiseAndClip(noise=0.08),
        calibration=64,
    ),
    "sequence": HWAStudy(
        task=Sequence(
            data=PythonProse(vocabulary=1000),
            network=LSTM(embedding=200, hidden=200, layers=1, dropout=0.1, tied=True),
            length=16,
            train=60_001,
            validation=4_001,
            test=4_001,
        ),
        teaching=Course(epochs=12, learning_rate=8.0, batch=16, weight_decay=1e-4),
        tuning=Course(epochs=8, learning_rate=12.0, batch=16, weight_decay=1e-4),
        aware_tuning=Course(epochs=8, learning_rate=8.0, batch=16, weight_decay=1e-4),
        distillation=Distillation(temperature=1.0, weight=0.5),
        in_the_loop=DriftAndClip(limit=1.2, strength=1.5),
        calibration=64,
    ),
}
_REAL: dict[str, Task] = {
    "vision": Vision(data=CIFAR100(), network=WideResNet()),
    "text": Text(data=SST2(), network=BERT(length=66), fixed_embeddings=False),
    "sequence": Sequence(data=WikiText2(), network=LSTM(), length=35),
}


def _published(modality: str, task: Task, seed: int) -> HWAStudy:
    """The schedule of the public replication; what it does not tell is said here.

    It does not tell momentum, decay of the weights, warm-up and the limit of the gradient: SGD on images has
    those of Zagoruyko and Komodakis (2016); the LSTM has none but a gradient limit of 0.25, as in torch's
    own example of a language model; BERT has those of Devlin et al. (2019).
    """
    if modality == "vision":
        course = Course(
            epochs=200, learning_rate=0.1, batch=128, weight_decay=5e-4, warm_up=0.0, clip_norm=5.0
        )
        return _of(task, course, 80, "wide_resnet", seed)
    if modality == "text":
        course = Course(
            epochs=3, learning_rate=2e-5, batch=32, optimizer="adamw", weight_decay=0.01, decay="linear"
        )
        return _of(task, course, 3, "bert", seed)
    course = Course(
        epochs=5, learning_rate=20.0, batch=20, momentum=0.0, warm_up=0.0, decay="plateau", clip_norm=0.25
    )
    return _of(task, course, 5, "lstm", seed)


def _of(
    task: Task, course: Course, epochs: int, preset: Literal["wide_resnet", "lstm", "bert"], seed: int
) -> HWAStudy:
    return HWAStudy(
        task=task,
        teaching=course,
        tuning=replace(course, epochs=epochs),
        in_the_loop=Published(preset=preset),
        seed=seed,
    )


def _shortened(study: HWAStudy, length: Length) -> HWAStudy:
    if length == "published":
        return study
    part, task = (0 if length == "quick" else 0.25), study.task
    if length == "quick":
        task = replace(task, test=1000)  # type: ignore[type-var]
    return replace(
        study,
        task=task,
        teaching=_part(study.teaching, part),
        tuning=_part(study.tuning, part),
    )


def _fuller(study: HWAStudy) -> HWAStudy:
    """Twice the data where it was limited, and twice the epochs of the students."""
    task = study.task
    if isinstance(task, Text | Sequence):
        counts = {name: getattr(task, name) for name in ("train", "validation", "test")}
        twice: Any = {name: None if count is None else 2 * count for name, count in counts.items()}
        task = replace(task, **twice)
    aware = study.aware_tuning
    return replace(
        study,
        task=task,
        tuning=_part(study.tuning, 2),
        aware_tuning=None if aware is None else _part(aware, 2),
    )


def _part(course: Course, part: float) -> Course:
    return replace(course, epochs=max(1, round(part * course.epochs)))
