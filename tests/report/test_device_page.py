"""The words of a page come from the docstrings; the wave switches the cell."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from mho.config import kinds
from mho.devices import PCM, Device, Generic, ReRAMCMO, TableNu
from mho.devices.dynamics import JART, VTEAM, LinearIonDrift, LinearStep, SwitchingModel, Yakopcic, sine
from mho.report.device_figures import FACTORS, loops_at_frequencies
from mho.report.device_page import (
    Wave,
    device_page,
    device_pictures,
    switching_wave,
)
from mho.report.docstrings import parameters, plain, unit, value_text, words

CLASSES = [
    cls
    for base in (Device, SwitchingModel)
    for cls in kinds(base).values()
    if cls.__module__.startswith("mho.")
]
MODELS = [cls() for cls in kinds(SwitchingModel).values() if cls.__module__.startswith("mho.")]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_every_device_says_what_it_is(cls) -> None:
    said = words(cls)
    assert said.paragraphs and not any("``" in p or ":class:" in p for p in said.paragraphs)
    shared = {"window", "g_min", "g_max"}
    missing = {f.name for f in dataclasses.fields(cls)} - set(said.meanings) - shared
    assert not missing, f"{cls.__name__}: its docstring says nothing about {missing}"


def test_parameters_have_values_units_and_meanings() -> None:
    rows = {name: (value, meaning) for name, value, meaning in parameters(VTEAM())}
    assert rows["r_off"] == ("1000 Ω", "resistance at x_off, ohms.")
    assert rows["k_on"][0] == "-10 m/s" and rows["v_read"][0] == "0.01 V" and rows["alpha_on"][0] == "3"
    assert rows["law"][0] == "LinearResistance()"
    assert {"g_max", "program_scale"} <= {name for name, _, _ in parameters(PCM())}  # inherited meanings
    law = TableNu(g=(0.0, 1e-5), mean=(0.1, 0.05), std=(0.0, 0.01))
    assert value_text(Generic(nu=law)).count("TableNu(g=0, 1e-05") == 1


def test_laws_are_a_table() -> None:
    laws = dict(words(ReRAMCMO).laws)
    assert list(laws) == ["programmed", "drift", "read noise (std)"]
    assert laws["drift"].endswith("the same at all conductances")
    assert laws["programmed"].startswith("sigma_prog = c0 + c1 g_target")


def test_small_words() -> None:
    assert plain("``x`` of :class:`~mho.devices.PCM` is **big**") == "x of PCM is big"
    assert [unit(t) for t in ("a, 1/(A s).", "speed, 1/volts.", "volts.", "of cells")] == ["", "1/V", "V", ""]
    assert [value_text(v) for v in (True, None, "2%", 25e-6, (1.0, 2.0))] == [
        "True",
        "None",
        "2%",
        "2.5e-05",
        "1, 2",
    ]


@pytest.mark.parametrize(
    "model", [m for m in MODELS if not isinstance(m, JART)], ids=lambda m: type(m).__name__
)
def test_the_wave_switches_the_cell(model) -> None:
    wave = switching_wave(model)
    trace = model.simulate(*sine(*wave, 2, 60))
    low, high = model.bounds
    assert float(trace.state.max() - trace.state.min()) > 0.3 * float(high - low)


def test_a_cell_that_moves_one_way() -> None:
    wave = switching_wave(LinearStep(step_down=0.0, slope_down=0.0))
    assert wave.amplitude == 1.0 and wave.frequency > 0
    assert switching_wave(VTEAM(), 0.8, 1e6) == Wave(0.8, 1e6)
    with pytest.raises(ValueError, match="does not move under up to 0.01 V"):
        switching_wave(Yakopcic(), 0.01)
    assert switching_wave(Yakopcic(), 0.01, 5.0) == Wave(0.01, 5.0)


def test_loops_at_frequencies_are_those_of_the_model() -> None:
    model, wave = LinearIonDrift(), Wave(1.0, 2.0)
    lines = loops_at_frequencies(model, wave).lines[2:]
    assert len(lines) == len(FACTORS)
    areas = []
    for line, factor in zip(lines, FACTORS, strict=True):
        trace = model.simulate(*sine(1.0, 2.0 * factor, 2, 120))
        np.testing.assert_allclose(line.get_ydata(), trace.current)
        areas.append(abs(float(torch.trapezoid(trace.current[:60], trace.voltage[:60]))))
    assert areas[0] > areas[1] > areas[2]
    assert [line.get_label() for line in lines] == ["2 Hz", "10 Hz", "50 Hz"]


def test_pictures_that_apply() -> None:
    assert list(device_pictures(PCM())) == ["programming", "drift", "read_noise"]
    model = LinearIonDrift()
    pictures = device_pictures(model, Wave(1.0, 1.0))
    assert list(pictures) == ["hysteresis", "switching", "time", "states"]
    page = device_page(model, pictures)
    assert page.title == "LinearIonDrift" and len(page.figures) == 4
    assert page.facts[2] == ("160", "highest over lowest conductance")
    assert page.configuration["kind"] == "devices.LinearIonDrift"
