"""Any experiment as a function from its description to figures: what a sweep runs."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mho.config import kind_of, kinds
from mho.experiments.harness.runner import run
from mho.experiments.harness.study import Study


@dataclass(frozen=True)
class Place:
    """Where an experiment runs.

    Attributes:
        folder: its own, for what it wants to keep.
        shared: one that all experiments of a sweep may put files into, whole or not at all.
        data: where the files of the data set lie.
        device: the torch device that computes.
        threads: threads on the CPU.
    """

    folder: Path
    shared: Path
    data: Path | None = None
    device: str = "cpu"
    threads: int = 1


@functools.singledispatch
def measure(study: Any, place: Place) -> dict[str, float]:
    """Run an experiment and return its figures by name; ``"accuracy"`` matters most, else the first one."""
    raise TypeError(
        f"{kind_of(type(study))} is no experiment: register a function for it with "
        "mho.experiments.experiment.measure.register"
    )


def experiments() -> tuple[type, ...]:
    """The descriptions that can be measured: studies, and what a function was registered for."""
    return tuple(
        cls
        for cls in kinds().values()
        if issubclass(cls, Study) or measure.dispatch(cls) is not measure.dispatch(object)
    )


@measure.register
def _(study: Study, place: Place) -> dict[str, float]:
    how: dict[str, Any] = {"device": place.device, "threads": place.threads, "shared": place.shared}
    found = run(study, place.folder, place.data, **how)
    return study.headline(found.table)
