"""Two processes in one folder, for every study that has a folder: no result is lost, doubled or dead.

The processes are real: this file run as a program forks them (:func:`serve`), so that they import torch once.
"""

import errno
import importlib
import inspect
import json
import os
import pkgutil
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import filelock
import pytest

from mho import experiments
from mho.experiments import drift, harness, hwa, quantization, search, sweep
from mho.experiments.chips import ChipStudy
from mho.experiments.engines import Engine
from mho.experiments.fitting import Schedule
from mho.experiments.harness import run as run_study
from mho.experiments.lock import FolderInUseError
from mho.experiments.models import SmallCNN, SmallResNet
from mho.experiments.plan import make_plan
from mho.experiments.progress import Progress
from mho.experiments.robustness import RobustnessTest
from mho.experiments.worker import run_cell

NET = SmallCNN(first=2, second=2, hidden=4)
SHORT = Schedule(epochs=1, learning_rate=0.1)
CELL = {"kind": "experiments.ChipStudy", "chips": 1, "training": {"epochs": 1}}
PLAN = make_plan({"study": CELL, "grid": {"hardware.adc.bits": [4, 6, 8]}})
SPACE = search.SearchSpace(
    adc_bits=(4, 6, 8), dac_bits=(8,), tile_rows=(64,), slices=(1,), tolerance=(0.01, 0.1)
)
SEARCH = search.SearchStudy(base=ChipStudy(model=NET, training=SHORT, chips=1), space=SPACE, trials=6)
DRIFT = drift.DriftStudy(model=NET, training=SHORT, fine_tuning=SHORT, chips=2, times=(1.0, 86_400.0))
QUANTIZATION = quantization.QuantizationExperiment(
    study=quantization.QuantizationStudy(model=SmallResNet(width=2), training=replace(SHORT, batch=256)),
    test=RobustnessTest(noise=(0.0, 0.1), repeats=2, times=(60.0,)),
)
COURSE = hwa.Course(epochs=1, learning_rate=0.1)
HWA = hwa.HWAExperiment(
    study=hwa.HWAStudy(
        task=hwa.Vision(network=SmallResNet(width=2), test=100),
        teaching=COURSE,
        tuning=COURSE,
        calibration=32,
    ),
    test=hwa.ChipTest(chips=1, times=(1.0, 86_400.0), idealised_chips=1),
)


class Here(Engine):
    """Runs cells in this process, so that a kill reaches them."""

    def run(self, jobs):
        for number, job in enumerate(jobs):
            yield number, run_cell(job)


# How it is run in a folder, the stage that keeps records, and its table.
STUDIES = {
    "drift": (lambda folder, told: harness.run(DRIFT, folder, progress=told), "chips", "results.csv"),
    "hwa": (lambda folder, told: harness.run(HWA, folder, progress=told), "chips", "results.csv"),
    "quantization": (
        lambda folder, told: harness.run(QUANTIZATION, folder, progress=told),
        "tests under noise",
        "robustness.csv",
    ),
    "search": (lambda folder, told: run_study(SEARCH, folder, progress=told), "trials", "results.csv"),
    "sweep": (lambda folder, told: sweep.run(PLAN, folder, Here(), progress=told), "cells", "results.csv"),
}


class Hold(Progress):
    """Stays for ever in a stage once it has recorded something, and says so by a file."""

    def __init__(self, stage, marker):
        self.wanted, self.marker, self.here = stage, marker, False

    @contextmanager
    def stage(self, title, total, done=0):
        self.here = title == self.wanted
        yield self

    def advance(self, detail=""):
        if self.here:
            self.marker.touch()
            time.sleep(600)


def no_locks(self, **_):
    raise OSError(errno.ENOLCK, "No locks available")


def main(name, folder, how):
    """Run one study in a folder: until it is killed (``"hold"``), or to its end (``"without locks"``)."""
    run, stage, _ = STUDIES[name]
    marker = Path(f"{folder}.there")
    if how == "hold":
        run(folder, Hold(stage, marker))
    else:
        filelock.FileLock.acquire = no_locks
        marker.touch()
        run(folder, Progress())


def serve():
    """Run what standard input says, each line in a process of its own, whose number is the answer."""
    for module in ("pandas", "scipy.stats", "sklearn.datasets"):
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nothing is left of a process that has ended
    for line in sys.stdin:
        name, folder, how = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            main(name, Path(folder), how)
            os._exit(0)
        print(child, flush=True)


@pytest.fixture(scope="module")
def server():
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process


def lives(number):
    """Whether there is a process."""
    with suppress(ProcessLookupError):
        os.kill(number, 0)
        return True
    return False


def wait_for_the_end(number):
    deadline = time.monotonic() + 240
    while lives(number):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def other_process(server, name, folder, how):
    """Number of another process with the study, once it is where it says so; killed in the end."""
    server.stdin.write(json.dumps([name, str(folder), how]) + "\n")
    server.stdin.flush()
    number = int(server.stdout.readline())
    try:
        while not Path(f"{folder}.there").exists():
            assert lives(number), "it failed, as it says in its errors"
            time.sleep(0.05)
        yield number
    finally:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
        wait_for_the_end(number)


FIRST = ("drift", "search")  # in `make test`; the others in `make exhaustive`


@pytest.fixture(
    scope="module",
    params=[n if n in FIRST else pytest.param(n, marks=pytest.mark.exhaustive) for n in STUDIES],
)
def study(request, tmp_path_factory):
    """Its name, and the table of a run that nothing disturbed."""
    run, _, table = STUDIES[request.param]
    folder = tmp_path_factory.mktemp("alone")
    run(folder, Progress())
    return request.param, (folder / table).read_bytes()


def test_every_study_with_a_folder_is_here():
    found = set()
    for module in pkgutil.walk_packages(experiments.__path__, "mho.experiments."):
        run = vars(importlib.import_module(module.name)).get("run")
        if (
            inspect.isfunction(run)
            and run.__module__ == module.name
            and "output" in inspect.signature(run).parameters
        ):
            found.add(module.name.removeprefix("mho.experiments."))
    assert found == {"harness.runner", "sweep"}  # the runner runs all others


@pytest.mark.slow
def test_the_second_process_is_refused_and_a_killed_first_one_goes_on(study, server, tmp_path):
    name, table = study
    run, _, file = STUDIES[name]
    folder = tmp_path / "run"
    with other_process(server, name, folder, "hold") as first:
        sentence = f"output = {folder}: process {first} on "
        with pytest.raises(FolderInUseError, match=re.escape(sentence)):
            run(folder, Progress())
    run(folder, Progress())
    found = (folder / file).read_bytes()
    assert found == table or ("MHO_TEST_KERNELS" in os.environ and len(found.split()) == len(table.split()))


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*this file system has no locks")
def test_two_at_once_without_locks_leave_a_folder_that_goes_on(study, server, tmp_path, monkeypatch):
    name, table = study
    run, _, file = STUDIES[name]
    folder = tmp_path / "run"
    with other_process(server, name, folder, "without locks") as other, monkeypatch.context() as patch:
        patch.setattr("filelock.FileLock.acquire", no_locks)
        with suppress(OSError, ValueError):  # what one of them removes, the other may miss
            run(folder, Progress())
        wait_for_the_end(other)
    run(folder, Progress())
    found = (folder / file).read_bytes()
    assert found == table or ("MHO_TEST_KERNELS" in os.environ and len(found.split()) == len(table.split()))


if __name__ == "__main__":
    serve()
