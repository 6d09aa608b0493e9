"""``mho wires``: the options reach the study, its table is printed, its figure is written."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from mho.array import Wires
from mho.cli import app
from mho.experiments.wires import WireStudy
from mho.report.wires import wires_text

SMALL = ["--rows", 24, "--columns", 16, "--sizes", "8,16"]


def call(*words):
    return CliRunner().invoke(app, ["wires", *map(str, words)], catch_exceptions=False)


def test_prints_the_study_and_draws_it(tmp_path) -> None:
    picture = tmp_path / "made" / "wires.png"
    result = call(*SMALL, "--row-ohm", 2, "--column-ohm", 3, "--output", picture)
    assert result.exit_code == 0, result.output
    study = WireStudy(
        rows=24,
        columns=16,
        wires=Wires(row=2.0, column=3.0),
        sizes=(8, 16),
        ohms=(1.25, 2.5, 5.0, 12.5, 25.0),
    )
    assert result.output == f"{wires_text(study.run())}\n{picture}\n"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_every_option_reaches_the_study(tmp_path) -> None:
    cells = ["--conductance", 1e-4, "--least-conductance", 1e-5, "--tolerance", 0.1, "--seed", 3]
    ends = ["--driver-ohm", 50, "--sense-ohm", 20]
    output = ["--output", tmp_path / "a.svg"]
    result = call(*SMALL, "--node", "22nm", *ends, *cells, "--ohms", "1,4", *output)
    assert result.exit_code == 0, result.output
    study = WireStudy(
        rows=24,
        columns=16,
        wires=Wires.from_node("22nm", driver=50.0, sense=20.0),
        sizes=(8, 16),
        ohms=(1.0, 4.0),
        g_min=1e-5,
        g_max=1e-4,
        tolerance=0.1,
        seed=3,
    )
    assert wires_text(study.run()) in result.output


def test_the_sweep_ends_at_the_array(tmp_path) -> None:
    result = call("--rows", 40, "--columns", 20, "--ohms", 1, "--output", tmp_path / "a.png")
    table = result.output.partition("bits\n")[2].partition("\n\n")[0]
    assert [int(line.split()[0]) for line in table.splitlines()] == [16, 32, 40]


def test_wires_without_resistance_lose_nothing(tmp_path) -> None:
    result = call(*SMALL, "--row-ohm", 0, "--output", tmp_path / "a.png")
    assert "voltage across a cell: 100.00 % at worst" in result.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--row-ohm", "-1"], "--row-ohm = -1: a resistance"),
        (["--sense-ohm", "nan"], "--sense-ohm = nan"),
        (["--column-ohm", "inf"], "--column-ohm = inf"),
        (["--rows", "0"], "rows = 0"),
        (["--node", "7nm"], "7nm"),
        (["--node", "22nm", "--row-ohm", "1"], "--row-ohm: --node says"),
        (["--node", "22nm", "--column-ohm", "1"], "--column-ohm: --node says"),
        (["--sizes", "8,many"], "--sizes = '8,many': give whole numbers"),
        (["--sizes", "0"], "sizes"),
        (["--sizes", "8.5"], "--sizes = '8.5': give whole numbers"),
        (["--ohms", "1;2"], "--ohms = '1;2': give numbers"),
        (["--ohms", "nan"], "ohms"),
        (["--threads", "0"], "threads = 0"),
        (["--conductance", "-1"], "g_max = -1.0"),
        (["--least-conductance", "1"], "must be below g_max"),
        (["--sizes", "8", "--output", "wires.txt"], "ends in .png, .svg or .pdf"),
    ],
)
def test_bad_input_is_one_clear_message_and_status_2(words, sentence, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("--rows", 8, "--columns", 8, *words)
    assert result.exit_code == 2
    assert sentence in result.stderr and result.stderr.startswith("mho: ")
    assert "Traceback" not in result.output
    assert not list(tmp_path.iterdir())
