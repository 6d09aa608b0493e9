"""Learning on the chip: accuracy, pulses and energy by rule and kind of cell; errors of a regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mho.analysis.cost_report import in_units
from mho.experiments.learn import FLOAT, RESIDUAL
from mho.experiments.statistics import estimate
from mho.report.axes import INK, MARKS, PALETTE, QUIET, clean, curve, head, legend_below, panels
from mho.report.page import Page, PageTable, picture
from mho.report.texts import aligned, joined, kind_name, percent, span

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure
    import pandas as pd

Document = Mapping[str, Any]
Row = Mapping[str, Any]
HEAD = [
    "rule", "cells", "seeds", "test (%)", "validation (%)", "to float (points)", "95 % interval",
    "pulses/cell", "most", "clipped (%)", "energy", "s",
]  # fmt: skip
ALTS = {
    "accuracy.png": "Test accuracy of each rule on each kind of cell, beside float training.",
    "pulses.png": "Points lost to float training over the pulses of a cell.",
}
CAPTIONS = {
    "accuracy.png": "Test accuracy, mean and 95 % interval over seeds; the line is float training.",
    "pulses.png": "Points lost to float training, paired by seed, over the mean number of pulses that a cell "
    "got, those of arrays that only the rule sees too.",
}


# --- classifiers ---------------------------------------------------------------------------------


def learn_cells(rows: Sequence[Row]) -> list[list[str]]:
    """The table as text: a head, and a row for each rule on each kind of cell.

    Args:
        rows: of :func:`mho.experiments.learn.summarise`.
    """
    return [HEAD, *map(_cells, rows)]


def _cells(row: Row) -> list[str]:
    names = [row["rule"], "" if row["rule"] == FLOAT else row["preset"], str(row["seeds"])]
    accuracy = [percent(row["accuracy"]), percent(row["validation"])]
    if row["rule"] == FLOAT:
        return [*names, *accuracy, *[""] * 6, f"{row['seconds']:.1f}"]
    return [
        *names, *accuracy, percent(row["difference"], "+"),
        span(row["difference_low"], row["difference_high"], "+"),
        f"{row['pulses']:,.1f}", f"{row['most_pulses']:,.0f}", percent(row["clipped"]),
        in_units(row["energy"], "J"), f"{row['seconds']:.1f}",
    ]  # fmt: skip


def learn_text(document: Document) -> str:
    """The table of a study as aligned text.

    Args:
        document: the content of ``results.json``.
    """
    return "\n".join(line.rstrip() for line in aligned(learn_cells(document["summary"]), left=(0, 1)))


def learn_lines(document: Document) -> list[str]:
    """What the table leaves out: what a pulse is taken to cost, and which rule lost least."""
    pulse = document["study"]["pulse"]
    told = [
        f"energy: {in_units(document['joules_per_pulse'], 'J')} a pulse ({pulse['volts']:g} V, "
        f"{in_units(pulse['seconds'], 's')}, {in_units(document['siemens'], 'S')}), of pulses "
        "alone: neither reads nor digital memory"
    ]
    return told + [_best(preset, rows) for preset, rows in _by_preset(document).items()]


def _best(preset: str, rows: Sequence[Row]) -> str:
    best = max(rows, key=lambda row: row["validation"])
    found = f"{preset}: best on the validation images is {best['rule']}, {percent(best['difference'], '+')}"
    return f"{found} points to float ({span(best['difference_low'], best['difference_high'], '+')})"


def _by_preset(document: Document) -> dict[str, list[Row]]:
    """The rows of rules, by their cells."""
    found: dict[str, list[Row]] = {}
    for row in document["summary"]:
        if row["rule"] != FLOAT:
            found.setdefault(row["preset"], []).append(row)
    return found


def learn_figures(document: Document) -> dict[str, matplotlib.figure.Figure]:
    """Accuracies by rule, and points lost over pulses; by the name of their file."""
    return {"accuracy.png": _accuracies(document), "pulses.png": _lost(document)}


def _accuracies(document: Document) -> matplotlib.figure.Figure:
    presets = _by_preset(document)
    names = list(dict.fromkeys(row["rule"] for rows in presets.values() for row in rows))
    figure, (axes,) = panels((7.4, 1.9 + 0.38 * len(names)))
    for number, (preset, rows) in enumerate(presets.items()):
        shift = 0.22 * (number - (len(presets) - 1) / 2)
        for row in rows:
            at, label = names.index(row["rule"]) + shift, preset if row is rows[0] else None
            axes.errorbar(
                100 * row["accuracy"], at, xerr=_bar(row), fmt=MARKS[number % len(MARKS)], label=label,
                color=PALETTE[number % len(PALETTE)], markersize=5, capsize=2, linewidth=1.2,
            )  # fmt: skip
    float_ = next(row for row in document["summary"] if row["rule"] == FLOAT)
    axes.axvline(100 * float_["accuracy"], color=INK, linewidth=1.0, label="float")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("test accuracy (%)")
    clean(axes, "x")
    legend_below(figure, axes)
    return figure


def _bar(row: Row) -> list[list[float]] | None:
    """Half the interval, to both sides; None for one seed."""
    if row["high"] is None:
        return None
    half = 100 * (row["high"] - row["accuracy"])
    return [[half], [half]]


def _lost(document: Document) -> matplotlib.figure.Figure:
    figure, (axes,) = panels((6.8, 4.6))
    for number, (preset, rows) in enumerate(_by_preset(document).items()):
        colour, mark = PALETTE[number % len(PALETTE)], MARKS[number % len(MARKS)]
        x, y = [row["pulses"] for row in rows], [-100 * row["difference"] for row in rows]
        axes.plot(x, y, mark, color=colour, label=preset, markersize=6)
        for row, a, b in zip(rows, x, y, strict=True):
            axes.annotate(row["rule"], (a, b), (5, 3), textcoords="offset points", fontsize=8, color=QUIET)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(left=0)
    axes.set_xlabel("pulses of a cell, mean")
    axes.set_ylabel("points under float training")
    legend_below(figure, axes)
    return figure


def learn_page(document: Document, pictures: Mapping[str, matplotlib.figure.Figure]) -> Page:
    """The page of a study.

    Args:
        document: the content of ``results.json``, and the ``command`` that ran it.
        pictures: what :func:`learn_figures` drew; may be empty.
    """
    first, *rows = learn_cells(document["summary"])
    float_ = next(row for row in document["summary"] if row["rule"] == FLOAT)
    best = [max(found, key=lambda row: row["validation"]) for found in _by_preset(document).values()]
    return Page(
        title="Learning on the chip",
        lead=[_what(document), *(f"{line[0].upper()}{line[1:]}." for line in learn_lines(document))],
        facts=[
            (f"{100 * float_['accuracy']:.1f} %", "float training"),
            *((f"{100 * row['accuracy']:.1f} %", f"{row['rule']} on {row['preset']}") for row in best),
        ],
        figures=[picture(drawn, ALTS[name], CAPTIONS[name]) for name, drawn in pictures.items()],
        tables=[PageTable("Means over seeds; differences are paired by seed.", first, rows)],
        configuration=document["study"],
        commands=[document["command"]],
        software=document["versions"],
    )


def _what(document: Document) -> str:
    study = document["study"]
    model, data = kind_name(study["model"]), kind_name(study["data"])
    cells = joined(list(_by_preset(document)))
    return (
        f"A network ({model}) learned {data} ({document['train_images']} training images, "
        f"{study['epochs']} epochs, batches of {study['batch']}) on simulated chips with {cells} cells, "
        "whose weights move by pulses alone, and in float32 beside it from the same first weights over the "
        "same batches. "
        f"{document['test_images']} test images tell how well."
    )


# --- the regression ------------------------------------------------------------------------------


def regression_text(table: pd.DataFrame) -> str:
    """Mean errors by rule and place, as aligned text.

    Args:
        table: of a :class:`~mho.experiments.learn.RegressionStudy`.
    """
    cells = [["rule", "tiles", "states", "offset", "error", "95 % interval"]]
    for (rule, tiles, states, offset), e in _errors(table):
        interval = f"{e.low:.4f} to {e.high:.4f}" if e.n > 1 else "-"
        cells.append([rule, str(tiles), str(states), f"{offset:g}", f"{e.mean:.4f}", interval])
    return "\n".join(line.rstrip() for line in aligned(cells, left=(0,)))


def _errors(table: pd.DataFrame) -> list[tuple[Any, Any]]:
    """The mean error of each place."""
    by = ["rule", "tiles", "states", "offset"]
    return [(place, estimate(group["error"].to_list())) for place, group in table.groupby(by, sort=False)]


def regression_figure(table: pd.DataFrame, at_states: int, at_offset: float) -> matplotlib.figure.Figure:
    """Errors over states, over offsets and over tiles, mean and 95 % interval over seeds.

    Args:
        table: of a :class:`~mho.experiments.learn.RegressionStudy`.
        at_states: states at which offsets are compared.
        at_offset: offset at which states are compared.
    """
    figure, axes = panels((11.0, 4.2), across=3, sharey=True)
    rules = table[table["rule"] != RESIDUAL]
    _curves(axes[0], rules[rules["offset"] == at_offset], "states")
    _curves(axes[1], rules[rules["states"] == at_states], "offset")
    tiles = table[table["rule"] == RESIDUAL]
    _curves(axes[2], tiles, "tiles", first=len(PALETTE) - 1)
    axes[0].set_xscale("log")
    axes[0].set_yscale("log")
    axes[0].set_xticks(sorted(rules["states"].unique()), sorted(rules["states"].unique()))
    axes[0].minorticks_off()
    axes[2].set_xticks(sorted(tiles["tiles"].unique()))
    axes[0].set_ylabel("rms error of the weights")
    for one, label in zip(axes, ("states of a cell", "offset of the zero", "tiles"), strict=True):
        one.set_xlabel(label)
    head(axes[0], f"offset {at_offset:g}")
    head(axes[1], f"{at_states} states")
    head(axes[2], "residual learning" + "".join(f", {n} states" for n in tiles["states"].unique()))
    legend_below(figure, axes[0], columns=6)
    return figure


def _curves(axes: matplotlib.axes.Axes, table: pd.DataFrame, x: str, first: int = 0) -> None:
    """A curve for each rule."""
    for number, (rule, rows) in enumerate(table.groupby("rule", sort=False), first):
        at = [(place, estimate(group["error"].to_list())) for place, group in rows.groupby(x)]
        band = ([e.low for _, e in at], [e.high for _, e in at])
        style = {"marker": MARKS[number % len(MARKS)], "markersize": 5, "label": str(rule)}
        curve(
            axes, [p for p, _ in at], [e.mean for _, e in at], band, PALETTE[number % len(PALETTE)], **style
        )
