"""``mho hwa``: networks that survive a year of drift, on images, texts and rows of words."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mho.commands.common import chosen, kept, present, typer, write_together
from mho.commands.options import ON, OUTPUT, Given, Option, fields, flag
from mho.experiments import hwa as experiment
from mho.experiments.data import TextSource
from mho.experiments.harness import run_together
from mho.experiments.harness.study import TABLE
from mho.experiments.hwa import MODALITIES, ChipTest, HWAExperiment, HWAStudy, MissingNetworkError, Text
from mho.experiments.progress import for_terminal
from mho.experiments.store import RESULTS, claim_for_several, held_study
from mho.experiments.tables import table_text
from mho.report.hwa import figures, hwa_page, hwa_text, hwa_verdicts
from mho.report.hwa_figures import hwa_dashboard

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas as pd

USUAL = HWAExperiment(test=ChipTest(chips=25))


def _modalities(option: str, text: str) -> list[str]:
    names = list(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in MODALITIES:
            raise ValueError(f"{option} {name}: choose among {', '.join(MODALITIES)}")
    return names


OPTIONS = (
    Option(
        "modality", "vision, text, sequence, or several with commas between.", str, ",".join(MODALITIES),
        _modalities,
    ),
    OUTPUT,
    flag("quick", "10 chips, short trainings: minutes for each modality."),
    flag("paper", "The full schedules of the published study."),
    flag("eval-only", "Train nothing: test the networks that the folder holds."),
    Option(
        "data", "Folder with CIFAR-100, SST-2 (BERT in bert/), WikiText-2; stand-ins if not given.", Path
    ),
    Option(
        "texts", "Stand-in of text: PythonSubjects (usual) or DebianPackages, which asks apt.",
        parse=lambda option, text: chosen(option, text, TextSource),
    ),
    *fields(USUAL, "chips=test.chips times=test.times hardware=study.hardware"),
    Option("seed", "Names all random numbers.", int, 0),
    Option("workers", "Processes; one for each core if not given, one with --on cuda.", int),
    ON,
    Option("threads", "Threads of each process on the CPU.", int, 1),
)  # fmt: skip


def hwa(given: Given) -> None:
    """A year of drift: with and without hardware-aware training, on images, texts and rows of words.

    Ctrl-C keeps what is finished; the same command goes on from there.
    """
    if given.quick and given.paper:
        raise ValueError("--quick --paper: choose one of the two")
    folder = given.output if given.output is not None else _folder(given)
    studies = {folder / name: _experiment(given, name, folder / name) for name in given.modality}
    claim_for_several(folder, "mho hwa")
    typer.echo(f"results go to {folder}")
    with kept(folder, "What is finished", "is"):
        for each in studies.values():
            typer.echo(f"{each.label}: {_said(each.study)}")
        cores = (os.cpu_count() or 1) if given.on == "cpu" else 1
        run_together(
            studies,
            given.data,
            train=not given.eval_only,
            progress=for_terminal(),
            device=given.on,
            threads=given.threads,
            workers=given.workers if given.workers is not None else cores,
        )
    show(folder, given.line)


def _experiment(given: Given, modality: str, folder: Path) -> HWAExperiment:
    """What the options ask for, with the idealised protocol on no more chips than the others."""
    usual = replace(USUAL, study=_study(given, modality, folder))
    found = given.study(usual, {"test.chips": ChipTest().chips})
    few = min(found.test.chips, found.test.idealised_chips)
    return replace(found, test=replace(found.test, idealised_chips=few))


def _study(given: Given, modality: str, folder: Path) -> HWAStudy:
    """The study of one modality that options ask for, or the one whose networks a folder holds."""
    if given.eval_only:
        held = held_study(folder, HWAStudy, "--output")
        if held is None:
            raise MissingNetworkError(f"--eval-only: {folder} holds no networks; run without it first")
        return held
    length: Any = "quick" if given.quick else "published" if given.paper else "usual"
    study = experiment.study_for(modality, length, given.data is not None, given.seed)
    if isinstance(study.task, Text) and given.texts is not None:
        if given.data is not None:
            raise ValueError("--texts names a stand-in, and --data the published texts: give one of the two")
        study = replace(study, task=replace(study.task, data=given.texts))
    return study


def _said(study: HWAStudy) -> str:
    task: Any = study.task
    names = f"{type(task.network).__name__} on {type(task.data).__name__}"
    return f"{names}, {study.teaching.epochs} + {study.tuning.epochs} epochs"


def _folder(given: Given) -> Path:
    """A folder in runs/ of its own for each choice."""
    length = "-quick" if given.quick else "-paper" if given.paper else ""
    seed = f"-seed{given.seed}" if given.seed else ""
    return Path("runs", f"hwa{length}{'-data' if given.data is not None else ''}{seed}")


def show(folder: Path, command: str) -> None:
    """The table on the terminal; figures, tables and the page of all finished modalities in the folder."""
    found = experiment.finished(folder)
    documents = {name: found[name] for name in MODALITIES if name in found}
    tables = [table_text(folder / name / TABLE) for name in documents]
    table = tables[0] + "".join(text.partition("\n")[2] for text in tables[1:])
    whole = {"command": command, "modalities": documents}
    write_together(folder, table, whole)
    present(
        folder,
        lambda: figures(documents),
        lambda pictures: hwa_page(documents, command, pictures),
        [hwa_text(documents), *hwa_verdicts(documents)],
        (TABLE, RESULTS),
    )


def dashboard(rows: pd.DataFrame) -> matplotlib.figure.Figure:
    """The dashboard again, from the rows of results.csv."""
    digital: dict[str, dict[str, float]] = {}
    for row in rows[["modality", "arm", "digital_value"]].drop_duplicates().to_dict("records"):
        digital.setdefault(str(row["modality"]), {})[str(row["arm"])] = float(row["digital_value"])
    return hwa_dashboard(experiment.summarise(rows), digital, {name: name for name in digital})
