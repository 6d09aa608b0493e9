"""``mho search``: the cheapest hardware that keeps an accuracy."""

from __future__ import annotations

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
    from mho.experiments.search import SearchResult, SearchStudy


def search(
    context: typer.Context,
    study_file: Annotated[
        Path | None, typer.Argument(metavar="[STUDY]", help="A SearchStudy (.yaml, .json) to start from.")
    ] = None,
    output_dir: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("runs/search"),
    target: Annotated[
        float | None,
        typer.Option(help="Accuracy to keep, 0 to 1; one point below the digital one if not given."),
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Descriptions to try; 60 if not given.")] = None,
    adc_bits: Annotated[str | None, typer.Option(help="To choose from; 3,4,5,6,7,8 if not given.")] = None,
    dac_bits: Annotated[str | None, typer.Option(help="To choose from; 3,4,5,6,7,8 if not given.")] = None,
    tile_rows: Annotated[str | None, typer.Option(help="To choose from; 32,64,128,256 if not given.")] = None,
    slices: Annotated[str | None, typer.Option(help="To choose from; 1,2,4 if not given.")] = None,
    tolerance: Annotated[
        str | None, typer.Option(help="Of g_max, to choose from; 0.01,0.02,0.05,0.1,0.2 if not given.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The network; SmallCNN if not given.")] = None,
    data_set: Annotated[str | None, typer.Option(help="The images; digits if not given.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with the files of the data set.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Of the training; 10 if not given.")] = None,
    chips: Annotated[int | None, typer.Option(help="Chips for each description; 3 if not given.")] = None,
    seed: Annotated[int | None, typer.Option(help="Names the proposals; 0 if not given.")] = None,
    on: Annotated[str, typer.Option(help="The torch device that computes.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Threads on the CPU.")] = 1,
) -> None:
    """Find the cheapest converters, tiles, slices and programming tolerance for a network.

    Ctrl-C keeps the finished trials; the same command goes on from there.
    """
    with clean_errors():
        need_study(without=("matplotlib",))
        import optuna  # noqa: F401  # miss it before an hour of computing

        from mho.experiments.progress import for_terminal
        from mho.experiments.search import run

        choices = {
            "adc_bits": _numbers("--adc-bits", adc_bits, int),
            "dac_bits": _numbers("--dac-bits", dac_bits, int),
            "tile_rows": _numbers("--tile-rows", tile_rows, int),
            "slices": _numbers("--slices", slices, int),
            "tolerance": _numbers("--tolerance", tolerance, float),
        }
        study = _study(study_file, choices, model, data_set, epochs, chips)
        study = replaced(study, target=target, trials=trials, seed=seed)
        typer.echo(
            f"{min(study.trials, study.space.size)} of {study.space.size} descriptions; "
            f"results go to {output_dir}"
        )
        try:
            result = run(study, output_dir, data, for_terminal(), on, threads)
        except KeyboardInterrupt:
            typer.echo(
                f"\nStopped. Finished trials are kept in {output_dir}; the same command goes on from there."
            )
            raise typer.Exit(INTERRUPTED) from None
        _show(result, output_dir, command_line(context))


def _study(
    path: Path | None,
    choices: dict[str, Any],
    model: str | None,
    data_set: str | None,
    epochs: int | None,
    chips: int | None,
) -> SearchStudy:
    from mho.config import load
    from mho.experiments.data import Source
    from mho.experiments.models import Network
    from mho.experiments.search import SearchStudy

    study = SearchStudy() if path is None else load(path)
    if not isinstance(study, SearchStudy):
        raise ValueError(
            f"{path}: a {type(study).__name__}, not a SearchStudy (kind: experiments.SearchStudy)"
        )
    base = replaced(
        study.base,
        model=None if model is None else chosen("--model", model, Network),
        data=None if data_set is None else chosen("--data-set", data_set, Source),
        training=replaced(study.base.training, epochs=epochs),
        chips=chips,
    )
    return replaced(study, base=base, space=replaced(study.space, **choices))


def _numbers(option: str, text: str | None, kind: type) -> tuple[Any, ...] | None:
    if text is None:
        return None
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{option} {text}: write numbers with commas between, for example 4,6,8") from None


def _show(result: SearchResult, folder: Path, command: str) -> None:
    """The front on the terminal, the figure and the page in the folder."""
    from mho.experiments.search import HARDWARE
    from mho.report import render
    from mho.report.search import search_figure, search_page, search_verdict

    document = {**result.document, "command": command}
    front = result.table.iloc[result.front].drop(columns="error")
    if document["failed"]:
        typer.echo(
            f"{document['failed']} trials failed: see the column error of {folder / 'results.csv'}", err=True
        )
    typer.echo(front.to_string(index=False, float_format=lambda v: f"{v:.4g}"))
    typer.echo(search_verdict(document))
    picture = None
    try:
        picture = search_figure(result.table, document)
        save_figure(picture, folder / "front.png")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        typer.echo("matplotlib is missing: the figure is left out, the results are whole", err=True)
    write_page(render(search_page(document, picture)), folder / "report.html")
    files = ["results.csv", "results.json", *(["front.png"] * (picture is not None))]
    files += [HARDWARE] * (result.hardware is not None)
    typer.echo(f"{folder / 'report.html'}  (and {', '.join(files)})")
