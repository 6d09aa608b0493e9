"""The checks of the Keras layers, each backend in a process of its own.

Keras takes its backend when it is imported, so the files in ``checks/`` are run by a pytest of their own:
what they hold is told there, one test a sentence.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OTHERS = [pytest.param(name, marks=pytest.mark.exhaustive) for name in ("tensorflow", "jax")]
BACKENDS = ("torch", *OTHERS)
QUICKLY = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",  # its float32 rounds otherwise
    "JAX_PLATFORMS": "cpu",
    # compiling takes four times as long with all that XLA could do for graphs that run once
    "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
}


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_keras_layers_hold_what_they_promise(backend: str) -> None:
    for package in ("keras", backend):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    checks = sorted(map(str, HERE.glob("checks/check_*.py")))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *checks],
        cwd=ROOT, env={**os.environ, **QUICKLY, "KERAS_BACKEND": backend},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]


def test_without_keras_the_extra_is_named() -> None:
    code = "import sys; sys.modules['keras'] = None; import mho.keras"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode != 0
    assert (
        'ImportError: mho.keras needs Keras 3 and one of its backends: pip install "mho[keras]"' in ran.stderr
    )
