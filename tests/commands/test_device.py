"""``mho device``: pages of devices by name, from files, and fitted to a table."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pytest
from typer.testing import CliRunner

from mho import Hardware, config
from mho.cli import app
from mho.config import kinds
from mho.devices import (
    PCM,
    Device,
    Fit,
    Generic,
    Ideal,
    JumpCell,
    Proportional,
    PulseTrain,
    Retention,
    States,
    StuckAt,
    fit,
)
from mho.devices.dynamics import LinearIonDrift, SwitchingModel, sine

STATES = str(files("mho.mapping") / "data" / "memristor_states.csv")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*words):
    return CliRunner().invoke(app, ["device", *map(str, words)], catch_exceptions=False)


def check_page(folder, pictures):
    names = {p.name for p in folder.iterdir() if p.suffix == ".png"}
    assert names == {f"{name}.png" for name in pictures}
    for name in names:
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert html.count("data:image/svg+xml") == len(pictures)
    assert "http" not in html.replace("http-equiv", "") and "<script" not in html
    return html


def test_a_statistical_device(here) -> None:
    result = call("pcm")
    assert result.exit_code == 0, result.output
    folder = here / "runs" / "device-pcm"
    assert result.output.startswith("runs/device-pcm/report.html")
    html = check_page(folder, ("programming", "drift", "read_noise"))
    for words in ("Joshi", "25 µS", "highest programmable conductance", "mho device pcm"):
        assert words in html
    assert config.load(folder / "device.json") == PCM()


def test_a_switching_model_and_its_wave(here) -> None:
    result = call("linear-ion-drift", "--amplitude", 1, "--frequency", 2, "--output", "made/it")
    assert result.exit_code == 0, result.output
    html = check_page(here / "made" / "it", ("hysteresis", "switching", "time", "states"))
    for words in ("Strukov", "Sine of 1 V and 2 Hz", "1e-14 m²/(V s)", "--amplitude 1.0 --frequency 2.0"):
        assert words in html


def test_list() -> None:
    result = call("--list")
    assert result.exit_code == 0
    for base in (Device, SwitchingModel):
        for kind in kinds(base).values():
            assert f"  {kind.__name__} " in result.output
    assert "needs states: give a description" in result.output  # FiniteStates


@pytest.mark.usefixtures("sketches")
def test_descriptions_from_files(here) -> None:
    mine = Generic(g_max=50e-6, program=Proportional(sigma=0.05))
    config.save(mine, here / "mine.json")
    assert "Proportional(sigma=0.05)" in page_of("mine.json", "device-mine")
    Hardware(device=StuckAt(device=Ideal(), lrs=0.1)).save("chip.yaml")
    assert "StuckAt" in page_of("chip.yaml", "device-chip")


def page_of(name, folder):
    result = call(name)
    assert result.exit_code == 0, result.output
    return check_page((config.Path.cwd() / "runs" / folder), ("programming", "drift", "read_noise"))


def test_a_fit_and_its_page_again(here) -> None:
    result = call("fit", STATES, "--layout", "pulses")
    assert result.exit_code == 0, result.output
    made = Fit.load(here / "runs" / "device-memristor_states" / "device.json")
    expected = fit(STATES, PulseTrain())
    assert made.device == expected.device and made.card.parameters == expected.card.parameters
    assert str(expected) in result.output
    html = check_page(
        here / "runs" / "device-memristor_states", ("fit", "hysteresis", "switching", "time", "states")
    )
    curvature = expected["up.curvature"]
    for words in (made.card.sha256, f"{curvature.value:.6g}", f"{curvature.error:.2g}", "0 to 99"):
        assert words in html
    again = call("runs/device-memristor_states/device.json", "--output", "again")
    assert again.exit_code == 0 and "memristor_states.csv" in (here / "again" / "report.html").read_text()


@pytest.mark.usefixtures("sketches")
@pytest.mark.parametrize("layout", ["states", "retention"])
def test_layouts_and_their_unit(here, layout) -> None:
    if layout == "states":
        rows = ["mean,std", *(f"{g},{0.1 + 0.02 * g}" for g in range(1, 8))]
        how = States(unit=1e-6)
    else:
        rows = ["time_s,a,b", *(f"{t},{10 * t**-0.05},{11 * t**-0.06}" for t in (1, 10, 100, 1000))]
        how = Retention(unit=1e-6)
    (here / "t.csv").write_text("\n".join(rows))
    result = call("fit", "t.csv", "--layout", layout, "--unit", 1e-6)
    assert result.exit_code == 0, result.output
    assert Fit.load(here / "runs" / "device-t" / "device.json").card.measurement == how
    check_page(here / "runs" / "device-t", ("fit", "programming", "drift", "read_noise"))


@pytest.mark.usefixtures("sketches")
def test_ohms_and_amperes(here) -> None:
    """Ohms by a name of their unit; amperes by the read voltage, which is asked for."""
    time, g = np.array([1, 10, 100, 1000]), 10e-6 * np.array([1, 10, 100, 1000]) ** -0.05
    np.savetxt("bare.csv", np.stack([time, 1e-3 / g], 1))
    np.savetxt("currents.csv", np.stack([time, 0.1e9 * g], 1), header="t/s i/nA")
    result = call("fit", "currents.csv", "--layout", "retention")
    assert result.exit_code == 2 and "say v_read (volts)" in result.stderr
    for words in (("bare.csv", "--unit", "kohm"), ("currents.csv", "--v-read", 0.1)):
        result = call("fit", *words, "--layout", "retention", "--output", "out")
        assert result.exit_code == 0, result.output
        assert Fit.load(here / "out" / "device.json").device.g_max == pytest.approx(10e-6)


@pytest.mark.usefixtures("sketches")
def test_cells_and_jumps_are_kept_as_they_are(here) -> None:
    (here / "cell.csv").write_text("0,1000000,0.0,0\n1,100000,0.05,0\n")
    result = call("fit", "cell.csv", "--layout", "cells")
    assert result.exit_code == 0, result.output
    made = Fit.load(here / "runs" / "device-cell" / "device.json").device
    assert (made.g_min, made.g_max) == pytest.approx((1e-6, 1e-5))
    check_page(here / "runs" / "device-cell", ("fit", "programming", "drift", "read_noise"))
    folder = here / "jumps"
    folder.mkdir()
    for word, changes in (("set", "0\n1\n2\n"), ("reset", "-2\n-1\n0\n")):
        (folder / f"{word}_axis_level_G.txt").write_text("1\n5\n9\n")
        (folder / f"{word}_axis_level_dG.txt").write_text(changes)
        (folder / f"{word}_cdf.txt").write_text("0 0.5 1\n" * 3)
    result = call("fit", "jumps", "--layout", "jumps", "--unit", 1e-6)
    assert result.exit_code == 0, result.output
    made = Fit.load(here / "runs" / "device-jumps" / "device.json").device
    assert isinstance(made, JumpCell) and made.down.change == pytest.approx((-2e-6, -1e-6, 0))


@pytest.mark.usefixtures("sketches")
def test_fusion(here) -> None:
    rng = np.random.default_rng(0)
    target = rng.uniform(1, 40, 600)
    head = "1\nAnalogLinear\n600\n20\n30\nfc\n"
    for name, g in (("out.csv", target), ("chip.csv", target + 0.5 * rng.normal(size=600))):
        (here / name).write_text(head + ",".join(map(repr, np.abs(g).tolist())) + "\n")
    result = call("fit", "chip.csv", "--layout", "fusion", "--target", "out.csv")
    assert result.exit_code == 0, result.output
    made = Fit.load(here / "runs" / "device-chip" / "device.json").device
    assert made.g_max == pytest.approx(1e-6 * target.max())


@pytest.mark.usefixtures("sketches")
def test_a_loop(here) -> None:
    trace = LinearIonDrift(r_off=14e3).simulate(*sine(1.0, 1.0, 1, 40))
    columns = np.stack([trace.time, trace.voltage, 1e6 * trace.current], 1)
    np.savetxt("loop.csv", columns, delimiter=",", header="time_s,voltage_V,current_uA", comments="")
    words = ("fit", "loop.csv", "--layout", "loop", "--model", "LinearIonDrift", "--free", "r_off, mobility")
    result = call(*words)
    assert result.exit_code == 0, result.output
    made = Fit.load(here / "runs" / "device-loop" / "device.json")
    assert made.device.r_off == pytest.approx(14e3, rel=1e-3)


@pytest.mark.usefixtures("sketches")
def test_a_saved_measurement_is_a_layout(here) -> None:
    config.save(PulseTrain(up=100, width=3e-6), here / "how.json")
    result = call("fit", STATES, "--layout", "how.json", "--output", "out")
    assert result.exit_code == 0, result.output
    assert json.loads((here / "out" / "device.json").read_text())["width"] == 3e-6


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "say which device; mho device --list"),
        (("PMC",), "no 'PMC'; did you mean 'PCM'?"),
        (("FiniteStates",), "FiniteStates needs states: make it in Python"),
        (("none.json",), "No such file"),
        (("PCM", "--amplitude", 1), "--amplitude: PCM is no switching model"),
        (("VTEAM", "--frequency", -1), "--frequency = -1: a positive number"),
        (("VTEAM", "--amplitude", 0.001), "does not move under up to 0.001 V"),
        (("PCM", "--unit", 1), "--unit: only mho device fit reads a measurement"),
        (("PCM", "a.csv"), "TABLE: only mho device fit"),
        (("fit",), "give the measured table"),
        (("fit", STATES, "--layout", "pulse"), "--layout has no 'pulse'; did you mean 'pulses'?"),
        (("fit", STATES, "--layout", "loop"), "say --model"),
        (("fit", STATES, "--layout", "loop", "--model", "PCM", "--free", "g_max"), "PCM"),
        (("fit", STATES, "--layout", "states"), "memristor_states.csv: no column 'mean_S'"),
        (("fit", STATES, "--layout", "pulses", "--model", "VTEAM"), "--model: only --layout loop"),
        (("fit", STATES, "--layout", "pulses", "--unit", 1e-6), "says its unit already"),
        (("fit", STATES, "--layout", "pulses", "--unit", "volts"), "no unit of cells; give a name, such as"),
        (
            ("fit", STATES, "--layout", "loop", "--model", "VTEAM", "--free", "r_on", "--v-read", 1),
            "--v-read: a loop has volts and amperes",
        ),
        (("PCM", "--v-read", 0.1), "--v-read: only mho device fit reads a measurement"),
        (("fit", "none.csv", "--layout", "pulses"), "No such file"),
        (("fit", STATES, "--layout", "fusion"), "say --target"),
        (("fit", STATES, "--layout", "states", "--target", STATES), "only --layout fusion"),
        (
            ("fit", STATES, "--layout", "fusion", "--target", STATES),
            "no Fusion CSV: it begins with five rows",
        ),
        (("fit", ".", "--layout", "jumps"), "no three files of a jump table"),
        (
            ("fit", "bad.csv", "--layout", "pulses"),
            "bad.csv, line 3, column 'g_S': 'x' is not a finite",
        ),
    ],
)
def test_bad_input_is_one_clear_message_and_status_2(words, sentence, here) -> None:
    (here / "bad.csv").write_text("g_S\n1e-6\nx\n")
    result = call(*words)
    assert result.exit_code == 2, result.output
    assert sentence in result.stderr and result.stderr.startswith("mho: ")
    assert "Traceback" not in result.output
    assert not (here / "runs").exists()
