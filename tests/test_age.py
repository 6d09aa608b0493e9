"""Ageing: times as people write them, and the temperature at which a chip was kept."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import mho
from mho.devices import (
    PCM,
    SONOS,
    Accelerated,
    Device,
    Drifting,
    GradualFailure,
    Ideal,
    RetentionFailure,
    RetentionLoss,
    StuckAt,
    Temperature,
    ThermalNoise,
)
from mho.devices.effects.heat import BOLTZMANN_EV

YEAR = 31_536_000.0
HOT, COLD = 358.15, 298.15
LOSS = RetentionLoss(nu=0.02, nu_std=0.01)


def chip(device: Device, seed: int = 3) -> nn.Module:
    torch.manual_seed(0)
    analog = mho.convert(nn.Linear(12, 8), mho.Hardware(device=device)).eval()
    mho.program(analog, seed=seed)
    return analog


def conductances(analog: nn.Module) -> torch.Tensor:
    (g,) = mho.conductances(analog).values()
    return g


def faster(activation: float, kelvin: float, reference: float) -> float:
    return math.exp(activation / BOLTZMANN_EV * (1 / reference - 1 / kelvin))


@pytest.mark.parametrize(("text", "seconds"), [("1y", YEAR), ("30 d", 2_592_000.0), ("1.5h", 5400.0)])
def test_times_as_people_write_them(text: str, seconds: float) -> None:
    one, other = chip(PCM()), chip(PCM())
    mho.age(one, text)
    mho.age(other, seconds)
    assert torch.equal(conductances(one), conductances(other))


@pytest.mark.parametrize("activation", [0.0, 0.3, 1.1])
def test_heat_ages_as_much_as_the_time_that_arrhenius_says(activation: float) -> None:
    inside = PCM() if activation < 1 else LOSS
    device = Accelerated(activation=activation, reference=COLD, kelvin=COLD, device=inside)
    hot, old = chip(device), chip(inside)
    hours = 3600.0
    if activation:
        mho.age(hot, hours, kelvin=HOT)
    else:
        mho.age(hot, hours)
    mho.age(old, hours * faster(activation, HOT, COLD))
    torch.testing.assert_close(conductances(hot), conductances(old), rtol=2e-6, atol=0)
    assert mho.analog_modules(hot)[""].chip_seconds == hours


def test_noise_follows() -> None:
    """The read noise of a hot chip is that of the time that has passed for its cells."""
    device = Accelerated(activation=0.3, reference=COLD, kelvin=HOT, device=PCM())
    g, cells = (
        torch.full((1000,), 10e-6),
        torch.zeros(PCM().drift_state(torch.ones(1000), torch.zeros(1000)).shape),
    )
    now = device.aged(g, cells, 3600.0)
    _, hot = device.read_moments(g, cells, now, 3600.0)
    _, old = PCM().read_moments(g, cells, now, 3600.0 * faster(0.3, HOT, COLD))
    torch.testing.assert_close(hot, old)


@pytest.mark.parametrize("effect", [Accelerated(activation=0.8, reference=COLD, device=LOSS),
                                    Drifting(activation=0.8, reference=COLD, kelvin=COLD)])  # fmt: skip
def test_a_profile_is_the_sum_of_its_stages(effect: Device) -> None:
    """Ten hours in an oven, then the shelf: as old as both together, in whatever order."""
    stages = [(36_000.0, HOT), (72_000.0, COLD)]
    other = chip(effect)
    mho.age(other, 108_000.0, kelvin=stages)
    plain = chip(effect)
    whole = 36_000.0 * faster(0.8, HOT, COLD) + 72_000.0
    mho.age(plain, whole, kelvin=COLD)
    torch.testing.assert_close(conductances(other), conductances(plain), rtol=2e-6, atol=0)
    swapped = chip(effect)
    mho.age(swapped, "30h", kelvin=[("20h", COLD), ("10h", HOT)])
    torch.testing.assert_close(conductances(swapped), conductances(plain), rtol=2e-6, atol=0)
    mho.age(other, 18_000.0)  # absolute: half of the first stage
    half = chip(effect)
    mho.age(half, 18_000.0, kelvin=HOT)
    torch.testing.assert_close(conductances(other), conductances(half), rtol=2e-6, atol=0)


def test_a_year_at_85_degrees_errs_more_than_at_25() -> None:
    device = Accelerated(activation=0.6, reference=COLD, device=PCM())
    errors = []
    for kelvin in (COLD, HOT):
        analog = chip(device)
        mho.age(analog, "1y", kelvin=kelvin)
        x = torch.rand(100, 12)
        with torch.no_grad():
            wanted = analog.digital_forward(x)
            errors.append(float((analog(x) - wanted).norm() / wanted.norm()))
    assert errors[1] > 1.15 * errors[0]


def test_the_temperature_stays_in_the_description_and_the_innermost_effects_keep_theirs() -> None:
    device = StuckAt(
        lrs=0.1, device=Temperature(kelvin=310.0, activation=0.1, alpha=0.0, device=Ideal(g_min=1e-6))
    )
    analog = chip(device)
    mho.age(analog, 10.0, kelvin=350.0)
    held: Any = mho.analog_modules(analog)[""].hardware.device
    assert held == StuckAt(
        lrs=0.1, device=Temperature(kelvin=350.0, activation=0.1, alpha=0.0, device=Ideal(g_min=1e-6))
    )
    direct = chip(held)
    mho.age(analog, 20.0)
    mho.age(direct, 20.0)
    assert torch.equal(conductances(analog), conductances(direct))
    again = mho.convert(nn.Linear(12, 8), held and mho.Hardware(device=held))
    again.load_state_dict(analog.state_dict())  # the chip is one of the description that it says


def test_what_says_nothing_of_heat_is_refused() -> None:
    for device in (PCM(), StuckAt(lrs=0.1, device=PCM()), Accelerated(activation=0.0, device=PCM())):
        analog = chip(device)
        with pytest.raises(ValueError, match="nothing says what heat does to .*Accelerated"):
            mho.age(analog, 10.0, kelvin=HOT)
        assert mho.analog_modules(analog)[""].hardware.device == device
    noisy = chip(ThermalNoise(bandwidth=1e6))
    mho.age(noisy, 10.0, kelvin=HOT)


@pytest.mark.parametrize(
    ("seconds", "kelvin", "error", "match"),
    [
        ("1 fortnight", None, ValueError, "no time; write a number"),
        (None, None, TypeError, "seconds = None"),
        (True, None, TypeError, "seconds = True"),
        (-1.0, None, ValueError, "finite and not negative"),
        (10.0, 0.0, ValueError, "an absolute temperature is positive"),
        (10.0, -5, ValueError, "an absolute temperature is positive"),
        (10.0, math.nan, ValueError, "an absolute temperature is positive"),
        (10.0, "hot", TypeError, "kelvin = 'hot'"),
        (10.0, True, TypeError, "kelvin = True"),
        (10.0, [], TypeError, r"kelvin = \[\]"),
        (10.0, [300.0, 310.0], TypeError, "300.0 is no pair"),
        (10.0, [(5.0, 300.0), (4.0, 310.0)], ValueError, "9 s together, and seconds = 10"),
        (10.0, [(5.0, 300.0), (5.0, "x")], TypeError, "kelvin = 'x'"),
    ],
)
def test_bad_times_and_temperatures(seconds: Any, kelvin: Any, error: type[Exception], match: str) -> None:
    analog = chip(Accelerated(activation=0.5, device=PCM()))
    mho.age(analog, 7.0)
    with pytest.raises(error, match=match):
        mho.age(analog, seconds, kelvin=kelvin)
    assert mho.analog_modules(analog)[""].chip_seconds == 7.0


def test_a_law_of_one_temperature_refuses_a_profile() -> None:
    law = GradualFailure(p_lrs=(1e3, 0.0, 5.0, 0.5))
    analog = chip(RetentionFailure(law=law, device=Ideal(g_min=1e-6)))
    mho.age(analog, 10.0, kelvin=350.0)
    with pytest.raises(ValueError, match="counts seconds at one temperature"):
        mho.age(analog, 10.0, kelvin=[(4.0, 300.0), (6.0, 350.0)])


def test_a_chip_too_old_for_the_heat_it_is_given_later_stays_as_it_was() -> None:
    analog = chip(SONOS())
    mho.age(analog, 400_000.0)
    before = {k: v.clone() for k, v in analog.state_dict().items() if isinstance(v, torch.Tensor)}
    with pytest.raises(ValueError, match="SONOS is known from 0 s to 432000 s"):
        mho.degrade(analog, Accelerated(activation=0.5, kelvin=350.0), seed=0)
    assert mho.analog_modules(analog)[""].hardware.device == SONOS()
    assert all(torch.equal(v, before[k]) for k, v in analog.state_dict().items() if k in before)


@pytest.mark.parametrize("activation", [0.3, 2.5])
def test_the_cold_stops_the_clock(activation: float) -> None:
    """At 4 K a speed of no float: nothing ages, at any time."""
    for inside in (LOSS, PCM()):
        analog = chip(Accelerated(activation=activation, reference=COLD, device=inside))
        fresh = conductances(analog)
        mho.age(analog, "1y", kelvin=4.0)
        torch.testing.assert_close(conductances(analog), fresh, rtol=1e-6, atol=0)
    assert Accelerated(activation=2.5, kelvin=4.0, device=SONOS()).times == (0.0, math.inf)


@pytest.mark.parametrize("activation", [0.3, 2.5])
def test_heat_without_end_is_an_age_still(activation: float) -> None:
    """Told for 4 K, kept at 10,000: faster than a float can say, and still no NaN."""
    hot: dict[str, float] = {"activation": activation, "reference": 4.0, "kelvin": 1e4}
    for device in (Accelerated(device=PCM(), **hot), Accelerated(device=LOSS, **hot), Drifting(**hot)):
        analog = chip(device)
        fresh = conductances(analog)
        mho.age(analog, 0.0)
        assert torch.equal(conductances(analog), fresh)
        mho.age(analog, "1y")
        assert bool(conductances(analog).isfinite().all())
    with pytest.raises(ValueError, match="SONOS is known from 0 s to 432000 s"):
        mho.age(chip(Accelerated(device=SONOS(), **hot)), "1y")


@pytest.mark.parametrize("kelvin", [85, [("1h", 300.0), ("1h", 85.0)]])
def test_degrees_celsius_are_asked_about(kelvin: float | list[tuple[str, float]]) -> None:
    with pytest.warns(
        UserWarning, match=r"kelvin = 85 is -188.15 .* 85 degrees Celsius are kelvin = 358.15"
    ) as seen:
        mho.age(chip(Accelerated(activation=0.3, device=LOSS)), "2h", kelvin=kelvin)
    assert seen[0].filename == __file__
