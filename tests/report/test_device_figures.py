"""The pictures show the numbers that they are given."""

from __future__ import annotations

import io

import matplotlib.figure
import numpy as np
import pytest
import torch

from mho.devices.dynamics import VTEAM, LinearIonDrift, StanfordPKU, Trace, Yakopcic, pulses, sine, triangle
from mho.report.device_figures import bipolar_switching, hysteresis_loop, iv_family, time_trace


def loop() -> Trace:
    return LinearIonDrift().simulate(*sine(1.0, 1.0, 1, 40))


def rendered(axes: object) -> None:
    """Drawing it raises nothing (a missing glyph is a warning, and warnings are errors)."""
    axes.figure.savefig(io.BytesIO(), format="png")  # type: ignore[attr-defined]


def test_hysteresis_loop() -> None:
    trace = loop()
    axes = hysteresis_loop(trace)
    curve = axes.lines[-1]
    np.testing.assert_allclose(curve.get_xdata(), trace.voltage)
    np.testing.assert_allclose(np.ravel(curve.get_ydata()), trace.current)
    rendered(axes)


def test_a_curve_for_each_cell_up_to_two_hundred() -> None:
    start = torch.linspace(0.1, 0.5, 250, dtype=torch.float64)
    trace = LinearIonDrift().simulate(*sine(1.0, 1.0, 1, 8), start)
    assert len(hysteresis_loop(trace).lines) == 2 + 200
    assert len(time_trace(trace).lines) == 200


def test_draws_where_it_is_told() -> None:
    axes = matplotlib.figure.Figure().add_subplot()
    assert hysteresis_loop(loop(), axes) is axes


def test_bipolar_switching_covers_all_currents() -> None:
    trace = LinearIonDrift().simulate(*triangle(1.0, 1.0, 1, 40))
    axes = bipolar_switching(trace)
    assert axes.get_yscale() == "log"
    away, back = (np.ravel(line.get_ydata()) for line in axes.lines)
    seen = np.where(np.isnan(away), back, away)
    some = trace.current.abs().numpy() > 0
    np.testing.assert_allclose(seen[some], trace.current.abs().numpy()[some])
    assert np.isnan(back[5])  # on the way to the first peak
    assert np.isnan(away[15])
    rendered(axes)


def test_nothing_to_draw_on_a_logarithmic_axis() -> None:
    trace = LinearIonDrift().simulate(*pulses([0.0], 1.0))
    with pytest.raises(ValueError, match="apply a voltage"):
        bipolar_switching(trace)


def test_time_trace() -> None:
    trace = VTEAM().simulate(*sine(1.0, 50e6, 1, 40))
    axes = time_trace(trace)
    np.testing.assert_allclose(np.ravel(axes.lines[0].get_ydata()), trace.conductance)
    behind = next(other for other in axes.figure.axes if other is not axes)
    np.testing.assert_allclose(np.ravel(behind.lines[0].get_ydata()), trace.voltage)
    rendered(axes)


def test_iv_family() -> None:
    model = StanfordPKU()
    axes = iv_family(model, 0.5, 5)
    assert len(axes.lines) == 5
    last = axes.lines[-1]
    x = torch.tensor(float(model.bounds[0]), dtype=torch.float64)  # the highest conductance
    expected = model.current(torch.as_tensor(last.get_xdata()), x)
    np.testing.assert_allclose(last.get_ydata(), expected, rtol=1e-5)
    assert axes.get_legend_handles_labels()[1][-1] == "1.8 mS"
    chosen = iv_family(model, 0.5, torch.tensor([0.5e-9, 1e-9]))
    assert len(chosen.lines) == 2
    rendered(axes)
    rendered(iv_family(Yakopcic(), 0.4))  # a conductance of zero is a curve too


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="v_max = -1"):
        iv_family(VTEAM(), -1)
    with pytest.raises(ValueError, match="states = 0"):
        iv_family(VTEAM(), 1.0, 0)
    with pytest.raises(ValueError, match="at least one state"):
        iv_family(VTEAM(), 1.0, torch.empty(0))
    with pytest.raises(ValueError, match="cells of this VTEAM differ"):
        iv_family(VTEAM().with_values(r_on=torch.tensor([40.0, 50.0])), 1.0)
