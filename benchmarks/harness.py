"""Paired timings: the subjects take turns in one process, CPU time, medians.

A ratio of two medians from one process is what survives a shared machine; absolute times do not.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping
from statistics import median

Subject = Callable[[], object]


def paired(subjects: Mapping[str, Subject], rounds: int = 25, warm: int = 4) -> dict[str, float]:
    """Median CPU seconds of each subject.

    Args:
        subjects: what is timed, by name; they take turns, one call each a round, short ones several in a
            row.
        rounds: number of timed rounds.
        warm: calls of each subject before (compilers, allocators, caches).
    """
    for subject in subjects.values():
        for _ in range(warm):
            subject()
    calls = {name: _calls(subject) for name, subject in subjects.items()}
    times: dict[str, list[float]] = {name: [] for name in subjects}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, subject in subjects.items():
                start = time.process_time()
                for _ in range(calls[name]):
                    subject()
                times[name].append((time.process_time() - start) / calls[name])
    finally:
        gc.enable()
    return {name: median(values) for name, values in times.items()}


def _calls(subject: Subject, seconds: float = 2e-4) -> int:
    """How many calls take so long that reading the clock does not count."""
    start = time.perf_counter()
    subject()
    return max(1, math.ceil(seconds / max(time.perf_counter() - start, 1e-6)))


def rounds_for(subject: Subject, seconds: float = 1.0) -> int:
    """A number of rounds that takes about ``seconds`` for one subject, between 5 and 600."""
    subject()
    start = time.perf_counter()
    subject()
    return max(5, min(600, int(seconds / max(time.perf_counter() - start, 1e-4))))
