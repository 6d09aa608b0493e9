"""Every command with a folder of results refuses one in which another process works, in one sentence."""

import errno
import os
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mho.cli import app
from mho.experiments.lock import FolderLock
from mho.experiments.store import Store, claim_for_several, held_study
from mho.experiments.wires import WireStudy

PLAN = "study: {kind: experiments.WireStudy, rows: 4, columns: 4, sizes: [2], ohms: [1.0]}\n"

# Option of the folder, the folder that is locked below it, and what keeps the study small.
COMMANDS = {
    "drift": ("--output", "", ("--quick",)),
    "hwa": ("--output", "vision", ("--quick", "--modality", "vision", "--workers", 1)),
    "quantize": ("--output-dir", "", ("--quick",)),
    "sweep": ("--output", "", ("--workers", 1)),
    "reproduce": ("--output", "mehonic-2019", ("--quick", "mehonic-2019")),
    "search": ("--output", "", ("--trials", 1, "--epochs", 1)),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_in_use_is_refused(command, tmp_path):
    option, below, more = COMMANDS[command]
    folder = tmp_path / "results"
    words = [command, option, folder, *more]
    if command == "sweep":
        (tmp_path / "plan.yaml").write_text(PLAN)
        words.insert(1, tmp_path / "plan.yaml")
    lock = FolderLock(folder / below)
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    lock.release()
    assert result.exit_code == 2, result.output
    flat = " ".join(result.output.split())
    assert f"mho: output = {folder / below}: process {os.getpid()} on " in flat
    assert "the same command goes on from there" in flat
    assert not (folder / below / "study.json").exists()


@pytest.mark.parametrize("first, other", [("hwa", "quantize"), ("hwa", "drift"), ("real", "hwa")])
def test_a_folder_of_several_studies_is_not_that_of_one(first, other, tmp_path):
    """And not that of another command's several: each would take the place of the other's tables."""
    folder = tmp_path / "results"
    claim_for_several(folder, f"mho {first}")
    (folder / "part").mkdir()
    option, _, more = COMMANDS[other]
    words = [other, option, folder, *more]
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 2, result.output
    assert f"folders of studies of mho {first}" in " ".join(result.output.split())
    assert sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")) == ["part", "study.json"]
    claim_for_several(folder, f"mho {first}")  # the same command again is at home


def test_several_studies_do_not_go_into_the_folder_of_one(tmp_path):
    with Store(tmp_path, WireStudy(rows=4, columns=4)):
        (tmp_path / "results.csv").write_text("rows\n")
    words = ["hwa", "--output", tmp_path, *COMMANDS["hwa"][2]]
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 2, result.output
    assert "holds the results of another configuration" in " ".join(result.output.split())
    assert (tmp_path / "results.csv").read_text() == "rows\n" and not (tmp_path / "vision").exists()


def test_a_folder_of_several_studies_holds_no_configuration_of_one(tmp_path):
    claim_for_several(tmp_path, "mho hwa")
    with pytest.raises(ValueError, match="has folders of studies of mho hwa: name one of them"):
        held_study(tmp_path, WireStudy, "--networks")


def test_a_lock_that_cannot_be_written_names_the_folder_and_locks_nobody_out(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match=f"^{re.escape(str(tmp_path))}: cannot be written: no space left"):
            FolderLock(tmp_path)
    FolderLock(tmp_path).release()
