"""Memristors by MemTorch's names: its own runs, and every parameter and keyword."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from torch.distributions import Uniform

import mho.compat.memtorch as memtorch
from mho.compat.memtorch.bh.crossbar.Program import write_verify
from mho.compat.memtorch.bh.memristor import (
    VTEAM,
    Data_Driven,
    Data_Driven2021,
    LinearIonDrift,
    Memristor,
    Stanford_PKU,
    in_time,
)
from mho.errors import ConfigError

mpl.use("Agg")
DATA = Path(__file__).parents[1] / "reference" / "data" / "memtorch"
KINDS = (VTEAM, LinearIonDrift, Stanford_PKU, Data_Driven, Data_Driven2021)
StochasticParameter = memtorch.bh.StochasticParameter


# --- runs of MemTorch 1.1.6 --------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, cell, amplitude, frequency, samples",
    [
        ("VTEAM_hysteresis", VTEAM(), 1.0, 50e6, 2001),
        ("VTEAM_bipolar", VTEAM(), None, None, None),
        ("Stanford_PKU_hysteresis", Stanford_PKU(), 1.5, 10.0, 5001),
        ("Data_Driven_hysteresis", Data_Driven(), 1.5, 10e3, 12_001),
        (
            "Data_Driven2021_hysteresis_dt1e-8",
            Data_Driven2021(time_series_resolution=1e-8),
            1.5,
            10e3,
            12_001,
        ),
    ],
)
def test_runs_of_memtorch(
    name: str, cell: Memristor, amplitude: float | None, frequency: float, samples: int
) -> None:
    """Current of each sample, and the state at the end: ``simulate`` samples as MemTorch does."""
    index, _, volts, amperes, _, states = np.loadtxt(DATA / f"{name}.csv", delimiter=",", skiprows=1).T
    index = index.astype(int)
    if amplitude is None:
        signal = volts
    else:
        time = np.arange(samples) * cell.time_series_resolution
        signal = amplitude * np.sin(2 * np.pi * frequency * time)
    kept = index < len(signal)
    current = cell.simulate(signal[: index[kept][-1] + 1], return_current=True)
    scale = np.abs(amperes).max()
    np.testing.assert_allclose(current[index[kept]], amperes[kept], rtol=1e-6, atol=1e-6 * scale)
    np.testing.assert_allclose(float(cell.state), states[kept][-1], rtol=1e-6)


@pytest.mark.parametrize(
    "name, cell, samples",
    [
        ("VTEAM_hysteresis", VTEAM(), 2001),
        ("Stanford_PKU_hysteresis", Stanford_PKU(), 5001),
        ("Data_Driven_hysteresis", Data_Driven(), 100_001),
        ("Data_Driven2021_hysteresis_dt1e-8", Data_Driven2021(time_series_resolution=1e-8), 100_001),
    ],
)
def test_the_plots_of_memtorch(name: str, cell: Memristor, samples: int) -> None:
    """The same through the plot: as many samples, and the same voltages and currents."""
    index, _, volts, amperes, _, _ = np.loadtxt(DATA / f"{name}.csv", delimiter=",", skiprows=1).T
    ours = cell.plot_hysteresis_loop(return_result=True)
    assert len(ours[0]) == len(ours[1]) == samples
    index = index.astype(int)
    np.testing.assert_allclose(ours[0][index], volts, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours[1][index], amperes, rtol=1e-6, atol=1e-6 * np.abs(amperes).max())


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_stretches_are_sample_by_sample(kind: type[Memristor], noisy: bool) -> None:
    """Thousands of samples solved together are the steps one after the other, also where a cell jumps."""
    if noisy and kind is not Stanford_PKU:
        return
    cell = kind(**({"model_switch": 1} if noisy else {}))
    for dt, amplitude in ((cell.loop.frequency**-1 / 300, 1.0), (cell.loop.frequency**-1 / 5, 1.7)):
        generator = torch.Generator().manual_seed(0)
        phase = torch.arange(900, dtype=torch.float64) / 300
        rough = 0.3 * torch.randn(900, generator=generator, dtype=torch.float64)
        volts = amplitude * cell.loop.amplitude * (torch.sin(2 * np.pi * phase) + rough)
        eps = torch.randn(900, generator=generator, dtype=torch.float64) if noisy else None
        start = torch.as_tensor(cell.model.initial, dtype=torch.float64)
        found = in_time.states(cell.model, volts, dt, start, cell.method, eps)
        time = torch.arange(901, dtype=torch.float64) * dt
        trace = cell.model.simulate(
            torch.cat([volts, volts[-1:]]), time, start, cell.method, held=True, eps=eps
        )
        low, high = map(float, cell.model.bounds)
        assert float((found - trace.state).abs().max()) < 1e-10 * (high - low)
        assert float(trace.state.max() - trace.state.min()) > 1e-3 * (high - low)


def test_a_resolution_that_a_plot_cannot_have() -> None:
    with pytest.raises(ValueError, match="time_series_resolution = 1e-08 s: a period of 2e-08 s has fewer"):
        VTEAM(time_series_resolution=1e-8).plot_hysteresis_loop()
    with pytest.raises(ValueError, match="makes 200,000,001 samples .* coarser"):
        Stanford_PKU(time_series_resolution=1e-7).plot_bipolar_switching_behaviour()
    with pytest.raises(ValueError, match="duration = 0"):
        VTEAM().plot_hysteresis_loop(duration=0)
    with pytest.raises(ValueError, match=r"voltage_signal\[1\] = nan"):
        VTEAM().simulate([0.1, float("nan")])


def test_a_curve_is_thinned_and_a_result_is_not() -> None:
    cell = Data_Driven()
    assert len(cell.plot_hysteresis_loop(return_result=True)[0]) == 100_001
    assert 2000 < len(cell.plot_hysteresis_loop().axes[0].lines[0].get_xdata()) <= 4000


def test_a_state_set_is_the_state_read() -> None:
    """MemTorch's linear ion drift mirrors it, and its Stanford-PKU does not move."""
    for kind in KINDS:
        cell = kind()
        wanted = 0.5 / cell.r_on + 0.5 / cell.r_off
        cell.set_conductance(wanted)
        assert cell.g == pytest.approx(wanted, rel=1e-6)
        assert cell.get_resistance() == pytest.approx(1 / wanted, rel=1e-6)


def test_small_voltages_after_many() -> None:
    """The conductance is that of the state, not of the last two samples."""
    cell = Stanford_PKU()
    cell.simulate([1.5] * 10 + [1e-16])
    assert cell.g == pytest.approx(float(cell.model.conductance(cell.state)))
    assert cell.g < 1 / cell.r_on * (1 + 1e-9)


# --- every parameter ----------------------------------------------------------------------------

ALTERED: dict[str, Any] = {
    "x_on": 1e-10,
    "r_p": (2000.0, 100.0),
    "r_n": (500.0, -900.0),
    "model_switch": 1,
    "p": 2,
    "t_p": lambda t: 2 * t,
    "gap_init": lambda gap: 1.1 * gap,
}
PARAMETERS = [(kind, name) for kind in KINDS for name in kind.defaults]


def sample(kind: type[Memristor]) -> float:
    """A time in which a sample of the loop's amplitude moves the cell over a part of its range."""
    return 1e-9 if kind is Stanford_PKU else 1 / kind.loop.frequency / 60


def behaviour(kind: type[Memristor], **parameters: Any) -> Any:
    """Two periods of a sine, and what the cell says of itself; or the error."""
    try:
        cell = kind(**{"time_series_resolution": sample(kind), **parameters})
    except (ValueError, TypeError) as error:
        return type(error)
    volts = kind.loop.amplitude * np.sin(2 * np.pi * np.arange(120) / 60)
    start = cell.g
    return (start, cell.r_on, cell.r_off, cell.g, *cell.simulate(volts, return_current=True))


@pytest.mark.parametrize("kind, name", PARAMETERS, ids=lambda v: v if isinstance(v, str) else v.__name__)
def test_every_parameter_counts(kind: type[Memristor], name: str) -> None:
    value = kind.defaults[name]
    altered = ALTERED[name] if name in ALTERED else 0.9 * value
    altered = altered(value) if callable(altered) else altered
    assert behaviour(kind) != behaviour(kind, **{name: altered})


@pytest.mark.parametrize("kind", KINDS)
def test_the_resolution_counts_and_unknown_names_are_refused(kind: type[Memristor]) -> None:
    assert behaviour(kind) != behaviour(kind, time_series_resolution=0.7 * sample(kind))
    with pytest.raises(TypeError, match="did you mean 'r_off'"):
        kind(r_of=1.0)
    with pytest.raises(ValueError, match="time_series_resolution = 0"):
        kind(time_series_resolution=0)
    with pytest.raises(TypeError, match="time_series_resolution .* give a number of seconds"):
        kind(time_series_resolution=StochasticParameter(loc=1e-9, scale=1e-10))


def test_the_noise_of_stanford_pku() -> None:
    with pytest.raises(ValueError, match="they belong to model_switch=1"):
        Stanford_PKU(T_crit=400.0)
    runs = []
    for parameters in ({}, {"T_crit": 300.0}, {"T_smth": 200.0}, {"delta_g_init": 0.2}):
        torch.manual_seed(0)
        cell = Stanford_PKU(model_switch=1, time_series_resolution=1e-9, **parameters)
        cell.set_conductance(2e-5)
        runs.append(tuple(cell.simulate([1.0] * 20, return_current=True)))
    assert len(set(runs)) == 4


# --- plots --------------------------------------------------------------------------------------


def plotted(method: str, **keywords: Any) -> Any:
    made = getattr(VTEAM(), method)(**keywords)
    if isinstance(made, tuple):
        return made[0].tobytes(), made[1].tobytes()
    axes = made.axes[0]
    return axes.get_yscale(), axes.lines[0].get_xydata().tobytes()


@pytest.mark.parametrize("method", ["plot_hysteresis_loop", "plot_bipolar_switching_behaviour"])
def test_every_keyword_of_the_plots_counts(method: str) -> None:
    altered = {
        "duration": 100e-9,
        "voltage_signal_amplitude": 0.7,
        "voltage_signal_frequency": 30e6,
        "log_scale": method == "plot_hysteresis_loop",
        "return_result": True,
    }
    names = set(inspect.signature(getattr(VTEAM, method)).parameters) - {"self"}
    assert names == set(altered) - ({"duration"} if "bipolar" in method else set())
    plain = plotted(method)
    for name in names:
        assert plotted(method, **{name: altered[name]}) != plain, name


def test_plots_leave_the_cell_as_it_is() -> None:
    cell = VTEAM()
    cell.set_conductance(5e-3)
    volts, current = cell.plot_hysteresis_loop(return_result=True)
    assert cell.g == pytest.approx(5e-3)
    assert volts.shape == current.shape and np.abs(current[np.abs(volts) < 1e-12]).max() < 1e-12
    assert abs(np.trapezoid(current, volts)) > 1e-5  # a loop, not a line


def test_simulate_returns_the_current_if_asked() -> None:
    assert VTEAM().simulate(0.1) is None
    assert VTEAM().simulate(torch.tensor([0.01, 0.01]), return_current=True) == pytest.approx([2e-4, 2e-4])


# --- stochastic parameters ----------------------------------------------------------------------


def drawn(**keywords: Any) -> Any:
    torch.manual_seed(0)
    made = StochasticParameter(**{"loc": 1000.0, "scale": 200.0, "min": 2.0, **keywords})
    return made if isinstance(made, float) else [made() for _ in range(50)]


@pytest.mark.parametrize(
    "altered", [{"loc": 900.0}, {"scale": 100.0}, {"min": 950.0}, {"max": 1050.0}, {"function": False}]
)
def test_every_keyword_of_a_stochastic_parameter_counts(altered: dict[str, Any]) -> None:
    assert drawn(**altered) != drawn()


def test_other_distributions() -> None:
    torch.manual_seed(0)
    parameter = StochasticParameter(distribution=Uniform, low=0.0, high=2.0, min=1.0)
    values = [parameter() for _ in range(200)]
    assert min(values) >= 1 and max(values) <= 2 and len(set(values)) == 200  # truncated, not clamped


def test_spellings_and_places() -> None:
    from mho.compat.memtorch.bh.StochasticParameter import StochasticParameter as direct

    assert memtorch.bh.StochaticParameter is direct and direct.StochasticParameter is direct


def test_stochastic_memristors() -> None:
    torch.manual_seed(0)
    parameters = {
        "r_off": StochasticParameter(loc=1000, scale=200, min=2),
        "r_on": StochasticParameter(loc=500, scale=150, min=1),
    }
    cells = [VTEAM(**parameters) for _ in range(100)]
    assert all(cell.r_on < cell.r_off for cell in cells) and len({cell.r_off for cell in cells}) == 100


def test_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(ValueError, match=r"r_on = 5000 ohm must be below r_off = 1000 ohm .* swap"):
        VTEAM(r_off=StochasticParameter(loc=1000, scale=200), r_on=StochasticParameter(loc=5000, scale=1000))
    with pytest.raises(ValueError, match="did you swap"):
        VTEAM(r_off=100.0, r_on=500.0)


# --- programming --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_naive_program_reaches_the_conductance(kind: type[Memristor]) -> None:
    cell = kind()
    low, high = float(cell.model.g_min), float(cell.model.g_max)
    wanted = low + 0.4 * (high - low)
    pulses = memtorch.bh.crossbar.naive_program(cell, wanted, rel_tol=0.02)
    assert pulses > 0 and float(cell.model.conductance(cell.state)) == pytest.approx(wanted, rel=0.02)


def test_every_keyword_of_naive_program_counts() -> None:
    altered = {
        "rel_tol": 0.02,
        "pulse_duration": 1e-9,
        "pos_voltage_level": 0.03,  # half of it leaves the neighbours alone
        "neg_voltage_level": -0.5,
        "failure_iteration_threshold": 7,
        "simulate_neighbours": False,
        "refactory_period": 1.0,
        "timeout": 1.0,
        "force_adjustment": 0.1,
        "force_adjustment_rel_tol": 0.1,
        "force_adjustment_pos_voltage_threshold": 1.0,
        "force_adjustment_neg_voltage_threshold": -1.0,
        "anything": 1,
    }
    named = {
        name for name, p in inspect.signature(write_verify).parameters.items() if p.kind is p.KEYWORD_ONLY
    }
    assert named <= set(altered)
    model = VTEAM().model
    for name, value in altered.items():
        if name in named:
            assert write_verify(model, False, **{name: value}) != write_verify(model, False), name
        else:
            with pytest.raises(TypeError, match=name):
                write_verify(model, False, **{name: value})
    with pytest.raises(ValueError, match="give volts of that sign"):
        write_verify(model, False, neg_voltage_level=0.5)
    with pytest.raises((ValueError, ConfigError), match="does not move"):
        write_verify(model, False, pos_voltage_level=0.01)


def test_every_argument_of_a_programming_signal_counts() -> None:
    base = {
        "number_of_pulses": 3, "pulse_duration": 4e-9, "refactory_period": 2e-9, "voltage_level": 0.5,
        "time_series_resolution": 1e-9,
    }  # fmt: skip
    generate = memtorch.bh.crossbar.gen_programming_signal
    assert set(inspect.signature(generate).parameters) == set(base)
    time, voltage = generate(**base)
    assert voltage.tolist() == ([0.5] * 4 + [0.0] * 2) * 3
    assert torch.allclose(time, torch.arange(18, dtype=torch.float64) * 1e-9)
    for name, value in base.items():
        changed = generate(**{**base, name: 2 * value})
        same = [
            a.shape == b.shape and torch.equal(a, b) for a, b in zip(changed, (time, voltage), strict=True)
        ]
        assert not all(same), name
    with pytest.raises(ValueError, match="one pulse at least"):
        generate(**{**base, "number_of_pulses": 0})
