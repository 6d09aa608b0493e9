"""Counted pulses: the law's number of them, the scatter that was measured, and no read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

import mho
from mho.devices import (
    PCM,
    ConstantNu,
    Drifting,
    Generic,
    Proportional,
    PulseTrain,
    Retention,
    Switching,
    Temperature,
    Worn,
    fit,
)
from mho.devices.dynamics import VTEAM, LinearStep
from mho.programming import CountedPulses, SingleShot, Train, suited_pulses

MODEL = LinearStep(step_up=0.4e-6, slope_up=0.03, noise_up=0.3e-6, memory_up=0.6)
TRAIN = Train(voltage=0.5, width=1e-6)


def targets(count, low=1.5e-6, high=8e-6):
    return torch.linspace(low, high, count, dtype=torch.float64).reshape(1, 1, 1, count)


def test_the_count_is_that_of_the_law() -> None:
    cell = Switching(model=MODEL, program_scale=0.0)
    done = CountedPulses(train=TRAIN).write(cell, targets(200), seed=0)
    law = MODEL.simulate(
        torch.full((101,), 0.5, dtype=torch.float64), 1e-6 * torch.arange(101).double(), held=True, seed=None
    ).state
    torch.testing.assert_close(done.g, law[done.pulses.long()], rtol=1e-9, atol=0)
    nearest = (law[None] - targets(200).reshape(-1, 1)).abs().argmin(1)
    assert torch.equal(done.pulses.reshape(-1).long(), nearest)
    assert not bool(done.failed.any())
    torch.testing.assert_close(done.seconds, 1e-6 * done.pulses.double())
    assert float(done.energy.min()) > 0


def test_a_train_that_lowers_begins_at_the_top() -> None:
    cell = Switching(model=LinearStep(step_down=0.5e-6, slope_down=0.0))
    down = CountedPulses(train=Train(voltage=-0.5, width=1e-6)).write(
        cell, targets(5, 9.5e-6, 9.6e-6), seed=0
    )
    assert down.pulses.reshape(-1).tolist() == [1] * 5
    torch.testing.assert_close(down.g, torch.full_like(down.g, 9.5e-6))


def test_the_scatter_is_that_of_the_pulses() -> None:
    """After many pulses the deviations are normal, with the long-run standard deviation of the model."""
    cell = Switching(model=MODEL)
    goal = torch.full((1, 1, 50, 50), 7e-6, dtype=torch.float64)
    done = CountedPulses(train=TRAIN).write(cell, goal, seed=3)
    law = CountedPulses(train=TRAIN).write(Switching(model=MODEL, program_scale=0.0), goal, seed=3)
    off = ((done.g - law.g) / 0.3e-6).reshape(-1).numpy()
    assert stats.kstest(off, "norm").pvalue > 1e-3
    again = CountedPulses(train=TRAIN).write(cell, goal, seed=3)
    assert torch.equal(again.g, done.g)


def test_other_models_too() -> None:
    model = VTEAM(r_on=1e4, r_off=1e6, v_read=0.2)
    up = suited_pulses(model).up
    goal = targets(40, 2e-6, 90e-6)
    train = Train(voltage=up.voltage, width=up.width / 2000)  # the conductance runs away at its end
    done = CountedPulses(train=train, most=10**6).write(Switching(model=model), goal, seed=0)
    few = CountedPulses(train=train, most=1000).write(Switching(model=model), goal, seed=0)
    assert bool(few.failed[..., 1:].all()) and not bool(done.failed.any())
    assert float((done.g / goal - 1).abs().max()) < 0.05


def test_who_cannot_be_counted() -> None:
    with pytest.raises(
        ValueError, match=r"PCM has no state that a voltage moves; use device=devices.Switching"
    ):
        mho.Hardware(device=PCM(), programming=CountedPulses(train=TRAIN))
    weak = CountedPulses(train=Train(voltage=0.1, width=1e-6))
    with pytest.raises(ValueError, match=r"train.voltage = 0.1 V does not move LinearStep"):
        mho.Hardware(device=Switching(model=MODEL), programming=weak)
    with pytest.raises(ValueError, match=r"train.increment = 0.1: counted pulses are identical"):
        CountedPulses(train=Train(voltage=0.5, width=1e-6, increment=0.1))


# --- hardware of fits ----------------------------------------------------------------------------

PULSES = np.arange(80.0)


def pulse_train(seed=0, noise=0.4e-6):
    p = PULSES / PULSES[-1]
    law = 5e-6 + 40e-6 * np.expm1(-1.5 * p) / np.expm1(-1.5)
    return {"conductance_S": law + noise * np.random.default_rng(seed).normal(size=80)}


def retention(nu=0.05, g=30e-6, noise=0.02):
    rng, time = np.random.default_rng(1), np.geomspace(20.0, 1e5, 12)
    cells = [g * (time / 20) ** -n * np.exp(noise * rng.normal(size=12)) for n in rng.normal(nu, 0.01, 20)]
    return {"time_s": time, **{f"c{k}_S": cell for k, cell in enumerate(cells)}}


def test_cells_of_a_fitted_train_scatter_as_measured() -> None:
    made = fit(pulse_train(), PulseTrain())
    chip = made.hardware()
    layer = torch.nn.Linear(60, 60, bias=False)
    analog = mho.convert(torch.nn.Sequential(layer), chip).eval()
    mho.program(analog, seed=0)
    g = torch.cat([x.flatten() for x in mho.conductances(analog).values()])
    written = g[g > 10e-6]  # the others are at the low end, where pairs have nothing to write
    law = CountedPulses.write(
        chip.programming,
        Switching(model=chip.device.model, program_scale=0.0),
        written.double().reshape(1, 1, 1, -1),
        0,
    )
    assert len(written) > 500
    noise, step = made["up.noise"].value, 0.9e-6
    off = written.double() - law.g.flatten()  # from the nearest step of the law
    assert float(off.std()) < noise + step
    goal = torch.full((1, 1, 60, 60), 30e-6, dtype=torch.float64)
    direct = chip.programming.write(chip.device, goal, 0)
    assert float(direct.g.std()) == pytest.approx(noise, rel=0.05)
    assert noise == pytest.approx(0.4e-6, rel=0.25)


def test_several_fits_are_one_device() -> None:
    pulses, drift = fit(pulse_train(), PulseTrain()), fit(retention(), Retention())
    chip = pulses.hardware(drift, dac=mho.DAC(bits=8))
    assert chip == drift.hardware(pulses, dac=mho.DAC(bits=8)) and chip.dac == mho.DAC(bits=8)
    assert chip.device.nu == drift.device.nu and chip.device.device.read == drift.device.read
    assert isinstance(chip.programming, CountedPulses)
    g = torch.full((1, 4000), 30e-6, dtype=torch.float64)
    eps = torch.randn(2, 1, 4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    aged = chip.device.aged(g, chip.device.drift_state(g, eps), 1e5)
    nu = -torch.log(aged / g) / np.log1p(1e5 / 20)
    assert float(nu.mean()) == pytest.approx(drift["nu"].value, abs=0.001)
    assert float(nu.std()) == pytest.approx(drift["nu_std"].value, rel=0.05)
    assert isinstance(drift.hardware().programming, SingleShot)


def test_heat_and_wear_go_with_the_device() -> None:
    """Pulses, a drift with an activation energy and an endurance fit in one device; hotter means faster."""
    bake = Drifting(
        device=Generic(g_max=40e-6, read=Proportional(sigma=0.01)),
        nu=ConstantNu(mean=0.05),
        t0=1e4,
        activation=0.8,
    )
    worn = Worn(cycles=1e5, set_slope=-0.01, lifetime=1e6, shape=1.5, stuck=40e-6, device=Generic(g_min=5e-6))
    made = mho.measured.measured_device(fit(pulse_train(), PulseTrain()), worn, bake)
    assert isinstance(made, Worn) and isinstance(made.device, Drifting)
    assert made.device.device.read == Proportional(sigma=0.01) and isinstance(made.device.device, Switching)
    chip = mho.Hardware(
        device=made, programming=mho.measured.measured_hardware(made.device.device).programming
    )
    analog = mho.convert(torch.nn.Linear(40, 40, bias=False), chip).eval()
    mho.program(analog, seed=0)
    mho.age(analog, 3e7)
    cool = mho.effective_weights(analog)[""].norm()
    hot = mho.convert(
        torch.nn.Linear(40, 40, bias=False),
        replace(chip, device=replace(made, device=replace(made.device, kelvin=358.0))),
    ).eval()
    hot.load_state_dict({k: v for k, v in analog.state_dict().items() if k == "weight"}, strict=False)
    mho.program(hot, seed=0)
    mho.age(hot, 3e7)
    assert float(mho.effective_weights(hot)[""].norm()) < 0.9 * float(cool)


def test_heat_goes_by_the_temperature_of_the_chip() -> None:
    g = torch.full((4,), 20e-6, dtype=torch.float64)
    law = Drifting(nu=ConstantNu(mean=0.1), t0=1e4, activation=0.8)
    cells = torch.zeros(1, 4, dtype=torch.float64)
    oven = replace(law, kelvin=358.15)
    heat = float(np.exp(0.8 / 8.617333262e-5 * (1 / 300 - 1 / 358.15)))
    torch.testing.assert_close(oven.aged(g, cells, 1e5), law.aged(g, cells, 1e5 * heat))
    around = Temperature(kelvin=358.15, activation=0.0, alpha=0.0, device=law)
    torch.testing.assert_close(around.aged(g, cells, 1e5), oven.aged(g, cells, 1e5))


def test_fits_that_do_not_go_together() -> None:
    pulses = fit(pulse_train(), PulseTrain())
    with pytest.raises(ValueError, match="two fits say how cells are written: Switching and Switching"):
        pulses.hardware(pulses)
    with pytest.raises(ValueError, match="two fits say how cells drift"):
        pulses.hardware(fit(retention(), Retention()), fit(retention(), Retention()))
    with pytest.raises(ValueError, match=r"those that drift up to 0.03\d* S: are they of one technology"):
        pulses.hardware(fit(retention(g=30e-3), Retention()))
    with pytest.raises(TypeError, match="a str is no fit and no device; give one fit each"):
        mho.measured.measured_hardware("pulses.json")
    with pytest.raises(ValueError, match="no fit: give one fit each"):
        mho.measured.measured_hardware()
