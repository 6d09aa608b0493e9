"""How pictures look: labels with units, few lines, colours that the colour-blind tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from mho.config.durations import duration_text
from mho.experiments.statistics import estimate

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure
    import pandas as pd

# M. Okabe and K. Ito's palette: told apart by the colour-blind and in grey.
BLUE, VERMILLION, GREEN = "#0072b2", "#d55e00", "#009e73"
PALETTE = (BLUE, VERMILLION, GREEN, "#cc79a7", "#e69f00", "#56b4e9", "#000000")
INK, QUIET, LINE = "#1d2733", "#5b6b7b", "#dde3ea"
MARKS = "os^Dv<>"


def panels(
    size: tuple[float, float], down: int = 1, across: int = 1, title: str = "", **how: Any
) -> tuple[matplotlib.figure.Figure, list[matplotlib.axes.Axes]]:
    """A new figure and its panels, row by row.

    Args:
        size: width and height, inches.
        down, across: number of panels.
        title: head line.
        how: for matplotlib's ``subplots``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=160, facecolor="white", layout="constrained")
    if title:
        figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=12, fontweight="bold")
    made = [axes for row in figure.subplots(down, across, squeeze=False, **how) for axes in row]
    for axes in made:
        clean(axes)
    return figure, made


def clean(axes: matplotlib.axes.Axes, grid: Literal["x", "y", "both"] = "both") -> None:
    """Few lines: a light grid behind, no frame above and at the right."""
    axes.tick_params(colors=INK, length=3)
    axes.grid(False)
    axes.grid(axis=grid, color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def head(axes: matplotlib.axes.Axes, text: str, size: float = 10) -> None:
    """What a panel shows, above it."""
    axes.set_title(text, loc="left", color=INK, fontsize=size)


_LETTER, _ENTRY = 0.075, 0.65  # inches of a letter of a legend, and of what stands beside its words


def legend_below(
    figure: matplotlib.figure.Figure, axes: matplotlib.axes.Axes, columns: int = 3, **how: Any
) -> None:
    """The legend of one panel, below all of them, in at most ``columns``, as many as there is room for."""
    handles, labels = axes.get_legend_handles_labels()
    needed = _ENTRY + _LETTER * max(map(len, labels), default=0)
    columns = max(1, min(columns, int(figure.get_figwidth() / needed)))
    figure.legend(
        handles,
        labels,
        **{"loc": "outside lower center", "ncols": columns, "frameon": False, "fontsize": 9, **how},
    )


def legend(axes: matplotlib.axes.Axes, **how: Any) -> None:
    """The legend of a panel beside it: a search for room among long curves takes seconds."""
    axes.legend(**{"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False, "fontsize": 9, **how})


def time_axis(axes: matplotlib.axes.Axes, times: Sequence[float]) -> None:
    """A logarithmic axis of times since programming, with ticks at these times."""
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log")
    axes.set_xlim(times[0] / 2.5, times[-1] * 2.5)
    axes.set_xticks(times, [duration_text(s) for s in times])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("time since programming")


def curve(
    axes: matplotlib.axes.Axes, x: Any, mean: Any, band: tuple[Any, Any] | None, colour: str, **how: Any
) -> None:
    """A line and, behind it, the band between ``low`` and ``high``."""
    if band is not None:
        axes.fill_between(
            x, *band, color=colour, alpha=0.18 if how.get("linestyle", "-") == "-" else 0.11, linewidth=0
        )
    axes.plot(x, mean, color=colour, **{"linewidth": 1.6, **how})


def lines(
    table: pd.DataFrame, x: str, y: str, by: str | None = None, unit: str = ""
) -> matplotlib.figure.Figure:
    """A column over another one: mean and 95 % interval over all other columns, a line for each group.

    Args:
        table: tidy.
        x, y: the columns; ``"seconds"`` is a logarithmic axis of times.
        by: the column that tells the lines apart.
        unit: of y.
    """
    figure, (axes,) = panels((6.4, 4.4))
    groups = [("", table)] if by is None else list(table.groupby(by, sort=True))
    for number, (value, rows) in enumerate(groups):
        known = [(place, estimate(each[y].to_list())) for place, each in rows.groupby(x, sort=True)]
        at, each = [place for place, _ in known], [e for _, e in known]
        band = ([e.low for e in each], [e.high for e in each])
        style = {"marker": MARKS[number % len(MARKS)], "label": None if by is None else f"{by} = {value!s}"}
        curve(axes, at, [e.mean for e in each], band, PALETTE[number % len(PALETTE)], **style)
    axes.set_xlabel(x)
    axes.set_ylabel(f"{y} ({unit})" if unit else y)
    if x == "seconds":
        time_axis(axes, sorted(table[x].unique()))
    if by is not None:
        legend(axes)
    return figure


def siemens(value: float) -> str:
    """A conductance as people write it."""
    from matplotlib.ticker import EngFormatter

    return EngFormatter("S", places=1)(value)


def prepared(
    axes: matplotlib.axes.Axes | None, x: str, y: str, y_unit: str, title: str
) -> matplotlib.axes.Axes:
    """Axes with labels and the unit of y; those of a new figure when none are given."""
    from matplotlib.ticker import EngFormatter

    if axes is None:
        axes = panels((6.4, 4.4))[1][0]
    clean(axes)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.yaxis.set_major_formatter(EngFormatter(y_unit))
    axes.set_title(title, loc="left", color=INK, fontsize=12, fontweight="bold")
    return axes
