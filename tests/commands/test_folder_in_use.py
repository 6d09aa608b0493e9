"""Every command with a folder of results refuses one in which another process works, in one sentence."""

import os

import pytest
from typer.testing import CliRunner

from mho.cli import app
from mho.experiments.lock import FolderLock

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
