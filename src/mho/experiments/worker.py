"""One cell of a sweep, in a process of its own.

``python -m mho.experiments.worker`` reads jobs from standard input, one JSON value on each line, and
writes outcomes to standard output in the same way. It ends at once when standard input is closed, also
in the middle of a job: when the sweep is gone, so is its work.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

Job = Mapping[str, Any]
Outcome = dict[str, Any]


def run_cell(job: Job) -> Outcome:
    """Run one experiment; an error becomes part of the outcome.

    Args:
        job: ``study`` (plain values), ``folder``, ``shared``, ``data``, ``device``, ``threads``,
            ``imports``.

    Returns:
        ``{"metrics": {name: number}}`` or ``{"error": sentence}``, and the seconds it ``took``.
    """
    from mho.config import from_dict
    from mho.experiments.experiment import Place, measure
    from mho.experiments.plan import import_all

    start = time.perf_counter()
    folder = Path(job["folder"])
    outcome: Outcome
    try:
        import_all(job["imports"])
        place = Place(
            folder=folder,
            shared=Path(job["shared"]),
            data=None if job["data"] is None else Path(job["data"]),
            device=job["device"],
            threads=job["threads"],
        )
        found = measure(from_dict(dict(job["study"])), place)
        # JSON has no NaN: a figure that is not defined is None
        outcome = {"metrics": {k: float(v) if math.isfinite(v) else None for k, v in found.items()}}
    except Exception as error:  # whatever it is, the other cells go on
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        sentence = " ".join(str(error).split())
        outcome = {"error": f"{type(error).__name__}: {sentence}"}
    return {**outcome, "took": time.perf_counter() - start}


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
        outcome = run_cell(json.loads(jobs.get()))
        answers.write(json.dumps(outcome) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
