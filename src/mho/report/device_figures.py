"""Pictures of a memristor's dynamics: loops, switching, traces over time, curves of frozen states.

Each function draws into the axes that it is given, or into a new figure, and returns the axes
(``axes.figure.savefig("loop.png")``). Those of a trace take a measured table as well, whatever
:func:`mho.devices.fit` reads: ``voltage_V`` and ``current_A``, and ``time_s`` where time is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mho.devices.dynamics import SwitchingModel, Trace, sine
from mho.devices.fitting.tables import CONDUCTANCE, CURRENT, TIME, VOLTAGE, read_table
from mho.report.axes import BLUE, GREEN, LINE, QUIET, VERMILLION, legend, prepared, siemens

if TYPE_CHECKING:
    import matplotlib.axes

FACTORS = (1.0, 5.0, 25.0)  # of the frequency, in the picture of loops
SAMPLES = 120  # of a period
_ZERO = 1e-9  # of the largest voltage
_MOST = 200  # curves in one picture


def hysteresis_loop(trace: Trace | Any, axes: matplotlib.axes.Axes | None = None) -> matplotlib.axes.Axes:
    """Current over voltage, the pinched loop of a memristor; one curve for each cell (at most 200).

    Args:
        trace: of :meth:`mho.devices.dynamics.SwitchingModel.simulate`, or a measured table.
        axes: where to draw; default a new figure.
    """
    trace = _trace(trace)
    axes = _crossed(axes, "Hysteresis loop")
    voltage, current = _columns(trace.voltage, trace), _columns(trace.current, trace)
    axes.plot(voltage, current, color=BLUE, **_weight(current))
    return axes


def loops_at_frequencies(
    model: SwitchingModel, wave: tuple[float, float], axes: matplotlib.axes.Axes | None = None
) -> matplotlib.axes.Axes:
    """Two periods of current over voltage under sines of 1, 5 and 25 times the frequency.

    The loop of a memristor closes as the voltage gets faster.

    Args:
        model: a model whose cells are alike.
        wave: volts and hertz of the slowest one.
        axes: where to draw; default a new figure.
    """
    from matplotlib.ticker import EngFormatter

    axes, (amplitude, frequency) = _crossed(axes, "Hysteresis at several frequencies"), wave
    for factor, colour in zip(FACTORS, (BLUE, VERMILLION, GREEN), strict=True):
        trace = model.simulate(*sine(amplitude, factor * frequency, 2, SAMPLES))
        label = EngFormatter("Hz")(factor * frequency)
        axes.plot(trace.voltage, trace.current.detach(), color=colour, linewidth=1.4, label=label)
    legend(axes)
    return axes


def _crossed(axes: matplotlib.axes.Axes | None, title: str) -> matplotlib.axes.Axes:
    """Current over voltage, with a cross at 0."""
    axes = prepared(axes, "voltage (V)", "current", "A", title)
    axes.axhline(0, color=LINE, linewidth=0.8)
    axes.axvline(0, color=LINE, linewidth=0.8)
    return axes


def bipolar_switching(trace: Trace | Any, axes: matplotlib.axes.Axes | None = None) -> matplotlib.axes.Axes:
    """Magnitude of the current on a logarithmic scale over voltage: SET and RESET of each cell.

    Sweeps away from 0 V are blue, sweeps back to it vermillion. Samples at 0 V and without current are left
    out.

    Args:
        trace: of :meth:`mho.devices.dynamics.SwitchingModel.simulate`, or a measured table.
        axes: where to draw; default a new figure.

    Raises:
        ValueError: no sample carries a current.
    """
    from matplotlib.ticker import EngFormatter

    trace = _trace(trace)
    voltage, current = _columns(trace.voltage, trace), _columns(trace.current, trace).abs()
    if not bool((current > 0).any()):
        raise ValueError("trace.current is 0 everywhere: nothing for a logarithmic axis; apply a voltage")
    axes = prepared(axes, "voltage (V)", "|current|", "A", "Bipolar switching")
    at_zero = voltage.abs() <= _ZERO * voltage.abs().max()  # a sine misses 0 by rounding
    current = torch.where((current > 0) & ~at_zero, current, torch.nan)
    away = torch.zeros_like(voltage, dtype=torch.bool)
    away[1:] = voltage[1:].abs() > voltage[:-1].abs()
    away[0] = away[1] if len(away) > 1 else True
    for part, colour, label in ((away, BLUE, "away from 0 V"), (~away, VERMILLION, "back to 0 V")):
        # A branch starts where the other one ends.
        joined = part.clone()
        joined[:-1] |= part[1:]
        drawn = axes.plot(voltage, torch.where(joined, current, torch.nan), color=colour, **_weight(current))
        drawn[0].set_label(label)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(EngFormatter("A"))
    legend(axes)
    return axes


def time_trace(trace: Trace | Any, axes: matplotlib.axes.Axes | None = None) -> matplotlib.axes.Axes:
    """Conductance at the read voltage over time; the voltage is the grey line with its scale on the right.

    Args:
        trace: of :meth:`mho.devices.dynamics.SwitchingModel.simulate`, or a measured table.
        axes: where to draw; default a new figure.

    Returns:
        The axes of the conductance; those of the voltage share its time.
    """
    from matplotlib.ticker import EngFormatter

    trace = _trace(trace, timed=True)
    axes = prepared(axes, "time", "conductance", "S", "Conductance over time")
    time, g = trace.time.detach().cpu(), _columns(trace.conductance, trace)
    behind = axes.twinx()
    behind.plot(time, _columns(trace.voltage, trace), color=QUIET, linewidth=0.9, alpha=0.6)
    behind.set_ylabel("voltage (V)", color=QUIET)
    behind.tick_params(colors=QUIET)
    behind.spines["top"].set_visible(False)
    axes.xaxis.set_major_formatter(EngFormatter("s"))
    axes.set_zorder(behind.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.plot(time, g, color=BLUE, **_weight(g))
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
    axes = prepared(axes, "voltage (V)", "current", "A", f"{type(model).__name__}: curves of frozen states")
    shades = matplotlib.colormaps["viridis"](torch.linspace(0, 0.9, len(x)).numpy())
    for n, order in enumerate(g.argsort().tolist()):
        axes.plot(
            voltage[:, 0], current[:, order], color=shades[n], linewidth=1.4, label=siemens(float(g[order]))
        )
    legend(axes, fontsize=8, title="conductance", title_fontsize=8)
    return axes


def _even_states(model: SwitchingModel, count: int) -> Tensor:
    """States evenly spaced in conductance, or at their ends."""
    if isinstance(count, bool) or count < 1:
        raise ValueError(f"states = {count!r}: at least one state to draw")
    g = torch.linspace(float(model.g_min), float(model.g_max), count, dtype=torch.float64)
    return model.state_of(g).detach()


def _trace(source: Trace | Any, timed: bool = False) -> Trace:
    """A trace as it is, or that of a measured table (its conductance, or current over voltage)."""
    if isinstance(source, Trace):
        return source
    table = read_table(source)
    columns = {name: torch.as_tensor(table.take(name)) for name in (VOLTAGE, CURRENT)}
    for name in (TIME, CONDUCTANCE):
        if table.has(name) or (timed and name == TIME):
            columns[name] = torch.as_tensor(table.take(name))
    voltage, current = columns[VOLTAGE], columns[CURRENT]
    time = columns.get(TIME, torch.arange(len(voltage), dtype=torch.float64))
    g = columns.get(CONDUCTANCE, torch.where(voltage == 0, torch.nan, current / voltage))
    return Trace(time, voltage, current, torch.full_like(current, torch.nan), g)


def _columns(x: Tensor, trace: Trace) -> Tensor:
    """``[time, curve]`` on the CPU: one curve for each cell, the first 200."""
    return x.detach().cpu().reshape(len(trace.time), -1)[:, :_MOST]


def _weight(curves: Tensor) -> dict[str, Any]:
    """Line width and opacity for so many curves."""
    many = curves.shape[1] > 1
    return {"linewidth": 0.8, "alpha": max(0.15, 1.5 / curves.shape[1])} if many else {"linewidth": 1.6}
