"""The command line: ``mho drift``, ``mho hwa``, ``mho quantize``, ``mho sweep`` and smaller ones.

The commands read options, ask an experiment for its tables and hand them to the report. What is
wrong with the input is said in one sentence, with exit status 2.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mho.commands.budget import budget
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
from mho.commands.device import device
from mho.commands.hwa import draw, hwa, is_table
from mho.commands.quantize import quantize
from mho.commands.search import search
from mho.commands.sweep import sweep
from mho.commands.wires import wires

if TYPE_CHECKING:
    import mho
    from mho.experiments.drift import DriftResult, DriftStudy

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Simulate and train neural networks on memristive, analog in-memory-computing crossbars.",
)


@app.command()
def drift(
    context: typer.Context,
    model: Annotated[str, typer.Option(help="SmallCNN, ResNet18, ResNet20 or ResNet32.")] = "SmallCNN",
    data_set: Annotated[str, typer.Option(help="digits, mnist, cifar10 or cifar100.")] = "digits",
    data: Annotated[
        Path | None, typer.Option(help="Folder with the published files of the data set.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="What a cell is (see: mho devices); PCM if not given.")
    ] = None,
    bits: Annotated[int | None, typer.Option(help="Resolution of DAC and ADC; 8 if not given.")] = None,
    tile_rows: Annotated[int | None, typer.Option(help="Word lines of an array; 128 if not given.")] = None,
    tile_columns: Annotated[int | None, typer.Option(help="Bit lines of an array; 128 if not given.")] = None,
    hardware: Annotated[
        Path | None,
        typer.Option(help="Full description of the chip (.json, .yaml) instead of the four above."),
    ] = None,
    chips: Annotated[int | None, typer.Option(help="Chips for each network; 25 if not given.")] = None,
    times: Annotated[
        str, typer.Option(help="Times since programming, in s, min, h, d, y.")
    ] = "1s,1h,1d,30d,1y",
    seed: Annotated[int, typer.Option(help="Names all random numbers.")] = 0,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs of the float32 training; 30 if not given.")
    ] = None,
    tuning_epochs: Annotated[
        int | None,
        typer.Option(help="Epochs of the fine-tuning of both networks; half of epochs if not given."),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of the training; 0.05 if not given.")] = None,
    batch: Annotated[int | None, typer.Option(help="Images in a step; 64 if not given.")] = None,
    weight_noise: Annotated[
        float | None,
        typer.Option(help="Of hardware-aware training, relative to the largest weight; 0.12 if not given."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the results; in runs/ if not given.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A first look: 3 chips, 3 epochs.")] = False,
    on: Annotated[str, typer.Option(help="The torch device that computes, for example cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Threads on the CPU; more help large networks only.")] = 1,
) -> None:
    """One network, one year on a chip: train, program, age, compensate, evaluate.

    Ctrl-C keeps the finished chips; the same command goes on from there.
    """
    with clean_errors():
        need_study()
        from mho.experiments.drift import DriftStudy, run
        from mho.experiments.progress import for_terminal
        from mho.report import parse_durations

        usual = DriftStudy()
        epochs = epochs if epochs is not None else (3 if quick else usual.training.epochs)
        study = DriftStudy(
            data=_source(data_set),
            model=_network(model),
            hardware=_hardware(hardware, device, bits, tile_rows, tile_columns),
            training=replaced(usual.training, epochs=epochs, learning_rate=learning_rate, batch=batch),
            fine_tuning=replaced(
                usual.fine_tuning,
                epochs=tuning_epochs if tuning_epochs is not None else max(1, epochs // 2),
                learning_rate=None if learning_rate is None else 0.4 * learning_rate,
                batch=batch,
            ),
            hardware_aware=replaced(usual.hardware_aware, weight_noise=weight_noise),
            chips=chips if chips is not None else (3 if quick else usual.chips),
            times=parse_durations(times),
            seed=seed,
        )
        folder = output if output is not None else _folder_of(study)
        typer.echo(f"results go to {folder}")
        try:
            result = run(study, folder, data_folder=data, progress=for_terminal(), device=on, threads=threads)
        except KeyboardInterrupt:
            typer.echo(
                f"\nStopped. Finished chips are kept in {folder}; the same command goes on from there."
            )
            raise typer.Exit(INTERRUPTED) from None
        _show(result, folder, command_line(context))


@app.command()
def plot(
    table: Annotated[Path, typer.Argument(help="results.csv of mho drift or mho hwa.")],
    output: Annotated[
        Path | None,
        typer.Option(
            help="The picture (.png, .svg, .pdf); drift.png or dashboard.png beside the table if not given."
        ),
    ] = None,
    title: Annotated[str, typer.Option(help="Head line of the picture.")] = "One network, one year on a chip",
) -> None:
    """Draw the figure again from results.csv."""
    with clean_errors():
        from mho.experiments.drift import read_table, summarise
        from mho.report import drift_figure

        if is_table(table):
            typer.echo(str(draw(table, output)))
            return
        rows = read_table(table)
        digital = dict(zip(rows["arm"], rows["digital_accuracy"], strict=True))
        path = output if output is not None else table.with_name("drift.png")
        save_figure(drift_figure(summarise(rows), digital, title), path)
        typer.echo(str(path))


@app.command()
def devices() -> None:
    """List the devices, when each is known, and what it is."""
    import math

    from mho.config import kinds
    from mho.devices import Device, Effect, JumpCell
    from mho.report import duration_text

    for cls in kinds(Device).values():
        ends = "around a device" if issubclass(cls, Effect) else "from a measurement"
        if not issubclass(cls, Effect | JumpCell):
            made: Any = cls()
            first, last = made.times
            ends = "any time" if math.isinf(last) else f"{duration_text(first)} to {duration_text(last)}"
        summary = (cls.__doc__ or "").strip().partition("\n")[0]
        typer.echo(f"{cls.__name__:<20}  {ends:<18}  {summary}")


app.command()(device)
app.command()(budget)
app.command()(quantize)
app.command()(hwa)
app.command()(sweep)
app.command()(search)
app.command()(wires)


def _source(text: str) -> Any:
    from mho.experiments.data import Source

    return chosen("--data-set", text, Source)


def _network(text: str) -> Any:
    from mho.experiments.models import Network

    return chosen("--model", text, Network)


def _hardware(
    path: Path | None, device: str | None, bits: int | None, rows: int | None, columns: int | None
) -> mho.Hardware:
    """The chip: a whole description from a file, or the usual one with some parts replaced."""
    import mho
    from mho.experiments.drift import DriftStudy

    if path is not None:
        given = {"--device": device, "--bits": bits, "--tile-rows": rows, "--tile-columns": columns}
        for option, value in given.items():
            if value is not None:
                raise ValueError(f"{option}: the file given with --hardware says that already; leave one out")
        return mho.Hardware.load(str(path))
    usual = DriftStudy().hardware
    return replaced(
        usual,
        device=None if device is None else chosen("--device", device, mho.devices.Device),
        tile=replaced(usual.tile, rows=rows, columns=columns),
        dac=replaced(usual.dac, bits=bits),
        adc=replaced(usual.adc, bits=bits),
    )


def _folder_of(study: DriftStudy) -> Path:
    """A folder in runs/ of its own for each configuration, the same every time."""
    from mho.config import digest

    parts = (study.data, study.model, study.hardware.device)
    names = "-".join(type(part).__name__.lower() for part in parts)
    return Path("runs", f"drift-{names}-{digest(study):016x}"[:-10])


def _show(result: DriftResult, folder: Path, command: str) -> None:
    """The table on the terminal, the figure and the page in the folder."""
    from mho.report import drift_figure, drift_page, drift_text, drift_title, drift_verdict, render

    document = {**result.document, "command": command}
    figure = drift_figure(result.summary, result.digital, drift_title(document))
    save_figure(figure, folder / "drift.png")
    html = render(drift_page(document))
    page = folder / "report.html"
    write_page(html, page)
    typer.echo(drift_text(result.summary, result.digital))
    typer.echo(drift_verdict(document))
    typer.echo(f"{page}  (also drift.png, results.csv, results.json)")
