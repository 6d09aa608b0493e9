"""``mho quantize``: networks on measured levels, under noise."""

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
    from mho.experiments.quantization import QuantizationResult, QuantizationStudy
    from mho.experiments.robustness import RobustnessTest

QUICK_EPOCHS, QUICK_REPEATS = 8, 5
NORMALISATIONS = ("layer", "column", "none", "affine-layer", "affine-column")
ANNEALINGS = ("linear", "cosine", "linear-step", "cosine-step")


def quantize(
    context: typer.Context,
    output_dir: Annotated[Path, typer.Option(help="Folder for models, results and figures.")] = Path(
        "experiment_results"
    ),
    skip_training: Annotated[
        bool, typer.Option("--skip-training", help="Only test the networks that the folder holds.")
    ] = False,
    skip_robustness: Annotated[bool, typer.Option("--skip-robustness", help="Only train.")] = False,
    robustness_repeats: Annotated[
        int | None, typer.Option(help="Draws of the noise for each strength; 10 if not given.")
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option(help="Strengths of the noise, percent of each weight; 0,1,2 ... 20 if not given."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A first look: 8 epochs, 5 repeats; minutes on two cores.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with the archives of CIFAR-10; without it the study runs on digits."),
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch CIFAR-10 into the folder given with --data (or data).")
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="ResNet18 on CIFAR-10, SmallResNet on digits, or another network.")
    ] = None,
    states: Annotated[
        Path | None, typer.Option(help="CSV of measured conductances (siemens); 100 states come with mho.")
    ] = None,
    normalisation: Annotated[
        str | None, typer.Option(help=f"How weights lie on levels: {', '.join(NORMALISATIONS)}.")
    ] = None,
    annealing: Annotated[
        str | None, typer.Option(help=f"Of alpha, by epoch or by step: {', '.join(ANNEALINGS)}.")
    ] = None,
    re_estimate: Annotated[
        bool, typer.Option("--re-estimate", help="Measure batch normalisation again after quantising.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(help="Of each training; 50 if not given.")] = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate; 0.1 if not given.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images in a step; 64 if not given.")] = None,
    seed: Annotated[int | None, typer.Option(help="Names all random numbers; 40 if not given.")] = None,
    device: Annotated[
        str | None, typer.Option(help="Cell of the simulated chips (see: mho devices); PCM if not given.")
    ] = None,
    times: Annotated[
        str | None, typer.Option(help="Ages of the chips, in s, min, h, d, y; 0s,1d,1y if not given.")
    ] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Make stored files again that cannot be read.")
    ] = False,
    on: Annotated[
        str | None, typer.Option(help="Torch device that computes; cuda if there is one, else cpu.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads on the CPU.")] = 1,
) -> None:
    """Straight-through, alpha blending, full precision and post-training on measured levels.

    The command trains four networks and tests them under noise. Its halves: --skip-robustness trains only,
    --skip-training tests the networks that the folder holds. Ctrl-C keeps what is finished; the same command
    goes on from there.
    """
    with clean_errors():
        need_study(without=("matplotlib",))
        from mho.experiments.progress import for_terminal
        from mho.experiments.quantization import run

        folder = _fetched(data) if download else data
        measured = _measured(states)
        options = {
            "model": model, "states": measured, "normalisation": normalisation, "annealing": annealing,
            "re_estimate": re_estimate or None, "epochs": epochs, "lr": lr, "batch_size": batch_size,
            "seed": seed, "quick": quick, "data": folder,
        }  # fmt: skip
        study = study_of(options, output_dir if skip_training else None)
        test = _test(robustness_repeats, noise, device, times, quick)
        _say(study, folder, output_dir)
        try:
            result = run(
                study,
                output_dir,
                test,
                train=not skip_training,
                robustness=not skip_robustness,
                data_folder=folder,
                progress=for_terminal(),
                device=on if on is not None else _usual_device(),
                threads=threads,
                recompute=recompute,
            )
        except KeyboardInterrupt:
            typer.echo(
                f"\nStopped. What is finished is kept in {output_dir}; the same command goes on from there."
            )
            raise typer.Exit(INTERRUPTED) from None
        _show(result, output_dir, command_line(context))


def study_of(options: dict[str, Any], folder: Path | None = None) -> QuantizationStudy:
    """The configuration that options ask for.

    Args:
        options: by name; None for what was not given.
        folder: a folder of results whose configuration stands for what was not given.
    """
    from mho.experiments.models import Network
    from mho.experiments.quantization import QuantizationStudy, cifar_study
    from mho.mapping import SingleDevice

    held = None if folder is None else _held(folder)
    study = held if held is not None else (QuantizationStudy() if options["data"] is None else cifar_study())
    epochs = options["epochs"]
    if epochs is None and options["quick"] and held is None:
        epochs = QUICK_EPOCHS
    annealing, changes = _annealing(options["annealing"])
    states = options["states"]
    return replaced(
        study,
        model=None if options["model"] is None else chosen("--model", options["model"], Network),
        levels=None if states is None else SingleDevice(states=states),
        normalisation=_normalisation(options["normalisation"]),
        training=replaced(
            study.training, epochs=epochs, learning_rate=options["lr"], batch=options["batch_size"]
        ),
        annealing=annealing,
        alpha_changes=changes,
        re_estimate=options["re_estimate"],
        seed=options["seed"],
    )


def _held(folder: Path) -> QuantizationStudy | None:
    """The configuration of a folder of results."""
    from mho.config import from_dict, parse_json
    from mho.errors import ConfigError
    from mho.experiments.quantization import QuantizationStudy
    from mho.experiments.store import CONFIGURATION

    path = folder / CONFIGURATION
    if not path.is_file():
        return None
    try:
        study = from_dict(parse_json(path.read_text(encoding="utf-8"))["study"])
    except (KeyError, TypeError, ConfigError) as error:
        raise ValueError(f"{path}: damaged ({error}); choose another output folder") from None
    if not isinstance(study, QuantizationStudy):
        raise ValueError(
            f"{folder} holds the results of a {type(study).__name__}; choose another --output-dir"
        )
    return study


def _annealing(text: str | None) -> tuple[str | None, str | None]:
    """Shape, and when alpha changes."""
    if text is None:
        return None, None
    if text not in ANNEALINGS:
        raise ValueError(f"--annealing {text}: choose one of {', '.join(ANNEALINGS)}")
    shape, _, step = text.partition("-")
    return shape, step or "epoch"


def _normalisation(text: str | None) -> Any:
    from mho.mapping import Affine, Fixed, Maximum, Symmetric

    if text is None:
        return None
    known = {
        "layer": Symmetric(),
        "column": Symmetric(scale=Maximum(per_column=True)),
        "none": Symmetric(scale=Fixed(weight=1.0)),
        "affine-layer": Affine(),
        "affine-column": Affine(per_column=True),
    }
    if text not in known:
        raise ValueError(f"--normalisation {text}: choose one of {', '.join(NORMALISATIONS)}")
    return known[text]


def _measured(path: Path | None) -> tuple[float, ...] | None:
    """The states of a file; a word about repeated ones."""
    import warnings

    from mho.mapping import read_states

    if path is None:
        return None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        states = read_states(path)
    for warning in caught:
        typer.echo(f"mho: {warning.message}", err=True)
    return states


def _test(
    repeats: int | None,
    noise: str | None,
    device: str | None,
    times: str | None,
    quick: bool,
) -> RobustnessTest:
    import mho
    from mho.experiments.robustness import RobustnessTest
    from mho.report import parse_durations

    return replaced(
        RobustnessTest(),
        repeats=repeats if repeats is not None else (QUICK_REPEATS if quick else None),
        noise=None if noise is None else _percentages(noise),
        device=None if device is None else chosen("--device", device, mho.devices.Device),
        times=None if times is None else parse_durations(times),
    )


def _percentages(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) / 100 for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"--noise {text}: write percentages with commas between, for example 0,5,10"
        ) from None


def _usual_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _fetched(data: Path | None) -> Path:
    from mho.experiments.data.download import fetch_cifar10

    folder = data if data is not None else Path("data")
    fetch_cifar10(folder)
    return folder


def _say(study: QuantizationStudy, data: Path | None, folder: Path) -> None:
    network = type(study.model).__name__
    if data is None:
        typer.echo(
            f"No --data: the study runs on scikit-learn's digits with a {network}. With the archives of "
            "CIFAR-10 (--data FOLDER) it runs on CIFAR-10 with a ResNet18."
        )
    typer.echo(f"{network}, {study.training.epochs} epochs; results go to {folder}")


def _show(result: QuantizationResult, folder: Path, command: str) -> None:
    """The table and the verdict on the terminal, the figures and the page in the folder."""
    from mho.report import render
    from mho.report.quantization import (
        figures,
        quantization_page,
        quantization_text,
        quantization_verdicts,
    )

    document = {**result.document, "command": command}
    try:
        pictures = figures(document, result.training.history)
        for name, picture in pictures.items():
            save_figure(picture, folder / name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        typer.echo("matplotlib is missing: the figures are left out, the results are whole", err=True)
        pictures = {}
    page = folder / "report.html"
    write_page(render(quantization_page(document, pictures)), page)
    typer.echo(quantization_text(document))
    for verdict in quantization_verdicts(document):
        typer.echo(verdict)
    typer.echo(f"{page}  (and {', '.join(sorted(p.name for p in folder.iterdir() if p != page))})")
