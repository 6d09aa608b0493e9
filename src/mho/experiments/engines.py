"""Where the cells of a sweep run: in processes on this machine, or on a Ray cluster.

Every cell runs by the same function with the same number of threads and draws from its own seeds, so
its result does not depend on the engine or on its neighbours.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import Any

from mho.config import parse_json
from mho.experiments.worker import Job, Outcome, run_cell

# The current folder may hold anything: it is no place to import from. (`python -P` came with 3.11.)
_WORKER = """
import sys
sys.path[:] = [path for path in sys.path if path]
from mho.experiments.worker import main
main()
"""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Engine(ABC):
    """Runs jobs, several at once."""

    @abstractmethod
    def run(self, jobs: Sequence[Job]) -> Generator[tuple[int, Outcome], None, None]:
        """The place of each job and its outcome, as they end."""


class LocalEngine(Engine):
    """Processes on this machine.

    Args:
        workers: how many; None for one for each core.
        log: file for what they print.
    """

    def __init__(self, workers: int | None = None, log: Path | None = None) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"workers = {workers}: at least 1")
        self.workers = workers if workers is not None else (os.cpu_count() or 1)
        self.log = log

    def run(self, jobs: Sequence[Job]) -> Generator[tuple[int, Outcome], None, None]:
        """See :meth:`Engine.run`."""
        stop, here = threading.Event(), threading.local()
        started: list[_Process] = []

        def ask(job: Job) -> Outcome:
            """Each thread has a process of its own, and a new one when it dies."""
            if getattr(here, "process", None) is None or here.process.ended:
                try:
                    here.process = _Process(job["threads"], self.log, stop)
                except OSError as error:
                    return {"error": f"no process could be started for this cell: {error}", "took": 0.0}
                started.append(here.process)
            outcome: Outcome = here.process.ask(job)
            return outcome

        pool = ThreadPoolExecutor(self.workers)
        asked = {pool.submit(ask, job): number for number, job in enumerate(jobs)}
        try:
            for done in as_completed(asked):
                yield asked[done], done.result()
        finally:
            if not all(one.done() for one in asked):
                stop.set()
            pool.shutdown(cancel_futures=True)
            for process in started:
                process.close()


class _Process:
    """A worker process; it ends when ``stop`` is set, also in the middle of a job."""

    def __init__(self, threads: int, log: Path | None, stop: threading.Event) -> None:
        environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
        command = [sys.executable, "-c", _WORKER]
        with open(os.devnull if log is None else log, "a", encoding="utf-8") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                env=environment, start_new_session=True,
            )  # fmt: skip  # a session of its own: Ctrl-C reaches the sweep, which then closes it
        threading.Thread(target=self._end_when, args=(stop,), daemon=True).start()

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self.process.poll() is not None

    def ask(self, job: Job) -> Outcome:
        """Give it a job and wait for the outcome; its death is one too."""
        assert self.process.stdin is not None and self.process.stdout is not None
        line = ""
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(dict(job)) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        if line.endswith("\n"):
            outcome: Outcome = parse_json(line)
            return outcome
        code = self.process.wait()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"status {code}"
        return {"error": f"the process of this cell ended ({how}); was the memory too small?", "took": 0.0}

    def _end_when(self, stop: threading.Event) -> None:
        while not self.ended:
            if stop.wait(0.2):
                self.process.kill()  # what is half done is done again

    def close(self) -> None:
        """End the process, by closing its standard input."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class RayEngine(Engine):
    """A Ray cluster: the one that is running, or a local one started for the sweep.

    Args:
        address: of a cluster; None for the one named by ``RAY_ADDRESS``, or for a local one.
        workers: cells at once on a local cluster; None for as many as there are cores for.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"workers = {workers}: at least 1")
        self.address, self.workers = address, workers

    def run(self, jobs: Sequence[Job]) -> Generator[tuple[int, Outcome], None, None]:
        """See :meth:`Engine.run`.

        Raises:
            ValueError: no machine of the cluster has the cores or the GPU that a cell needs.
        """
        if not jobs:
            return
        import ray

        address = self.address if self.address is not None else os.environ.get("RAY_ADDRESS")
        threads = max((int(job["threads"]) for job in jobs), default=1)
        variables: dict[str, Any] = {"env_vars": dict.fromkeys(THREAD_VARIABLES, str(threads))}
        ours = not ray.is_initialized()
        if ours:
            cores = threads * self.workers if self.workers is not None else max(os.cpu_count() or 1, threads)
            local: dict[str, Any] = {} if address else {"num_cpus": cores, "include_dashboard": False}
            ray.init(address=address or "local", runtime_env=variables, log_to_driver=False, **local)
        try:
            cuda = any(str(job["device"]).startswith("cuda") for job in jobs)
            nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
            _check_machines([node["Resources"] for node in nodes if node["Alive"]], threads, cuda)
            remote = ray.remote(num_cpus=threads, num_gpus=int(cuda), max_retries=2)(run_cell)
            pending = {remote.remote(dict(job)): number for number, job in enumerate(jobs)}
            while pending:
                (ready, *_), _ = ray.wait(list(pending), num_returns=1)
                number = pending.pop(ready)
                try:
                    yield number, ray.get(ready)
                except ray.exceptions.RayError as error:
                    sentence = " ".join(str(error).split())[:300]
                    yield number, {"error": f"{type(error).__name__}: {sentence}", "took": 0.0}
        finally:
            if ours:
                ray.shutdown()


def _check_machines(machines: Sequence[Mapping[str, float]], threads: int, cuda: bool) -> None:
    """Ray waits for ever for what no machine has: say so."""
    cores = f"{threads} core{'s' * (threads > 1)}"
    if cuda and not any(one.get("GPU", 0) >= 1 and one.get("CPU", 0) >= threads for one in machines):
        raise ValueError(
            f"no machine of the Ray cluster has a GPU and {cores}; leave out --on cuda, choose fewer "
            "--threads, or add such a machine"
        )
    most = max((one.get("CPU", 0) for one in machines), default=0)
    if most < threads:
        raise ValueError(
            f"threads = {threads}: a machine of the Ray cluster has at most {most:g} cores; choose fewer "
            "--threads, or add a machine with more"
        )
