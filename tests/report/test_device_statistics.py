"""The pictures of a memory cell show its laws, and the numbers of a table."""

from __future__ import annotations

import dataclasses
import io
from importlib.resources import files

import matplotlib.figure
import numpy as np
import pytest
import torch

from mho.config import kinds
from mho.devices import (
    PCM,
    Device,
    Generic,
    HermesPCM,
    Ideal,
    JumpCell,
    PulseTrain,
    ReRAMWan2022,
    Retention,
    States,
    StuckAt,
    fit,
)
from mho.devices.dynamics import LinearIonDrift, sine
from mho.devices.fitting import Loop
from mho.report import (
    bipolar_switching,
    conductance_map,
    drift_fan,
    fit_figure,
    hysteresis_loop,
    programming_statistics,
    read_noise,
    time_trace,
)


def complete(cls) -> bool:
    """A device by itself; one that wraps another, or needs a measurement, has no default."""
    missing = dataclasses.MISSING
    return cls is not JumpCell and all(
        f.default is not missing or f.default_factory is not missing for f in dataclasses.fields(cls)
    )


OURS = [cls() for cls in kinds(Device).values() if cls.__module__.startswith("mho.") and complete(cls)]
STATES = str(files("mho.mapping") / "data" / "memristor_states.csv")


def rendered(axes) -> None:
    axes.figure.savefig(io.BytesIO(), format="png")


def test_programming_statistics_is_the_published_law() -> None:
    axes = programming_statistics(PCM())
    (line,) = axes.lines
    target, std = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    assert target[0] == 0 and target[-1] == pytest.approx(25e-6)
    r = target / 25e-6
    far = r > 0.4  # nothing is clipped at zero
    law = 1e-6 * (0.26348 + 1.9650 * r - 1.1731 * r**2)
    np.testing.assert_allclose(std[far], law[far], rtol=2e-3)
    # at zero half of the cells are clipped: a half-normal spread
    assert std[0] == pytest.approx(0.26348e-6 * np.sqrt(0.5 - 0.5 / np.pi), rel=5e-3)
    rendered(axes)


def test_programming_statistics_of_a_table() -> None:
    table = {"mean_uS": [1.0, 2.0, 3.0], "std_uS": [0.1, 0.3, 0.2]}
    (line,) = programming_statistics(table).lines
    np.testing.assert_allclose(line.get_xdata(), [1e-6, 2e-6, 3e-6])
    np.testing.assert_allclose(line.get_ydata(), [1e-7, 3e-7, 2e-7])
    with pytest.raises(ValueError, match="no column 'mean_S'"):
        programming_statistics({"g_S": [1e-6]})


def test_drift_fan_is_the_power_law() -> None:
    device = PCM(program_scale=0.0)
    times = (1.0, 3_600.0, 86_400.0)
    axes = drift_fan(device, targets=(12.5e-6,), times=times)
    (median,) = axes.lines
    np.testing.assert_allclose(median.get_xdata(), times)
    mean, std = (float(m) for m in device.nu.moments(torch.tensor(12.5e-6), 25e-6))
    share = np.log((np.array(times) + 20.0) / 20.0)
    np.testing.assert_allclose(median.get_ydata(), 12.5e-6 * np.exp(-mean * share), rtol=2e-3)
    wide = axes.collections[0].get_paths()[0].vertices
    low, high = wide[:, 1].min(), wide[:, 1].max()
    assert low == pytest.approx(12.5e-6 * np.exp(-(mean + 1.645 * std) * share[-1]), rel=5e-3)
    assert high == pytest.approx(12.5e-6 * np.exp(-(mean - 1.645 * std) * share[0]), rel=5e-3)
    assert axes.get_legend_handles_labels()[1] == ["12.5 µS"]
    rendered(axes)


def test_drift_fan_of_measured_cells() -> None:
    rng = np.random.default_rng(0)
    g = np.sort(rng.uniform(1e-6, 2e-6, (5, 11)), axis=0)[::-1]
    table = {"time_s": [1.0, 10.0, 100.0, 1e3, 1e4], **{f"cell {n}": g[:, n] for n in range(11)}}
    axes = drift_fan(table)
    np.testing.assert_allclose(axes.lines[0].get_ydata(), np.median(g, axis=1))
    assert axes.collections[1].get_paths()[0].vertices[:, 1].min() == pytest.approx(
        np.quantile(g, 0.25, axis=1).min()
    )
    with pytest.raises(ValueError, match="no time in common"):
        drift_fan({"cell": [*"aaabbb"], "time_s": [1.0, 2, 3, 4, 5, 6], "g_uS": [6.0, 5, 4, 3, 2, 1]})


def test_a_device_that_is_not_known_at_a_time() -> None:
    with pytest.raises(ValueError, match=r"seconds = 31536000.0: ReRAMWan2022"):
        drift_fan(ReRAMWan2022(), times=(31_536_000.0,))


def test_read_noise_is_that_of_the_device() -> None:
    device, times = HermesPCM(), (1.0, 60.0, 86_400.0)
    axes = read_noise(device, targets=(5e-6, 15e-6), times=times)
    g = torch.tensor([5e-6, 15e-6], dtype=torch.float64)
    cells = device.drift_state(g, torch.zeros(2).double())
    for number, line in enumerate(axes.lines):
        expected = [float(device.read_std(g, device.aged(g, cells, t), t)[number]) for t in times]
        np.testing.assert_allclose(
            line.get_ydata(), expected, rtol=1e-6
        )  # far from zero, where nothing clips
    rendered(axes)


@pytest.mark.parametrize("device", OURS, ids=lambda d: type(d).__name__)
def test_every_device_has_its_pictures(device) -> None:
    """Each kind is rendered for every third device."""
    for number, draw in enumerate((programming_statistics, drift_fan, read_noise)):
        axes = draw(device)
        assert all(np.isfinite(np.asarray(line.get_ydata(), dtype=float)).all() for line in axes.lines)
        if (OURS.index(device) + number) % 3 == 0:
            rendered(axes)


def test_stuck_cells_are_in_the_fan() -> None:
    device = StuckAt(device=Ideal(), lrs=0.1, hrs=0.0)
    axes = drift_fan(device, targets=(10e-6,))
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 10e-6)
    assert axes.collections[0].get_paths()[0].vertices[:, 1].max() > 20e-6


def test_conductance_map() -> None:
    g = 1e-6 * torch.arange(12.0).reshape(3, 4)
    axes = conductance_map(g)
    np.testing.assert_allclose(axes.images[0].get_array(), g.numpy())
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # word lines downwards
    rendered(axes)
    with pytest.raises(ValueError, match=r"shape \(2, 3, 4\)"):
        conductance_map(torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match=r"shape \(0, 4\)"):
        conductance_map(np.zeros((0, 4)))


def test_draws_where_it_is_told() -> None:
    for draw, what in ((programming_statistics, Ideal()), (drift_fan, PCM()), (conductance_map, np.eye(2))):
        axes = matplotlib.figure.Figure().add_subplot()
        assert draw(what, axes=axes) is axes


def test_loops_of_a_measured_table() -> None:
    trace = LinearIonDrift().simulate(*sine(1.0, 1.0, 1, 20))
    table = {"time_s": trace.time.numpy(), "voltage_V": trace.voltage.numpy()}
    table["current_mA"] = 1e3 * trace.current.numpy()
    np.testing.assert_allclose(np.ravel(hysteresis_loop(table).lines[-1].get_ydata()), trace.current)
    away, back = (np.ravel(line.get_ydata()) for line in bipolar_switching(table).lines)
    seen = np.where(np.isnan(away), back, away)
    np.testing.assert_allclose(seen[1:10], trace.current.abs()[1:10])
    g = np.ravel(time_trace(table).lines[0].get_ydata())
    np.testing.assert_allclose(g[1:10], trace.conductance[1:10])
    del table["time_s"]
    hysteresis_loop(table)
    with pytest.raises(ValueError, match="no column 'time_s'"):
        time_trace(table)


def made(which):
    if which == "pulses":
        return fit(STATES, PulseTrain())
    if which == "states":
        return fit({"mean_uS": [1.0, 2, 3, 4], "std_uS": [0.1, 0.12, 0.15, 0.2]}, States(degree=1))
    if which == "retention":
        time = np.geomspace(1, 1e4, 6)
        return fit({"t": time, "a": 1e-5 * time**-0.05, "b": 2e-5 * time**-0.06}, Retention())
    trace = LinearIonDrift().simulate(*sine(1.0, 1.0, 1, 20))
    names = ("time", "voltage", "current")
    return fit({n: getattr(trace, n).numpy() for n in names}, Loop(model=LinearIonDrift(), free=("r_off",)))


@pytest.mark.parametrize("which", ["pulses", "states", "retention", "loop"])
def test_fit_figure(which) -> None:
    one = made(which)
    figure = fit_figure(one)
    above, below = figure.axes
    measured, *fitted = above.lines
    np.testing.assert_allclose(measured.get_xdata(), one.points["x"])
    np.testing.assert_allclose(measured.get_ydata(), one.points["measured"])
    drawn = np.concatenate([np.asarray(line.get_ydata()) for line in fitted])
    np.testing.assert_allclose(drawn, one.points["fitted"])
    np.testing.assert_allclose(below.lines[-1].get_ydata(), one.points["residual"])
    assert len(fitted) == (2 if which == "retention" else 1)
    figure.savefig(io.BytesIO(), format="png")


def test_a_scale_of_zero_removes_a_mechanism() -> None:
    assert not programming_statistics(PCM(program_scale=0.0)).lines[0].get_ydata().any()
    assert not np.asarray(read_noise(Generic()).lines[0].get_ydata()).any()


def test_lines_of_repeated_pulses_are_not_joined() -> None:
    """From the last pulse of a cycle to the first of the next one no line goes; a loop goes back in steps."""
    from mho.report.device_statistics import _apart

    x = np.tile(np.arange(5.0), 3)
    broken, y = _apart(x, x + 1)
    assert np.isnan(broken).sum() == 2 and np.isnan(y).sum() == 2
    assert np.nanmin(np.diff(broken)) > 0
    loop = np.concatenate([np.linspace(0, 1, 9), np.linspace(1, -1, 17), np.linspace(-1, 0, 9)])
    assert not np.isnan(_apart(loop, loop)[0]).any()
    assert len(_apart(np.ones(1), np.ones(1))[0]) == 1
