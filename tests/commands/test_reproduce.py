"""``mho reproduce``: the list, the table with its verdicts, an unknown name, going on."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from mho.cli import app
from mho.commands import reproduce
from mho.experiments.reproduce import PAPERS

from ..experiments.test_reproduce import Stated


def call(*words):
    return CliRunner().invoke(app, ["reproduce", *map(str, words)], catch_exceptions=False)


@pytest.fixture
def papers(monkeypatch):
    for known in ("PAPERS", "QUICK"):
        monkeypatch.setattr(reproduce, known, {"stated": Stated()})


def test_without_a_name_they_are_listed_with_what_they_say():
    result = call()
    lines = result.stdout.splitlines()
    assert result.exit_code == 0 and [line.split()[0] for line in lines] == list(PAPERS)
    assert "97.3 % with ideal weights" in result.stdout


def test_a_name_that_is_unknown_is_refused_by_name(tmp_path):
    result = call("joshi", "--output", tmp_path / "out")
    assert result.exit_code == 2 and not (tmp_path / "out").exists()
    assert "NAME joshi: choose among xiao-2022, mehonic-2019, neurosim" in result.stderr


@pytest.mark.parametrize("name", ["stated", "all"])
def test_the_table_the_files_and_going_on(name, papers, tmp_path):
    words = (name, "--quick", "--output", tmp_path / "out")
    result = call(*words)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    head = next(k for k, line in enumerate(lines) if line.startswith("paper"))
    assert lines[head].split()[-1] == "verdict" and lines[head + 1].startswith("stated  a value")
    document = json.loads((tmp_path / "out/results.json").read_text())
    (paper,) = document["papers"]
    assert lines[head + 1].endswith(paper["compared"][0]["verdict"])
    assert f"stated: {paper['verdict']} (600 images of Digits, learned from 1000; 3 seeds" in result.output
    table = pd.read_csv(tmp_path / "out/results.csv")
    assert len(table) == 3 * (1 + 2) and set(table["paper"]) == {"stated"}
    assert "made up" in (tmp_path / "out/report.html").read_text()

    again = call(*words)
    assert "3 of 3 seeds were finished by an earlier run" in again.output
    assert pd.read_csv(tmp_path / "out/results.csv").equals(table)


def test_where_files_of_mnist_are_missing_nothing_is_written(papers, tmp_path):
    result = call("stated", "--data", tmp_path, "--output", tmp_path / "out")
    assert result.exit_code == 2 and not (tmp_path / "out").exists()
    assert "MNIST" in result.stderr
