"""What a network costs on its chips: one table, what peak and achieved are, figures by part, and a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mho.analysis.cost_report import in_units
from mho.config.durations import duration_text
from mho.report.axes import MARKS, PALETTE, clean, curve, legend_below, panels, time_axis
from mho.report.page import Page, PageTable, picture
from mho.report.texts import aligned, kind_name, percent

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

Document = Mapping[str, Any]
Row = Mapping[str, Any]
ALTS = {
    "layers.png": "Energy of an inference by layer, stacked by part; results.json holds the figures.",
    "times.png": "Energy of an inference by part over the time since programming.",
    "area.png": "Area by part.",
}
CAPTIONS = {
    "layers.png": "Energy of an inference by layer and part, without leakage and digital products.",
    "times.png": "Energy of an inference by part over the age of the chip: only the power of the cells, and "
    "what the changed activations drive, depend on it.",
    "area.png": "Area by part, of whole tiles.",
}


def cost_cells(rows: Sequence[Row], quality: Mapping[str, str]) -> list[list[str]]:
    """The table of costs as text: a head, and a row for each time.

    Args:
        rows: ``seconds``, the columns of ``quality``, and the figures of a
            :class:`~mho.experiments.cost.CostStudy`.
        quality: heads of the columns that say how well the network does, with the format of their numbers.
    """
    head = ["time", *quality, "energy", "latency", "area (mm2)", "TOPS/W", "peak TOPS/W", "fJ/MAC"]
    return [head] + [
        [
            duration_text(row["seconds"]),
            *(format(row[name], form) for name, form in quality.items()),
            in_units(row["energy"], "J"),
            in_units(row["latency"], "s"),
            f"{1e6 * row['area']:.3g}",
            f"{row['tops_per_watt']:.3g}",
            f"{row['peak_tops_per_watt']:.3g}",
            f"{1e15 * row['joules_per_mac']:.3g}",
        ]
        for row in rows
    ]


def cost_table(rows: Sequence[Row], quality: Mapping[str, str]) -> str:
    """The table as aligned text; arguments as for :func:`cost_cells`."""
    return "\n".join(line.rstrip() for line in aligned(cost_cells(rows, quality), left=(0,)))


def cost_text(document: Document) -> str:
    """The table of a study: accuracies and costs, means over chips.

    Args:
        document: the content of ``results.json``.
    """
    return cost_table(document["summary"], {"accuracy": ".2%"})


def cost_lines(document: Document) -> list[str]:
    """What the table leaves out: achieved and peak, programming and the digital twin."""
    study, report = document["study"], document["reports"][0]
    s = report["summary"]
    shared = in_units(s["programming joules"] / study["inferences"], "J")
    digital = in_units(s["digital twin joules"], "J")
    return [
        f"achieved: {s['TOPS']:.3g} TOPS at {in_units(s['watts'], 'W')}, {s['TOPS/W']:.3g} TOPS/W; "
        f"peak, all arrays full and at work: {s['peak TOPS']:.3g} TOPS at {in_units(s['peak watts'], 'W')}, "
        f"{s['peak TOPS/W']:.3g} TOPS/W",
        f"programming: {in_units(s['programming joules'], 'J')} once, {shared} an inference if "
        f"{study['inferences']:g} share it",
        f"digital twin: {digital} an inference in 8 bits ({percent(document['digital_accuracy'])} % in "
        "float32)",
    ]


# --- figures -------------------------------------------------------------------------------------


def cost_figures(document: Document) -> dict[str, matplotlib.figure.Figure]:
    """Energy by layer and part, energy over time by part, area by part; by the name of their file."""
    reports = document["reports"]
    colours = _colours(reports)
    drawn = {"layers.png": _layers(reports[0], colours), "area.png": _area(reports[0])}
    if len(reports) > 1:
        drawn["times.png"] = _times(reports, colours)
    return drawn


def _colours(reports: Sequence[Document]) -> dict[str, tuple[str, str]]:
    """A colour and a hatch for each part that takes energy, what takes most first."""
    total: dict[str, float] = {}
    for report in reports:
        for part, joules in report["energy"].items():
            total[part] = total.get(part, 0.0) + joules
    parts = sorted(total, key=lambda part: -total[part])
    many = len(PALETTE)
    return {part: (PALETTE[k % many], "///" if k >= many else "") for k, part in enumerate(parts)}


def _scaled(values: Sequence[float], unit: str) -> tuple[float, str]:
    """A factor that makes the largest a number from 1 to 1000, and its unit."""
    power = math.floor(math.log10(max(values)) / 3) if max(values) > 0 else 0
    name = in_units(1000.0**power, unit).partition(" ")[2]
    return 1000.0**-power, name


def _layers(report: Document, colours: Mapping[str, tuple[str, str]]) -> matplotlib.figure.Figure:
    layers = report["layers"]
    factor, unit = _scaled([layer["joules"] for layer in layers], "J")
    figure, (axes,) = panels((7.6, 1.6 + 0.32 * len(layers)))
    places, left = range(len(layers)), [0.0] * len(layers)
    for part, (colour, hatch) in colours.items():
        widths = [factor * layer.get(part, 0.0) for layer in layers]
        if any(widths):
            axes.barh(places, widths, left=left, color=colour, hatch=hatch, label=part, height=0.7)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_yticks(places, [layer["layer"] or "(model)" for layer in layers])
    axes.invert_yaxis()
    axes.set_xlabel(f"energy of an inference ({unit})")
    clean(axes, "x")
    legend_below(figure, axes)
    return figure


def _times(reports: Sequence[Document], colours: Mapping[str, tuple[str, str]]) -> matplotlib.figure.Figure:
    figure, (axes,) = panels((7.0, 4.6))
    times = [report["seconds"] for report in reports]
    for number, (part, (colour, hatch)) in enumerate(colours.items()):
        joules = [report["energy"].get(part, 0.0) for report in reports]
        mark, line = MARKS[number % len(MARKS)], "--" if hatch else "-"
        curve(axes, times, joules, None, colour, label=part, marker=mark, linestyle=line, markersize=5)
    axes.set_yscale("log")
    axes.set_ylabel("energy of an inference (J)")
    time_axis(axes, times)
    legend_below(figure, axes)
    return figure


def _area(report: Document) -> matplotlib.figure.Figure:
    parts = sorted(report["area"].items(), key=lambda item: item[1])
    figure, (axes,) = panels((6.4, 1.2 + 0.32 * len(parts)))
    axes.barh([name for name, _ in parts], [1e6 * area for _, area in parts], color=PALETTE[0], height=0.7)
    axes.set_xlabel("area (mm2)")
    clean(axes, "x")
    return figure


# --- the page ------------------------------------------------------------------------------------


def cost_page(document: Document, pictures: Mapping[str, matplotlib.figure.Figure]) -> Page:
    """The page of a study.

    Args:
        document: the content of ``results.json``, and the ``command`` that ran it.
        pictures: what :func:`cost_figures` drew; may be empty.
    """
    first = document["summary"][0]
    head, *rows = cost_cells(document["summary"], {"accuracy": ".2%"})
    return Page(
        title="What one inference costs",
        lead=[_what(document), *(f"{line[0].upper()}{line[1:]}." for line in cost_lines(document))],
        facts=[
            (f"{100 * first['accuracy']:.1f} %", "accuracy"),
            (in_units(first["energy"], "J"), "energy of an inference"),
            (in_units(first["latency"], "s"), "latency"),
            (f"{1e6 * first['area']:.3g} mm2", "area"),
        ],
        figures=[picture(drawn, ALTS[name], CAPTIONS[name]) for name, drawn in pictures.items()],
        tables=[
            PageTable("Means over chips. An operation is half a multiply-accumulate (MAC).", head, rows),
            _by_layer(document["reports"][0]),
        ],
        configuration=document["study"],
        commands=[document["command"]],
        software=document["versions"],
    )


def _what(document: Document) -> str:
    study, report = document["study"], document["reports"][0]
    model, data = kind_name(study["model"]), kind_name(study["data"])
    device, alone = kind_name(study["hardware"]["device"]), study["schedule"] == "layers"
    return (
        f"A {model} was trained on {data} in float32 and put on {study['chips']} simulated {device} chips. "
        f"The prices of {report['technology']!r} are put on what happened in the arrays while the "
        f"{document['test_images']} test images ran through them, "
        f"{'one layer after the other' if alone else 'all layers at work as a pipeline'}."
    )


def _by_layer(report: Document) -> PageTable:
    rows = [
        [
            layer["layer"] or "(model)",
            f"{layer['arrays']:,}",
            f"{layer['vectors']:,.4g}",
            in_units(layer["joules"], "J"),
            in_units(layer["seconds"], "s"),
            f"{1e6 * layer['square metres']:.3g}",
        ]
        for layer in report["layers"]
    ]
    head = ["layer", "arrays", "vectors", "energy", "latency", "area (mm2)"]
    return PageTable(f"By layer, {duration_text(report['seconds'])} after programming.", head, rows)
