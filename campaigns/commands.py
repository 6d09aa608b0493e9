"""The commands that write folders, as small as they can be, and what their tables say."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from campaigns.forks import Ended, forked

SWEEP = """
study:
  kind: experiments.ChipStudy
  chips: 1
  model: {kind: experiments.SmallCNN, first: 2, second: 2, hidden: 4}
  training: {epochs: 5, batch: 20}
grid:
  hardware.adc.bits: [4, 8]
"""
LOOK_FOR = ("search", "--target", "0.2", "--trials", "2", "--adc-bits", "4,8", "--dac-bits", "8")
BY_PULSES = ("learn", "--rules", "mixed precision", "--presets", "ReRamArrayOM")
COMMANDS: dict[str, tuple[str, ...]] = {
    "drift": (
        "drift",
        "--model",
        "MLP",
        "--chips",
        "2",
        "--epochs",
        "3",
        "--tuning-epochs",
        "1",
        "--batch",
        "20",
        "--times",
        "1s,1y",
    ),
    "hwa": ("hwa", "--modality", "vision", "--chips", "1", "--times", "1s,1d", "--workers", "1"),
    "quantize": (
        "quantize",
        "--model",
        "MLP",
        "--epochs",
        "1",
        "--robustness-repeats",
        "1",
        "--times",
        "1d",
        "--noise",
        "0,5",
    ),
    "sweep": ("sweep", "PLAN", "--workers", "1"),
    "search": (*LOOK_FOR, "--tile-rows", "64", "--slices", "1", "--epochs", "5", "--chips", "1"),
    "learn": (*BY_PULSES, "--epochs", "1", "--seeds", "2", "--batch", "50"),
    "reproduce": ("reproduce", "mehonic-2019", "--seeds", "2"),
    "budget": ("budget", "--model", "MLP", "--epochs", "1", "--chips", "2"),
    "device": ("device", "pcm"),
    "fit": ("device", "fit", "TABLE", "--layout", "states", "--unit", "1e-6"),
    "wires": ("wires", "--rows", "8", "--columns", "8"),
}
STUDIES = (
    "drift",
    "hwa",
    "quantize",
    "sweep",
    "search",
    "learn",
    "reproduce",
)  # that go on from what is finished
STATES = "mean,std\n" + "".join(f"{g},{0.1 + 0.02 * g:.2f}\n" for g in range(1, 8))


def prepared(work: Path) -> None:
    """Write what some of the commands read."""
    (work / "plan.yaml").write_text(SWEEP)
    (work / "states.csv").write_text(STATES)


def words(name: str, folder: Path, work: Path, *more: str) -> list[str]:
    """The words of a command."""
    read = {"PLAN": str(work / "plan.yaml"), "TABLE": str(work / "states.csv")}
    where = folder / "wires.png" if name == "wires" else folder
    option = "--output-dir" if name == "quantize" else "--output"
    return [*(read.get(word, word) for word in COMMANDS[name]), option, str(where), *more]


@functools.cache
def program() -> Any:
    """``mho``, with all its options read once."""
    from typer.main import get_command

    from mho.cli import app

    return get_command(app)


def called(given: Sequence[str], before: Callable[[], Any] = lambda: None) -> int:
    """Run a command in this process, with small data and figures that are not drawn."""
    with small():
        before()
        program()(list(given), prog_name="mho")
    return 0


def warmed(names: Iterable[str], work: Path) -> None:
    """Run commands in this process, so that each fork of it finds done what is done once in a process."""
    for name in names:
        folder = work / "warm" / name
        folder.mkdir(parents=True)
        with (
            (work / "warm.txt").open("w") as said,
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
            contextlib.suppress(SystemExit),
        ):
            called(words(name, folder / "out", work))
    shutil.rmtree(work / "warm", ignore_errors=True)  # there is none if no command was named


def run(
    name: str, folder: Path, work: Path, said: Path, *more: str, before: Callable[[], Any] = lambda: None
) -> Ended:
    """Run a command in a process of its own."""
    return forked(lambda: called(words(name, folder, work, *more), before), said)


# --- what makes a command small ------------------------------------------------------------------


class small:
    """Few images, small networks, figures that are not drawn, cells in this process."""

    def __enter__(self) -> None:
        self._patches = [
            patch("mho.experiments.data.Digits.load", _few_digits()),
            patch("matplotlib.figure.Figure.savefig", _sketch),
            patch("mho.experiments.hwa.study_for", lambda *_: _small_hwa()),
            patch("mho.commands.reproduce.PAPERS", _small_papers()),
            patch("mho.commands.sweep.LocalEngine", _here()),
        ]
        for one in self._patches:
            one.start()

    def __exit__(self, *_: Any) -> None:
        for one in self._patches:
            one.stop()


def _few_digits() -> Any:
    from mho.experiments.data import Digits

    whole = Digits.load

    def load(self: Any, folder: Path | None = None) -> Any:
        data = whole(self, folder)
        few = {"train": 60, "validation": 40, "test": 40}
        parts = {
            name: torch.utils.data.TensorDataset(*(t[:count] for t in getattr(data, name).tensors))
            for name, count in few.items()
        }
        return dataclasses.replace(data, **parts)

    return load


def _sketch(self: Any, to: Any, format: str = "png", **_: Any) -> None:
    content = b"<svg></svg>" if format == "svg" else b"\x89PNG\r\n\x1a\n"
    if hasattr(to, "write"):
        to.write(content)
    else:
        with open(to, "wb") as file:
            file.write(content)


def _small_hwa() -> Any:
    from mho.experiments.hwa import Course, HWAStudy, Vision
    from mho.experiments.models import MLP

    course = Course(epochs=1, learning_rate=0.1)
    task = Vision(network=MLP(hidden=(8,)), test=100)
    return HWAStudy(task=task, teaching=course, tuning=course, calibration=32)


def _small_papers() -> Any:
    from mho.experiments.reproduce import Mehonic2019

    paper = Mehonic2019(hidden=4, steps=10, ratios=(1.5, 3.0), kept=(1.0, 0.9))
    return {paper.claim.name: paper}


def _here() -> Any:
    from mho.experiments.engines import Engine
    from mho.experiments.worker import run_cell

    class Here(Engine):
        """Runs cells in this process, where their writes are seen."""

        def __init__(self, *_: Any) -> None:
            pass

        def run(self, jobs: Sequence[Any]) -> Any:
            for number, job in enumerate(jobs):
                yield number, run_cell(job)

    return Here


# --- what a folder says --------------------------------------------------------------------------

# Which differs between two runs that are the same.
_OWN = re.compile(
    r"took|cpu|^date$|^check(sums)?$|seconds|time_s|command|versions|since|per_second|duration|hours|minutes|output"
)


def tables(folder: Path) -> dict[str, str]:
    """The tables and documents of a folder, without what is of one run only."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.suffix == ".csv":
            found[name] = path.read_text(errors="replace")
        elif path.suffix == ".json":
            text = path.read_text(errors="replace")
            try:
                found[name] = json.dumps(_without(json.loads(text, parse_constant=str)))
            except ValueError:
                found[name] = text
    return found


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without(v) for k, v in value.items() if not _OWN.search(k) or k == "times"}
    return [_without(v) for v in value] if isinstance(value, list) else value


def different(found: dict[str, str], wanted: dict[str, str]) -> Iterator[str]:
    """The names of tables that are not the same, each with the place where they begin to differ."""
    for name in sorted(found.keys() | wanted.keys()):
        a, b = found.get(name), wanted.get(name)
        if a is None or b is None:
            yield f"{name} is {'missing' if a is None else 'one too many'}"
        elif a != b:
            where = next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), 0)
            start = max(0, where - 40)
            yield f"{name}: ...{a[start : where + 40]!r} instead of ...{b[start : where + 40]!r}"


def sentence(ended: Ended, *about: str) -> str | None:
    """What is wrong with how a command was refused; None if it was, in a sentence with one of these words."""
    said = " ".join(ended.said.split())
    if ended.status is None:
        return "it hangs"
    if "Traceback" in said:
        return "a traceback"
    if ended.status not in (1, 2):
        return f"status {ended.status}"
    if "mho: " not in said and "cells failed" not in said:
        return "no sentence"
    flat = "".join(said.split())
    if about and not any("".join(word.split()) in flat for word in about):
        return f"none of {', '.join(about)} is named"
    return None


def last(ended: Ended) -> str:
    """The last lines that a process said."""
    return f"status {ended.status}\n{ended.said[-1500:]}"


def quiet_environment() -> None:
    """What commands say is wide and without colours."""
    os.environ |= {"COLUMNS": "400", "NO_COLOR": "1", "TERM": "dumb"}
