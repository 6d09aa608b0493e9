"""Pulses whose amplitude a proportional-integral controller sets."""

from __future__ import annotations

import pytest
import torch

from mho.devices import Ideal, Switching
from mho.devices.dynamics import VTEAM, LinearStep
from mho.programming import VIPI, Train, WriteVerify, suited_pulses
from mho.testing import check_programming

UP, DOWN = Train(voltage=0.5, width=1e-6), Train(voltage=-0.6, width=1e-6)
RULE = VIPI(up=UP, down=DOWN, proportional=0.2, integral=0.1, most=1.0)


def following(steps, span=10.0):
    """The volts for a row of errors of one cell."""
    memory, volts = RULE.begin(torch.zeros(1)), []
    for number, step in enumerate(steps):
        drive = RULE.following(memory, torch.tensor([float(step)]), torch.tensor([number]), span)
        memory = drive.memory
        volts.append(round(float(drive.volts), 6))
    return volts


def test_the_amplitude_is_the_law_of_the_docstring():
    # e = .5, .4, .2: the sums are .5, .9, 1.1
    assert following([5, 4, 2]) == pytest.approx([0.5 + 0.1 + 0.05, 0.5 + 0.08 + 0.09, 0.5 + 0.04 + 0.11])
    # after a turn the sum begins anew, in the other train
    assert following([5, -1]) == pytest.approx([0.65, -(0.6 + 0.02 + 0.01)])
    # a cell that does not answer gets more volts each time, up to the most
    rising = following([5] * 12)
    assert rising[:9] == [round(0.6 + 0.05 * k, 6) for k in range(1, 9)] + [1.0] and rising[-1] == 1.0
    assert following([0, 5]) == [0.0, 0.65]


def test_a_model_whose_speed_depends_on_the_voltage_is_programmed():
    model = VTEAM()
    trains = suited_pulses(model)
    up, down = (Train(voltage=t.voltage, width=t.width / 4) for t in (trains.up, trains.down))
    pulse = VIPI(up=up, down=down, proportional=0.1, integral=0.02, most=1.5 * abs(up.voltage))
    device = Switching(model=model)
    share = torch.linspace(0.1, 0.9, 48, dtype=torch.float64).view(1, 1, 6, 8)
    goal = device.g_min + (device.g_max - device.g_min) * share
    done = WriteVerify(pulse=pulse, tolerance=0.02, max_pulses=200).write(device, goal, seed=0)
    assert not bool(done.failed.any()) and bool(((done.g - goal).abs() <= 0.02 * device.g_max).all())
    assert bool((done.energy > 0).all()) and int(done.pulses.max()) > 1


def test_the_contract_of_programming_holds():
    model = LinearStep(step_up=1e-6, step_down=1e-6, noise_up=0.05e-6, noise_down=0.05e-6)
    rule = WriteVerify(pulse=VIPI(up=UP, down=DOWN, most=1.5), tolerance=0.05)
    check_programming(rule, Switching(model=model))


def test_descriptions_that_cannot_be_are_refused():
    for given, words in (
        ({"up": DOWN}, "opposite signs"),
        ({"most": 0.55}, "most = 0.55 V is below down.voltage"),
        ({"up": Train(voltage=0.5, width=1e-6, increment=0.1)}, "the controller raises the volts"),
    ):
        with pytest.raises(ValueError, match=words):
            VIPI(**{"up": UP, "down": DOWN, "most": 1.0, **given})
    with pytest.raises(ValueError, match="no state that a voltage moves"):
        WriteVerify(pulse=RULE).check(Ideal())
    with pytest.raises(ValueError, match="swap the signs"):
        WriteVerify(pulse=VIPI(up=DOWN, down=UP, most=1.0)).check(Switching(model=LinearStep()))
