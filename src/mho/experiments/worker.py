"""One piece of work, such as a cell of a sweep, in a process of its own.

:func:`main` reads jobs from standard input, one JSON value on each line, and writes outcomes to standard
output in the same way. It ends at once when standard input is closed, also
in the middle of a job: when the sweep is gone, so is its work.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from queue import SimpleQueue
from runpy import run_path
from typing import Any

from mho.config import parse_json, write_whole
from mho.errors import ConfigError

Job = Mapping[str, Any]
Outcome = dict[str, Any]


def run_cell(job: Job) -> Outcome:
    """Do one piece of work; an error becomes part of the outcome.

    Args:
        job: ``work`` (the function that does it, ``"module:name"``, called with the job), ``imports``
            (modules that it needs), ``folder`` (of its own), and what that function reads.

    Returns:
        What the function gave, or ``{"error": sentence}``, and the seconds it ``took``.
    """
    start = time.perf_counter()
    outcome: Outcome
    try:
        import_all(job["imports"])
        outcome = resolve_name(job["work"])(job)
    except Exception as error:  # whatever it is, the other cells go on
        folder = Path(job["folder"])
        told = traceback.format_exc().encode("utf-8", "backslashreplace")
        write_whole(folder / "error.txt", lambda temporary: temporary.write_bytes(told))
        outcome = {"error": sentence(error)}
    return {**outcome, "took": time.perf_counter() - start}


def sentence(error: Exception) -> str:
    """An error on one line that any file can hold."""
    text = " ".join(str(error).split()).encode("utf-8", "backslashreplace").decode()
    return f"{type(error).__name__}: {text}"


def import_all(names: Sequence[str]) -> None:
    """Import the modules that hold a user's own descriptions: by name, or a script by its file."""
    try:
        for name in names:
            if name.endswith(".py"):
                run_path(name, run_name=Path(name).stem)
            else:
                importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(f"imports: {name}: {error}; is it installed, or on PYTHONPATH?") from None


def main() -> None:
    """Work until standard input is closed."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what an experiment prints is no answer
    jobs: SimpleQueue[str] = SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            jobs.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        outcome = run_cell(parse_json(jobs.get()))
        answers.write(json.dumps(outcome) + "\n")
        answers.flush()
