"""Every cell of the tutorial runs, at a small size."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "memtorch_tutorial.py"


def test_the_tutorial_runs(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), "--quick", "--output", str(tmp_path)])
    result = runpy.run_path(str(EXAMPLE), run_name="__main__")
    output = capsys.readouterr().out
    correct = {name: values for name, *values in result["table"]}
    assert len(correct) == 13
    for name in ("patched and tuned", "no transistors, naive_program (within 10 %)"):
        assert all(abs(c - correct["digital"][0]) < 10 for c in correct[name]), name
    assert correct["digital"][0] > 60 > max(correct["nonlinear, sweep of 1 V at 0.5 Hz"])
    assert "did you swap them" in output and "disturb the others" in output
    for name in ("hysteresis", "switching", "accuracies", "stochastic-hysteresis-2"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
