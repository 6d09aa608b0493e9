"""``mho conform``: every comparison with other simulators, and no difference without a reason."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mho.cli import app
from mho.conformance import Row, Verdict, conformance, faults, goldens, memtorch
from mho.conformance.rows import COLUMNS, text


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conform")
    before = torch.get_rng_state()
    done = CliRunner().invoke(app, ["conform", "--output", str(folder)], catch_exceptions=False)
    assert torch.equal(before, torch.get_rng_state())
    return done, folder


def test_no_row_is_unexplained(run) -> None:
    done, folder = run
    assert done.exit_code == 0, done.output
    assert "UNEXPLAINED" not in done.output
    with (folder / "conformance.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert {row["verdict"] for row in rows} == {
        "agrees", "differs, explained", "refused by name", "not compared"
    }  # fmt: skip
    assert all(row["why"] for row in rows if row["verdict"] != "agrees")
    assert (folder / "conformance.html").read_text().count("<tr>") > len(rows)


def test_every_golden_case_has_a_row(run) -> None:
    data = goldens()
    with (run[1] / "conformance.csv").open() as file:
        cases = [(row["peer"].split(" (")[0], row["case"]) for row in csv.DictReader(file)]
    assert len(cases) == len(set(cases)) + 9  # the compiled and the torch tile of nine products
    crosssim = {case for peer, case in cases if peer == "CrossSim 3.2.0"}
    held = np.load(data / "crosssim/det_16.npz").files
    assert {
        name for name in json.loads((data / "crosssim/det_16.json").read_text()) if f"y:{name}" in held
    } <= crosssim
    names = {case for _, case in cases}
    assert {
        f"product {c['name']}" for c in json.loads((data / "aihwkit/golden_mvm.json").read_text())["cases"]
    } <= names
    assert {
        f"moments {m}" for m in json.loads((data / "aihwkit/golden_noise.json").read_text())["models"]
    } <= names
    for row in json.loads((data / "aihwkit/golden_gdc.json").read_text())["rows"]:
        assert f"compensation {row['comp']} {row['model']} {row['t']:g} s" in names
    assert sum(case.startswith("currents") for _, case in cases) == 26 + 5
    assert len([fault for fault in faults.FAULTS if fault.case in names]) == 16


def test_a_difference_without_a_reason_ends_with_status_1(tmp_path: Path) -> None:
    """One current of a reference run is wrong by a thousandth."""
    data = tmp_path / "data"
    shutil.copytree(goldens(), data, ignore=shutil.ignore_patterns("format1", "pulsed", "cost"))
    path = data / "memtorch/VTEAM_bipolar.csv"
    head, *lines = path.read_text().splitlines()
    rows = [line.split(",") for line in lines]
    peak = max(rows, key=lambda row: abs(float(row[3])))
    peak[3] = repr(float(peak[3]) * 1.001)
    path.write_text("\n".join([head, *(",".join(row) for row in rows)]))
    found = list(memtorch.rows(data))
    assert [row.case for row in found if row.verdict is Verdict.UNEXPLAINED] == ["currents VTEAM_bipolar"]
    assert "no reason known" in text(found)


def test_a_fault_of_our_own_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace_first(holds=lambda: False)
    monkeypatch.setattr(faults, "FAULTS", (broken,))
    assert [row.verdict for row in conformance(parts=["faults"])] == [Verdict.UNEXPLAINED]


def replace_first(**named):
    return faults.FAULTS[0]._replace(**named)


def test_where_the_numbers_are_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no reference numbers; give the folder"):
        conformance(tmp_path)
    with pytest.raises(ValueError, match="parts = 'peers'"):
        conformance(parts=["peers"])
    done = CliRunner().invoke(app, ["conform", "--goldens", str(tmp_path)])
    assert done.exit_code == 2 and "no reference numbers" in done.output
    row = Row("a", "b", "1", "2", 1.0, 0.1, Verdict.UNEXPLAINED)
    assert replace(row, right="mho").right == "mho"
