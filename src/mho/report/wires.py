"""What line resistance takes, as text and as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mho.experiments.wires import WireResult
from mho.report.axes import PALETTE, QUIET, curve, head, legend, panels

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure


def wires_text(result: WireResult) -> str:
    """The tables as text."""
    rows, columns = result.device.shape
    device, share = 100 * result.device, 100 * result.share
    lines = [
        f"{rows} x {columns} cells, all inputs at full scale",
        f"voltage across a cell: {device.min():.2f} % at worst, {device.mean():.2f} % on average",
        f"current of a column: {share.min():.2f} % at worst, {share.max():.2f} % at best",
        "",
        f"{'size':>6}{'ohm':>8}{'worst cell':>12}{'error':>10}{'after gain':>12}{'bits':>7}",
    ]
    lines += [
        f"{row.size:>6}{row.ohm:>8g}{-100 * row.loss:>10.2f} %{100 * row.error:>8.2f} %"
        f"{100 * row.after_gain:>10.2f} %{row.bits:>7.1f}"
        for row in result.sweep
    ]
    lines += [
        "",
        f"largest size of these within {100 * result.tolerance:g} % after gain, and the rule of thumb",
    ]
    lines += [f"{c.ohm:>8g} ohm{c.size or '-':>8}{c.estimate:>8.0f}" for c in result.choice]
    return "\n".join(lines)


def wires_figure(result: WireResult, title: str = "What line resistance takes") -> matplotlib.figure.Figure:
    """Voltage map of the array, and the error of products against size.

    Args:
        result: of :meth:`mho.experiments.wires.WireStudy.run`.
        title: head line.
    """
    figure, (left, right) = panels((10.4, 4.6), across=2, title=title, width_ratios=(1.0, 1.1))
    rows, columns = result.device.shape
    left.grid(False)
    image = left.imshow(100 * result.device, cmap="cividis", aspect="auto", interpolation="nearest")
    figure.colorbar(image, ax=left, label="voltage across the cell, % of the applied")
    head(left, f"{rows} x {columns} cells, all inputs on")
    left.set_xlabel("column (drivers at the left)")
    left.set_ylabel("row (sense amplifiers below)")
    _error_curves(right, result)
    return figure


def _error_curves(axes: matplotlib.axes.Axes, result: WireResult) -> None:
    for k, ohm in enumerate(dict.fromkeys(row.ohm for row in result.sweep)):
        rows = sorted(row for row in result.sweep if row.ohm == ohm)
        sizes, colour = [row.size for row in rows], PALETTE[k % len(PALETTE)]
        curve(axes, sizes, [100 * r.error for r in rows], None, colour, linewidth=1.2, linestyle=":")
        curve(axes, sizes, [100 * r.after_gain for r in rows], None, colour, marker="o", label=f"{ohm:g} Ω")
    axes.axhline(100 * result.tolerance, color=QUIET, linewidth=0.9)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    every = sorted({row.size for row in result.sweep})
    axes.set_xticks(every, [str(size) for size in every])
    axes.set_xlabel("rows and columns")
    axes.set_ylabel("rms error of a product, %")
    head(axes, "dotted: as it is; solid: after one gain for the array")
    legend(axes, title="segment")
