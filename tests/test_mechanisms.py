"""Hardware says which mechanisms it has, and each of them can be switched off."""

from __future__ import annotations

import itertools

import pytest
import torch

import mho
from mho.analysis.mechanisms import mechanisms, with_only
from mho.array import Nonlinear, Sinh, Wires
from mho.converters import SAR, Fixed
from mho.devices import (
    PCM,
    FiniteStates,
    Generic,
    Ideal,
    Independent,
    RandomTelegraphNoise,
    RetentionLoss,
    Spread,
    StuckAt,
    Switching,
    Temperature,
    ThermalNoise,
    UniformG,
    Varied,
)
from mho.programming import WriteVerify

DAY = 86_400.0
FULL = mho.Hardware(
    device=StuckAt(
        lrs=0.1, device=FiniteStates(states=UniformG(count=8), device=StuckAt(hrs=0.1, device=PCM()))
    ),
    array=Wires(row=1.0, column=1.0),
    dac=mho.DAC(bits=6),
    adc=mho.ADC(bits=6),
)

NOISY_CONVERTERS = mho.Hardware(dac=mho.DAC(bits=None, noise=0.1), adc=mho.ADC(bits=None, noise=0.1))
EXACT = ("programming", "read noise")  # write and verify, with reads that are noisy


@pytest.mark.parametrize(
    ("hardware", "seconds", "names"),
    [
        (mho.Hardware(), DAY, ()),
        (mho.Hardware(device=PCM()), 0.0, ("programming", "read noise")),
        (mho.Hardware(device=PCM()), DAY, ("programming", "drift", "read noise")),
        (mho.Hardware(device=PCM(drift_scale=0.0, read_scale=0.0)), DAY, ("programming",)),
        (mho.Hardware(device=Generic(read=Independent(sigma=0.1))), DAY, ("read noise",)),
        (mho.Hardware(device=Switching()), DAY, ()),
        (mho.Hardware(device=PCM(program_scale=0.0), programming=WriteVerify()), 0.0, EXACT),
        (mho.Hardware(device=ThermalNoise(bandwidth=1e6)), 0.0, ("read noise",)),
        (mho.Hardware(device=RetentionLoss(nu=0.1)), DAY, ("drift",)),
        (mho.Hardware(device=RetentionLoss(nu=0.1)), 0.0, ()),
        (mho.Hardware(dac=mho.DAC(bits=None), adc=mho.ADC(bits=None)), 0.0, ()),
        (NOISY_CONVERTERS, 0.0, ("DAC", "ADC")),
        (mho.Hardware(dac=mho.DAC(bits=None, gain=0.1)), 0.0, ("DAC",)),
        (mho.Hardware(adc=SAR(bits=6)), 0.0, ("ADC",)),
        (
            FULL,
            DAY,
            ("programming", "StuckAt", "FiniteStates", "drift", "read noise", "wires", "DAC", "ADC"),
        ),
    ],
)  # fmt: skip
def test_what_hardware_has(hardware: mho.Hardware, seconds: float, names: tuple[str, ...]) -> None:
    assert mechanisms(hardware, seconds) == names
    for count in range(len(names) + 1):
        for on in itertools.combinations(names, count):
            assert mechanisms(with_only(hardware, names, on), seconds) == on


def test_all_on_is_the_hardware_itself() -> None:
    assert with_only(FULL, mechanisms(FULL, DAY), mechanisms(FULL, DAY)) == FULL


def test_effects_go_by_their_class_and_keep_their_order() -> None:
    names = mechanisms(FULL, DAY)
    left = with_only(FULL, names, [n for n in names if n != "StuckAt"])
    assert left.device == FiniteStates(states=UniformG(count=8), device=PCM())
    left = with_only(FULL, names, ["StuckAt"])
    silent = PCM(program_scale=0.0, drift_scale=0.0, read_scale=0.0)
    assert left.device == StuckAt(lrs=0.1, device=StuckAt(hrs=0.1, device=silent))


def test_noise_of_effects_goes_with_the_read_noise() -> None:
    device = RandomTelegraphNoise(step=Independent(sigma=0.1))
    hardware = mho.Hardware(device=device)
    assert mechanisms(hardware) == ("read noise",)
    analog = mho.convert(torch.nn.Linear(8, 4), with_only(hardware, ["read noise"], []))
    mho.program(analog, 0)
    x = torch.randn(3, 8)
    assert torch.equal(analog.eval()(x), analog(x))


def test_cells_without_ohms_law_keep_a_dac_that_does_nothing() -> None:
    hardware = mho.Hardware(array=Nonlinear(law=Sinh(v_c=0.05)), dac=mho.DAC(bits=4, range=Fixed(limit=2.0)))
    names = mechanisms(hardware)
    assert names == ("wires", "DAC")
    assert with_only(hardware, names, ["wires"]).dac == mho.DAC(bits=None, range=Fixed(limit=2.0))
    assert with_only(hardware, names, []).dac is None


def test_only_what_is_there_is_touched() -> None:
    """A device without the field of a scale is left alone if it has no such mechanism."""
    hardware = mho.Hardware(device=Ideal(), adc=mho.ADC())
    assert with_only(hardware, ["ADC"], []) == mho.Hardware()


def test_parameters_that_differ_go_with_what_has_them() -> None:
    law = Spread(mean=1e-3, std=1e-4)
    hot = Temperature(kelvin=350.0, activation=0.1, alpha=1e-3, device=PCM())
    hardware = mho.Hardware(device=Varied(device=hot, spreads={"alpha": law}))
    names = mechanisms(hardware, DAY)
    assert names == ("programming", "Temperature", "drift", "read noise")
    assert with_only(hardware, names, {"drift"}).device == PCM(program_scale=0.0, read_scale=0.0)
    own = mho.Hardware(device=Varied(device=PCM(), spreads={"g_max": Spread(mean=25e-6, std=1e-6)}))
    assert mechanisms(own, 0.0) == ("programming", "Varied", "read noise")
    assert with_only(own, mechanisms(own, 0.0), {"programming", "read noise"}).device == PCM()
    quiet = with_only(own, mechanisms(own, 0.0), {"Varied"}).device
    assert isinstance(quiet, Varied) and quiet.device == PCM(program_scale=0.0, read_scale=0.0)
