"""``mho fit``: says what a table was taken for, fits it, draws it; ``mho drift`` takes what it wrote."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mho import Hardware, config
from mho.cli import app
from mho.commands.options import Parts, changed, device
from mho.devices import Drifting, Fit, PulseTrain, Retention, Switching, fit
from mho.devices.fitting.recognise import KINDS, recognised, taken_for
from mho.experiments.drift import DriftStudy
from mho.measured import load_hardware
from mho.programming import CountedPulses

STATES = str(files("mho.mapping") / "data" / "memristor_states.csv")
TIME = np.geomspace(20.0, 1e4, 8)
CELL = 20e-6 * (TIME / 20) ** -0.05


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*words):
    return CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)


def retention(path="cells.csv"):
    rng = np.random.default_rng(0)
    cells = {f"c{k}_uS": 1e6 * CELL * np.exp(0.01 * rng.normal(size=8)) for k in range(6)}
    pd.DataFrame({"time_s": TIME, **cells}).to_csv(path, index=False)
    return path


TABLES = {
    "pulses": [
        {"up_uS": [1.0, 2.0], "down_uS": [2.0, 1.0]},
        {"pulse": [1, 2], "R_kohm": [3.0, 4.0]},
        {"conductance_uS": [1.0, 2.0]},
        {"cycle 1_uS": [1.0, 2.0], "cycle 2_uS": [1.0, 2.0]},
        np.array([[1e-6, 9e-6], [2e-6, 8e-6]]),
        np.array([[1e-6], [2e-6]]),
    ],
    "states": [
        {"mean_uS": [1.0, 2.0], "std_uS": [0.1, 0.2]},
        {"target_uS": [1.0, 1.0], "conductance_uS": [1.1, 0.9]},
        np.array([[0, 1e-6, 1e-7], [1, 2e-6, 1e-7]]),
    ],
    "cells": [np.array([[0, 1e4, 0.1, 50.0], [1, 2e4, 0.1, 50.0]])],
    "jumps": [
        {"G_uS": [1.0, 2.0], "dG_uS": [0.1, 0.2], "CDF": [0.0, 1.0]},
        np.array([[1e-6, -1e-7, 0.0], [1e-6, 1e-7, 1.0], [2e-6, -1e-7, 0.0], [2e-6, 1e-7, 1.0]]),
        {"up": ("g.txt", "dg.txt", "cdf.txt")},
    ],
    "fusion": [{"target": "exported.csv", "conductance": "measured.csv"}],
    "retention": [
        {"time_s": TIME, "c1_uS": CELL},
        {"Zeit (h)": TIME, "R (kohm)": 1 / CELL},
        {"time_s": TIME, "current_A": CELL, "read_voltage_V": 0 * TIME + 0.2},
        np.stack([TIME, CELL], 1),
    ],
    "bake": [
        {"time_s": TIME, "temperature_C": [85.0, 125.0] * 4, "c_uS": CELL},
        {"time_h": TIME, "85C_uS": CELL, "125C_uS": CELL},
    ],
    "cycling": [{"cycle": TIME, "lrs_kohm": CELL, "hrs_kohm": CELL}, {"n": TIME, "set": CELL, "reset": CELL}],
    "loop": [{"time_s": TIME, "voltage_V": np.sin(TIME), "current_A": np.sin(TIME)}],
}


@pytest.mark.parametrize("kind", TABLES)
def test_what_tables_are_taken_for(kind) -> None:
    for table in TABLES[kind]:
        assert taken_for(table).kind == kind
    if kind == "loop":
        with pytest.raises(ValueError, match=r"a loop, which is fitted to a model that you choose: Loop\("):
            recognised(TABLES[kind][0])
    else:
        assert recognised(TABLES[kind][0]) == KINDS[kind]()


def test_what_is_not_told_is_asked_for() -> None:
    for table in ({"a": [1.0, 2.0], "b": [3.0, 4.0]}, np.array([[1.0, 1e-6], [0.5, 2e-6]]), np.ones((2, 6))):
        with pytest.raises(ValueError, match=r"cannot tell what was measured from the columns .*; say it"):
            fit(table)


def test_a_fit_without_a_measurement() -> None:
    table = {"time_s": TIME, "c1_uS": 1e6 * CELL}
    assert fit(table).device == fit(table, Retention()).device


@pytest.mark.usefixtures("sketches")
def test_mho_fit_says_what_it_took_the_table_for(here) -> None:
    result = call("fit", retention())
    assert result.exit_code == 0, result.output
    assert "cells.csv was taken for retention: conductances over the time in 'time_s'." in result.output
    made = Fit.load(here / "runs" / "fit-cells" / "device.json")
    assert made.device == fit("cells.csv", Retention()).device
    assert (here / "runs" / "fit-cells" / "report.html").exists()
    assert (here / "runs" / "fit-cells" / "fit.png").exists()


@pytest.mark.usefixtures("sketches")
def test_options_of_a_fit(here) -> None:
    rows = pd.DataFrame({"x": TIME, "1": 1e6 * CELL * 0.2})
    rows.to_csv("odd.csv", index=False)
    words = ("--layout", "retention", "--v-read", 0.2, "--columns", "time=x,current_uA=2")
    result = call("fit", "odd.csv", *words, "--output", "out")
    assert result.exit_code == 0, result.output
    assert Fit.load(here / "out" / "device.json").device.g_max == pytest.approx(20e-6, rel=1e-6)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("none.csv",), "No such file"),
        ((STATES, "--layout", "retention"), "no column 'time_s'"),
        ((STATES, "--layout", "states", "--up", 3), "--up: --layout states has none"),
        ((STATES, "--columns", "time"), "--columns = 'time': say what each column holds"),
        ((STATES, "--columns", "tiem=1"), "'tiem' is no quantity"),
    ],
)
def test_bad_input(words, sentence) -> None:
    result = call("fit", *words)
    assert result.exit_code == 2
    assert sentence in result.stderr.replace("\n", " ")


# --- what a study makes of it --------------------------------------------------------------------


def saved():
    fit(STATES, PulseTrain(width=1e-6)).save("pulses.json")
    fit(retention(), Retention()).save("drift.json")


def test_a_study_takes_fitted_devices() -> None:
    saved()
    parts = device("--device", "pulses.json,drift.json")
    assert isinstance(parts, Parts) and isinstance(parts["device"], Drifting)
    study = changed(DriftStudy(), {f"hardware.{name}": part for name, part in parts.items()})
    assert isinstance(study.hardware.device.device, Switching)
    assert isinstance(study.hardware.programming, CountedPulses)
    assert study.hardware.tile == DriftStudy().hardware.tile
    alone = load_hardware("pulses.json")
    assert alone.programming == study.hardware.programming and isinstance(alone, Hardware)
    config.save(study.hardware, "chip.yaml")
    assert load_hardware("chip.yaml") == study.hardware


def test_mho_drift_on_fitted_devices(here) -> None:
    """The command runs on the fitted train, and its chips have the scatter that was measured."""
    saved()
    words = ("--chips", 1, "--epochs", 1, "--times", "1,1h", "--output", "out")
    result = call("drift", "--device", "pulses.json,drift.json", *words)
    assert result.exit_code == 0, result.output
    described = config.load(here / "out" / "config.json") if (here / "out" / "config.json").exists() else None
    assert described is None or isinstance(described.hardware.device, Drifting)
    assert len(pd.read_csv(here / "out" / "results.csv")) == 8
    both = call("drift", "--device", "pulses.json", "--hardware", "drift.json")
    assert both.exit_code == 2
    assert "--device: the file given with --hardware says that already" in both.stderr.replace("\n", " ")
    unknown = call("drift", "--device", "none.json")
    assert unknown.exit_code == 2 and "No such file" in unknown.stderr
