"""Losses around trained networks as figures: flatness, and what noise did to training and test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mho.experiments.landscape import ARMS, RANDOM, SCALES, WORST, LandscapeResult, Scale
from mho.experiments.statistics import estimate
from mho.report.axes import BLUE, INK, LINE, QUIET, VERMILLION

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


def landscape_figure(
    result: LandscapeResult, title: str = "Loss around the minimum"
) -> matplotlib.figure.Figure:
    """Loss on training images against the strength: random and worst directions, in both scales.

    Args:
        result: of ``mho.experiments.landscape.run``.
        title: head line.
    """
    from matplotlib.figure import Figure

    summary = result.summary()
    figure = Figure(figsize=(9.4, 7.0), dpi=160, facecolor="white", layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=12, fontweight="bold")
    grid = figure.subplots(2, 2)
    for line, scale in zip(grid, SCALES, strict=True):
        for axes, direction in zip(line, (RANDOM, WORST), strict=True):
            chosen = summary[(summary["scale"] == scale) & (summary["direction"] == direction)]
            _curves(axes, chosen)
            axes.set_title(f"{direction} directions", loc="left", color=INK, fontsize=10)
            axes.set_xlabel(_AXES[scale], color=INK)
    for line in grid:
        line[0].set_ylabel("loss on training images", color=INK)
    number = result.networks["training"].nunique()
    handles, labels = grid[0][0].get_legend_handles_labels()
    named = f"mean and 95 % interval over {number} trainings"
    figure.legend(handles, labels, title=named, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _curves(axes: matplotlib.axes.Axes, table: pd.DataFrame) -> None:
    from matplotlib.ticker import MaxNLocator

    for arm in ARMS:
        own = table[table["arm"] == arm].sort_values("strength")
        x, mean = own["strength"].to_numpy(), own["mean"].to_numpy()
        axes.plot(x, mean, color=_COLOURS[arm], marker=_MARKS[arm], markersize=4, label=arm)
        low = own["low"].to_numpy().clip(min=mean / 10)  # an interval may reach below 0, the axis cannot
        axes.fill_between(x, low, own["high"].to_numpy(), color=_COLOURS[arm], alpha=0.18, linewidth=0)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    _clean(axes)


def regulariser_figure(
    result: LandscapeResult, title: str = "Does weight noise regularise?"
) -> matplotlib.figure.Figure:
    """Losses on training and test images, their gap, and test accuracy: a mark for each network.

    Args:
        result: of ``mho.experiments.landscape.run``.
        title: head line.
    """
    from matplotlib.figure import Figure

    table = result.networks.assign(loss_gap=result.networks["test_loss"] - result.networks["train_loss"])
    figure = Figure(figsize=(10.4, 3.6), dpi=160, facecolor="white", layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=12, fontweight="bold")
    for axes, (column, name) in zip(figure.subplots(1, len(_BARS)), _BARS, strict=True):
        for place, arm in enumerate(ARMS):
            values = table[table["arm"] == arm].sort_values("training")[column].to_list()
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
        axes.set_title(name, loc="left", color=INK, fontsize=10)
        _clean(axes)
    return figure


def _clean(axes: matplotlib.axes.Axes) -> None:
    axes.tick_params(colors=INK, length=3)
    axes.grid(color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
