"""Work in forks of a process that has imported everything: a case may hang, die, or change what it likes."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from campaigns.outcomes import Outcome

KILLED = 137  # status with which an injected kill ends a process


class Ended(NamedTuple):
    """How a forked function ended.

    Attributes:
        status: of the process; negative for a signal, None for one that did not end in time.
        said: what it wrote to standard output and standard error.
    """

    status: int | None
    said: str


def forked(do: Callable[[], int | None], said: Path, seconds: float = 120.0) -> Ended:
    """Call a function in a process of its own; what it says goes to a file.

    Returns:
        Its status is what the function returned, or that of its ``SystemExit``; 70 for another exception.
    """
    child = started(do, said)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        number, status = os.waitpid(child, os.WNOHANG)
        if number:
            return Ended(os.waitstatus_to_exitcode(status), said.read_text(errors="replace"))
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return Ended(None, said.read_text(errors="replace"))


def started(do: Callable[[], int | None], said: Path) -> int:
    """The number of a new process that calls a function."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    signal.setitimer(signal.ITIMER_REAL, 0)
    handle = os.open(said, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os._exit(_status(do))


def _status(do: Callable[[], int | None]) -> int:
    """Call it as a program is called, with the status of a program."""
    try:
        status = do() or 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 70
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    return status


# --- many cases ----------------------------------------------------------------------------------

Try = Callable[[str], Outcome]


class _Worker:
    """A process that tries a few cases, one after the other, and says of each what became of it."""

    def __init__(self, cases: Sequence[str], tried: Try, said: Path) -> None:
        self.left = list(cases)
        self.begun = time.monotonic()
        self.said = said
        self.read, write = os.pipe()
        self.buffer = b""
        self.number = started(lambda: self._work(tried, write), said)
        os.close(write)

    def _work(self, tried: Try, write: int) -> None:
        os.close(self.read)
        for case in self.left:
            try:
                outcome = tried(case)
            except Exception:
                outcome = Outcome("the campaign itself failed", traceback.format_exc())
            os.write(write, (json.dumps(outcome) + "\n").encode())

    def heard(self) -> list[tuple[str, Outcome]]:
        """The cases that have ended since it was asked."""
        content = os.read(self.read, 1 << 16)
        *lines, self.buffer = (self.buffer + content).split(b"\n")
        found = []
        for line in lines:
            found.append((self.left.pop(0), Outcome(*json.loads(line))))
            self.begun = time.monotonic()
        if not content and self.left:
            found.append(self._gone(os.waitstatus_to_exitcode(os.waitpid(self.number, 0)[1])))
        elif not content:
            os.waitpid(self.number, 0)
        if not content:
            os.close(self.read)
            self.number = 0
        return found

    def _gone(self, status: int) -> tuple[str, Outcome]:
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        return self.left.pop(0), Outcome("the process ended", f"{how}\n{self._last()}")

    def _last(self) -> str:
        return self.said.read_text(errors="replace")[-2000:]

    def hangs(self, limit: float) -> tuple[str, Outcome] | None:
        """The case that has taken longer than it may; its process is ended."""
        if not self.number or time.monotonic() - self.begun < limit:
            return None
        os.kill(self.number, signal.SIGKILL)
        os.waitpid(self.number, 0)
        os.close(self.read)
        self.number = 0
        return self.left.pop(0), Outcome("hangs", f"more than {limit:g} s\n{self._last()}")


def each(
    cases: Sequence[str], tried: Try, work: Path, limit: float, chunk: int, processes: int = 2
) -> Iterator[tuple[str, Outcome]]:
    """Try all cases, a chunk of them in each fork, and give what became of each.

    Args:
        cases: their names.
        tried: tries one.
        work: folder for what the forks say.
        limit: seconds for one case.
        chunk: cases for a fork.
        processes: forks at once.
    """
    waiting = [list(cases[k : k + chunk]) for k in range(0, len(cases), chunk)][::-1]
    workers: list[_Worker] = []
    count = 0
    while waiting or workers:
        while waiting and len(workers) < processes:
            workers.append(_Worker(waiting.pop(), tried, work / f"fork-{count % (2 * processes)}.txt"))
            count += 1
        ready, _, _ = select.select([worker.read for worker in workers], [], [], 0.5)
        for worker in list(workers):
            found = worker.heard() if worker.read in ready else []
            late = worker.hangs(limit)
            yield from [*found, *([late] if late else [])]
            if not worker.number:
                workers.remove(worker)
                if worker.left:  # one of them ended or hung: the others are tried by another process
                    waiting.append(worker.left)
