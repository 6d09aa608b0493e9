"""Losses around trained networks as figures: flatness, and what noise did to training and test."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from mho.experiments.landscape import ARMS, RANDOM, WORST, networks, summarise
from mho.experiments.sharpness import SCALES, Scale
from mho.experiments.statistics import estimate
from mho.report.axes import BLUE, QUIET, VERMILLION, curve, head, legend_below, panels

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure
    import pandas as pd

_COLOURS = dict(zip(ARMS, (QUIET, BLUE, VERMILLION), strict=True))
_MARKS = dict(zip(ARMS, ("o", "s", "^"), strict=True))
_AXES: dict[Scale, str] = {
    "filter": "change of each filter, of its norm",
    "layer": "change of each weight (rms), of the layer's largest",
}
_BARS = (
    ("train_loss", "training loss"),
    ("test_loss", "test loss"),
    ("loss_gap", "test minus training loss"),
    ("test_accuracy", "test accuracy"),
)


def landscape_figure(table: pd.DataFrame, title: str = "Loss around the minimum") -> matplotlib.figure.Figure:
    """Loss on training images against the strength: random and worst directions, in both scales.

    Args:
        table: of a :class:`~mho.experiments.landscape.LandscapeStudy`.
        title: head line.
    """
    summary = summarise(table)
    figure, grid = panels((9.4, 7.0), 2, 2, title)
    places = itertools.product(SCALES, (RANDOM, WORST))
    for axes, (scale, direction) in zip(grid, places, strict=True):
        _curves(axes, summary[(summary["scale"] == scale) & (summary["direction"] == direction)])
        head(axes, f"{direction} directions")
        axes.set_xlabel(_AXES[scale])
        if direction == RANDOM:
            axes.set_ylabel("loss on training images")
    number = table["training"].nunique()
    legend_below(figure, grid[0], title=f"mean and 95 % interval over {number} trainings")
    return figure


def _curves(axes: matplotlib.axes.Axes, table: pd.DataFrame) -> None:
    from matplotlib.ticker import MaxNLocator

    for arm in ARMS:
        own = table[table["arm"] == arm].sort_values("strength")
        x, mean = own["strength"].to_numpy(), own["mean"].to_numpy()
        low = own["low"].to_numpy().clip(min=mean / 10)  # an interval may reach below 0, the axis cannot
        band = low, own["high"].to_numpy()
        curve(axes, x, mean, band, _COLOURS[arm], marker=_MARKS[arm], markersize=4, label=arm)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(5))


def regulariser_figure(
    table: pd.DataFrame, title: str = "Does weight noise regularise?"
) -> matplotlib.figure.Figure:
    """Losses on training and test images, their gap, and test accuracy: a mark for each network.

    Args:
        table: of a :class:`~mho.experiments.landscape.LandscapeStudy`.
        title: head line.
    """
    found = networks(table)
    found["loss_gap"] = found["test_loss"] - found["train_loss"]
    figure, grid = panels((10.4, 3.6), across=len(_BARS), title=title)
    for axes, (column, name) in zip(grid, _BARS, strict=True):
        for place, arm in enumerate(ARMS):
            values = found[found["arm"] == arm].sort_values("training")[column].to_list()
            e = estimate(values)
            offsets = [place - 0.2 + 0.1 * k / max(1, len(values) - 1) for k in range(len(values))]
            axes.plot(offsets, values, ".", color=_COLOURS[arm], alpha=0.6, markersize=5)
            axes.errorbar(
                [place + 0.1],
                [e.mean],
                yerr=[[e.mean - e.low], [e.high - e.mean]],
                color=_COLOURS[arm],
                marker=_MARKS[arm],
                capsize=3,
            )
        axes.set_xticks(range(len(ARMS)), [arm.replace(" and ", "\nand ") for arm in ARMS], fontsize=8.5)
        head(axes, name)
    return figure
