"""``mho search``: the cheapest hardware that keeps an accuracy."""

from __future__ import annotations

from pathlib import Path

from mho.commands.common import draw, kept, typer, write_text
from mho.commands.options import DATA, ON, THREADS, Given, Option, fields
from mho.config import load
from mho.experiments.harness import run
from mho.experiments.progress import for_terminal
from mho.experiments.search import HARDWARE, SearchStudy
from mho.report import render
from mho.report.search import search_figure, search_page, search_verdict

WITHOUT = ("matplotlib",)
OPTIONS = (
    Option("STUDY-FILE", "A SearchStudy (.yaml, .json) to start from.", Path),
    Option("output", "Folder for the results.", Path, Path("runs/search"), also=("output-dir",)),
    *fields(
        SearchStudy(),
        "target trials adc-bits=space.adc_bits dac-bits=space.dac_bits tile-rows=space.tile_rows "
        "slices=space.slices tolerance=space.tolerance model=base.model data-set=base.data "
        "epochs=base.training.epochs chips=base.chips technology=base.technology minimise seed",
    ),
    DATA,
    ON,
    THREADS,
)


def search(given: Given) -> None:
    """Find the cheapest converters, tiles, slices and programming tolerance for a network.

    Ctrl-C keeps the finished trials; the same command goes on from there.
    """
    import optuna  # noqa: F401  # miss it before an hour of computing

    usual = SearchStudy() if given.study_file is None else load(given.study_file)
    if not isinstance(usual, SearchStudy):
        raise ValueError(
            f"{given.study_file}: a {type(usual).__name__}, not a SearchStudy (kind: experiments.SearchStudy)"
        )
    study, folder = given.study(usual), given.output
    size = study.space.size
    typer.echo(f"{min(study.trials, size)} of {size} descriptions; results go to {folder}")
    with kept(folder, "Finished trials"):
        result = run(
            study, folder, given.data, progress=for_terminal(), device=given.on, threads=given.threads
        )
    document = {**result.document, "command": given.line}
    if document["failed"]:
        failed = f"{document['failed']} trials failed: see the column error of {folder / 'results.csv'}"
        typer.echo(failed, err=True)
    front = result.table.iloc[[row["trial"] for row in document["front"]]].drop(columns=["error", "kept"])
    typer.echo(front.to_string(index=False, float_format=lambda v: f"{v:.4g}"))
    typer.echo(search_verdict(document))
    pictures = draw(folder, lambda: {"front.png": search_figure(result.table, document)})
    write_text(render(search_page(document, pictures.get("front.png"))), folder / "report.html")
    files = ["results.csv", "results.json", *pictures, *[HARDWARE] * (document["hardware"] is not None)]
    typer.echo(f"{folder / 'report.html'}  (and {', '.join(files)})")
