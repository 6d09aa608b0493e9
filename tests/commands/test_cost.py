"""``mho cost``: one table, a page that says peak and achieved, and a technology of one's own."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

import mho
from mho.cli import app
from mho.config import save

SMALL = ["--epochs", 1, "--chips", 1, "--times", "25s,1y"]


def call(*words):
    return CliRunner().invoke(app, ["cost", *map(str, words)], catch_exceptions=False)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cost")
    own = folder / "own.yaml"
    save(mho.costs.NEURRAM, own)
    return call(*SMALL, "--technology", own, "--schedule", "pipeline", "--output", folder / "out"), folder


def test_one_table_figures_and_a_page(found):
    result, folder = found
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    head = next(k for k, line in enumerate(lines) if line.startswith("time"))
    names = ["time", "accuracy", "energy", "latency", "area (mm2)", "TOPS/W", "peak TOPS/W", "fJ/MAC"]
    assert " ".join(lines[head].split()) == " ".join(names)
    assert [line.split()[:2] for line in lines[head + 1 : head + 3]] == [["25", "s"], ["1", "year"]]
    assert lines[head + 3].startswith("achieved: ") and "; peak, all arrays full" in lines[head + 3]
    for name in ("layers.png", "times.png", "area.png"):
        assert (folder / "out" / name).read_bytes().startswith(b"\x89PNG")
    html = (folder / "out/report.html").read_text()
    assert html.count("data:image/svg+xml") == 3 and "Digital twin" in html and "Achieved" in html
    table = pd.read_csv(folder / "out/results.csv")
    assert table["seconds"].tolist() == [25.0, 31_536_000.0] and (table["energy"] > 0).all()
    study = json.loads((folder / "out/results.json").read_text())["study"]
    assert (study["technology"]["kind"], study["schedule"]) == ("costs.NeuRRAM", "pipeline")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--technology", "isac"], "no 'isac'; did you mean 'isaac'"),
        (["--technology", "none.yaml"], "none.yaml"),
        (["--schedule", "all"], "--schedule all: choose one of layers, pipeline"),
        (["--share", 0.3], "share = 0.3"),
    ],
)
def test_errors_are_sentences(words, said, tmp_path):
    result = call(*SMALL, *words, "--output", tmp_path)
    assert result.exit_code == 2 and said in result.stderr


def test_hardware_without_a_dac_and_a_file_that_is_no_technology(tmp_path):
    chip = tmp_path / "chip.yaml"
    mho.Hardware(adc=mho.ADC()).save(str(chip))
    result = call(*SMALL, "--hardware", chip, "--output", tmp_path / "out")
    assert result.exit_code == 2 and "hardware.dac = None" in result.stderr
    result = call(*SMALL, "--technology", chip, "--output", tmp_path / "out")
    assert result.exit_code == 2 and "a Hardware, not a technology" in result.stderr
