"""What the search for the cheapest hardware shows: a sentence, the front, and a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mho.report.page import Page, PageTable, picture
from mho.report.sweep import front_figure

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas as pd

CHOICES = ("adc_bits", "dac_bits", "tile_rows", "slices", "tolerance")
Document = Mapping[str, Any]
ALT = "Validation accuracy over energy; the table lists the front."
CAPTION = "Grey: all trials. Blue: no other trial costs less and is as accurate. Dotted: the target."


def search_figure(table: pd.DataFrame, document: Document) -> matplotlib.figure.Figure:
    """All trials, their front and the target: accuracy over the energy of an inference.

    Args:
        table: one row for each trial.
        document: the content of ``results.json``.
    """
    table = table[table["accuracy"].notna()]  # without those that failed
    trials = table["trial"].tolist()
    return front_figure(
        [1e9 * e for e in table["energy"].tolist()],
        table["accuracy"].tolist(),
        [trials.index(row["trial"]) for row in document["front"]],
        [choice_text(row) for row in document["front"]],
        "energy of an inference (nJ)",
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
    joule = f"{1e9 * cheapest['energy']:.3g} nJ"
    return (
        f"Cheapest hardware that keeps {goal}: {choice_text(cheapest)}; {joule} for "
        f"an inference, {100 * cheapest['accuracy']:.2f} % on validation images, "
        f"{100 * test['accuracy']:.2f} % on test images (digital: {100 * test['digital_accuracy']:.2f} %)."
    )


def search_page(document: Document, drawn: matplotlib.figure.Figure | None) -> Page:
    """The page of a search.

    Args:
        document: the content of ``results.json``, and the ``command`` that ran it.
        drawn: what :func:`search_figure` drew; None without matplotlib.
    """
    rows = [
        [*(str(row[name]) for name in CHOICES), f"{100 * row['accuracy']:.2f}", f"{1e9 * row['energy']:.3g}"]
        for row in document["front"]
    ]
    return Page(
        title="The cheapest hardware that keeps an accuracy",
        lead=[
            search_verdict(document),
            "Energies are those of conversions (Walden's figure of merit) and of programming to the "
            "tolerance, shared among the inferences between two programmings: prices to compare with, not a "
            "design.",
        ],
        figures=[] if drawn is None else [picture(drawn, ALT, CAPTION)],
        tables=[PageTable("The front.", [*CHOICES, "accuracy (%)", "energy (nJ)"], rows)],
        configuration=document["study"],
        commands=[document["command"]],
        software=document["versions"],
    )
