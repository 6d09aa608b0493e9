"""What a measurement does not determine is refused, with its name, its standard error and what to do."""

from __future__ import annotations

import numpy as np
import pytest

from mho.devices import (
    Bake,
    Cycling,
    Fusion,
    JumpTable,
    Loop,
    Measurement,
    PulseTrain,
    Retention,
    States,
    fit,
)
from mho.devices.dynamics import VTEAM, Exact, LinearIonDrift, sine, triangle
from mho.devices.fitting.base import Estimate, check_determined, check_explained

RNG = np.random.default_rng
WAVE = sine(1.0, 1.0, 1, 300)
VOLTS, TIME = WAVE.voltage.numpy(), WAVE.time.numpy()


def no_memristor():
    """A nonlinear resistor: its loop has no memory, and says nothing of mobility and bounds."""
    current = 1e-5 * np.sinh(3 * VOLTS) + 2e-5 * RNG(0).normal(size=len(VOLTS))
    how = Loop(model=LinearIonDrift(), free=("r_on", "r_off", "mobility"), method=Exact())
    return {"time_s": TIME, "voltage_V": VOLTS, "current_A": current}, how


def only_noise():
    current = 2e-5 * RNG(0).normal(size=len(VOLTS))
    how = Loop(model=LinearIonDrift(), free=("r_off",), method=Exact())
    return {"time_s": TIME, "voltage_V": VOLTS, "current_A": current}, how


def an_end_that_is_hardly_reached():
    """The loop stays far from its conducting end, which the noise hides."""
    wave = triangle(0.6, 50e6, 1.0, 40)
    true = VTEAM(k_on=-0.1, v_on=-0.3, k_off=0.1, v_off=0.3)
    current = true.simulate(*wave).current.numpy()
    current = current + 0.5 * np.abs(current).max() * RNG(1).normal(size=len(current))
    table = {"time_s": wave.time.numpy(), "voltage_V": wave.voltage.numpy(), "current_A": current}
    return table, Loop(model=true, free=("k_on", "k_off", "alpha_off"), evaluations=40)


def flat_pulses():
    return {"g_S": 20e-6 + 1e-6 * RNG(2).normal(size=100)}, PulseTrain()


def five_noisy_pulses():
    return {"g_S": [5e-6, 21e-6, 12e-6, 30e-6, 22e-6]}, PulseTrain()


def flat_both_ways():
    up, down = 20e-6 + 1e-6 * RNG(3).normal(size=(2, 80))
    return {"up_S": up, "down_S": down}, PulseTrain()


def states_side_by_side():
    return {"mean_uS": [20.0, 20.1, 20.2, 20.3], "std_uS": [1.0, 1.2, 0.9, 1.1]}, States()


def results_side_by_side():
    target = np.repeat([20.0, 20.05, 20.1, 20.15], 30)
    return {"target_uS": target, "g_uS": target + RNG(0).normal(size=120)}, States()


def networks_of_one_weight():
    target = 20 + np.repeat([0.0, 0.01, 0.02, 0.03], 30)
    return {"target_uS": target, "conductance_uS": target + RNG(0).normal(size=120)}, Fusion(
        unit=1.0, groups=4
    )


def a_moment_of_drift():
    time = [20.0, 20.1, 20.2]
    cells = {name: 20e-6 * np.exp(0.01 * RNG(n).normal(size=3)) for n, name in enumerate("ab", 1)}
    return {"time_s": time, **cells}, Retention()


def ovens_alike():
    """Two ovens a degree apart say nothing of an activation energy."""
    time = np.concatenate([[0.0], np.geomspace(600, 1e6, 9)])
    table = {"time_s": time}
    for kelvin in (398.0, 399.0):
        for cell in range(4):
            law = (1 + time / 1e3) ** -0.05 * np.exp(0.02 * RNG(cell).normal(size=10))
            table[f"cell {cell} at {kelvin:.0f} K (uS)"] = 20 * law
    return table, Bake()


def four_noisy_cycles():
    noise = np.exp(0.5 * RNG(0).normal(size=(2, 4)))
    return {"cycle": [1, 2, 3, 4], "set_uS": 100 * noise[0], "reset_uS": 2 * noise[1]}, Cycling()


LOOSE = {
    ovens_alike: ("activation",),
    four_noisy_cycles: ("slope",),
    no_memristor: ("r_on", "r_off", "mobility"),
    only_noise: ("r_off",),
    an_end_that_is_hardly_reached: (),
    flat_pulses: ("curvature",),
    five_noisy_pulses: ("up.curvature",),
    flat_both_ways: ("curvature",),
    states_side_by_side: ("c0", "c1", "c2"),
    results_side_by_side: ("c0", "c1", "c2"),
    networks_of_one_weight: ("c0", "c1", "c2"),
    a_moment_of_drift: ("nu",),
}


@pytest.mark.parametrize("case", LOOSE, ids=lambda f: f.__name__)
def test_what_is_not_determined_is_refused(case) -> None:
    table, how = case()
    with pytest.raises(ValueError, match="does not determine|cannot tell|does not depend") as refusal:
        fit(table, how)
    message = str(refusal.value)
    for name in LOOSE[case]:
        assert name in message
    if "does not determine" in message:
        assert how.remedy in message and ("±" in message or "% of the variance" in message)


def kinds(base: type) -> list[type]:
    return [k for c in base.__subclasses__() if c.__module__.startswith("mho.") for k in (c, *kinds(c))]


def test_every_kind_of_fit_is_refused_somewhere() -> None:
    """A table of jumps is kept as it is: nothing is fitted."""
    assert {type(case()[1]) for case in LOOSE} == set(kinds(Measurement)) - {JumpTable}


@pytest.mark.parametrize("kind", kinds(Measurement), ids=lambda k: k.__name__)
def test_an_undetermined_parameter_of_any_kind_ends_the_fit(kind, monkeypatch) -> None:
    """The check is in one place: whatever a measurement reports goes through it."""
    from dataclasses import replace

    from . import test_what_was_measured as measured

    original = kind.evaluate

    def loose(self, table):
        return replace(original(self, table), parameters=(Estimate(name="r_on", value=507.0, error=1.8e9),))

    monkeypatch.setattr(kind, "evaluate", loose)
    with pytest.raises(ValueError, match=r"does not determine r_on: r_on = 507 ± 1.8e\+09") as refusal:
        measured.FITS[kind]()
    assert kind.remedy in str(refusal.value)


def test_the_scale_of_an_estimate() -> None:
    assert Estimate(name="a", value=-2.0, error=1.9).determined
    assert not Estimate(name="a", value=2.0, error=2.1).determined
    assert Estimate(name="a", value=0.0, error=2.1, scale=3.0).determined
    with pytest.raises(
        ValueError, match="file.csv: the measurement does not determine b: b = 1 ± 2 S .*; pray"
    ):
        check_determined("file.csv", [Estimate(name="b", value=1.0, error=2.0, unit="S")], "pray")
    check_explained("file.csv", ("a", "b"), 0.5, 20, "pray")
    with pytest.raises(ValueError, match="does not determine a, b: the law explains 0 % of the variance"):
        check_explained("file.csv", ("a", "b"), -0.5, 20, "pray")


@pytest.mark.parametrize("seed", range(10))
def test_noise_alone_is_no_train(seed) -> None:
    with pytest.raises(ValueError, match="does not determine"):
        fit({"g_S": 20e-6 + 1e-6 * RNG(seed).normal(size=100)}, PulseTrain())


def test_the_first_line_says_how_much_a_loop_leaves() -> None:
    """A law that is determined and poor: the printed fit begins with what it misses."""
    current = 1e-4 * VOLTS + 4e-5 * RNG(0).normal(size=len(VOLTS))
    table = {"time_s": TIME, "voltage_V": VOLTS, "current_A": current}
    made = fit(table, Loop(model=LinearIonDrift(), free=("r_off",), method=Exact()))
    first = str(made).splitlines()[0]
    share = 100 * (1 - made.card.r_squared)
    assert 5 < share < 95 and f"{share:.2g} % of its variance" in first
