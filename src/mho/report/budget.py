"""An error budget as a figure: what each part costs alone, and what leaving it out brings back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mho.analysis.budget import Budget
from mho.analysis.losses import Interval, Part
from mho.report.axes import BLUE, INK, QUIET, VERMILLION, clean, head, legend_below, panels

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

_TITLES = {"mechanism": "by mechanism", "layer": "by layer"}


def budget_figure(
    budget: Budget, unit: str = "loss", title: str = "Error budget", factor: float = 1.0
) -> matplotlib.figure.Figure:
    """Bars with 95 % intervals: mechanisms above, layers below, what brings most first.

    Args:
        budget: what ``mho.budget`` gave.
        unit: label of the axis.
        title: head line.
        factor: on all losses: 100 for points of accuracy.

    Raises:
        ValueError: the budget has no part.
    """
    groups = [parts for parts in (budget.mechanisms, budget.layers) if parts]
    if not groups:
        raise ValueError("this budget has neither a mechanism nor a layer: there is nothing to draw")
    sizes = [len(parts) + 1 for parts in groups]
    size = (7.6, 0.42 * sum(sizes) + 1.0 + 0.45 * len(groups))
    figure, grid = panels(size, len(groups), title=title, sharex=True, height_ratios=sizes)
    for axes, parts in zip(grid, groups, strict=True):
        _bars(axes, sorted(parts, key=lambda part: part.without.mean), factor)
        _total(axes, budget.total, factor)
        head(axes, _TITLES[parts[0].kind])
        clean(axes, "x")
    grid[-1].set_xlabel(f"{unit} (95 % interval over {budget.chips} chips)")
    legend_below(figure, grid[0])
    return figure


def _bars(axes: matplotlib.axes.Axes, parts: Sequence[Part], factor: float) -> None:
    places = range(len(parts))
    for shift, colour, label, values in (
        (0.19, BLUE, "alone", [part.alone for part in parts]),
        (-0.19, VERMILLION, "brought back when left out", [part.without for part in parts]),
    ):
        axes.barh(
            [place + shift for place in places],
            [factor * value.mean for value in values],
            height=0.34,
            color=colour,
            label=label,
            xerr=[[factor * _half(value) for value in values]] * 2,
            error_kw={"ecolor": INK, "elinewidth": 1.0, "capsize": 2},
        )
    axes.set_yticks(list(places), [part.label or "(model)" for part in parts])
    axes.axvline(0, color=INK, linewidth=0.8)


def _total(axes: matplotlib.axes.Axes, total: Interval, factor: float) -> None:
    axes.axvline(factor * total.mean, color=QUIET, linestyle="--", linewidth=1.1, label="everything on")
    if not math.isnan(total.low):
        axes.axvspan(factor * total.low, factor * total.high, color=QUIET, alpha=0.15, linewidth=0)


def _half(interval: Interval) -> float:
    """Half the width; none for one chip."""
    return 0.0 if math.isnan(interval.low) else interval.high - interval.mean
