"""``mho budget``: its table is the one of ``mho.budget``, the hardware is the one asked for."""

from __future__ import annotations

import pandas as pd
import pytest
from typer.testing import CliRunner

import mho
from mho.cli import app

SMALL = ["--epochs", 1, "--chips", 2, "--quick"]


def call(*words):
    return CliRunner().invoke(app, ["budget", *map(str, words)], catch_exceptions=False)


def test_writes_the_table_and_the_figure(tmp_path) -> None:
    chip = tmp_path / "chip.json"
    mho.Hardware(device=mho.devices.StuckAt(hrs=0.3), adc=mho.ADC(bits=3)).save(str(chip))
    result = call(*SMALL, "--hardware", chip, "--output", tmp_path)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "budget.csv")
    assert table["name"].astype(str).tolist() == ["everything", "StuckAt", "ADC", "0", "2", "6", "8"]
    assert table["alone"][1] > 0 and (table["alone low"] <= table["alone"]).all()
    assert (tmp_path / "budget.png").read_bytes().startswith(b"\x89PNG")
    assert "by mechanism" in result.output and "tests of chips: 24/24" in result.output
    again = call(*SMALL, "--hardware", chip, "--output", tmp_path)  # the network is found again
    assert again.output.splitlines()[-8:] == result.output.splitlines()[-8:]
    assert len(list(tmp_path.glob("network-*.pt"))) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--age", "1h,1d"], "give one time"),
        (["--age", "soon"], "not a time"),
        (["--device", "PCN"], "did you mean 'pcm'"),
    ],
)
def test_errors_are_sentences(words, said, tmp_path) -> None:
    result = call(*SMALL, *words, "--output", tmp_path)
    assert result.exit_code == 2
    assert said in result.stderr


def test_options_that_contradict_the_file(tmp_path) -> None:
    chip = tmp_path / "chip.json"
    mho.Hardware().save(str(chip))
    result = call(*SMALL, "--hardware", chip, "--bits", 4, "--output", tmp_path)
    assert result.exit_code == 2 and "leave one out" in result.stderr
