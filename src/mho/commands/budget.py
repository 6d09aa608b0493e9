"""``mho budget``: what each mechanism and each layer costs a trained network on its chips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mho.commands.common import chosen, clean_errors, need_study, replaced, save_figure, typer

if TYPE_CHECKING:
    import mho

EPOCHS = 30, 3  # of the training; with --quick
OTHERS = ("yaml", "jinja2")  # packages that this command does not use


def budget(
    model: Annotated[str, typer.Option(help="SmallCNN, ResNet18, ResNet20 or ResNet32.")] = "SmallCNN",
    data_set: Annotated[str, typer.Option(help="digits, mnist, cifar10 or cifar100.")] = "digits",
    data: Annotated[
        Path | None, typer.Option(help="Folder with the published files of the data set.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="What a cell is (see: mho devices); PCM if not given.")
    ] = None,
    bits: Annotated[int | None, typer.Option(help="Resolution of DAC and ADC; 8 if not given.")] = None,
    hardware: Annotated[
        Path | None,
        typer.Option(help="Full description of the chip (.json, .yaml) instead of the two above."),
    ] = None,
    age: Annotated[str, typer.Option(help="Time since programming, in s, min, h, d, y.")] = "1d",
    compensate: Annotated[bool, typer.Option("--compensate", help="Correct the drift globally.")] = False,
    chips: Annotated[int | None, typer.Option(help="Chips for each row; 10 if not given.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of the training; 30 if not given.")] = None,
    seed: Annotated[int, typer.Option(help="Names all random numbers.")] = 0,
    output: Annotated[Path, typer.Option(help="Folder for budget.csv and budget.png.")] = Path("runs/budget"),
    quick: Annotated[bool, typer.Option("--quick", help="A first look: 2 chips, 3 epochs.")] = False,
    threads: Annotated[int, typer.Option(help="Threads on the CPU; more help large networks only.")] = 1,
) -> None:
    """An error budget: accuracy lost by mechanism and by layer, each alone and each left out.

    The network is trained in float32 and kept in the folder; the same training is not done twice.
    """
    with clean_errors():
        need_study(without=OTHERS)
        from mho.config import write_whole
        from mho.experiments.budgets import BudgetStudy, run
        from mho.experiments.chips import ChipStudy
        from mho.experiments.data import Source
        from mho.experiments.models import Network
        from mho.experiments.progress import for_terminal
        from mho.report import budget_figure, parse_durations

        times = parse_durations(age)
        if len(times) != 1:
            raise ValueError(f"--age = {age!r}: give one time, such as 30d")
        usual = ChipStudy()
        study = ChipStudy(
            data=chosen("--data-set", data_set, Source),
            model=chosen("--model", model, Network),
            hardware=_hardware(usual.hardware, hardware, device, bits),
            training=replaced(usual.training, epochs=epochs if epochs is not None else EPOCHS[quick]),
            chips=chips if chips is not None else (2 if quick else 10),
            seconds=times[0],
            compensated=compensate,
            seed=seed,
        )
        table = run(BudgetStudy(base=study), output, data, for_terminal(), threads=threads)
        csv, picture = output / "budget.csv", output / "budget.png"
        text = table.to_frame().to_csv(index=False, lineterminator="\n")
        write_whole(csv, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        title = f"{model} on {data_set}, {age} after programming"
        save_figure(budget_figure(table, "points of accuracy lost", title, factor=100.0), picture)
        typer.echo(str(table))
        typer.echo(f"{picture}  (also budget.csv)")


def _hardware(usual: mho.Hardware, path: Path | None, device: str | None, bits: int | None) -> mho.Hardware:
    """The chip: a whole description from a file, or the usual one with some parts replaced."""
    import mho

    if path is None:
        return replaced(
            usual,
            device=None if device is None else chosen("--device", device, mho.devices.Device),
            dac=replaced(usual.dac, bits=bits),
            adc=replaced(usual.adc, bits=bits),
        )
    for option, value in {"--device": device, "--bits": bits}.items():
        if value is not None:
            raise ValueError(f"{option}: the file given with --hardware says that already; leave one out")
    return mho.Hardware.load(str(path))
