"""Pictures of a memristor's dynamics: loops, switching, traces over time, curves of frozen states.

Each function draws into the axes that it is given, or into a new figure, and returns the axes
(``axes.figure.savefig("loop.png")``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mho.devices.dynamics import SwitchingModel, Trace

if TYPE_CHECKING:
    import matplotlib.axes

# Of M. Okabe and K. Ito's palette: told apart by the colour-blind and in grey.
_BLUE, _VERMILLION = "#0072b2", "#d55e00"
_INK, _QUIET, _LINE = "#1d2733", "#5b6b7b", "#dde3ea"
_MOST = 200  # curves in one picture


def hysteresis_loop(trace: Trace, axes: matplotlib.axes.Axes | None = None) -> matplotlib.axes.Axes:
    """Current over voltage, the pinched loop of a memristor; one curve for each cell (at most 200).

    Args:
        trace: of :meth:`mho.devices.dynamics.SwitchingModel.simulate`.
        axes: where to draw; default a new figure.
    """
    axes = _prepared(axes, "voltage (V)", "current", "A", "Hysteresis loop")
    voltage, current = _columns(trace.voltage, trace), _columns(trace.current, trace)
    axes.axhline(0, color=_LINE, linewidth=0.8)
    axes.axvline(0, color=_LINE, linewidth=0.8)
    axes.plot(voltage, current, color=_BLUE, **_weight(current))
    return axes


def bipolar_switching(trace: Trace, axes: matplotlib.axes.Axes | None = None) -> matplotlib.axes.Axes:
    """Magnitude of the current on a logarithmic scale over voltage: SET and RESET of each cell.

    Sweeps away from 0 V are blue, sweeps back to it vermillion. Samples without current are left out.

    Args:
        trace: of :meth:`mho.devices.dynamics.SwitchingModel.simulate`.
        axes: where to draw; default a new figure.

    Raises:
        ValueError: no sample carries a current.
    """
    from matplotlib.ticker import EngFormatter

    voltage, current = _columns(trace.voltage, trace), _columns(trace.current, trace).abs()
    if not bool((current > 0).any()):
        raise ValueError("trace.current is 0 everywhere: nothing for a logarithmic axis; apply a voltage")
    axes = _prepared(axes, "voltage (V)", "|current|", "A", "Bipolar switching")
    current = torch.where(current > 0, current, torch.nan)
    away = torch.zeros_like(voltage, dtype=torch.bool)
    away[1:] = voltage[1:].abs() > voltage[:-1].abs()
    away[0] = away[1] if len(away) > 1 else True
    for part, colour, label in ((away, _BLUE, "away from 0 V"), (~away, _VERMILLION, "back to 0 V")):
        # A branch starts where the other one ends.
        joined = part.clone()
        joined[:-1] |= part[1:]
        drawn = axes.plot(voltage, torch.where(joined, current, torch.nan), color=colour, **_weight(current))
        drawn[0].set_label(label)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(EngFormatter("A"))
    axes.legend(frameon=False, fontsize=9)
    return axes


def time_trace(trace: Trace, axes: matplotlib.axes.Axes | None = None) -> matplotlib.axes.Axes:
    """Conductance at the read voltage over time; the voltage is the grey line with its scale on the right.

    Args:
        trace: of :meth:`mho.devices.dynamics.SwitchingModel.simulate`.
        axes: where to draw; default a new figure.

    Returns:
        The axes of the conductance; those of the voltage share its time.
    """
    from matplotlib.ticker import EngFormatter

    axes = _prepared(axes, "time", "conductance", "S", "Conductance over time")
    time, g = trace.time.detach().cpu(), _columns(trace.conductance, trace)
    behind = axes.twinx()
    behind.plot(time, _columns(trace.voltage, trace), color=_QUIET, linewidth=0.9, alpha=0.6)
    behind.set_ylabel("voltage (V)", color=_QUIET)
    behind.tick_params(colors=_QUIET)
    behind.spines["top"].set_visible(False)
    axes.xaxis.set_major_formatter(EngFormatter("s"))
    axes.set_zorder(behind.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.plot(time, g, color=_BLUE, **_weight(g))
    return axes


def iv_family(
    model: SwitchingModel, v_max: float, states: Tensor | int = 9, axes: matplotlib.axes.Axes | None = None
) -> matplotlib.axes.Axes:
    """Current over voltage of cells whose state is held still, from the lowest to the highest conductance.

    Args:
        model: a switching model whose cells are alike.
        v_max: the curves go from ``-v_max`` to ``v_max``, volts.
        states: the states to draw, ``[curve]``; a number: so many, evenly spaced in conductance.
        axes: where to draw; default a new figure.

    Raises:
        ValueError: ``v_max`` is not positive, no state, or a model whose cells differ.
    """
    import matplotlib

    if not v_max > 0:
        raise ValueError(f"v_max = {v_max!r}: the largest voltage of the curves is positive, in volts")
    if model.cells:
        raise ValueError(f"the cells of this {type(model).__name__} differ; draw a model of one cell")
    x = _even_states(model, states) if isinstance(states, int) else states.detach().double().reshape(-1)
    if not len(x):
        raise ValueError(f"states = {states!r}: at least one state to draw")
    voltage = torch.linspace(-v_max, v_max, 401, dtype=torch.float64)[:, None]
    current = model.current(voltage, x[None, :]).detach()
    g = model.conductance(x).detach()
    axes = _prepared(axes, "voltage (V)", "current", "A", f"{type(model).__name__}: curves of frozen states")
    shades = matplotlib.colormaps["viridis"](torch.linspace(0, 0.9, len(x)).numpy())
    for n, order in enumerate(g.argsort().tolist()):
        axes.plot(
            voltage[:, 0], current[:, order], color=shades[n], linewidth=1.4, label=_siemens(float(g[order]))
        )
    axes.legend(frameon=False, fontsize=8, title="conductance", title_fontsize=8)
    return axes


def _even_states(model: SwitchingModel, count: int) -> Tensor:
    """States evenly spaced in conductance, or at their ends."""
    if isinstance(count, bool) or count < 1:
        raise ValueError(f"states = {count!r}: at least one state to draw")
    g = torch.linspace(float(model.g_min), float(model.g_max), count, dtype=torch.float64)
    return model.state_of(g).detach()


def _siemens(value: float) -> str:
    from matplotlib.ticker import EngFormatter

    return EngFormatter("S", places=1)(value)


def _columns(x: Tensor, trace: Trace) -> Tensor:
    """``[time, curve]`` on the CPU: one curve for each cell, the first 200."""
    return x.detach().cpu().reshape(len(trace.time), -1)[:, :_MOST]


def _weight(curves: Tensor) -> dict[str, Any]:
    """Line width and opacity for so many curves."""
    many = curves.shape[1] > 1
    return {"linewidth": 0.8, "alpha": max(0.15, 1.5 / curves.shape[1])} if many else {"linewidth": 1.6}


def _prepared(
    axes: matplotlib.axes.Axes | None, x: str, y: str, y_unit: str, title: str
) -> matplotlib.axes.Axes:
    """Axes with labels and the unit of y; those of a new figure when none are given."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    if axes is None:
        axes = Figure(figsize=(6.4, 4.4), dpi=160, facecolor="white", layout="constrained").add_subplot()
    axes.set_xlabel(x, color=_INK)
    axes.set_ylabel(y, color=_INK)
    axes.yaxis.set_major_formatter(EngFormatter(y_unit))
    axes.set_title(title, loc="left", color=_INK, fontsize=12, fontweight="bold")
    axes.tick_params(colors=_INK, length=3)
    axes.grid(color=_LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return axes
