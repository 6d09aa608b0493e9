"""``framework="tensorflow"`` of the framework document, in a process of its own, with its backend."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mho

MISSING = [name for name in ("keras", "tensorflow", "mho.keras") if importlib.util.find_spec(name) is None]


@pytest.mark.exhaustive
@pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}: pip install 'mho[keras]' tensorflow")
def test_training_conversion_and_benchmark_with_tensorflow() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(Path(__file__).with_name("rram_tensorflow.py"))],
        env={
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            "TF_ENABLE_ONEDNN_OPTS": "0",
            "PYTHONPATH": str(Path(mho.__file__).parents[1]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    assert done.stdout.endswith("done\n")
