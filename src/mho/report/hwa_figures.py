"""Pictures of the study of a year of drift: one for each modality, and one of all together.

The rows are those of ``mho.experiments.hwa.summarise``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mho.config.durations import duration_text
from mho.report.axes import GREEN, INK, QUIET, clean, legend_below, panels, time_axis
from mho.report.drift import ARMS as NAMES
from mho.report.drift import COLOURS, arm_curve

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

Row = Mapping[str, Any]
Rows = Sequence[Row]
PLAIN, AWARE, IDEALISED, LAST_RAW, MAIN = "plain", "hardware-aware", "idealised", "raw", "global"
MARKERS = {PLAIN: "s", AWARE: "o"}
CORRECTIONS = {
    "raw": "none",
    "global": "one gain\nper layer",
    "column": "gain per\ncolumn",
    "affine": "affine per\ncolumn",
    "batch norm": "batch norm\nmeasured again",
}


def hwa_figure(summary: Rows, digital: Mapping[str, float], title: str) -> matplotlib.figure.Figure:
    """One modality: what people read (accuracy, perplexity) over time, and every correction at the end.

    Args:
        summary: rows of this modality.
        digital: accuracy or perplexity of each student without a chip.
        title: head line.
    """
    figure, (left, right) = panels((11.0, 5.0), across=2, title=title, width_ratios=(3, 2))
    _over_time(left, summary, digital, raw=True)
    _at_the_end(right, summary, digital)
    legend_below(figure, left, handlelength=3.0)
    return figure


def hwa_dashboard(
    summary: Rows, digital: Mapping[str, Mapping[str, float]], titles: Mapping[str, str]
) -> matplotlib.figure.Figure:
    """All modalities: above what people read, below the normalised accuracy, over time, compensated.

    Args:
        summary: rows of all modalities.
        digital: for each modality accuracy or perplexity of each student without a chip.
        titles: a head line for each modality.
    """
    figure, made = panels((4.6 * len(titles) + 0.6, 7.4), 2, len(titles))
    for column, (modality, title) in enumerate(titles.items()):
        rows = [row for row in summary if row["modality"] == modality]
        above, below = made[column], made[len(titles) + column]
        _over_time(above, rows, digital[modality], raw=False)
        above.set_title(title, loc="left", color=INK, fontsize=11, fontweight="bold")
        _normalised(below, rows)
    legend_below(figure, made[0], handlelength=3.0)
    chips = max(int(row["chips"]) for row in summary)
    figure.suptitle(
        f"{chips} chips for each network, one gain for each layer\nbands: 95 % intervals of the mean",
        x=0.01, ha="left", color=QUIET, fontsize=9.5,
    )  # fmt: skip
    return figure


def _of(rows: Rows, arm: str, correction: str) -> list[Row]:
    chosen = [row for row in rows if row["arm"] == arm and row["correction"] == correction]
    return sorted(chosen, key=lambda row: float(row["seconds"]))


def _factor(rows: Rows) -> float:
    return 100.0 if rows[0]["metric"] == "accuracy" else 1.0


def _over_time(axes: matplotlib.axes.Axes, rows: Rows, digital: Mapping[str, float], raw: bool) -> None:
    factor = _factor(rows)
    for arm in (PLAIN, AWARE):
        for correction in (MAIN, LAST_RAW)[: 1 + raw]:
            _line(axes, _of(rows, arm, correction), arm, correction, "value", factor)
        ideal = _of(rows, arm, IDEALISED)
        axes.plot(
            [row["seconds"] for row in ideal],
            [factor * row["value"] for row in ideal],
            color=GREEN, linewidth=1.2, linestyle="-." if arm == PLAIN else (0, (1, 1)),
            label=f"{NAMES[arm]}, idealised protocol",
        )  # fmt: skip
        axes.axhline(
            factor * digital[arm], color=COLOURS[arm], linewidth=1.2, linestyle=":",
            label=f"{NAMES[arm]}, digital",
        )  # fmt: skip
    _times(axes, rows)
    if rows[0]["metric"] == "accuracy":
        _value_axis(axes, "test accuracy (%)")
        return
    _value_axis(axes, "test perplexity")
    values = [float(row["value"]) for row in rows]
    if raw and max(values) > 3 * min(values):
        axes.set_yscale("log")


def _line(
    axes: matplotlib.axes.Axes, rows: Sequence[Row], arm: str, correction: str, what: str, factor: float
) -> None:
    band = None
    if rows and rows[0][f"{what}_low"] is not None:
        low, high = ([factor * row[f"{what}_{end}"] for row in rows] for end in ("low", "high"))
        band = low, high
    mean = [math.nan if row[what] is None else factor * row[what] for row in rows]
    compensation = "compensated" if correction == MAIN else "raw"
    arm_curve(axes, [row["seconds"] for row in rows], mean, band, arm, compensation)


def _normalised(axes: matplotlib.axes.Axes, rows: Rows) -> None:
    for arm in (PLAIN, AWARE):
        _line(axes, _of(rows, arm, MAIN), arm, MAIN, "normalised", 100.0)
    axes.axhline(99.0, color=QUIET, linewidth=1.0, linestyle="--")
    axes.annotate(" 99 %", (1.0, 99.0), xycoords=("axes fraction", "data"), ha="left", va="center",
                  color=QUIET, fontsize=8)  # fmt: skip
    _times(axes, rows)
    _value_axis(axes, "normalised accuracy A* (%)")


def _at_the_end(axes: matplotlib.axes.Axes, rows: Rows, digital: Mapping[str, float]) -> None:
    """Every correction at the last time; the uncompensated chips are far away and left out."""
    factor, last = _factor(rows), max(float(row["seconds"]) for row in rows)
    known = [c for c in CORRECTIONS if c != LAST_RAW and _of(rows, PLAIN, c)]
    for shift, arm in ((-0.09, PLAIN), (0.09, AWARE)):
        points = [_of(rows, arm, c)[-1] for c in known]
        values = [factor * row["value"] for row in points]
        spread = None
        if points[0]["value_low"] is not None:
            spread = [
                [v - factor * row["value_low"] for v, row in zip(values, points, strict=True)],
                [factor * row["value_high"] - v for v, row in zip(values, points, strict=True)],
            ]
        axes.errorbar(
            [i + shift for i in range(len(known))], values, yerr=spread, fmt=MARKERS[arm],
            color=COLOURS[arm], capsize=3,
        )  # fmt: skip
        axes.axhline(factor * digital[arm], color=COLOURS[arm], linewidth=1.2, linestyle=":")
    axes.set_xticks(range(len(known)), [CORRECTIONS[c] for c in known], fontsize=8)
    axes.set_xlim(-0.5, len(known) - 0.5)
    axes.set_xlabel(f"correction, after {duration_text(last)}", color=INK)
    _value_axis(axes, "")


def _times(axes: matplotlib.axes.Axes, rows: Rows) -> None:
    time_axis(axes, sorted({float(row["seconds"]) for row in rows}))


def _value_axis(axes: matplotlib.axes.Axes, label: str) -> None:
    axes.set_ylabel(label)
    clean(axes, "y")
