"""Legends have room, however narrow the figure is."""

from __future__ import annotations

import pytest

from mho.report.axes import legend_below, panels

RULES = ("compensated", "idealised protocol", "digital")
NAMES = [f"{arm}, {rule}" for arm in ("plain", "hardware-aware") for rule in RULES]


@pytest.mark.parametrize("width", [3.0, 5.2, 9.8, 14.4])
def test_a_legend_below_is_not_cut(width: float) -> None:
    figure, (axes,) = panels((width, 5.0))
    for name in NAMES:
        axes.plot([0, 1], [0, 1], label=name)
    legend_below(figure, axes, handlelength=3.0)
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width
    assert len(figure.legends[0].get_texts()) == len(NAMES)
    if width > 9:
        assert box.height < 0.2 * figure.bbox.height  # it makes use of the room
