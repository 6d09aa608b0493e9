"""``mho cost``: accuracy, energy, latency and area of a trained network on its chip."""

from __future__ import annotations

from mho.commands.common import present
from mho.commands.options import DATA, ON, OUTPUT, THREADS, WORKERS, Given, fields, flag
from mho.commands.study import carried_out, folder_of
from mho.experiments.cost import CostStudy
from mho.report.cost import cost_figures, cost_lines, cost_page, cost_text

USUAL = CostStudy()
OPTIONS = (
    *fields(
        USUAL,
        "model data-set=data technology schedule times device=hardware.device "
        "bits=hardware.dac.bits,hardware.adc.bits tile-rows=hardware.tile.rows "
        "tile-columns=hardware.tile.columns hardware chips compensate=compensated share inferences "
        "epochs=training.epochs learning-rate=training.learning_rate batch=training.batch seed",
    ),
    DATA,
    OUTPUT,
    flag("quick", "A first look: 2 chips, 3 epochs."),
    ON,
    THREADS,
    WORKERS,
)


def cost(given: Given) -> None:
    """What one inference costs: accuracy, energy, latency and area of a trained network on its chips.

    Ctrl-C keeps the finished chips; the same command goes on from there.
    """
    study = given.study(USUAL, {"chips": 2, "training.epochs": 3})
    names = (type(part).__name__ for part in (study.data, study.model, study.hardware.device))
    folder = given.output if given.output is not None else folder_of(study, "cost", *names)
    result = carried_out(given, study, folder)
    document = {**result.document, "command": given.line}
    present(
        folder,
        lambda: cost_figures(document),
        lambda pictures: cost_page(document, pictures),
        [cost_text(document), *cost_lines(document)],
    )
