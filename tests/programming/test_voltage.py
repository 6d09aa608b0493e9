"""Voltage pulses on switching models: counts and energies against closed forms, disturbance, edges."""

from __future__ import annotations

import pytest
import torch

from mho.array import Floating, Grounded, HalfVoltage, ThirdVoltage
from mho.devices import PCM, Generic, Independent, Proportional, Switching
from mho.devices.dynamics import VTEAM, LinearIonDrift, StanfordPKU, SwitchingModel, Yakopcic
from mho.errors import ConfigError
from mho.hardware import Hardware
from mho.programming import Correction, Train, VoltagePulses, WriteVerify, write_verify
from mho.programming.voltage import _Chance, fire

UP, DOWN = Train(voltage=-0.3, width=1e-10), Train(voltage=0.1, width=1e-8)  # for VTEAM
BISECT = VoltagePulses(up=UP, down=DOWN)
CELL = Switching()
CASES: list[tuple[SwitchingModel, VoltagePulses]] = [
    (VTEAM(), BISECT),
    (
        LinearIonDrift(),
        VoltagePulses(up=Train(voltage=1.0, width=1e-3), down=Train(voltage=-1.0, width=1e-6)),
    ),
    (Yakopcic(), VoltagePulses(up=Train(voltage=0.45, width=1e-5), down=Train(voltage=-0.45, width=1e-5))),
    (StanfordPKU(), VoltagePulses(up=Train(voltage=1.5, width=1e-10), down=Train(voltage=-1.5, width=1e-10))),
]


def targets(
    device: Switching = CELL, shape: tuple[int, ...] = (1, 1, 20, 30), dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    unit = torch.rand(shape, generator=generator, dtype=dtype)
    return device.g_min + (device.g_max - device.g_min) * unit


def close(a: torch.Tensor, b: torch.Tensor, rtol: float = 1e-9) -> None:
    torch.testing.assert_close(a, b, rtol=rtol, atol=0)


@pytest.mark.parametrize(("model", "pulse"), CASES, ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_model_is_brought_to_its_targets(model, pulse, dtype: torch.dtype) -> None:
    device = Switching(model=model)
    g = targets(device, dtype=dtype)
    done = WriteVerify(pulse=pulse, max_pulses=120).write(device, g, 0)
    assert not done.failed.any() and done.g.dtype == dtype
    assert float((done.g - g).abs().max()) <= 0.01 * device.g_max
    held = model.conductance(model.state_of(done.g))  # each conductance is that of a state
    close(held, done.g, 1e-4 if dtype == torch.float32 else 1e-6)


def test_number_of_pulses_is_that_of_the_closed_form() -> None:
    """Linear ion drift from x = 0: R^2 falls by 2 (r_off - r_on) k V dt with each pulse, and the cell stops
    at the first conductance within the tolerance."""
    model = LinearIonDrift(x_init=0.0)
    device, dt = Switching(model=model), 1e-3
    pulse = VoltagePulses(
        up=Train(voltage=1.0, width=dt), down=Train(voltage=-1.0, width=dt), growth=1.0, shrink=1.0
    )
    g = torch.linspace(1.5e-4, 6e-4, 50, dtype=torch.float64).reshape(1, 1, 5, 10)
    verify = WriteVerify(pulse=pulse, tolerance=0.05, relative=True, max_pulses=2000, read_time=0.0)
    done = verify.write(device, g, 0)
    fall = 2 * (model.r_off - model.r_on) * model.mobility * model.r_on / model.thickness**2 * dt
    wanted = torch.ceil((model.r_off**2 - 1 / (0.95 * g) ** 2) / fall)
    assert torch.equal(done.pulses.double(), wanted) and int(wanted.min()) > 100
    assert not done.failed.any()
    close(1 / done.g**2, model.r_off**2 - wanted * fall, 1e-6)
    close(done.seconds, wanted * dt)


def test_number_of_pulses_of_vteam_with_an_increment() -> None:
    """Positions fall by k_on dt sum (V_n / v_on - 1)^3, V_n growing by the increment."""
    model = VTEAM()
    start = Switching(model=model)
    up = Train(voltage=-0.25, width=1e-12, increment=0.002)
    pulse = VoltagePulses(up=up, down=Train(voltage=0.1, width=3e-6), growth=1.0, shrink=1.0)
    g = torch.full((1, 1, 1, 1), 5e-3, dtype=torch.float64)
    done = WriteVerify(pulse=pulse, tolerance=0.1, relative=True, max_pulses=300).write(start, g, 0)
    # one long pulse down to r_off, then pulses up to the first conductance of at least 0.9 g
    x, x_goal, n = model.x_off, float(model.state_of(0.9 * g)), 1
    while x > x_goal:
        x += model.k_on * 1e-12 * ((-0.25 - 0.002 * n) / model.v_on - 1) ** 3
        n += 1
    x_end = float(model.state_of(done.g))
    assert int(done.pulses) == n and n > 100 and x_end == pytest.approx(x, rel=1e-9)


def test_energy_is_the_integral_of_voltage_times_current() -> None:
    """Against a fine simulation of the same pulse, and the logarithm that a linear resistance gives."""
    model = VTEAM()
    state = torch.linspace(0.5e-9, 2.5e-9, 5, dtype=torch.float64)
    width = torch.full_like(state, 2e-10)
    end, energy = fire(model, state, -0.3, width)
    time = torch.linspace(0, 2e-10, 2001, dtype=torch.float64)
    trace = model.simulate(torch.full_like(time, -0.3), time, state, held=True)
    power = trace.voltage[:, None] * trace.current
    close(energy, torch.trapezoid(power, time, dim=0), 1e-4)
    close(end, trace.state[-1])
    r0, r1 = model.resistance(state), model.resistance(end)
    close(energy, 0.09 * 2e-10 * (r0 / r1).log() / (r0 - r1), 1e-4)


def test_all_energy_of_one_train() -> None:
    """Constant pulses on a falling resistance: the sum over pulses is the integral of V^2 / R."""
    model = LinearIonDrift(x_init=0.0)
    pulse = VoltagePulses(
        up=Train(voltage=1.0, width=1e-3), down=Train(voltage=-1.0, width=1e-3), growth=1.0, shrink=1.0
    )
    verify = WriteVerify(pulse=pulse, tolerance=0.05, relative=True, max_pulses=2000, read_time=0.0)
    done = verify.write(Switching(model=model), torch.full((1, 1, 1, 1), 3e-4, dtype=torch.float64), 0)
    fall = 2 * (model.r_off - model.r_on) * model.mobility * model.r_on / model.thickness**2  # of R^2, per s
    close(done.energy, 2 * (model.r_off - 1 / done.g) / fall, 1e-6)  # of 1 / sqrt(r_off^2 - fall t) dt


def test_tighter_tolerance_takes_more_pulses() -> None:
    pulses = [
        float(WriteVerify(pulse=BISECT, tolerance=t).write(CELL, targets(), 0).pulses.double().mean())
        for t in (0.1, 0.03, 0.01, 0.003)
    ]
    assert pulses == sorted(set(pulses))


def test_variation_from_pulse_to_pulse_changes_the_way_not_the_end() -> None:
    varied = VoltagePulses(up=UP, down=DOWN, spread=0.3)
    one = WriteVerify(pulse=varied).write(CELL, targets(), 0)
    assert not one.failed.any()
    assert torch.equal(one.g, WriteVerify(pulse=varied).write(CELL, targets(), 0).g)
    assert not torch.equal(one.g, WriteVerify(pulse=varied).write(CELL, targets(), 1).g)
    assert not torch.equal(one.g, WriteVerify(pulse=BISECT).write(CELL, targets(), 0).g)


def test_read_noise_widens_the_error() -> None:
    noisy = WriteVerify(pulse=BISECT, read_noise=0.02).write(CELL, targets(), 0)
    assert float(((noisy.g - targets()).abs() > 0.01 * CELL.g_max).double().mean()) > 0.2
    own = Switching(read=Independent(sigma=0.02))
    assert torch.equal(noisy.g, WriteVerify(pulse=BISECT).write(own, targets(), 0).g)
    silent = Switching(read=Proportional(sigma=0.02), read_scale=0.0)
    assert not silent.read_std(targets(), targets(), 0.0).any()


def test_ends_of_the_range_and_beyond() -> None:
    g = torch.tensor([[[[CELL.g_max, CELL.g_min, 2 * CELL.g_max, 0.0]]]], dtype=torch.float64)
    tight = WriteVerify(pulse=BISECT, tolerance=1e-4, max_pulses=30)
    done = tight.write(CELL, g, 0)
    assert done.failed.flatten().tolist() == [False, False, True, True]
    assert done.pulses.flatten().tolist()[2:] == [30, 30] and int(done.pulses[..., 0]) == 0
    assert bool(done.g.isfinite().all()) and bool(done.seconds.isfinite().all())
    close(done.g[..., 2:].flatten(), torch.tensor([CELL.g_max, CELL.g_min], dtype=torch.float64))


def test_a_model_that_stops_short_fails_and_ends() -> None:
    """Below the threshold after all: an increment too small to get there in max_pulses."""
    weak = VoltagePulses(up=UP, down=Train(voltage=0.01, width=1e-8, increment=1e-4))
    done = WriteVerify(pulse=weak, max_pulses=20).write(CELL, targets(), 0)
    assert done.failed.any() and int(done.pulses.max()) == 20
    assert float(done.g.min()) == pytest.approx(CELL.g_max)


@pytest.mark.parametrize("shape", [(1, 1, 1, 7), (2, 1, 5, 1), (1, 1, 0, 4), (1, 1, 1, 1)])
@pytest.mark.parametrize("scheme", [None, HalfVoltage()])
def test_edges_of_shape(shape: tuple[int, ...], scheme) -> None:
    pulse = VoltagePulses(up=UP, down=DOWN, scheme=scheme)
    done = WriteVerify(pulse=pulse).write(CELL, torch.full(shape, 5e-3), 0)
    assert all(v.shape == shape for v in vars(done).values())


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    verify = WriteVerify(pulse=VoltagePulses(up=UP, down=DOWN, spread=0.1), read_noise=0.002)
    whole = verify.write(CELL, targets(), 0)
    monkeypatch.setattr(write_verify, "_CHUNK", 77)
    cut = verify.write(CELL, targets(), 0)
    assert all(torch.equal(a, b) for a, b in zip(vars(whole).values(), vars(cut).values(), strict=True))


# --- arrays without transistors --------------------------------------------------------------


def one_by_one(
    model: SwitchingModel, scheme, state: torch.Tensor, volts: float, width: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The plain loop: cell after cell is pulsed, and every cell of the array feels it."""
    word, bit = scheme.unselected(volts)
    state, heat = state.clone(), torch.zeros_like(state)
    rows, columns = state.shape
    for r in range(rows):
        for c in range(columns):
            v = torch.full_like(state, word - bit)
            v[r, :], v[:, c], v[r, c] = volts - bit, word, volts
            if width[r, c] == 0:
                continue
            time = torch.linspace(0, float(width[r, c]), 33, dtype=state.dtype)
            trace = model.simulate(v.expand(33, rows, columns), time, state, held=True)
            heat += torch.trapezoid(v * trace.current, time, dim=0)
            state = trace.state[-1]
    return state, heat


@pytest.mark.parametrize("scheme", [HalfVoltage(), ThirdVoltage(), Grounded()])
@pytest.mark.parametrize(
    ("model", "volts", "width"),
    [(VTEAM(), -0.8, 1e-13), (VTEAM(), 0.1, 1e-8), (LinearIonDrift(), 1.0, 1e-3), (Yakopcic(), 0.6, 1e-5)],
    ids=["vteam up", "vteam down", "drift", "yakopcic"],
)
def test_one_round_is_that_of_a_loop_over_single_pulses(scheme, model, volts: float, width: float) -> None:
    generator = torch.Generator().manual_seed(1)
    low, high = (float(b) for b in model.bounds)
    shape = (4, 5)
    state = low + (high - low) * (0.3 + 0.4 * torch.rand(shape, generator=generator, dtype=torch.float64))
    widths = width * torch.rand(shape, generator=generator, dtype=torch.float64)
    widths[1, 2] = widths[3] = 0.0
    train = Train(voltage=-volts, width=width)
    pulse = VoltagePulses(up=Train(voltage=volts, width=width), down=train, scheme=scheme)
    moved, off, heat = pulse._in_array(
        model, state, torch.zeros_like(state), volts, widths, _Chance(1.0, lambda *names: torch.ones(shape))
    )
    assert not bool(off.any())  # pulses on these models do not scatter
    wanted, energy = one_by_one(model, scheme, state, volts, widths)
    span = high - low
    assert float((wanted - state).abs().max()) > 1e-4 * span
    # unselected cells of ThirdVoltage feel the opposite voltage, whose order with the others is simplified
    tolerance = 1e-3 if isinstance(scheme, ThirdVoltage) else 1e-6
    assert float((moved - wanted).abs().max()) < tolerance * span
    torch.testing.assert_close(heat, energy, rtol=1e-2, atol=0)


def test_half_selected_cells_stay_below_the_threshold() -> None:
    """V / 2 below both thresholds disturbs nothing: the result is that with transistors, but for the heat."""
    calm = {"up": Train(voltage=-0.3, width=1e-10), "down": Train(voltage=0.03, width=1e-8)}
    alone = WriteVerify(pulse=VoltagePulses(**calm), read_time=0.0).write(CELL, targets(), 0)
    passive = VoltagePulses(**calm, scheme=HalfVoltage())
    array = WriteVerify(pulse=passive, read_time=0.0).write(CELL, targets(), 0)
    close(array.g, alone.g)
    assert torch.equal(array.pulses, alone.pulses) and torch.equal(array.failed, alone.failed)
    assert float(array.energy.sum()) > 2 * float(alone.energy.sum())  # 18 and 28 neighbours at (V / 2)^2


def test_neighbours_above_the_threshold_are_disturbed() -> None:
    """Up at -0.5 V: V / 2 moves the other cells towards high conductance, and more than V / 3."""
    trains = {"up": Train(voltage=-0.5, width=1e-13), "down": Train(voltage=0.03, width=1e-8)}
    g = targets(shape=(1, 1, 8, 8))
    alone, third, half = (
        WriteVerify(pulse=VoltagePulses(**trains, scheme=scheme), max_pulses=60).write(CELL, g, 0)
        for scheme in (None, ThirdVoltage(), HalfVoltage())
    )
    # V / 3 leaves -V / 3 on the cells of neither line, a little above the low threshold of VTEAM's RESET
    assert alone.pulses.sum() < third.pulses.sum() < half.pulses.sum()
    assert not alone.failed.any() and not third.failed.any()
    assert torch.equal((half.g - g).abs() > 0.01 * CELL.g_max, half.failed)


# --- bad input -------------------------------------------------------------------------------


def test_trains_that_do_not_fit() -> None:
    swapped = WriteVerify(pulse=VoltagePulses(up=DOWN, down=UP))
    with pytest.raises(ConfigError, match=r"up\.voltage = 0\.1 V does not raise .* swap the signs"):
        Hardware(device=CELL, programming=swapped)
    low = WriteVerify(pulse=VoltagePulses(up=UP, down=Train(voltage=0.01, width=1e-8)))
    with pytest.raises(ConfigError, match=r"down\.voltage = 0\.01 V does not move VTEAM"):
        Hardware(device=CELL, programming=low)
    with pytest.raises(ConfigError, match="opposite signs"):
        VoltagePulses(up=UP, down=UP)
    with pytest.raises(ConfigError, match="floating"):
        VoltagePulses(up=UP, down=DOWN, scheme=Floating())
    with pytest.raises(ConfigError, match="moves nothing"):
        Train(voltage=0.0, width=1e-8)
    for values in ({"growth": 0.5}, {"shrink": 0.0}, {"shrink": 1.5}, {"spread": -0.1}):
        with pytest.raises(ConfigError, match=next(iter(values))):
            VoltagePulses(up=UP, down=DOWN, **values)


@pytest.mark.parametrize("device", [PCM(), Generic()])
def test_voltage_pulses_need_a_switching_model(device) -> None:
    with pytest.raises(ConfigError, match=r"Switching\(model="):
        Hardware(device=device, programming=WriteVerify(pulse=BISECT))
    assert Hardware(device=device, programming=WriteVerify(pulse=Correction())).programming.max_pulses == 50


def test_cells_of_a_device_are_alike() -> None:
    with pytest.raises(ConfigError, match="differ by cell"):
        Switching(model=VTEAM().with_values(r_off=torch.tensor([900.0, 1000.0])))
