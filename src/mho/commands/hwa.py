"""``mho hwa``: networks that survive a year of drift, on images, texts and rows of words."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mho.commands.common import (
    INTERRUPTED,
    chosen,
    clean_errors,
    command_line,
    need_study,
    replaced,
    save_figure,
    typer,
    write_page,
)

if TYPE_CHECKING:
    from mho.experiments.hwa import ChipTest, HWAStudy

USUAL_CHIPS = 25
DASHBOARD, PAGE = "dashboard.png", "report.html"


def hwa(
    context: typer.Context,
    modality: Annotated[
        str, typer.Option(help="vision, text, sequence, or several with commas between.")
    ] = "vision,text,sequence",
    output: Annotated[
        Path | None, typer.Option(help="Folder for the results; in runs/ if not given.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="10 chips, short trainings: minutes for each modality.")
    ] = False,
    paper: Annotated[
        bool, typer.Option("--paper", help="The full schedules of the published study.")
    ] = False,
    eval_only: Annotated[
        bool, typer.Option("--eval-only", help="Train nothing: test the networks that the folder holds.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder with CIFAR-100, SST-2 (and BERT in bert/) and WikiText-2; stand-ins if not given."
        ),
    ] = None,
    texts: Annotated[
        str | None, typer.Option(help="Stand-in of text: DebianPackages (usual) or PythonSubjects.")
    ] = None,
    chips: Annotated[
        int | None, typer.Option(help=f"Chips for each network; {USUAL_CHIPS} if not given, 10 with --quick.")
    ] = None,
    times: Annotated[str, typer.Option(help="Times since programming, in s, min, h, d, y.")] = "1s,1h,1d,1y",
    hardware: Annotated[
        Path | None, typer.Option(help="Full description of the chip (.json, .yaml) for all modalities.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Names all random numbers.")] = 0,
    workers: Annotated[
        int | None, typer.Option(help="Processes; one for each core if not given, one with --on cuda.")
    ] = None,
    on: Annotated[str, typer.Option(help="The torch device that computes, for example cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Threads of each process on the CPU.")] = 1,
) -> None:
    """A year of drift: with and without hardware-aware training, on images, texts and rows of words.

    Ctrl-C keeps what is finished; the same command goes on from there.
    """
    with clean_errors():
        need_study()
        from mho.experiments.hwa import run_together
        from mho.experiments.progress import for_terminal

        if quick and paper:
            raise ValueError("--quick --paper: choose one of the two")
        folder = output if output is not None else _folder(quick, paper, data is not None, seed)
        options = {
            "quick": quick, "paper": paper, "data": data, "texts": texts, "hardware": hardware, "seed": seed,
        }  # fmt: skip
        test = test_of(chips, times, quick)
        names = _modalities(modality)
        studies = {name: _study(name, folder / name, options, eval_only) for name in names}
        typer.echo(f"results go to {folder}")
        try:
            for name, study in studies.items():
                typer.echo(f"{name}: {_said(study)}")
            run_together(
                {folder / name: study for name, study in studies.items()},
                test,
                train=not eval_only,
                data_folder=data,
                progress=for_terminal(),
                device=on,
                threads=threads,
                workers=workers if workers is not None else _cores(on),
            )
        except KeyboardInterrupt:
            typer.echo(
                f"\nStopped. What is finished is kept in {folder}; the same command goes on from there."
            )
            raise typer.Exit(INTERRUPTED) from None
        show(folder, command_line(context))


def test_of(chips: int | None, times: str, quick: bool) -> ChipTest:
    """The test that options ask for."""
    from mho.experiments.hwa import ChipTest
    from mho.report import parse_durations

    usual = ChipTest()
    count = chips if chips is not None else (usual.chips if quick else USUAL_CHIPS)
    return ChipTest(
        chips=count, times=parse_durations(times), idealised_chips=min(count, usual.idealised_chips)
    )


test_of.__test__ = False  # type: ignore[attr-defined]  # pytest: this reads options


def study_of(modality: str, options: Mapping[str, Any]) -> HWAStudy:
    """The study of one modality that options ask for."""
    import mho
    from mho.experiments.data import TextSource
    from mho.experiments.hwa import Text, study_for

    length = "quick" if options["quick"] else "usual"
    if options["paper"]:
        length = "published"
    study = study_for(modality, length, options["data"] is not None, options["seed"])  # type: ignore[arg-type]
    if isinstance(study.task, Text) and options["texts"] is not None:
        if options["data"] is not None:
            raise ValueError("--texts names a stand-in, and --data the published texts: give one of the two")
        source = chosen("--texts", options["texts"], TextSource)
        study = replace(study, task=replace(study.task, data=source))
    path = options["hardware"]
    return replaced(study, hardware=None if path is None else mho.Hardware.load(str(path)))


def _study(modality: str, folder: Path, options: Mapping[str, Any], held: bool) -> HWAStudy:
    """The study that options ask for, or the one whose networks a folder holds."""
    if not held:
        return study_of(modality, options)
    from mho.config import from_dict, parse_json
    from mho.errors import ConfigError
    from mho.experiments.hwa import HWAStudy, MissingNetworkError
    from mho.experiments.store import CONFIGURATION

    path = folder / CONFIGURATION
    if not path.is_file():
        raise MissingNetworkError(f"--eval-only: {folder} holds no networks; run without it first")
    try:
        study = from_dict(parse_json(path.read_text(encoding="utf-8"))["study"])
    except (KeyError, TypeError, ConfigError) as error:
        raise ValueError(f"{path}: damaged ({error}); choose another --output") from None
    if not isinstance(study, HWAStudy):
        raise ValueError(f"{folder} holds the results of a {type(study).__name__}; choose another --output")
    return study


def _modalities(text: str) -> list[str]:
    from mho.experiments.hwa import MODALITIES

    names = list(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in MODALITIES:
            raise ValueError(f"--modality {name}: choose among {', '.join(MODALITIES)}")
    return names


def _said(study: HWAStudy) -> str:
    task: Any = study.task
    return (
        f"{type(task.network).__name__} on {type(task.data).__name__}, "
        f"{study.teaching.epochs} + {study.tuning.epochs} epochs"
    )


def _cores(on: str) -> int:
    return (os.cpu_count() or 1) if on == "cpu" else 1


def _folder(quick: bool, paper: bool, published: bool, seed: int) -> Path:
    """A folder in runs/ of its own for each choice."""
    length = "-quick" if quick else "-paper" if paper else ""
    return Path("runs", f"hwa{length}{'-data' if published else ''}{f'-seed{seed}' if seed else ''}")


def show(folder: Path, command: str) -> None:
    """The table on the terminal; figures, tables and the page of all finished modalities in the folder."""
    import json

    from mho.config import write_whole
    from mho.experiments.hwa import MODALITIES, finished
    from mho.experiments.hwa.run import RESULTS, TABLE
    from mho.report import render
    from mho.report.hwa import dashboard_parts, hwa_page, hwa_text, hwa_verdicts, modality_figure
    from mho.report.hwa_figures import hwa_dashboard

    found = finished(folder)
    documents = {name: found[name] for name in MODALITIES if name in found}
    tables = [(folder / name / TABLE).read_text(encoding="utf-8") for name in documents]
    whole = tables[0] + "".join(text.partition("\n")[2] for text in tables[1:])
    write_whole(folder / TABLE, lambda path: path.write_text(whole, encoding="utf-8", newline=""))
    text = json.dumps({"command": command, "modalities": documents}, indent=2, allow_nan=False) + "\n"
    write_whole(folder / RESULTS, lambda path: path.write_text(text, encoding="utf-8"))
    for name, document in documents.items():
        save_figure(modality_figure(document), folder / f"{name}.png")
    save_figure(hwa_dashboard(*dashboard_parts(documents)), folder / DASHBOARD)
    write_page(render(hwa_page(documents, command)), folder / PAGE)
    typer.echo(hwa_text(documents))
    for verdict in hwa_verdicts(documents):
        typer.echo(verdict)
    pictures = ", ".join(f"{name}.png" for name in documents)
    typer.echo(f"{folder / PAGE}  (also {DASHBOARD}, {pictures}, {TABLE}, {RESULTS})")


def is_table(path: Path) -> bool:
    """Whether a file is a table of this command, by its first column."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.readline().startswith("modality,")
    except IsADirectoryError:
        return False


def draw(table: Path, output: Path | None) -> Path:
    """The dashboard again, from results.csv.

    Returns:
        The picture's path.
    """
    from mho.experiments.hwa import read_table, summarise
    from mho.report.hwa_figures import hwa_dashboard

    rows = read_table(table)
    digital: dict[str, dict[str, float]] = {}
    for row in rows[["modality", "arm", "digital_value"]].drop_duplicates().to_dict("records"):
        digital.setdefault(str(row["modality"]), {})[str(row["arm"])] = float(row["digital_value"])
    path = output if output is not None else table.with_name(DASHBOARD)
    save_figure(hwa_dashboard(summarise(rows), digital, {name: name for name in digital}), path)
    return path
