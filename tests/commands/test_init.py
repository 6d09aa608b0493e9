"""``mho init``: what it writes is read as what it says, and each line says what it means."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

import mho
from mho.cli import app
from mho.commands.init import commented
from mho.config import kinds
from mho.devices import Device


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_it_writes_a_chip_that_loads(tmp_path):
    path = tmp_path / "hardware.yaml"
    done = run("init", path)
    assert done.exit_code == 0 and str(path) in done.output
    assert mho.Hardware.load(path) == mho.Hardware(
        device=mho.devices.PCM(), dac=mho.DAC(bits=8), adc=mho.ADC(bits=8)
    )
    fields = [line for line in path.read_text().splitlines() if re.match(r"\s*\w+:", line)]
    assert len(fields) > 40
    said = re.findall(r"^\s*#.*\n\s*(?!#|kind|format)(\w+):", path.read_text(), re.M)
    assert len(said) == sum(not re.match(r"\s*(kind|format):", line) for line in fields)


@pytest.mark.parametrize("kind", sorted(kinds(Device)))
def test_any_device_comes_back(kind, tmp_path):
    try:
        hardware = mho.Hardware(device=kinds(Device)[kind]())
    except ValueError:
        pytest.skip("it has parameters without a default")
    (tmp_path / "h.yaml").write_text(commented(hardware))
    assert mho.Hardware.load(tmp_path / "h.yaml") == hardware


def test_another_device_and_what_is_refused(tmp_path):
    path = tmp_path / "h.yml"
    assert run("init", path, "--device", "sonos").exit_code == 0
    assert mho.Hardware.load(path).device == mho.devices.SONOS()
    again = run("init", path)
    assert again.exit_code == 2 and "is there already" in again.output
    assert run("init", path, "--force").exit_code == 0
    assert mho.Hardware.load(path).device == mho.devices.PCM()
    assert "end in .yaml" in run("init", tmp_path / "h.json").output
    assert "did you mean" in run("init", tmp_path / "g.yaml", "--device", "pcn").output
    assert not (tmp_path / "g.yaml").exists()
