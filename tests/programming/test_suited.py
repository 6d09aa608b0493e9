"""Pulses chosen for a model bring its cells to their targets."""

from __future__ import annotations

import pytest
import torch

from mho.array import HalfVoltage
from mho.devices import Switching
from mho.devices.dynamics import (
    VTEAM,
    DataDriven2018,
    DataDriven2021,
    LinearIonDrift,
    StanfordPKU,
    SwitchingModel,
    Yakopcic,
)
from mho.programming import WriteVerify, suited_pulses

MODELS = [
    VTEAM(),
    LinearIonDrift(v_set=0.55, v_reset=0.55),
    StanfordPKU(),
    DataDriven2018(),
    DataDriven2021(),
    Yakopcic(),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_cells_reach_their_targets(model: SwitchingModel) -> None:
    device = Switching(model=model)
    unit = torch.linspace(0.1, 0.9, 50, dtype=torch.float64).view(1, 1, 5, 10)
    target = device.g_min + (device.g_max - device.g_min) * unit
    done = WriteVerify(pulse=suited_pulses(model), max_pulses=200).write(device, target, 0)
    assert int(done.failed.sum()) == 0
    assert bool(((done.g - target).abs() <= 0.01 * device.g_max).all())


def test_cells_reach_the_ends_of_their_range() -> None:
    """At 1.53 V the current of this model has no state beyond 1667 ohms; that of g_max is 1600."""
    device = Switching(model=DataDriven2021())
    unit = torch.tensor([0.0, 0.002, 0.5, 0.98, 0.99, 0.998], dtype=torch.float64).view(1, 1, 6, 1)
    target = device.g_min + (device.g_max - device.g_min) * unit
    routine = WriteVerify(pulse=suited_pulses(device.model), relative=True, max_pulses=100)
    done = routine.write(device, target, 0)
    assert not bool(done.failed.any())
    assert bool(((done.g - target).abs() <= 0.01 * target).all())


@pytest.mark.parametrize("model", [LinearIonDrift(), DataDriven2021()])
def test_a_model_without_threshold_in_an_array_without_transistors(model: SwitchingModel) -> None:
    with pytest.warns(
        UserWarning, match=r"HalfVoltage\(\): what is left on the neighbours moves them at 0\.\d+"
    ):
        suited_pulses(model, HalfVoltage())
    suited_pulses(model)  # transistors protect


@pytest.mark.parametrize("model", [VTEAM(), LinearIonDrift(v_set=0.55, v_reset=0.55)])
def test_thresholds_protect_half_selected_cells(model: SwitchingModel) -> None:
    """Half of the chosen voltages moves nothing, so that arrays without transistors are programmed too."""
    pulses = suited_pulses(model, HalfVoltage())
    middle = torch.as_tensor(sum(float(b) for b in model.bounds) / 2, dtype=torch.float64)
    for train in (pulses.up, pulses.down):
        assert float(model.rate(middle, torch.tensor(train.voltage / 2, dtype=torch.float64))) == 0
        assert float(model.rate(middle, torch.tensor(train.voltage, dtype=torch.float64))) != 0
    device = Switching(model=model)
    generator = torch.Generator().manual_seed(0)
    unit = torch.rand(1, 1, 16, 16, generator=generator)
    target = device.g_min + (device.g_max - device.g_min) * unit
    done = WriteVerify(pulse=pulses, max_pulses=100).write(device, target, 0)
    assert int(done.failed.sum()) == 0


def test_given_voltages() -> None:
    pulses = suited_pulses(VTEAM(), up=0.5, down=0.1)
    assert (pulses.up.voltage, pulses.down.voltage) == (-0.5, 0.1)
    with pytest.raises(ValueError, match=r"down = 0.01 V does not move VTEAM"):
        suited_pulses(VTEAM(), down=0.01)
