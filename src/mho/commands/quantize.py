"""``mho quantize``: networks on measured levels, under noise."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mho.commands.common import kept, present, typer
from mho.commands.options import THREADS, WORKERS, Given, Option, fields, flag, one_of
from mho.experiments.data.download import fetch_cifar10
from mho.experiments.harness import run
from mho.experiments.progress import for_terminal
from mho.experiments.quantization import QuantizationExperiment, QuantizationStudy, cifar_study
from mho.experiments.store import held_study
from mho.mapping import Affine, Fixed, Maximum, SingleDevice, Symmetric, read_states
from mho.report.quantization import figures, quantization_page, quantization_text, quantization_verdicts

QUICK_EPOCHS, QUICK_REPEATS = 8, 5
NORMALISATIONS = {
    "layer": Symmetric(),
    "column": Symmetric(scale=Maximum(per_column=True)),
    "none": Symmetric(scale=Fixed(weight=1.0)),
    "affine-layer": Affine(),
    "affine-column": Affine(per_column=True),
}
ANNEALINGS = {  # shape, and when alpha changes
    "linear": ("linear", "epoch"),
    "cosine": ("cosine", "epoch"),
    "linear-step": ("linear", "step"),
    "cosine-step": ("cosine", "step"),
}


def _named(known: Mapping[str, Any]) -> Any:
    return lambda option, text: known[one_of(*known)(option, text)]


def _states(option: str, path: Path) -> SingleDevice:
    """The states of a file; a word about repeated ones."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        states = read_states(path)
    for warning in caught:
        typer.echo(f"mho: {warning.message}", err=True)
    return SingleDevice(states=states)


def _percentages(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) / 100 for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"{option} {text}: write percentages with commas between, for example 0,5,10"
        ) from None


WITHOUT = ("matplotlib",)
USUAL = QuantizationExperiment()
OPTIONS = (
    Option(
        "output-dir", "Folder for models, results and figures.", Path, Path("experiment_results"),
        also=("output",),
    ),
    flag("skip-training", "Only test the networks that the folder holds."),
    flag("skip-robustness", "Only train."),
    *fields(USUAL, "robustness-repeats=test.repeats"),
    Option(
        "noise", "Of the test: percent of each weight; 0,1,2 ... 20 if not given.", parse=_percentages,
        paths=("test.noise",),
    ),
    flag("quick", "A first look: 8 epochs, 5 repeats; minutes on two cores."),
    Option("data", "Folder with the archives of CIFAR-10; without it the study runs on digits.", Path),
    flag("download", "Fetch CIFAR-10 into the folder given with --data (or data)."),
    *fields(USUAL, "model=study.model"),
    Option(
        "states", "CSV of measured conductances (siemens); 100 states come with mho.", Path, parse=_states,
        paths=("study.levels",),
    ),
    Option(
        "normalisation", f"How weights lie on levels: {', '.join(NORMALISATIONS)}.",
        parse=_named(NORMALISATIONS), paths=("study.normalisation",),
    ),
    Option("annealing", f"Of alpha: {', '.join(ANNEALINGS)}.", parse=_named(ANNEALINGS)),
    *fields(
        USUAL,
        "re-estimate=study.re_estimate epochs=study.training.epochs lr=study.training.learning_rate "
        "batch-size=study.training.batch seed=study.seed device=test.device times=test.times",
    ),
    flag("recompute", "Make stored files again that cannot be read."),
    Option("on", "Torch device that computes; cuda if there is one, else cpu."),
    THREADS,
    WORKERS,
)  # fmt: skip


def quantize(given: Given) -> None:
    """Straight-through, alpha blending, full precision and post-training on measured levels.

    The command trains four networks and tests them under noise. Its halves: --skip-robustness trains only,
    --skip-training tests the networks that the folder holds. Ctrl-C keeps what is finished; the same command
    goes on from there.
    """
    data, folder = _fetched(given.data) if given.download else given.data, given.output_dir
    experiment = _experiment(given, data)
    study = experiment.study
    network = type(study.model).__name__
    if data is None:
        typer.echo(
            f"No --data: the study runs on scikit-learn's digits with a {network}. With the archives of "
            "CIFAR-10 (--data FOLDER) it runs on CIFAR-10 with a ResNet18."
        )
    typer.echo(f"{network}, {study.training.epochs} epochs; results go to {folder}")
    with kept(folder, "What is finished", "is"):
        result = run(
            experiment,
            folder,
            data,
            train=not given.skip_training,
            recompute=given.recompute,
            progress=for_terminal(),
            device=given.on or ("cuda" if torch.cuda.is_available() else "cpu"),
            threads=given.threads,
            workers=given.workers,
        )
    document = {**result.document, "command": given.line}
    present(
        folder,
        lambda: figures(document),
        lambda pictures: quantization_page(document, pictures),
        [quantization_text(document), *quantization_verdicts(document)],
        sorted(path.name for path in folder.iterdir() if path.suffix not in (".html", ".png")),
    )


def _experiment(given: Given, data: Path | None) -> QuantizationExperiment:
    """What the options ask for; to test only, with the networks of the folder."""
    held = held_study(given.output_dir, QuantizationStudy, "--output-dir") if given.skip_training else None
    usual = replace(USUAL, study=held or (QuantizationStudy() if data is None else cifar_study()))
    shape, changes = given.annealing or (None, None)
    quick = {"test.repeats": QUICK_REPEATS, **({} if held else {"study.training.epochs": QUICK_EPOCHS})}
    found = given.study(usual, quick, study__annealing=shape, study__alpha_changes=changes)
    return replace(found, test=None) if given.skip_robustness else found


def _fetched(data: Path | None) -> Path:
    folder = data if data is not None else Path("data")
    fetch_cifar10(folder)
    return folder
