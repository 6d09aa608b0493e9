"""Pictures of what a memory cell does to a weight: programming, drift, read noise, a whole tile, a fit.

Each function draws into the axes that it is given, or into a new figure, and returns the axes. The
laws are those of the device itself, evaluated; nothing is drawn at random except in :func:`drift_fan`,
from a named stream: the same device gives the same picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mho.config.durations import SECONDS, duration_text
from mho.devices import Device, Effect, Retention, States
from mho.devices.effects.base import draw_count
from mho.devices.fitting import Fit
from mho.devices.fitting.tables import read_table
from mho.random import normal
from mho.report.axes import BLUE, GREEN, QUIET, VERMILLION, legend, panels, prepared, siemens

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)  # quantiles of a fan
SHARES = (0.1, 0.5, 0.9)  # of the way from g_min to g_max: the targets that are drawn
CELLS = (40, 100)  # of a simulated fan: an array, effects may ask for one
_COLOURS = (VERMILLION, GREEN, BLUE)
_YEAR = SECONDS["y"]
_MOST = 12  # fans in one picture
_BACK = 3.0  # usual steps of x, beyond which a step back begins another cycle


def programming_statistics(
    source: Device | Any, axes: matplotlib.axes.Axes | None = None
) -> matplotlib.axes.Axes:
    """Standard deviation of the programmed conductance over the target.

    Args:
        source: a device, or a measured table as :class:`mho.devices.States` reads it.
        axes: where to draw; default a new figure.

    Raises:
        ValueError: a table that holds no states.
    """
    from matplotlib.ticker import EngFormatter

    axes = prepared(axes, "target conductance", "standard deviation", "S", "Programming error")
    axes.xaxis.set_major_formatter(EngFormatter("S"))
    if isinstance(source, Device):
        target = torch.linspace(source.g_min, source.g_max, 201, dtype=torch.float64)
        axes.plot(target, programming_std(source, target), color=BLUE, linewidth=1.6)
    else:
        states = States().statistics(read_table(source))
        axes.plot(states.g, states.std, color=VERMILLION, marker="o", linestyle="none")
    axes.set_ylim(bottom=0)
    return axes


def programming_std(device: Device, target: Tensor) -> Tensor:
    """Standard deviation of the programmed conductance, after clipping, siemens.

    The mean over 2001 equally likely errors: right to about 1e-3 of itself.

    Args:
        device: any.
        target: siemens, any shape.
    """
    share = (torch.arange(2001, dtype=torch.float64) + 0.5) / 2001
    eps = math.sqrt(2) * torch.erfinv(2 * share - 1)
    wanted = target.reshape(-1, 1).expand(-1, len(eps))
    g = device.programmed(wanted, eps.expand_as(wanted))
    return g.std(1, correction=0).reshape(target.shape)


def drift_fan(
    source: Device | Any,
    targets: Sequence[float] | None = None,
    times: Sequence[float] | None = None,
    axes: matplotlib.axes.Axes | None = None,
) -> matplotlib.axes.Axes:
    """Quantiles of the conductance over time: median, the middle half, and the middle 90 %.

    Args:
        source: a device, whose programming error and drift are drawn for 4000 cells of each target (no read
            noise); or a measured table as :class:`mho.devices.Retention` reads it, one fan over its cells.
        targets: of a device, siemens; default 10, 50 and 90 % of its range.
        times: of a device, seconds; default to one year or to the last time that it is known.
        axes: where to draw; default a new figure.

    Raises:
        ValueError: a time at which the device is not known, or a table whose cells have no common time.
    """
    axes = prepared(axes, "time since programming", "conductance", "S", "Drift")
    if isinstance(source, Device):
        when, wanted = _wanted(source, targets, times)
        fans = [(siemens(g), simulated_quantiles(source, g, when)) for g in wanted]
    else:
        when, quantiles, cells = measured_quantiles(source)
        fans = [(f"{cells} cells", quantiles)]
    for number, (label, fan) in enumerate(fans):
        colour = _COLOURS[number % len(_COLOURS)]
        axes.fill_between(when, fan[0], fan[4], color=colour, alpha=0.15, linewidth=0)
        axes.fill_between(when, fan[1], fan[3], color=colour, alpha=0.3, linewidth=0)
        axes.plot(when, fan[2], color=colour, linewidth=1.6, label=label)
    _times_below(axes, when, "median, 50 %, 90 %")
    return axes


def simulated_quantiles(device: Device, target: float, times: Sequence[float] | Any) -> Any:
    """Quantiles 5, 25, 50, 75, 95 % of 4000 cells of one target, ``[5, time]``, siemens, no read noise."""
    g_target = torch.full(CELLS, float(target), dtype=torch.float64)
    g = device.programmed(g_target, normal(CELLS, 0, "drift fan", "program").double())
    cells = device.drift_state(g_target, _draws(device))
    share = torch.tensor(LEVELS, dtype=torch.float64)
    return torch.stack([device.aged(g, cells, float(t)).quantile(share) for t in times], 1).numpy()


def _draws(device: Device) -> Tensor:
    """Draws of the frozen parameters of :data:`CELLS`."""
    if not isinstance(device, Effect):
        return normal(CELLS, 0, "drift fan", "drift").double()
    return normal((draw_count(device), *CELLS), 0, "drift fan", "drift").double()


def measured_quantiles(source: Any) -> tuple[Any, Any, int]:
    """Times that all cells of a table share, the same quantiles ``[5, time]``, and the number of cells."""
    cells = Retention().cells(read_table(source))
    shared = sorted(set.intersection(*(set(c.time.tolist()) for c in cells)))
    if not shared:
        raise ValueError("the cells of the table have no time in common; a fan needs them measured together")
    g = np.stack([[c.g[c.time == t].mean() for t in shared] for c in cells])
    return np.array(shared), np.quantile(g, LEVELS, axis=0), len(cells)


def read_noise(
    device: Device,
    targets: Sequence[float] | None = None,
    times: Sequence[float] | None = None,
    axes: matplotlib.axes.Axes | None = None,
) -> matplotlib.axes.Axes:
    """Standard deviation of one read over time, of cells that were written without error.

    Args:
        device: any.
        targets: conductances after programming, siemens; default 10, 50 and 90 % of the range.
        times: seconds; default to one year or to the last time that the device is known.
        axes: where to draw; default a new figure.

    Raises:
        ValueError: a time at which the device is not known.
    """
    axes = prepared(axes, "time since programming", "standard deviation of a read", "S", "Read noise")
    when, wanted = _wanted(device, targets, times)
    for number, target in enumerate(wanted):
        colour = _COLOURS[number % len(_COLOURS)]
        axes.plot(when, read_std(device, target, when), color=colour, linewidth=1.6, label=siemens(target))
    axes.set_ylim(bottom=0)
    _times_below(axes, when, "conductance")
    return axes


def read_std(device: Device, target: float, times: Sequence[float] | Any) -> Any:
    """Standard deviation of one read of a cell, ``[time]``, siemens.

    The cell was written without error and drifts as its law says on average. The cells of an effect
    differ: its value is the root of the mean square over 4000 cells.
    """
    several = isinstance(device, Effect)
    g = torch.full(CELLS if several else (1,), float(target), dtype=torch.float64)
    cells = device.drift_state(g, _draws(device) if several else torch.zeros_like(g))
    values = []
    for t in map(float, times):
        _, std = device.read_moments(g, cells, device.aged(g, cells, t), t)
        values.append(float(std.square().mean().sqrt()))
    return np.array(values)


def conductance_map(g: Tensor | Any, axes: matplotlib.axes.Axes | None = None) -> matplotlib.axes.Axes:
    """The conductances of a tile: word lines downwards, bit lines to the right.

    Args:
        g: siemens, ``[row, column]``: one tile of :func:`mho.conductances`, or an array.
        axes: where to draw; default a new figure.

    Raises:
        ValueError: not a matrix, or an empty one.
    """
    from matplotlib.ticker import EngFormatter

    values = np.asarray(g.detach().cpu() if isinstance(g, Tensor) else g, dtype=np.float64)
    if values.ndim != 2 or not values.size:
        raise ValueError(
            f"g has shape {values.shape}: a map is of one tile, [row, column]; index the others away"
        )
    axes = prepared(axes, "bit line (column)", "word line (row)", "", "Conductances of a tile")
    axes.yaxis.set_major_formatter("{x:.0f}")
    axes.grid(False)
    image = axes.imshow(values, cmap="viridis", aspect="equal", interpolation="nearest")
    assert axes.figure is not None
    bar = axes.figure.colorbar(image, ax=axes, format=EngFormatter("S"), shrink=0.85)
    bar.outline.set_visible(False)
    return axes


def fit_figure(fit: Fit) -> matplotlib.figure.Figure:
    """A fitted device against its measurement: the points with the law above, what it leaves below."""
    from matplotlib.ticker import EngFormatter

    figure, (above, below) = panels((6.4, 6.0), 2, sharex=True, height_ratios=(3, 1))
    x_label, y_label = fit.card.measurement.labels
    y_name, _, y_unit = y_label.rstrip(")").partition(" (")
    prepared(above, "", y_name, y_unit, f"{type(fit.device).__name__}: {fit.card.source}")
    prepared(below, x_label, "residual", y_unit, "")
    x, series = fit.points["x"], fit.points.get("series", np.zeros(len(fit.points["x"])))
    small: dict[str, Any] = {"color": VERMILLION, "marker": ".", "linestyle": "none", "markersize": 4}
    above.plot(x, fit.points["measured"], label="measured", **small)
    several = dict.fromkeys(series.tolist())
    weight: dict[str, Any] = {"linewidth": 1.2} if len(several) < 5 else {"linewidth": 0.7, "alpha": 0.6}
    for number, value in enumerate(several):
        part = series == value
        label = f"fitted, R² = {fit.card.r_squared:.4f}" if number == 0 else None
        above.plot(*_apart(x[part], fit.points["fitted"][part]), color=BLUE, label=label, **weight)
    below.axhline(0, color=QUIET, linewidth=0.8)
    below.plot(x, fit.points["residual"], **small)
    if x_label.startswith("time"):
        above.set_xscale("log")
    if x_label.startswith("conductance"):
        below.set_xlabel("conductance")
        below.xaxis.set_major_formatter(EngFormatter("S"))
    legend(above)
    return figure


def _apart(x: Any, y: Any) -> tuple[Any, Any]:
    """A line that breaks where it would go back to its beginning: from one cycle of pulses to the next."""
    steps = np.diff(x)
    usual = np.median(np.abs(steps)) if len(steps) else 0.0
    back: Any = np.flatnonzero(steps < -_BACK * usual) + 1 if usual > 0 else []
    return np.insert(x.astype(float), back, np.nan), np.insert(y.astype(float), back, np.nan)


def _wanted(device: Device, targets: Any, times: Any) -> tuple[Any, tuple[float, ...]]:
    """Times, and targets of at most 12 fans."""
    when = np.asarray(usual_times(device) if times is None else times, dtype=np.float64)
    return when, usual_targets(device) if targets is None else tuple(targets)[:_MOST]


def usual_targets(device: Device) -> tuple[float, ...]:
    """10, 50 and 90 % of the way from ``g_min`` to ``g_max``."""
    return tuple(device.g_min + share * (device.g_max - device.g_min) for share in SHARES)


def usual_times(device: Device) -> tuple[float, ...]:
    """From 1 s, or the first time known, to one year, or the last one: 60 on a logarithmic scale."""
    first, last = device.times
    low = max(first, 1.0)
    high = min(max(last, low), max(_YEAR, 10 * low))
    return tuple(float(t) for t in np.clip(np.geomspace(low, high, 60), low, high))


def _times_below(axes: matplotlib.axes.Axes, times: Any, title: str) -> None:
    """A logarithmic axis with ticks that people say: 1 s, 1 h, 1 day, 1 year; and the legend."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    axes.set_xscale("log")
    legend(axes, title=title, title_fontsize=8)
    said = (1.0, 60.0, 3_600.0, 86_400.0, 2_592_000.0, _YEAR)
    ticks = [t for t in said if times.min() * 0.999 <= t <= times.max() * 1.001]
    if len(ticks) >= 2:
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda t, _: duration_text(t)))
