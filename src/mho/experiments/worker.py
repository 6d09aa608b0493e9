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
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

Job = Mapping[str, Any]
Outcome = dict[str, Any]


def run_cell(job: Job) -> Outcome:
    """Run one experiment, or one piece of a study; an error becomes part of the outcome.

    Args:
        job: ``study`` (plain values), ``folder``, ``shared``, ``data``, ``device``, ``threads``,
            ``imports``, ``taken`` (names that no figure may have), and ``piece`` of a study.

    Returns:
        ``{"metrics": {name: number}}`` (of a piece ``found``) or ``{"error": sentence}``, and the seconds it
        ``took``.
    """
    from mho.config import from_dict
    from mho.experiments.experiment import Place, measure
    from mho.experiments.harness import piece_done
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
        study = from_dict(dict(job["study"]))
        if "piece" in job:
            where = (place.folder, place.data, place.device, place.threads)
            outcome = {"found": piece_done(study, job["piece"], *where)}
        else:
            outcome = {"metrics": figures(measure(study, place), job.get("taken", ()))}
    except Exception as error:  # whatever it is, the other cells go on
        folder.mkdir(parents=True, exist_ok=True)
        trace = folder / "error.txt"
        trace.write_text(traceback.format_exc(), encoding="utf-8", errors="backslashreplace")
        sentence = " ".join(str(error).split()).encode("utf-8", "backslashreplace").decode()
        outcome = {"error": f"{type(error).__name__}: {sentence}"}
    return {**outcome, "took": time.perf_counter() - start}


def figures(found: Any, taken: Sequence[str]) -> dict[str, float | None]:
    """What an experiment returned as plain numbers; None for what is not defined: JSON has no NaN.

    Args:
        found: figures by name.
        taken: names of other columns of the table.

    Raises:
        TypeError: it is no mapping from names to numbers.
        ValueError: there is no figure, or one has the name of another column.
    """
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        raise TypeError(f"the experiment gave {found!r:.80}: it must return its figures by name, as a dict")
    if not found:
        raise ValueError("the experiment gave no figure: it must return at least one, by name")
    for name in found:
        if name in taken:
            raise ValueError(f"figure {name!r}: the table has a column of that name; give it another one")
    plain: dict[str, float | None] = {}
    for name, value in found.items():
        try:
            number = math.nan if value is None else float(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"figure {name!r} = {value!r:.80}: it must be a number ({error})") from None
        plain[name] = number if math.isfinite(number) else None
    return plain


def main() -> None:
    """Work until standard input is closed."""
    from mho.config import parse_json

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


if __name__ == "__main__":
    main()
