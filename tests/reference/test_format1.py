"""Files of format 1 that an earlier mho wrote are read as they were: a chip, and the folder of a run."""

import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import mho
from mho.calibration import load_hardware
from mho.config.sealed import CHECK, load_tensors
from mho.experiments.drift import DriftStudy
from mho.experiments.harness import run
from mho.experiments.networks import Networks
from mho.experiments.store import CONFIGURATION, OtherStudyError

DATA = Path(__file__).parent / "data" / "format1"
LAST_BITS = {"rtol": 1e-6, "atol": 1e-7}  # an aged cell is a power, which processors round in their own ways
MADE = runpy.run_path(str(DATA / "make.py"))


def test_a_chip_of_format_1_has_the_weights_that_it_had():
    analog = mho.convert(MADE["network"](), load_hardware(DATA / "hardware.json"))
    analog.load_state_dict(load_tensors(DATA / "chip.pt"))
    held, kept = mho.effective_weights(analog), np.load(DATA / "weights.npz")
    assert set(held) == set(kept.files)
    for name, weight in held.items():
        assert torch.allclose(weight, torch.from_numpy(kept[name]), **LAST_BITS), name
    state = load_tensors(DATA / "chip.pt")
    assert int(state["0.crossbar.chip_format"][0]) == 1 and int(state["0.crossbar.chip_checksum"])
    again = analog.state_dict()  # and is written as it was read
    assert all(torch.equal(again[name], value) for name, value in state.items())
    assert again.keys() == state.keys()


def test_a_chip_file_of_format_1_is_the_same_chip():
    analog = mho.convert(MADE["network"](), load_hardware(DATA / "hardware.json"))
    state = load_tensors(DATA / "chip.pt")
    analog.load_state_dict({name: value for name, value in state.items() if ".crossbar." not in name})
    mho.load_chip(analog, DATA / "chip.safetensors")
    held, kept = mho.effective_weights(analog), np.load(DATA / "weights.npz")
    for name, weight in held.items():
        assert torch.allclose(weight, torch.from_numpy(kept[name]), **LAST_BITS), name
    again = analog.state_dict()
    assert all(torch.equal(again[name], value) for name, value in state.items())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the folder, for the version that it belongs to."""
    shutil.copytree(DATA / "drift", tmp_path / "drift")
    held = json.loads((tmp_path / "drift" / CONFIGURATION).read_text())
    assert CHECK not in held  # it is older than that
    monkeypatch.setattr("mho.__version__", held["mho"])
    return tmp_path / "drift"


def holds(now, old):
    """Whether all that a description said is said still, in its parts too."""
    if isinstance(old, dict):
        return isinstance(now, dict) and all(name in now and holds(now[name], old[name]) for name in old)
    return now == old


def test_a_run_of_format_1_is_finished_and_has_its_table(folder, monkeypatch):
    def refused(*_):
        raise AssertionError("there is nothing left to do")

    monkeypatch.setattr(DriftStudy, "measure", refused)
    monkeypatch.setattr(Networks, "make", refused)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    found = run(MADE["STUDY"], folder)
    assert len(found.table) == len(before["results.csv"].splitlines()) - 1
    for name in ("results.csv", "chips.jsonl", CONFIGURATION, *(n for n in before if n.endswith(".pt"))):
        assert (folder / name).read_bytes() == before[name], name
    told, old = (json.loads(text) for text in ((folder / "results.json").read_text(), before["results.json"]))
    assert holds(told["study"], old["study"])  # fields that came later are at their defaults
    for row in old["summary"]:  # intervals of accuracies went beyond 0 and 1 then
        row["low"], row["high"] = max(row["low"], 0.0), min(row["high"], 1.0)
    assert all(told[name] == old[name] for name in old.keys() - {"versions", "conversion", "study"})


def test_a_run_of_format_1_does_what_is_missing(folder):
    log = folder / "chips.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:-1]))
    run(MADE["STUDY"], folder)
    kept = log.read_text().splitlines(keepends=True)
    assert kept[:-1] == lines[:-1] and len(kept) == len(lines)
    last, before = json.loads(kept[-1]), json.loads(lines[-1])
    assert last["study"] == before["study"] and last["chip"] == before["chip"]


def test_another_version_says_that_it_is_another_one(folder, monkeypatch):
    monkeypatch.setattr("mho.__version__", "99.0")
    with pytest.raises(OtherStudyError, match=r'mho: it has "0\.1\.0", this run has "99\.0"'):
        run(MADE["STUDY"], folder)
