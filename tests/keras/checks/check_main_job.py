"""The main job: a year on phase-change memory, chip by chip beside torch."""

from __future__ import annotations

import importlib.util
import statistics
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "keras_year.py"


def test_accuracies_are_those_of_torch_chip_by_chip() -> None:
    spec = importlib.util.spec_from_file_location("keras_year", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    for pairs in example.main(["--quick", "--chips", "3"]).values():
        assert abs(statistics.mean(a - b for a, b in pairs)) < 1
        assert all(b > 60 for _, b in pairs)
