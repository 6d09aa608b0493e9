"""Simulators that are installed run the cases again: here one of our own under the name of badcrossbar."""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mho.cli import app
from mho.commands import conform
from mho.conformance import Peer, Verdict, find_peers, goldens, peer_rows

SOLVER = '''
"""A crossbar by its nodal equations, dense."""
__version__ = "0.7"

from types import SimpleNamespace

import numpy as np


def compute(applied_voltages, resistances, r_i_word_line, r_i_bit_line):
    rows, columns = resistances.shape
    node = np.arange(2 * rows * columns).reshape(2, rows, columns)
    matrix = np.zeros((node.size, node.size))
    drive = np.zeros((node.size, applied_voltages.shape[1]))

    def join(a, b, ohms):
        matrix[a, a] += 1 / ohms
        matrix[b, b] += 1 / ohms
        matrix[a, b] -= 1 / ohms
        matrix[b, a] -= 1 / ohms

    for j in range(rows):
        for i in range(columns):
            join(node[0, j, i], node[1, j, i], resistances[j, i])
            if i:
                join(node[0, j, i - 1], node[0, j, i], r_i_word_line)
            if j:
                join(node[1, j - 1, i], node[1, j, i], r_i_bit_line)
        matrix[node[0, j, 0], node[0, j, 0]] += 1 / r_i_word_line
        drive[node[0, j, 0]] = applied_voltages[j] / r_i_word_line
    for i in range(columns):
        matrix[node[1, -1, i], node[1, -1, i]] += 1 / r_i_bit_line
    volts = np.linalg.solve(matrix, drive)
    output = volts[node[1, -1]].T / r_i_bit_line
    return SimpleNamespace(currents=SimpleNamespace(output=output))
'''
WITHOUT_WIRES = """
from types import SimpleNamespace

def compute(applied_voltages, resistances, r_i_word_line, r_i_bit_line):
    if resistances.shape[0] == 2:
        raise RuntimeError("two rows are too few")
    return SimpleNamespace(currents=SimpleNamespace(output=applied_voltages.T @ (1 / resistances)))
"""


def installed(folder: Path, text: str) -> str:
    """A package under the name of badcrossbar, and an interpreter that can import it."""
    (folder / "site/badcrossbar").mkdir(parents=True)
    (folder / "site/badcrossbar/__init__.py").write_text(text)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}/site" exec "{sys.executable}" "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    return str(python)


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> Path:
    """The reference numbers of small crossbars."""
    folder = tmp_path_factory.mktemp("goldens")
    recorded = np.load(goldens() / "irdrop/crossbars.npz")
    small = {name: recorded[name] for name in recorded.files if "_2x3" in name or "_8x8" in name}
    (folder / "irdrop").mkdir()
    np.savez(folder / "irdrop/crossbars.npz", **small)
    (folder / "aihwkit").mkdir()
    (folder / "aihwkit/golden_mvm.npz").touch()
    return folder


def peer_of(python: str) -> Peer:
    return next(peer for peer in find_peers([python]) if peer.python == python)


def test_a_peer_that_lives_elsewhere_agrees(cases: Path, tmp_path: Path) -> None:
    python = installed(tmp_path, SOLVER)
    peer = peer_of(python)
    assert peer == Peer("badcrossbar", "0.7", python) and peer.label == "badcrossbar 0.7, installed"
    rows = peer_rows(peer, cases)
    assert len(rows) == 8 and {row.peer for row in rows} == {peer.label}
    assert {row.verdict for row in rows} == {Verdict.AGREES}
    assert all(0 < row.difference <= 1e-9 for row in rows)  # computed there and here, not copied


def test_a_peer_that_differs_is_unexplained_and_one_that_cannot_says_so(cases: Path, tmp_path: Path) -> None:
    rows = peer_rows(peer_of(installed(tmp_path, WITHOUT_WIRES)), cases)
    apart = [row for row in rows if row.verdict is Verdict.APART]
    assert {row.why for row in apart} == {"RuntimeError: two rows are too few"}
    assert all(row.case.startswith("currents 2x3_rw") and "of unknown version" in row.peer for row in apart)
    assert len(rows) == 8
    assert {row.verdict for row in rows if row not in apart} == {Verdict.UNEXPLAINED}


@pytest.mark.parametrize(
    "text, why",
    [
        ("import os\nos._exit(3)", "it ended with an error: status 3"),
        ("raise ImportError('built for another torch')", "it ended with an error: .*built for another torch"),
        ("import time\ntime.sleep(60)", "it did not end within 1 s"),
    ],
)
def test_a_peer_that_ends_early_fails_no_row(tmp_path: Path, text: str, why: str) -> None:
    (row,) = peer_rows(peer_of(installed(tmp_path, text)), seconds=1.0 if "sleep" in text else 60.0)
    assert row.verdict is Verdict.APART
    assert re.fullmatch(why, row.why)


def test_the_command(cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conform, "conformance", lambda folder: [])
    monkeypatch.delenv("PYTHONPATH", raising=False)
    wrong = installed(tmp_path / "wrong", WITHOUT_WIRES)
    right = installed(tmp_path / "right", SOLVER)
    output = tmp_path / "out"

    def called(*pythons: str):
        named = ["--goldens", str(cases), "--output", str(output), "--peer-python", ",".join(pythons)]
        return CliRunner().invoke(app, ["conform", *named])

    done = called(right, wrong)  # the first that has it
    assert done.exit_code == 0, done.output
    assert "badcrossbar 0.7, installed: 8 agrees" in done.output
    assert "not installed, compared with recorded numbers only: aihwkit" in done.output
    assert "badcrossbar 0.7, installed" in (output / "conformance.csv").read_text()
    done = called(wrong)
    assert done.exit_code == 1 and "UNEXPLAINED" in done.output


LIGHTNING = """
from torch import nn, randn_like

class AnalogLinear(nn.Linear):
    def __init__(self, inputs, outputs, bias, rpu_config):
        super().__init__(inputs, outputs, bias=bias)
        self.noise = rpu_config.forward.out_noise
    def forward(self, x):
        y = super().forward(x)
        return y + self.noise * randn_like(y) if {quiet} else y
"""
CONFIGS = """
from types import SimpleNamespace

def TorchInferenceRPUConfig():
    ranges = SimpleNamespace(input_range=SimpleNamespace())
    return SimpleNamespace(forward=SimpleNamespace(), mapping=SimpleNamespace(), pre_post=ranges)
"""


@pytest.mark.parametrize("still", [True, False])
def test_silent_errors_of_a_peer_are_asked_for(still: bool, tmp_path: Path) -> None:
    """One whose output noise does nothing in evaluation, and one that has mended it."""
    package = tmp_path / "site/aihwkit_lightning"
    for folder in ("nn", "simulator/configs"):
        (package / folder).mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "nn/__init__.py").write_text(LIGHTNING.format(quiet=f"not {still} and self.noise"))
    (package / "simulator/configs/__init__.py").write_text(CONFIGS)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}/site" exec "{sys.executable}" "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    rows = {row.case: row for row in peer_rows(peer_of(str(python)))}
    row = rows["output noise in evaluation"]
    assert row.verdict is (Verdict.EXPLAINED if still else Verdict.AGREES)
    assert row.theirs == ("it does nothing" if still else "not any more")
    assert rows["product light_dac8"].verdict is Verdict.UNEXPLAINED  # it rounds nothing


def test_an_interpreter_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give the path of a Python interpreter"):
        find_peers([tmp_path / "python"])
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho 'no such option' >&2\nexit 2\n")
    other.chmod(0o755)
    with pytest.raises(ValueError, match=r"other: no Python interpreter of 3\.8 or later; .*no such option"):
        find_peers([other])


def test_a_package_of_the_same_name_is_no_peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CrossSim's package is called ``simulator``; another one has no cores."""
    (tmp_path / "simulator").mkdir()
    (tmp_path / "simulator/__init__.py").write_text("raise SystemExit('it was imported')")
    monkeypatch.setenv("PYTHONPATH", os.fspath(tmp_path))
    assert "CrossSim" not in {peer.name for peer in find_peers()}
    (tmp_path / "simulator/cores").mkdir()
    assert Peer("CrossSim", "of unknown version", sys.executable) in find_peers()
