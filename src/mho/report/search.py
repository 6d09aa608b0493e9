"""What the search for the cheapest hardware shows: a sentence, the front, and a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mho.analysis.cost_report import in_units
from mho.report.page import Page, PageTable, picture
from mho.report.sweep import front_figure

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas as pd

CHOICES = ("adc_bits", "dac_bits", "tile_rows", "slices", "tolerance")
Document = Mapping[str, Any]
COSTS = {  # column, what it is, and what a figure is drawn in
    "energy": ("energy_with_programming", "energy of an inference", 1e9, "nJ"),
    "latency": ("latency", "latency of an inference", 1e6, "us"),
    "area": ("area", "area", 1e6, "mm2"),
}
MINIMUM = {"energy": "Cheapest", "latency": "Fastest", "area": "Smallest"}
ALT = "Validation accuracy over the cost; the table lists the front."
CAPTION = "Grey: all trials. Blue: no other trial costs less and is as accurate. Dotted: the target."


def search_figure(table: pd.DataFrame, document: Document) -> matplotlib.figure.Figure:
    """All trials, their front and the target: accuracy over what is minimised.

    Args:
        table: one row for each trial.
        document: the content of ``results.json``.
    """
    table = table[table["accuracy"].notna()]  # without those that failed
    trials = table["trial"].tolist()
    column, what, factor, unit = COSTS[document["study"]["minimise"]]
    return front_figure(
        [factor * cost for cost in table[column].tolist()],
        table["accuracy"].tolist(),
        [trials.index(row["trial"]) for row in document["front"]],
        [choice_text(row) for row in document["front"]],
        f"{what} ({unit})",
        "validation accuracy",
        document["target"],
    )


def choice_text(row: Mapping[str, Any]) -> str:
    """A description of hardware in words.

    >>> choice_text({"adc_bits": 6, "dac_bits": 5, "tile_rows": 64, "slices": 2, "tolerance": 0.05})
    'ADC 6 bits, DAC 5 bits, 64 rows, slices: 2, tolerance 5 %'
    """
    return (
        f"ADC {row['adc_bits']} bits, DAC {row['dac_bits']} bits, {row['tile_rows']} rows, "
        f"slices: {row['slices']}, tolerance {100 * row['tolerance']:g} %"
    )


def costs_text(row: Mapping[str, Any]) -> str:
    """What an inference takes, in words.

    >>> costs_text({"energy_with_programming": 3.2e-8, "latency": 1e-5, "area": 1.7e-6})
    '32 nJ and 10 us for an inference, 1.7 mm2'
    """
    joules, seconds = in_units(row["energy_with_programming"], "J"), in_units(row["latency"], "s")
    return f"{joules} and {seconds} for an inference, {1e6 * row['area']:.3g} mm2"


def search_verdict(document: Document) -> str:
    """The cheapest hardware that keeps the accuracy, or how far the search came."""
    target, digital = document["target"], document["digital_accuracy"]
    goal = f"{100 * target:.2f} % of the validation images (digital: {100 * digital:.2f} %)"
    cheapest = document["cheapest"]
    if cheapest is None:
        best = max(row["accuracy"] for row in document["front"])
        return (
            f"No trial keeps {goal}; the best reaches {100 * best:.2f} %. Try more trials, a lower target, "
            "or a wider space."
        )
    test = document["test"]
    return (
        f"{MINIMUM[document['study']['minimise']]} hardware that keeps {goal}: {choice_text(cheapest)}; "
        f"{costs_text(cheapest)}; {100 * cheapest['accuracy']:.2f} % on validation images, "
        f"{100 * test['accuracy']:.2f} % on test images (digital: {100 * test['digital_accuracy']:.2f} %)."
    )


def search_page(document: Document, drawn: matplotlib.figure.Figure | None) -> Page:
    """The page of a search.

    Args:
        document: the content of ``results.json``, and the ``command`` that ran it.
        drawn: what :func:`search_figure` drew; None without matplotlib.
    """
    rows = [
        [
            *(str(row[name]) for name in CHOICES),
            f"{100 * row['accuracy']:.2f}",
            *(f"{factor * row[column]:.3g}" for column, _, factor, _ in COSTS.values()),
        ]
        for row in document["front"]
    ]
    heads = [f"{name} ({unit})" for name, (*_, unit) in COSTS.items()]
    study = document["study"]
    technology = study["base"]["technology"].get("name", study["base"]["technology"]["kind"])
    return Page(
        title="The cheapest hardware that keeps an accuracy",
        lead=[
            search_verdict(document),
            f"What an inference takes is what mho.cost says, with the prices of {technology!r}; to the "
            "energy comes programming to the tolerance, shared by "
            f"{study['base']['inferences']:g} inferences.",
        ],
        figures=[] if drawn is None else [picture(drawn, ALT, CAPTION)],
        tables=[PageTable("The front.", [*CHOICES, "accuracy (%)", *heads], rows)],
        configuration=study,
        commands=[document["command"]],
        software=document["versions"],
    )
