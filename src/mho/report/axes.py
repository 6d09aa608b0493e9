"""How the axes of a picture look: labels with units, few lines, colours that the colour-blind tell apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import matplotlib.axes

# Of M. Okabe and K. Ito's palette: told apart by the colour-blind and in grey.
BLUE, VERMILLION, GREEN = "#0072b2", "#d55e00", "#009e73"
INK, QUIET, LINE = "#1d2733", "#5b6b7b", "#dde3ea"


def prepared(
    axes: matplotlib.axes.Axes | None, x: str, y: str, y_unit: str, title: str
) -> matplotlib.axes.Axes:
    """Axes with labels and the unit of y; those of a new figure when none are given."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    if axes is None:
        axes = Figure(figsize=(6.4, 4.4), dpi=160, facecolor="white", layout="constrained").add_subplot()
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    axes.yaxis.set_major_formatter(EngFormatter(y_unit))
    axes.set_title(title, loc="left", color=INK, fontsize=12, fontweight="bold")
    axes.tick_params(colors=INK, length=3)
    axes.grid(color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return axes
