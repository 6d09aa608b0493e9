"""``mho real``: one table of several networks, what is left out, and nothing where none can be run."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from mho.cli import app
from mho.commands import real
from mho.config import config
from mho.experiments.real import CORRECTIONS

from ..experiments.test_real import Sides


@config
class Gone(Sides):
    """A task whose weights are nowhere."""

    title = "gone"

    def lacking(self, folder=None):
        return "its weights are nowhere"


@config
class WrongSides(Sides):
    """The same task, told by its errors."""

    title = "halves"
    less_is_better = True


@pytest.fixture
def tasks(monkeypatch):
    known = {"sides": Sides(points=50), "halves": WrongSides(points=50), "gone": Gone()}
    monkeypatch.setattr(real, "TASKS", known)
    monkeypatch.setattr(real, "QUICK", known)
    return known


def call(*words):
    return CliRunner().invoke(app, ["real", *map(str, words)], catch_exceptions=False)


def test_one_table_of_all_and_what_is_left_out(tasks, tmp_path):
    words = ("--quick", "--output", tmp_path / "out")
    result = call(*words)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "gone is left out: its weights are nowhere"
    head = next(k for k, line in enumerate(lines) if line.startswith("network"))
    rows = [line.split() for line in lines[head + 1 : head + 7]]
    assert [row[0] for row in rows] == ["sides"] * 3 + ["halves"] * 3
    assert lines[head + 7].startswith(
        "sides (points told; points; 337 parameters): after 1 year 100.00 % digital"
    )
    assert "halves (points told; less is better;" in lines[head + 8]
    table = pd.read_csv(tmp_path / "out/results.csv")
    assert len(table) == 2 * 3 * 3 * len(CORRECTIONS) and set(table["task"]) == {"sides", "halves"}
    document = json.loads((tmp_path / "out/results.json").read_text())
    assert document["left_out"] == {"gone": "its weights are nowhere"} and len(document["tasks"]) == 2
    page = (tmp_path / "out/report.html").read_text()
    assert page.count("data:image/svg+xml") == 1 and "gone is left out: its weights are nowhere." in page
    assert (tmp_path / "out/real.png").read_bytes().startswith(b"\x89PNG")

    again = call(*words)
    assert "sides: 3 of 3 chips were finished by an earlier run" in again.output
    assert pd.read_csv(tmp_path / "out/results.csv").equals(table)


def test_where_nothing_can_be_run_nothing_is_written(tasks, tmp_path):
    result = call("--tasks", "gone", "--output", tmp_path / "out")
    assert result.exit_code == 2 and not (tmp_path / "out").exists()
    assert result.stdout == "gone is left out: its weights are nowhere\n"
    assert "install one of the packages" in result.stderr


def test_one_chip_has_no_interval(tasks, tmp_path):
    result = call("--tasks", "sides", "--chips", 1, "--times", "1s", "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "±" not in result.output and "mean of 1 chip." in result.output


def test_an_unknown_task_is_refused(tasks, tmp_path):
    result = call("--tasks", "sides,sight", "--output", tmp_path / "out")
    assert result.exit_code == 2 and "--tasks sight: choose among sides, halves, gone" in result.stderr


def test_what_a_first_look_leaves_out_has_a_name():
    assert set(real.NOT_QUICK) < set(real.QUICK) == set(real.TASKS)
