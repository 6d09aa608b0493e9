"""Pretrained networks over a year: a table of each time and correction, a figure, the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mho.analysis.cost_report import in_units
from mho.config.durations import duration_text
from mho.experiments.real import CORRECTIONS
from mho.report.axes import INK, MARKS, PALETTE, curve, head, legend_below, panels, time_axis
from mho.report.page import Page, PageTable, picture
from mho.report.texts import aligned, percent, span

if TYPE_CHECKING:
    import matplotlib.figure

Document = Mapping[str, Any]
Row = Mapping[str, Any]
HEAD = ["network", "time", "digital", *CORRECTIONS, "energy"]
GAINS = ["network", "time", *CORRECTIONS[1:]]
FIGURE = "real.png"
PAIRED = "What each correction gives over the raw chip, in points, paired by chip: mean and 95 % interval."


def real_cells(documents: Sequence[Document]) -> list[list[str]]:
    """A head, and a row for each network and time: means over chips ± half of their 95 % intervals.

    Args:
        documents: ``results.json`` of each :class:`~mho.experiments.real.RealStudy`.
    """
    rows = [HEAD]
    for document in documents:
        for seconds, found in _by_time(document).items():
            name, digital = document["task"]["title"], percent(document["digital"])
            energy = found[CORRECTIONS[0]]["energy"]
            told = "-" if energy is None else in_units(energy, "J")
            rows.append(
                [name, duration_text(seconds), digital, *(_mean(found[c]) for c in CORRECTIONS), told]
            )
    return rows


def gain_cells(documents: Sequence[Document]) -> list[list[str]]:
    """A head, and a row for each network and time: gains over the raw chip, in points."""
    rows = [GAINS]
    for document in documents:
        for seconds, found in _by_time(document).items():
            gains = [_gain(found[c]) for c in CORRECTIONS[1:]]
            rows.append([document["task"]["title"], duration_text(seconds), *gains])
    return rows


def _by_time(document: Document) -> dict[float, dict[str, Row]]:
    """The rows of the summary by time and correction."""
    found: dict[float, dict[str, Row]] = {}
    for row in document["summary"]:
        found.setdefault(row["seconds"], {})[row["correction"]] = row
    return found


def _mean(row: Row) -> str:
    half = "" if row["high"] is None else f" ± {percent((row['high'] - row['low']) / 2)}"
    return f"{percent(row['mean'])}{half}"


def _gain(row: Row) -> str:
    if row["gain_low"] is None:
        return percent(row["gain"], "+")
    return f"{percent(row['gain'], '+')} ({span(row['gain_low'], row['gain_high'], '+')})"


def real_text(documents: Sequence[Document]) -> str:
    """The table as aligned text."""
    return "\n".join(line.rstrip() for line in aligned(real_cells(documents), left=(0, 1)))


def real_lines(documents: Sequence[Document]) -> list[str]:
    """What was asked of each network, and how it ends, a sentence each."""
    return [_ending(document) for document in documents]


def _ending(document: Document) -> str:
    task, chips = document["task"], document["summary"][0]["chips"]
    seconds, found = list(_by_time(document).items())[-1]
    best = (min if task["less_is_better"] else max)(CORRECTIONS, key=lambda c: found[c]["mean"])
    told = f"{percent(document['digital'])} % digital, {percent(found[CORRECTIONS[0]]['mean'])} % raw"
    one = f"{percent(found[CORRECTIONS[1]]['mean'])} % with one gain per layer"
    after = f"after {duration_text(seconds)} {told}, {one}"
    better = "" if best in CORRECTIONS[:2] else f", {percent(found[best]['mean'])} % with {best}"
    less = "; less is better" if task["less_is_better"] else ""
    return (
        f"{task['title']} ({task['figure']}{less}; {task['origin']}; {task['parameters']:,} parameters): "
        f"{after}{better}; mean of {chips} chip{'s' * (chips > 1)}. Energy is that of {task['inference']}."
    )


def real_figures(documents: Sequence[Document]) -> dict[str, matplotlib.figure.Figure]:
    """The figure of each task over time, with each correction, by the name of the file."""
    across = min(2, len(documents))
    down = -(-len(documents) // across)
    figure, axes = panels((5.4 * across, 3.9 * down + 0.5), down, across)
    for one, document in zip(axes, documents, strict=False):
        times = list(_by_time(document))
        for number, name in enumerate(CORRECTIONS):
            rows = [row for row in document["summary"] if row["correction"] == name]
            known = all(row["high"] is not None for row in rows)
            low, high = ([100 * row[end] for row in rows] if known else [] for end in ("low", "high"))
            band = (low, high) if known else None
            curve(
                one, times, [100 * row["mean"] for row in rows], band, PALETTE[number],
                marker=MARKS[number], markersize=5, label=name,
            )  # fmt: skip
        one.axhline(100 * document["digital"], color=INK, linewidth=1.0, linestyle=":", label="digital")
        time_axis(one, times)
        one.set_ylabel(f"{document['task']['figure']} (%)")
        head(one, document["task"]["title"])
    for empty in axes[len(documents) :]:
        empty.set_axis_off()
    legend_below(figure, axes[0], columns=5)
    return {FIGURE: figure}


def real_page(
    documents: Sequence[Document],
    left_out: Mapping[str, str],
    command: str,
    pictures: Mapping[str, matplotlib.figure.Figure],
) -> Page:
    """The page of all networks.

    Args:
        documents: ``results.json`` of each study.
        left_out: why, by the name of the task.
        command: that ran them.
        pictures: what :func:`real_figures` drew; may be empty.
    """
    first, *rows = real_cells(documents)
    gains = gain_cells(documents)
    alt = "The figure of each network over time since programming; the table below holds the same figures."
    caption = "Mean over chips and its 95 % interval. Dotted: the same network without a chip."
    return Page(
        title="Real networks, a year on a chip",
        lead=[
            "Networks whose weights somebody else trained, on tasks whose right answers are known. Nothing "
            "was trained for the chip.",
            *real_lines(documents),
            *(f"{name} is left out: {reason}." for name, reason in left_out.items()),
        ],
        facts=[
            (_mean(_last(document)), f"% {document['task']['title']}, gain per layer")
            for document in documents
        ],
        figures=[picture(drawn, alt, caption) for drawn in pictures.values()],
        tables=[
            PageTable("In percent: means over chips ± half of their 95 % intervals.", first, rows),
            PageTable(PAIRED, gains[0], gains[1:]),
        ],
        configuration={document["task"]["title"]: document["study"] for document in documents},
        commands=[command],
        software=documents[0]["versions"],
    )


def _last(document: Document) -> Row:
    return list(_by_time(document).values())[-1][CORRECTIONS[1]]
