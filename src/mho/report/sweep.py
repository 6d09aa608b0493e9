"""What a sweep shows: curves, heat maps and the Pareto front of its table, as figures and a page."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mho.config import field_names, kinds
from mho.experiments.pareto import pareto_front
from mho.experiments.prices import NO_DAC, PAID
from mho.report.axes import INK, PALETTE, legend, legend_below
from mho.report.axes import panels as drawn
from mho.report.docstrings import unit, words
from mho.report.page import Page, picture, table_of

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.axis
    import matplotlib.figure
    import pandas as pd

MOST_LINES, MOST_MAPS = 7, 3
_SQUARES = ("m2",)  # a prefix of it would be one of metres


@dataclass(frozen=True)
class View:
    """What is compared.

    Attributes:
        table: one row for each cell.
        fields: the swept fields.
        metric: the column that is compared.
        cost: the column that the metric is weighed against; None for no front.
    """

    table: pd.DataFrame
    fields: Sequence[str]
    metric: str
    cost: str | None

    @property
    def done(self) -> pd.DataFrame:
        """The cells that have the metric."""
        rows: pd.DataFrame = self.table[self.table[self.metric].notna()]
        return rows

    @property
    def axes(self) -> list[str]:
        """Fields with at least two values; seeds only if there is nothing else."""
        several = [f for f in self.fields if self.table[f].nunique(dropna=False) > 1]
        return [f for f in several if not f.endswith("seed")] or several


def view(table: pd.DataFrame, fields: Sequence[str], wanted: Mapping[str, Any] | None = None) -> View:
    """What to compare in a table.

    Args:
        table: the table of a sweep.
        fields: the swept fields.
        wanted: ``metric``, ``cost`` and ``fields``; what is not given is chosen: accuracy or the first
            figure, and energy where there is one.

    Raises:
        ValueError: a name that is no column, or no cell has a figure.
    """
    wanted = wanted if wanted is not None else {}
    columns = list(table.columns)
    metrics = [c for c in columns if c not in (*fields, "cell", "error")]
    if not metrics:
        raise ValueError("no cell of the sweep has a figure to compare: see the column 'error' of the table")
    metric = str(wanted.get("metric", "accuracy" if "accuracy" in metrics else metrics[0]))
    cost = wanted.get("cost", "energy" if "energy" in metrics and table["energy"].nunique() > 1 else None)
    for role, names in (
        ("metric", [metric]),
        ("cost", [cost] if cost else []),
        ("fields", wanted.get("fields", [])),
    ):
        for name in names:
            if name not in columns:
                raise ValueError(f"report.{role}: {name!r} is no column; there are {', '.join(columns)}")
    return View(table, list(wanted.get("fields", fields)), metric, cost)


# --- figures -------------------------------------------------------------------------------------


def figures(what: View) -> dict[str, matplotlib.figure.Figure]:
    """All figures by the name of their file."""
    known = {
        "curves.png": (curves, what.axes),
        "heat_maps.png": (heat_maps, what.axes[1:]),
        "pareto.png": (pareto, what.cost),
    }
    return {name: draw(what) for name, (draw, shown) in known.items() if shown and len(what.done)}


def curves(what: View) -> matplotlib.figure.Figure:
    """The metric over each field, a line for each value of another one; mean and spread over the rest."""
    axes_of_plan = what.axes
    figure, panels = _panels(len(axes_of_plan))
    for panel, name in zip(panels, axes_of_plan, strict=True):
        other = _lines_field(what, name)
        panel.set_xlabel(_labelled(name))
        _measured_axis(panel.yaxis, what.metric)
        _ticks_where_values_are(panel, what.done[name])
        if other is None:
            _curve(panel, what.done, name, what.metric, PALETTE[0])
            continue
        for number, (value, rows) in enumerate(what.done.groupby(other, sort=True, dropna=False)):
            label = f"{_short(other)} = {value!s}"
            _curve(panel, rows, name, what.metric, PALETTE[number % len(PALETTE)], label)
        legend(panel, fontsize=8.5)
    return figure


def _lines_field(what: View, name: str) -> str | None:
    """The field that tells the lines of a panel apart: the one with the fewest values."""
    others = [f for f in what.axes if f != name and what.done[f].nunique(dropna=False) <= MOST_LINES]
    return min(others, key=lambda f: what.done[f].nunique(), default=None)


def _curve(
    panel: matplotlib.axes.Axes, rows: pd.DataFrame, name: str, metric: str, colour: str, label: str = ""
) -> None:
    grouped = rows.groupby(name, sort=True, dropna=False)[metric]
    mean, spread = grouped.mean(), grouped.std().fillna(0.0)
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in mean.index)
    x = [float(v) for v in mean.index] if numbers else [str(v) for v in mean.index]
    panel.errorbar(
        x, mean.to_numpy(), yerr=spread.to_numpy(), color=colour, marker="o", markersize=4.5, linewidth=1.5,
        capsize=2, label=label,
    )  # fmt: skip


def heat_maps(what: View) -> matplotlib.figure.Figure:
    """The mean metric over pairs of fields."""
    pairs = list(itertools.combinations(what.axes, 2))[:MOST_MAPS]
    figure, panels = _panels(len(pairs))
    low, high = float(what.done[what.metric].min()), float(what.done[what.metric].max())
    for panel, (down, across) in zip(panels, pairs, strict=True):
        grid = what.done.pivot_table(index=down, columns=across, values=what.metric, aggfunc="mean")
        image = panel.imshow(grid.to_numpy(float), aspect="auto", cmap="viridis", vmin=low, vmax=high)
        panel.set_xticks(range(len(grid.columns)), [str(c) for c in grid.columns])
        panel.set_yticks(range(len(grid.index)), [str(i) for i in grid.index])
        panel.set_xlabel(_labelled(across))
        panel.set_ylabel(_labelled(down))
        panel.grid(False)
        for (i, j), value in np.ndenumerate(grid.to_numpy(float)):
            if not np.isnan(value):
                colour = "white" if high <= low or (value - low) / (high - low) < 0.6 else "black"
                panel.text(j, i, f"{value:.3g}", ha="center", va="center", fontsize=8, color=colour)
        figure.colorbar(image, ax=panel, label=what.metric)
    return figure


def pareto(what: View) -> matplotlib.figure.Figure:
    """The metric over the cost; the cells that no other one beats are joined and named."""
    assert what.cost is not None
    rows = what.done[what.done[what.cost].notna()]
    costs, gains = rows[what.cost].tolist(), rows[what.metric].tolist()
    front = pareto_front(costs, gains)
    names = [", ".join(f"{_short(f)}={rows.iloc[i][f]}" for f in what.axes) for i in front]
    return front_figure(costs, gains, front, names, what.cost, what.metric)


def front_figure(
    costs: Sequence[float],
    gains: Sequence[float],
    front: Sequence[int],
    names: Sequence[str],
    cost: str,
    gain: str,
    target: float | None = None,
) -> matplotlib.figure.Figure:
    """Points and their front.

    Args:
        costs, gains: of each point.
        front: places of the points on the front, by rising cost.
        names: of the points on the front.
        cost, gain: columns that the axes show.
        target: a gain to reach, as a line.
    """
    figure, (panel,) = _panels(1)
    panel.scatter(costs, gains, s=18, color="#9aa7b4", label="tried")
    x, y = [costs[i] for i in front], [gains[i] for i in front]
    panel.plot(x, y, color=PALETTE[0], marker="o", linewidth=1.6, drawstyle="steps-post", label="front")
    for place, (a, b, name) in enumerate(zip(x, y, names, strict=True), 1):
        panel.annotate(str(place), (a, b), textcoords="offset points", xytext=(4, -11), fontsize=8, color=INK)
        panel.plot([], [], " ", label=f"{place}: {name}")
    if target is not None:
        panel.axhline(target, color=PALETTE[1], linestyle=":", linewidth=1.4, label=f"target {target:.4g}")
    if min(costs, default=0) > 0 and max(costs) > 20 * min(costs):
        panel.set_xscale("log")
    _measured_axis(panel.xaxis, cost)
    _measured_axis(panel.yaxis, gain)
    legend_below(figure, panel, 1, fontsize=8)
    return figure


def _labelled(name: str) -> str:
    """The name of a field with its unit, where all descriptions that have such a field agree on one."""
    field = name.rpartition(".")[2]
    having = [cls for cls in kinds().values() if field in field_names(cls)]
    known = {unit(words(cls).meanings.get(field, "")) for cls in having}
    (found,) = known if len(known) == 1 else ("",)
    return f"{name} ({found})" if found else name


def _measured_axis(axis: matplotlib.axis.Axis, column: str) -> None:
    """The name of a column, and its numbers with their unit."""
    from matplotlib.ticker import EngFormatter

    found = {paid.name: paid.unit for paid in PAID}.get(column)
    axis.set_label_text(f"{column} ({found})" if found in _SQUARES else column)
    if found and found not in _SQUARES:
        axis.set_major_formatter(EngFormatter(found))


def _ticks_where_values_are(panel: matplotlib.axes.Axes, column: pd.Series) -> None:
    """No half bits: a few numbers have a tick each."""
    values = sorted(column.dropna().unique()) if column.dtype.kind in "if" else []
    if 0 < len(values) <= MOST_LINES:
        panel.set_xticks(values, [f"{value:g}" for value in values])


def _short(name: str) -> str:
    return name.rpartition(".")[2] if name.count(".") < 2 else ".".join(name.split(".")[-2:])


def _panels(count: int) -> tuple[matplotlib.figure.Figure, Sequence[matplotlib.axes.Axes]]:
    across = min(count, 3)
    down = -(-count // across)
    figure, panels = drawn((max(6.4, 4.9 * across), 4.6 * down), down, across)
    for panel in panels[count:]:
        panel.set_visible(False)
    return figure, panels[:count]


# --- the page ------------------------------------------------------------------------------------

_CAPTIONS = {
    "curves.png": "Mean over the other fields; the bars are one standard deviation over them.",
    "heat_maps.png": "Mean over the other fields.",
    "pareto.png": "Blue: no other cell costs less and gains as much.",
}


def sweep_page(
    what: View, pictures: Mapping[str, matplotlib.figure.Figure], configuration: Mapping[str, Any],
    command: str, software: Mapping[str, str],
) -> Page:  # fmt: skip
    """The comparison of the cells of a sweep.

    Args:
        what: the table and what is compared.
        pictures: what :func:`figures` drew.
        configuration: the sweep as it was written.
        command: that ran it.
        software: names and versions.
    """
    failed = int((what.table["error"] != "").sum())
    best = what.done[what.done[what.metric] == what.done[what.metric].max()]
    lead = [f"{len(what.table)} cells, {failed} failed."]
    if "energy" in what.done and what.done["energy"].isna().any():
        lead.append(NO_DAC)
    facts = []
    for _, row in best.head(1).iterrows():
        fields = ", ".join(f"{name} = {row[name]}" for name in what.fields)
        tied = len(best) - 1
        also = f", and as high in {tied} other cell{'s' * (tied > 1)}" if tied else ""
        lead.append(f"Highest {what.metric}: {row[what.metric]:.4g} with {fields}{also}.")
        facts.append((f"{row[what.metric]:.4g}", f"highest {what.metric}"))
    return Page(
        title="Sweep",
        lead=lead,
        facts=[(str(len(what.table)), "cells"), (str(failed), "failed"), *facts],
        figures=[
            picture(figure, f"{what.metric}: {name}", _CAPTIONS[name]) for name, figure in pictures.items()
        ],
        tables=[table_of(what.table, "All cells.")],
        configuration=configuration,
        commands=[command],
        software=software,
    )
