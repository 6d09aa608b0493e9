"""The driver that runs published scripts: on checkouts of a few lines of our own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks import other_scripts
from benchmarks.other_scripts import FACES, SCRIPTS, cells, run, verdict

# a name of the peer, a submodule, a module beside the script that imports the peer, and an answer of mho
EXAMPLE = """
from aihwkit.nn import AnalogLinear
import aihwkit.simulator.configs as configs
from beside import KIND
layer = AnalogLinear(4, 2, rpu_config=configs.InferenceRPUConfig())
assert KIND is type(layer) and AnalogLinear.__module__.startswith("mho.compat.aihwkit")
AnalogLinear(4, 2, True, rpu_config=configs.SingleRPUConfig(device=configs.ConstantStepDevice()))
"""


def test_a_script_runs_with_its_imports_replaced_and_is_refused_by_mho(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(other_scripts, "LOGS", tmp_path / "logs")
    number = 1 + next(
        n for n, s in enumerate(SCRIPTS) if s.path.endswith("05_simple_layer_hardware_aware.py")
    )
    examples = tmp_path / "aihwkit/examples"
    examples.mkdir(parents=True)
    (examples / "beside.py").write_text("from aihwkit.nn import AnalogLinear as KIND\n")
    (examples / "05_simple_layer_hardware_aware.py").write_text(EXAMPLE)
    found = run(number, tmp_path)
    assert found["ran"] == 1 and len(found["failed"]) == 1
    assert verdict(found).startswith("refused: cell 0: ") and "it learns by pulses" in verdict(found)
    assert "it learns by pulses" in (tmp_path / f"logs/{number:02d}.txt").read_text()
    assert not list(examples.glob("__pycache__"))  # it ran on a copy


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    assert verdict(run(1, tmp_path)).startswith("NOT RUN: ") and "is not there" in verdict(run(1, tmp_path))


def test_cells_are_code_without_magics_made_smaller(tmp_path: Path) -> None:
    notebook = {
        "cells": [
            {"cell_type": "markdown", "source": ["epochs = 10"]},
            {"cell_type": "code", "source": ["!pip install it\n", "epochs = 10\n"]},
            {"cell_type": "code", "source": ["%cd there\n"]},
        ]
    }
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(notebook))
    assert cells(path, (("epochs = 10", "epochs = 2"),)) == ["epochs = 2", ""]
    with pytest.raises(SystemExit, match=r"a\.ipynb has changed: 'rounds = 3' is not in it"):
        cells(path, (("rounds = 3", "rounds = 1"),))


def test_verdicts() -> None:
    ours, theirs = [3, "ConfigError: no", True], [4, "NameError: x", False]
    assert verdict({"ran": 9, "failed": []}) == "runs (9 cells)"
    assert verdict({"ran": 9, "failed": [ours]}) == "runs but for 1 of 9 cells: cell 3: ConfigError: no"
    both = verdict({"ran": 9, "failed": [ours, theirs]})
    assert both.startswith("runs but for 2 of 9 cells: cell 3") and both.endswith("cell 4: NameError: x")
    assert verdict({"ran": 2, "failed": [ours, theirs]}).startswith("refused: cell 3")


def test_the_list_is_that_of_the_page() -> None:
    page = (Path(__file__).parents[1] / "docs/other-scripts.md").read_text()
    for script in SCRIPTS:
        assert f"{script.repository} `{script.path}`" in page
    assert len(SCRIPTS) == 18 and {script.repository for script in SCRIPTS} == set(FACES)
