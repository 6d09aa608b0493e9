"""What the drift study shows: a figure, a text table and a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mho.analysis.cost_report import in_units
from mho.config.durations import duration_text
from mho.experiments.prices import NO_DAC
from mho.report.axes import BLUE, INK, QUIET, VERMILLION, clean, curve, panels, time_axis
from mho.report.page import Page, PageTable, picture
from mho.report.texts import aligned, kind_name, percent, span

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure
    import pandas as pd

ARMS = {"plain": "plain training", "hardware-aware": "hardware-aware training"}
COMPENSATIONS = {"compensated": "drift-compensated", "raw": "uncompensated"}
_VARIANTS = [(arm, compensation) for arm in ARMS for compensation in ("raw", "compensated")]
COLOURS = {"plain": VERMILLION, "hardware-aware": BLUE}


def drift_figure(
    summary: pd.DataFrame, digital: Mapping[str, float], title: str = "One network, one year on a chip"
) -> matplotlib.figure.Figure:
    """Accuracy over the logarithm of time, one curve for each arm and compensation.

    Args:
        summary: columns ``arm, compensation, seconds, chips, mean, low, high``, accuracies from 0 to 1.
        digital: accuracy of each arm's network without a chip.
        title: head line.
    """
    from matplotlib.ticker import FuncFormatter

    figure, (axes,) = panels((8.2, 5.4))
    for arm, training in ARMS.items():
        for compensation in COMPENSATIONS:
            rows = summary[(summary["arm"] == arm) & (summary["compensation"] == compensation)]
            if len(rows):
                rows = rows.sort_values("seconds")
                mean, low, high = (100 * rows[name].to_numpy(float) for name in ("mean", "low", "high"))
                arm_curve(axes, rows["seconds"].to_numpy(float), mean, (low, high), arm, compensation)
        if arm in digital:
            label = f"{training}, digital, no chip"
            axes.axhline(100 * digital[arm], label=label, color=COLOURS[arm], linewidth=1.3, linestyle=":")
    time_axis(axes, sorted(summary["seconds"].unique()))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    axes.set_ylabel("test accuracy")
    axes.set_title(title, loc="left", color=INK, fontsize=13, fontweight="bold", pad=26)
    chips = int(summary["chips"].max())
    note = f"mean of {chips} chips; the bands are 95 % confidence intervals of the mean"
    axes.text(0, 1.03, note, transform=axes.transAxes, color=QUIET, fontsize=9.5)
    clean(axes, "y")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9.5, handlelength=3.2)
    return figure


def arm_curve(
    axes: matplotlib.axes.Axes, x: Any, mean: Any, band: tuple[Any, Any] | None, arm: str, compensation: str
) -> None:
    """The curve of one network on chips: solid and filled, or dashed and open if it is uncompensated."""
    colour, solid = COLOURS[arm], compensation != "raw"
    curve(
        axes, x, mean, band, colour, label=f"{ARMS[arm]}, {COMPENSATIONS[compensation]}", zorder=3,
        linewidth=2.0 if solid else 1.5, linestyle="-" if solid else (0, (4, 2)),
        marker="o" if arm == "hardware-aware" else "s", markersize=5.5,
        markerfacecolor=colour if solid else "white", markeredgecolor=colour,
    )  # fmt: skip


def drift_figures(document: Mapping[str, Any]) -> dict[str, matplotlib.figure.Figure]:
    """The figure of a study by the name of its file, with its own title."""
    return {"drift.png": drift_figure(_summary(document), _digital(document), drift_title(document))}


def drift_text(document: Mapping[str, Any]) -> str:
    """The summary as aligned text: mean, standard deviation and 95 % interval over chips, in percent."""
    lines = [("network", "compensation", "time", "mean", "std", "95 % interval")]
    for arm, value in _digital(document).items():
        lines.append((arm, "digital, no chip", "", percent(value), "", ""))
    summary = _summary(document).set_index(["arm", "compensation"])
    for arm, compensation in _VARIANTS:
        for _, row in summary.loc[[(arm, compensation)]].sort_values("seconds").iterrows():
            figures = (percent(row["mean"]), percent(row["std"]), span(row["low"], row["high"]))
            lines.append((arm, compensation, duration_text(row["seconds"]), *figures))
    text: list[str] = []
    for i, line in enumerate(aligned(lines, left=(0, 1))):
        if i > 0 and lines[i][1] != lines[i - 1][1]:
            text.append("-" * len(line))
        text.append(line.rstrip())
    return "\n".join(text)


def drift_page(document: Mapping[str, Any], pictures: Mapping[str, matplotlib.figure.Figure]) -> Page:
    """The page of a study.

    Args:
        document: the content of its ``results.json``, and the ``command`` that ran it.
        pictures: what :func:`drift_figures` drew; may be empty.
    """
    return Page(
        title="One network, one year on a chip",
        lead=[_what(document), drift_verdict(document), _caution(document), drift_cost(document)],
        facts=_facts(document),
        figures=[
            picture(
                drawn,
                alt="Test accuracy over time since programming; the table below holds the same figures.",
                caption="Solid with filled marks: drift-compensated. Dashed with open marks: uncompensated. "
                "Dotted: the same network without a chip. The axis of accuracy does not begin at zero.",
            )
            for drawn in pictures.values()
        ],
        tables=[_table(_summary(document)), *_costs(document), _arrays(document["conversion"])],
        configuration=document["study"],
        commands=[document["command"]],
        software=document["versions"],
    )


def _summary(document: Mapping[str, Any]) -> pd.DataFrame:
    import pandas as pd

    rows = pd.DataFrame(document["summary"])
    summary: pd.DataFrame = rows.astype({"std": float, "low": float, "high": float})
    return summary


def _digital(document: Mapping[str, Any]) -> dict[str, float]:
    return {arm: figures["test"] for arm, figures in document["digital"].items()}


def drift_title(document: Mapping[str, Any]) -> str:
    """Network, data and device in words."""
    study = document["study"]
    device = kind_name(study["hardware"]["device"])
    return f"{kind_name(study['model'])} on {kind_name(study['data'])}, {device} chips"


def _what(document: Mapping[str, Any]) -> str:
    study = document["study"]
    times = ", ".join(duration_text(s) for s in study["times"])
    model, data = kind_name(study["model"]), kind_name(study["data"])
    device = kind_name(study["hardware"]["device"])
    return (
        f"A {model} was trained on {data} in float32. One copy was fine-tuned with hardware-aware training "
        "(weight noise and converters in the loop), the other as many steps without. Each was programmed on "
        f"{study['chips']} simulated {device} chips, aged to {times}, and tested on "
        f"{document['test_images']} images: uncompensated, and with the gain that a reference read of each "
        "array suggests (drift compensation)."
    )


def drift_verdict(document: Mapping[str, Any]) -> str:
    """What the chips say about the two trainings, and how much of it is there without a chip."""
    digital = document["digital"]
    apart = 100 * (digital["hardware-aware"]["test"] - digital["plain"]["test"])
    return f"{_finding(document)} Without a chip the two networks are {apart:+.2f} points apart."


def _finding(document: Mapping[str, Any]) -> str:
    last = [row for row in document["differences"] if row["compensation"] == "compensated"][-1]
    after, chips = duration_text(last["seconds"]), last["chips"]
    points = f"{percent(last['mean'], '+')} points"
    if last["low"] is None and chips == 1:
        return f"After {after}, compensated, one chip of each differs by {points}; one chip shows nothing."
    if last["low"] is None:
        return (
            f"After {after}, compensated, the trainings differ by {points} on each of {chips} chips: "
            "without a spread there is no test."
        )
    interval = f"95 % interval {span(last['low'], last['high'], '+')}, paired over {chips} chips"
    if last["low"] > 0:
        return f"After {after}, compensated, hardware-aware training is better: {points} ({interval})."
    if last["high"] < 0:
        return f"After {after}, compensated, hardware-aware training is worse: {points} ({interval})."
    return (
        f"After {after}, compensated, the chips show no difference of the trainings: {points} ({interval})."
    )


def _caution(document: Mapping[str, Any]) -> str:
    return (
        "The intervals are over chips, for one training of each network: they do not say how much another "
        f"training would differ. One test image is worth {100 / document['test_images']:.2f} points."
    )


def _facts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    digital, summary = _digital(document), _summary(document)
    last = summary[summary["seconds"] == summary["seconds"].max()].set_index(["arm", "compensation"])
    after = duration_text(last["seconds"].iloc[0])
    facts = []
    for arm, training in ARMS.items():
        facts.append((f"{100 * digital[arm]:.1f} %", f"{training}, digital, no chip"))
        for compensation in ("raw", "compensated"):
            mean = last["mean"][arm, compensation]
            facts.append((f"{100 * mean:.1f} %", f"{training}, {after}, {COMPENSATIONS[compensation]}"))
    return facts


def _table(summary: pd.DataFrame) -> PageTable:
    rows, notes = [], []
    for seconds, of_time in summary.groupby("seconds"):
        cells = of_time.set_index(["arm", "compensation"]).loc[_VARIANTS]
        rows.append([duration_text(float(str(seconds))), *(f"{percent(mean)} %" for mean in cells["mean"])])
        notes.append(["", *(_spread(cell) for _, cell in cells.iterrows())])
    return PageTable(
        caption="Test accuracy: mean over chips; below it the standard deviation σ over chips and the 95 % "
        "confidence interval of the mean (Student's t).",
        columns=["time", *(f"{ARMS[arm]}, {COMPENSATIONS[compensation]}" for arm, compensation in _VARIANTS)],
        rows=rows,
        notes=notes,
    )


def drift_cost(document: Mapping[str, Any]) -> str:
    """What an inference costs, in a sentence; why nobody knows without a DAC."""
    row = document["costs"][-1]
    if row["energy"] is None:
        return NO_DAC
    name = document["study"]["technology"].get("name", kind_name(document["study"]["technology"]))
    return (
        f"An inference costs {in_units(row['energy'], 'J')} and {in_units(row['latency'], 's')} on "
        f"{1e6 * row['area']:.3g} mm2 after {duration_text(row['seconds'])} ({name})."
    )


def _costs(document: Mapping[str, Any]) -> list[PageTable]:
    """What an inference costs at each time; nothing without a DAC."""
    head = ["time", "network", "energy (nJ)", "latency (us)", "area (mm2)"]
    rows = [
        [
            duration_text(row["seconds"]),
            ARMS[row["arm"]],
            f"{1e9 * row['energy']:.4g}",
            f"{1e6 * row['latency']:.4g}",
            f"{1e6 * row['area']:.3g}",
        ]
        for row in document["costs"]
        if row["energy"] is not None
    ]
    caption = "What an inference costs, compensated and without programming: mean over chips."
    return [PageTable(caption, head, rows)] if rows else []


def _arrays(conversion: Sequence[Mapping[str, Any]]) -> PageTable:
    rows = []
    for row in conversion:
        size = [f"{row['tiles']:,}", f"{row['cells']:,}"] if row["analog"] else ["digital", ""]
        rows.append([row["path"] or "(model)", row["layer"], f"{row['parameters']:,}", *size, row["note"]])
    return PageTable(
        caption="What lies on arrays. A bias is added digitally.",
        columns=["module", "layer", "parameters", "arrays", "cells", "remark"],
        rows=rows,
    )


def _spread(cell: Any) -> str:
    if math.isnan(cell["std"]):
        return "one chip"
    return f"σ {percent(cell['std'])} · {span(cell['low'], cell['high'])}"
