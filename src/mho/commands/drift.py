"""``mho drift``: one network, one year on a chip."""

from __future__ import annotations

from mho.commands.common import present
from mho.commands.options import DATA, ON, OUTPUT, THREADS, WORKERS, Given, fields, flag
from mho.commands.study import carried_out, folder_of
from mho.experiments.drift import DriftStudy
from mho.report.drift import drift_cost, drift_figures, drift_page, drift_text, drift_verdict

USUAL = DriftStudy()
TUNING = 0.4  # rate of the fine-tuning over that of the training
OPTIONS = (
    *fields(
        USUAL,
        "model data-set=data device=hardware.device bits=hardware.dac.bits,hardware.adc.bits "
        "tile-rows=hardware.tile.rows tile-columns=hardware.tile.columns hardware technology chips times "
        "seed epochs=training.epochs tuning-epochs=fine_tuning.epochs learning-rate=training.learning_rate "
        "batch=training.batch,fine_tuning.batch weight-noise=hardware_aware.weight_noise",
    ),
    DATA,
    OUTPUT,
    flag("quick", "A first look: 3 chips, 3 epochs."),
    ON,
    THREADS,
    WORKERS,
)


def drift(given: Given) -> None:
    """One network, one year on a chip: train, program, age, compensate, evaluate.

    The fine-tuning has half of the epochs and 0.4 of the rate. Ctrl-C keeps the finished chips; the same
    command goes on from there.
    """
    epochs = given.epochs if given.epochs is not None else 3 if given.quick else USUAL.training.epochs
    study = given.study(
        USUAL,
        {"chips": 3, "training.epochs": 3},
        fine_tuning__epochs=max(1, epochs // 2) if given.tuning_epochs is None else None,
        fine_tuning__learning_rate=None if given.learning_rate is None else TUNING * given.learning_rate,
    )
    names = (type(part).__name__ for part in (study.data, study.model, study.hardware.device))
    folder = given.output if given.output is not None else folder_of(study, "drift", *names)
    result = carried_out(given, study, folder)
    document = {**result.document, "command": given.line}
    present(
        folder,
        lambda: drift_figures(document),
        lambda pictures: drift_page(document, pictures),
        [drift_text(document), drift_verdict(document), drift_cost(document)],
    )
