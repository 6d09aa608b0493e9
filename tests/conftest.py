"""What all tests share: one thread per process, fixed seeds, no window."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import hashlib
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before torch and numpy start: the processes of pytest-xdist already fill the cores.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("KERAS_BACKEND", "torch")  # of this process; tests/keras start others
# Compiled graphs of each setting of `make kernels` apart: from a common cache torch takes code for vectors of
# another length, which computes nonsense or ends the process.
_KERNELS = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_CBWR",
    "MHO_TEST_KERNELS",
)
_SETTING = hashlib.sha256("".join(os.environ.get(name, "-") for name in _KERNELS).encode()).hexdigest()[:8]
os.environ.setdefault(
    "TORCHINDUCTOR_CACHE_DIR", str(Path(tempfile.gettempdir(), f"mho-inductor-{os.getuid()}-{_SETTING}"))
)

import hypothesis  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

from .kernels import other_kernels  # noqa: E402

torch.set_num_threads(1)
gc.disable()  # what collecting tests makes stays until the end: see pytest_collection_finish
hypothesis.settings.register_profile("mho", deadline=None, derandomize=True)
hypothesis.settings.load_profile("mho")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests come first, so that no process ends with one when the others have nothing left to do."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """The search for garbage leaves out the modules and the tests: looking through them takes seconds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def kernels_of_the_session() -> Iterator[None]:
    """With ``MHO_TEST_KERNELS=1`` (or 2, 3...) all tests run with kernels that round otherwise."""
    number = int(os.environ.get("MHO_TEST_KERNELS", "0"))
    with other_kernels(number) if number else contextlib.nullcontext():
        yield


@pytest.fixture(params=["own", "other"])
def kernels(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both this machine's kernels and such as round otherwise, for tests of what is promised bit for bit."""
    if request.param == "own":
        yield request.param
        return
    with other_kernels():
        yield request.param


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """Every test starts from the same random numbers, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.default_generator.manual_seed(0)  # torch.manual_seed also writes down the stack, for accelerators
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(0)


@pytest.fixture
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of the training images, a sixth of the others: for programs that need not learn."""
    from mho.experiments.data import Data, Digits

    whole = Digits.load

    def load(self: Digits, folder: Path | None = None) -> Data:
        data = whole(self, folder)
        parts = {
            name: torch.utils.data.TensorDataset(*(t[:count] for t in getattr(data, name).tensors))
            for name, count in (("train", 200), ("validation", 100), ("test", 100))
        }
        return dataclasses.replace(data, **parts)

    monkeypatch.setattr(Digits, "load", load)


@pytest.fixture
def sketches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made and written but not drawn, which takes longer than the rest of a command.

    For tests of something else: each command has another one that draws.
    """

    def written(figure: Any, to: Any, format: str = "png", **_: Any) -> None:
        content = b"<svg></svg>" if format == "svg" else b"\x89PNG\r\n\x1a\n"
        if hasattr(to, "write"):
            to.write(content)
        else:
            Path(to).write_bytes(content)

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", written)
