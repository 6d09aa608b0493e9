"""The campaigns run: a handful of cases of each. `make campaign-quick` and `make campaign` try the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="campaigns fork")
@pytest.mark.exhaustive
def test_a_handful_of_each() -> None:
    words = [sys.executable, "-m", "campaigns", "--handful", "--seed", "1"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("seed 1\n")
    totals = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line[:1].isalpha()}
    for name in ("crash", "damage", "documents", "chips", "company"):
        injected, survived, named, failed = map(int, totals[name])
        assert injected == survived + named >= 2 and failed == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="campaigns fork")
def test_what_is_wrong_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A case that hangs, one whose process dies and one that fails are told apart from one that does not."""
    monkeypatch.syspath_prepend(str(ROOT))
    from campaigns.forks import each
    from campaigns.outcomes import Outcome

    def tried(case: str) -> Outcome:
        if case == "hangs":
            os.read(os.pipe()[0], 1)
        if case == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if case == "fails":
            raise AssertionError
        return Outcome("survived")

    names = ["good", "hangs", "dies", "fails", "fine"]
    found = {case: outcome.how for case, outcome in each(names, tried, tmp_path, 1.0, chunk=3)}
    assert found == {
        "good": "survived",
        "hangs": "hangs",
        "dies": "the process ended",
        "fails": "the campaign itself failed",
        "fine": "survived",
    }
