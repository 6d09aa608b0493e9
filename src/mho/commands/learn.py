"""``mho learn``: a classifier trained on the chip, by each rule on each kind of cell."""

from __future__ import annotations

from mho.commands.common import present
from mho.commands.options import DATA, ON, OUTPUT, THREADS, WORKERS, Given, Option, fields, flag
from mho.commands.study import carried_out, folder_of
from mho.experiments.data import mnist_in
from mho.experiments.learn import CELLS, RULES, USUAL, LearnStudy, RegressionStudy, settings
from mho.report.learn import (
    learn_figures,
    learn_lines,
    learn_page,
    learn_text,
    regression_figure,
    regression_text,
)
from mho.report.study import study_page

STUDY = LearnStudy()
OF_BOTH = ("output", "seeds", "seed", "on", "threads", "workers", "quick", "toy")
QUICK = {"seeds": 2, "epochs": 5}
QUICK_TOY = {"vectors": 2000, "seeds": 5}


def _words(option: str, text: str) -> tuple[str, ...]:
    """Names with commas between."""
    return tuple(word.strip() for word in text.split(","))


OPTIONS = (
    Option("rules", f"That learn, with commas between: {', '.join(RULES)}; all if not given.", parse=_words),
    Option(
        "presets", f"Cells, with commas between: {', '.join(CELLS)}; {', '.join(USUAL)} if not given.",
        parse=_words,
    ),
    *fields(STUDY, "data-set=data model hidden=model.hidden"),
    DATA,
    *fields(
        STUDY,
        "epochs batch drop-at drop-to float-rate dac-bits=dac.bits adc-bits=adc.bits tile-rows=tile.rows "
        "tile-columns=tile.columns seeds seed",
    ),
    flag("toy", "A regression instead: error of the weights against states and offset of cells."),
    OUTPUT,
    flag("quick", "A first look: 2 seeds, 5 epochs; of the regression 5 seeds and a third of the vectors."),
    ON,
    THREADS,
    WORKERS,
)  # fmt: skip


def learn(given: Given) -> None:
    """A classifier trained on the chip by pulses: accuracy, pulses and energy by rule and kind of cell.

    Without --data it learns scikit-learn's digits. With the published files of MNIST, or those of the npm
    package mnist, it learns MNIST. --toy is the regression of Rasch et al. (2024) instead. Ctrl-C keeps the
    finished trainings; the same command goes on from there.
    """
    if given.toy:
        _regression(given)
    else:
        _classifier(given)


def _classifier(given: Given) -> None:
    chosen, data = None, None
    if given.rules is not None or given.presets is not None:
        chosen = settings(given.rules or tuple(RULES), given.presets or USUAL)
    if given.data is not None and given.data_set is None:
        data = mnist_in(given.data)
    study = given.study(STUDY, QUICK, settings=chosen, data=data)
    names = (type(study.data).__name__, type(study.model).__name__)
    folder = given.output if given.output is not None else folder_of(study, "learn", *names)
    document = {**carried_out(given, study, folder).document, "command": given.line}
    present(
        folder,
        lambda: learn_figures(document),
        lambda pictures: learn_page(document, pictures),
        [learn_text(document), *learn_lines(document)],
    )


def _regression(given: Given) -> None:
    others = [option.name for option in OPTIONS if option.name not in OF_BOTH]
    for option in given.names(*others):
        raise ValueError(f"{option}: the regression (--toy) has no such choice; leave one of the two out")
    study = given.study(RegressionStudy(), QUICK_TOY)
    folder = given.output if given.output is not None else folder_of(study, "learn", "toy")
    result = carried_out(given, study, folder)
    present(
        folder,
        lambda: {"regression.png": regression_figure(result.table, study.at_states, study.at_offset)},
        lambda pictures: study_page(study, result, pictures, given.line),
        [regression_text(result.table)],
    )
