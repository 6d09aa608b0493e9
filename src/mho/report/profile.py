"""What converters see, as small histograms: a row for each layer, a panel for its inputs and each slice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from mho.calibration import Profile
from mho.converters import DAC, ColumnConverter, EachSlice, Fixed, Histogram, Learned, OnData
from mho.hardware import Hardware
from mho.report.axes import BLUE, GREEN, INK, PALETTE, VERMILLION, head, panels

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

_COLOURS = (VERMILLION, GREEN, BLUE, *PALETTE[3:5])
_FILL = "#8fa3b8"
_BARS = 80


def profile_figure(
    profile: Profile, ranges: Mapping[str, Mapping[str, Hardware]] | None = None
) -> matplotlib.figure.Figure:
    """Histograms of inputs and currents of every layer that was reached.

    The vertical axis is logarithmic: it shows the tails that a range clips. Tiles lie over each other.

    Args:
        profile: what ``mho.profile`` gave.
        ranges: name to hardware by path, as ``mho.calibration.calibrated_hardware`` gives it: full scales to
            draw as lines.

    Raises:
        ValueError: no layer was reached.
    """
    from matplotlib.lines import Line2D

    layers = {path: layer for path, layer in profile.layers.items() if layer.reached}
    if not layers:
        raise ValueError("no layer of this profile was reached by data: there is nothing to draw")
    given = dict(ranges or {})
    across = 1 + max(len(layer.currents) for layer in layers.values())
    figure, made = panels((3.4 * across + 0.6, 1.6 * len(layers) + 0.9), len(layers), across)
    for number, (path, layer) in enumerate(layers.items()):
        line = made[number * across : (number + 1) * across]
        seen = [layer.inputs, *layer.currents]
        for place, axes in enumerate(line):
            if place >= len(seen):
                axes.set_axis_off()
                continue
            _histogram(axes, seen[place])
            for k, by_path in enumerate(given.values()):
                _limits(axes, by_path.get(path), place, _COLOURS[k % len(_COLOURS)])
        line[0].set_ylabel(path or "(model)")
    head(made[0], "inputs")
    for place in range(1, across):
        name = "currents" if across == 2 else f"currents of slice {place - 1}"
        head(made[place], f"{name} (cell currents)")
    if given:
        lines = [Line2D([], [], color=_COLOURS[k % len(_COLOURS)]) for k in range(len(given))]
        figure.legend(lines, list(given), loc="outside lower center", ncols=4, frameon=False, fontsize=9.5)
    return figure


def _histogram(axes: matplotlib.axes.Axes, tiles: list[Histogram]) -> None:
    from matplotlib.ticker import NullFormatter

    tiles = [h for h in tiles if h.count]
    low = min(*(h.lowest for h in tiles), 0.0)
    high = max(*(h.highest for h in tiles), 0.0)
    if low == high:
        high = low + 1.0
    edges = torch.linspace(low, high, _BARS + 1, dtype=torch.float64)
    for seen in tiles:
        centres, counts = seen.bins()
        index = torch.bucketize(centres.clamp(low, high), edges[1:-1])
        share = torch.zeros(_BARS, dtype=torch.float64).index_add_(0, index, counts.double()) / seen.count
        axes.stairs(
            share.tolist(), edges.tolist(), fill=len(tiles) == 1, color=_FILL, linewidth=0.8, baseline=0
        )
    axes.set_yscale("log")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(colors=INK, labelsize=8)
    axes.grid(False)


def _limits(axes: matplotlib.axes.Axes, hardware: Hardware | None, place: int, colour: str) -> None:
    """Full scales as lines, below zero too where the converter is signed."""
    converter = None if hardware is None else hardware.dac if place == 0 else hardware.adc
    if converter is None:
        return
    for limit in full_scales(converter, max(place - 1, 0)):
        signed = bool(getattr(converter, "signed", True))
        for end in (limit, -limit) if signed else (limit,):
            axes.axvline(end, color=colour, linewidth=1.0)


def full_scales(converter: DAC | ColumnConverter, part: int) -> list[float]:
    """The full scales that a description gives for a slice: one, one for each tile, or none."""
    how = converter.range
    if isinstance(how, Fixed):
        return [how.limit]
    if isinstance(how, Learned):
        return [how.initial]
    if isinstance(how, EachSlice):
        return [how.limits[part]]
    if isinstance(how, OnData) and how.limits is not None:
        return list(how.limits[part if len(how.limits) > 1 else 0])
    return []
