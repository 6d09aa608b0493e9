"""What every switching model must do. A model without an example here fails the first test."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from mho import config
from mho.devices import dynamics
from mho.devices.dynamics import (
    JART,
    VTEAM,
    Adaptive,
    Biolek,
    DataDriven2018,
    DataDriven2021,
    Euler,
    ExponentialResistance,
    Implicit,
    Joglekar,
    Kvatinsky,
    LinearIonDrift,
    LinearStep,
    Prodromakis,
    Schottky,
    StanfordPKU,
    SwitchingModel,
    Trace,
    Yakopcic,
    sine,
    triangle,
)

# model, amplitude (V) and frequency (Hz) that switch it
EXAMPLES: list[tuple[SwitchingModel, float, float]] = [
    (LinearIonDrift(), 1.0, 1.0),
    (LinearIonDrift(window=Joglekar(p=2)), 1.0, 1.0),
    (LinearIonDrift(window=Prodromakis(p=2.0), v_set=0.1), 1.0, 1.0),
    (VTEAM(), 1.0, 50e6),
    (VTEAM(window=Biolek(), law=ExponentialResistance()), 1.0, 50e6),
    (VTEAM(window=Kvatinsky()), 1.0, 50e6),
    (Yakopcic(), 0.45, 100.0),
    (Schottky(), 0.45, 100.0),
    (Schottky(gamma=-2.0, power=2.0, a_2=0.1), 0.45, 100.0),
    (LinearStep(), 1.0, 1e5),
    (LinearStep(slope_up=-0.02, slope_down=0.0), 1.0, 1e5),
    (LinearStep(v_up=-0.5, v_down=0.5), 1.0, 1e5),
    (StanfordPKU(), 1.5, 1e5),
    (DataDriven2018(), 1.5, 1e4),
    (DataDriven2021(), 1.5, 1e5),
]
# One root search per velocity: its waveforms, with fewer samples, are in test_jart.py.
SLOW: list[SwitchingModel] = [JART()]
MODELS = [*(model for model, _, _ in EXAMPLES), *SLOW]


def name(value: object) -> str:
    window = getattr(value, "window", None)
    return type(value).__name__ + (f"-{type(window).__name__}" if window else "")


def example_name(value: object) -> str:
    return "" if isinstance(value, float) else name(value)


each_model = pytest.mark.parametrize("model", MODELS, ids=name)
each_example = pytest.mark.parametrize("model, amplitude, frequency", EXAMPLES, ids=example_name)


def states(model: SwitchingModel, count: int = 7, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    low, high = model.bounds
    return torch.linspace(float(low), float(high), count, dtype=torch.float64).to(dtype)


def middle(model: SwitchingModel) -> torch.Tensor:
    return states(model, 5)[1:-1]


def direction_of_set(model: SwitchingModel) -> float:
    """Sign of the voltage that raises the conductance."""
    x = middle(model)
    rate = model.rate(x, torch.full_like(x, 1.0))
    g = model.conductance(states(model))
    return math.copysign(1.0, float(rate.sum() * (g[-1] - g[0])))


def test_every_model_has_an_example() -> None:
    kinds = config.kinds(SwitchingModel).values()
    assert {type(model) for model in MODELS} == {k for k in kinds if k.__module__.startswith("mho.")}
    assert all(getattr(dynamics, k.__name__) is k for k in kinds if k.__module__.startswith("mho."))


@each_model
def test_json_round_trip(model: SwitchingModel) -> None:
    assert config.from_json(config.to_json(model)) == model


@each_model
def test_conductance_and_its_inverse(model: SwitchingModel) -> None:
    x = states(model)
    g = model.conductance(x)
    steps = g.diff()
    assert bool((steps > 0).all() or (steps < 0).all())
    assert float(g.min()) == pytest.approx(float(model.g_min))
    assert float(g.max()) == pytest.approx(float(model.g_max))
    span = float(x[-1] - x[0])
    torch.testing.assert_close(model.state_of(g), x, rtol=0, atol=1e-9 * span)
    with pytest.raises(ValueError, match=r"conductance = .* outside .*clamp"):
        model.state_of(g.max() * 1.01)
    with pytest.raises(ValueError, match="conductance = nan"):
        model.state_of(g * math.nan)


@each_model
def test_no_current_and_no_motion_at_zero_volts(model: SwitchingModel) -> None:
    x = states(model)
    zero = torch.zeros_like(x)
    assert bool((model.current(zero, x) == 0).all())
    assert bool((model.rate(x, zero) == 0).all())


@each_example
def test_loop_is_pinched_and_inside_the_bounds(
    model: SwitchingModel, amplitude: float, frequency: float
) -> None:
    trace = model.simulate(*triangle(amplitude, frequency, 2, 80))
    low, high = model.bounds
    assert bool(((trace.state >= low) & (trace.state <= high)).all())
    assert bool((trace.current[trace.voltage == 0] == 0).all())
    assert float(trace.state.max() - trace.state.min()) > 1e-3 * (high - low)  # it does switch
    loop = abs(float(torch.trapezoid(trace.current[80:], trace.voltage[80:])))
    assert loop > 0


@each_example
def test_loop_closes_at_high_frequency(model: SwitchingModel, amplitude: float, frequency: float) -> None:
    def spread(f: float) -> float:
        x = model.simulate(*triangle(amplitude, f, 1, 40), middle(model)).state
        return float((x.amax(0) - x.amin(0)).max())

    assert spread(1e9 * frequency) < 0.01 * spread(frequency)


@each_model
def test_set_raises_and_reset_lowers_the_conductance(model: SwitchingModel) -> None:
    sign = direction_of_set(model)
    for polarity in (1, -1):
        x = middle(model)
        g = [model.conductance(x)]
        for _ in range(3):
            x = model.step(x, polarity * sign * 1.0, 1e-12)
            g.append(model.conductance(x))
        change = torch.stack(g).diff(dim=0) * polarity
        assert bool((change >= 0).all())


@each_example
def test_float32_agrees_with_float64(model: SwitchingModel, amplitude: float, frequency: float) -> None:
    def run(dtype: torch.dtype) -> Trace:
        return model.simulate(*sine(amplitude, frequency, 1, 60, dtype))

    single, double = run(torch.float32), run(torch.float64)
    for field in ("current", "state", "conductance"):
        assert getattr(single, field).dtype is torch.float32
    low, high = model.bounds
    gap = (single.state.double() - double.state).abs().max() / (high - low)
    assert float(gap) < 1e-4


@each_example
def test_any_shape_and_any_chunk_give_the_same_cells(
    model: SwitchingModel, amplitude: float, frequency: float
) -> None:
    """Up to rounding: exponentials at the end of a vector are computed by other code than those within."""
    voltage, time = sine(amplitude, frequency, 1, 6)
    start = states(model, 6)
    scale = torch.tensor([0.8, 1.0], dtype=torch.float64)[:, None]
    whole = model.simulate(voltage[:, None, None] * scale, time, start)
    assert whole.state.shape == whole.current.shape == (7, 2, 6)
    for chunk in (1, 5):
        parts = model.simulate(voltage[:, None, None] * scale, time, start, chunk=chunk)
        torch.testing.assert_close(parts.state, whole.state, rtol=2e-12, atol=0)
    one = model.simulate(voltage, time, start[3])
    assert one.state.shape == (7,)
    torch.testing.assert_close(one.state, whole.state[:, 1, 3], rtol=2e-12, atol=0)
    none = model.simulate(voltage, time, start[:0])
    assert none.state.shape == (7, 0)


@each_example
def test_thinned_trace(model: SwitchingModel, amplitude: float, frequency: float) -> None:
    wave = sine(amplitude, frequency, 1, 30)
    whole, some = model.simulate(*wave), model.simulate(*wave, every=7)
    kept = [0, 7, 14, 21, 28, 30]
    for field in ("time", "voltage", "current", "state", "conductance"):
        torch.testing.assert_close(getattr(some, field), getattr(whole, field)[kept], rtol=1e-14, atol=0)
    assert len(model.simulate(*wave, every=31).time) == 2


@each_model
def test_closed_form_agrees_with_the_integrators(model: SwitchingModel) -> None:
    if not model.has_exact:
        with pytest.raises(TypeError, match="no closed-form step"):
            model.exact(middle(model), torch.tensor(0.1), 1.0)
        return
    low, high = model.bounds
    for volts in (0.4, 1.0, -0.4, -1.0):
        x = middle(model)
        speed = float(model.rate(x, torch.full_like(x, volts)).abs().max())
        dt = 0.2 * float(high - low) / speed if speed else 1.0
        exact = model.step(x, volts, dt)
        for method in (Adaptive(tolerance=1e-8), Implicit(tolerance=1e-6)):
            torch.testing.assert_close(
                model.step(x, volts, dt, method), exact, rtol=0, atol=1e-4 * float(high - low)
            )


@pytest.mark.parametrize(
    "model, amplitude", [*((m, a) for m, a, _ in EXAMPLES), (JART(), 1.0)], ids=example_name
)
def test_gradients(model: SwitchingModel, amplitude: float) -> None:
    low, high = (float(b) for b in model.bounds)
    unit = torch.tensor([0.34, 0.61], dtype=torch.float64, requires_grad=True)  # not on a kink
    volts = torch.tensor([0.95 * amplitude, -0.95 * amplitude], dtype=torch.float64, requires_grad=True)
    speed = model.rate(low + (high - low) * unit.detach(), volts.detach()).abs().max()
    dt = 0.1 * (high - low) / float(speed)

    def through(method: dynamics.Method) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        return lambda u, v: (model.step(low + (high - low) * u, v, dt, method) - low) / (high - low)

    exact = dynamics.Exact() if model.has_exact else Euler()
    # A tolerance that no step misses: the chosen step lengths count as constants. Implicit() uses difference
    # quotients, whose rounding shows in the numerical gradient.
    for method, atol in ((exact, 1e-5), (Adaptive(tolerance=1e9), 1e-5), (Implicit(tolerance=1e9), 1e-3)):
        assert torch.autograd.gradcheck(through(method), (unit, volts), atol=atol, rtol=1e-4)
    scale = float(model.current(volts, low + (high - low) * unit).detach().abs().max())

    def current(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return model.current(v, low + (high - low) * u) / scale

    assert torch.autograd.gradcheck(current, (unit, volts), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("model", [model for model in MODELS if model not in SLOW], ids=name)
def test_one_pulse_compiles_whole(model: SwitchingModel) -> None:
    torch._dynamo.reset()  # else the eighth model meets the limit of recompilations of `step`
    method = dynamics.Exact() if model.has_exact else Euler()
    x = middle(model)

    def pulse(state: torch.Tensor, volts: torch.Tensor) -> torch.Tensor:
        return model.step(state, volts, 1e-10, method)

    compiled = torch.compile(pulse, fullgraph=True, backend="eager")
    volts = torch.full_like(x, 0.5)
    torch.testing.assert_close(compiled(x, volts), pulse(x, volts))


@each_model
def test_parameters_by_cell(model: SwitchingModel) -> None:
    """Every number may be a tensor: cell 0 as it was, cell 1 with all of them a little larger."""
    numbers = {k: v for k, v in vars(model).items() if isinstance(v, float) and v != 0}
    two = {k: torch.tensor([v, 1.01 * v], dtype=torch.float64) for k, v in numbers.items()}
    mixed = model.with_values(**two)
    alone = [model, model.replaced(**{k: float(v[1]) for k, v in two.items()})]
    assert mixed.cells == (2,)
    x = middle(model)[:2]
    for volts in (0.9, -0.9):
        v = torch.tensor(volts, dtype=torch.float64)
        for f in (
            lambda m, y, u=v: m.rate(y, u),
            lambda m, y, u=v: m.current(u, y),
            lambda m, y: m.conductance(y),
        ):
            expected = torch.stack([f(m, x[n]) for n, m in enumerate(alone)])
            torch.testing.assert_close(f(mixed, x), expected, rtol=1e-9, atol=0)
    ends = mixed.step(x, 0.9, 1e-12)
    torch.testing.assert_close(ends, torch.stack([m.step(x[n], 0.9, 1e-12) for n, m in enumerate(alone)]))
    g = mixed.conductance(x)
    torch.testing.assert_close(mixed.state_of(g), x, rtol=1e-9, atol=0)
    trace = mixed.simulate(torch.tensor([0.1, 0.2]).double(), torch.tensor([0.0, 1e-12]).double(), chunk=1)
    assert trace.state.shape == (2, 2)
