"""``mho budget``: what each mechanism and each layer costs a trained network on its chips."""

from __future__ import annotations

from pathlib import Path

from mho.commands.common import save_figure, typer, write_text
from mho.commands.options import DATA, THREADS, Given, Option, changed, duration, fields, flag
from mho.experiments.budgets import BudgetStudy, run
from mho.experiments.progress import for_terminal
from mho.report import budget_figure, duration_text

USUAL = changed(BudgetStudy(), {"base.training.epochs": 30})
QUICK = {"base.training.epochs": 3, "base.chips": 2}
WITHOUT = ("yaml", "jinja2")  # packages that this command does not use
OPTIONS = (
    *fields(
        USUAL,
        "model=base.model data-set=base.data device=base.hardware.device hardware=base.hardware "
        "bits=base.hardware.dac.bits,base.hardware.adc.bits compensate=base.compensated chips=base.chips "
        "epochs=base.training.epochs seed=base.seed",
    ),
    Option("age", "Time since programming, in s, min, h, d, y.", str, "1d", duration, ("base.seconds",)),
    DATA,
    Option("output", "Folder for budget.csv and budget.png.", Path, Path("runs/budget")),
    flag("quick", "A first look: 2 chips, 3 epochs."),
    THREADS,
)


def budget(given: Given) -> None:
    """An error budget: accuracy lost by mechanism and by layer, each alone and each left out.

    The network is trained in float32 and kept in the folder; the same training is not done twice.
    """
    study = given.study(USUAL, QUICK)
    table = run(study, given.output, given.data, for_terminal(), threads=given.threads)
    write_text(table.to_frame().to_csv(index=False, lineterminator="\n"), given.output / "budget.csv")
    what = " on ".join(type(part).__name__ for part in (study.base.model, study.base.data))
    title = f"{what}, {duration_text(study.base.seconds)} after programming"
    picture = given.output / "budget.png"
    save_figure(budget_figure(table, "points of accuracy lost", title, factor=100.0), picture)
    typer.echo(str(table))
    typer.echo(f"{picture}  (also budget.csv)")
