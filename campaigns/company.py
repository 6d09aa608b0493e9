"""Every two commands on one folder at once, and readers while somebody writes.

Each table is then that of one command alone, and who came second was served, or refused in a sentence.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import torch

from campaigns.commands import (
    COMMANDS,
    STUDIES,
    called,
    different,
    last,
    prepared,
    quiet_environment,
    run,
    sentence,
    tables,
    warmed,
    words,
)
from campaigns.forks import Ended, started
from campaigns.outcomes import NAMED, SURVIVED, Outcome, Setting

LIMIT, CHUNK = 240.0, 1
READER = "reader"


def cases(setting: Setting) -> list[str]:
    """``drift+hwa/0``: which two, and the number of the try, which says how much later the second comes."""
    quiet_environment()
    prepared(setting.work)
    pairs = [*itertools.combinations_with_replacement(COMMANDS, 2), *((name, READER) for name in STUDIES)]
    if setting.quick or setting.handful:
        chance = random.Random(setting.seed)
        studies = [
            *itertools.combinations_with_replacement(STUDIES, 2),
            *((name, READER) for name in STUDIES),
        ]
        few = setting.count(0, 6, 0)
        pairs = [
            *chance.sample(studies, few),
            *chance.sample(pairs, few),
            ("device", "device"),
            ("fit", READER),
        ]
        pairs = list(dict.fromkeys(pairs))
    found = [f"{a}+{b}/{k}" for a, b in pairs for k in range(setting.count(3, 1, 1))]
    found = [case for case in found if setting.wants(case.partition("/")[0])]
    names = sorted({name for case in found for name in case.partition("/")[0].split("+")} - {READER})
    warmed(names, setting.work)
    for name in names:
        ended = run(name, setting.work / f"{name}-alone", setting.work, setting.work / f"{name}.txt")
        if ended.status != 0:
            raise RuntimeError(f"mho {name} does not run at all:\n{last(ended)}")
    return found


def tried(setting: Setting, case: str) -> Outcome:
    """Start both, wait for both, and look at the tables."""
    pair, _, number = case.partition("/")
    first, second = pair.split("+")
    folder = setting.work / case.replace("/", "-")
    folder.mkdir()
    later = random.Random(f"{setting.seed}/{case}").random() * (0.0 if number == "0" else 1.0)
    dones = [_start(setting.work, first, folder, "a")]
    time.sleep(later)
    dones.append(_start(setting.work, second, folder, "b"))
    outcomes = [_judged(done()) for done in dones]
    wrong = next((outcome for outcome in outcomes if not outcome.good), None)
    if wrong is not None:
        return wrong
    told = _foreign(folder, [setting.work / f"{name}-alone" for name in (first, second) if name != READER])
    if told:
        return Outcome("other tables", told)
    shutil.rmtree(folder)
    return next((outcome for outcome in outcomes if outcome.how == NAMED), outcomes[0])


def _start(work: Path, name: str, folder: Path, which: str) -> Callable[[], Ended]:
    """Start a command; what it returns waits for its end."""
    said = work / f"{folder.name}-{which}.txt"
    if name == READER:
        child = started(lambda: _reads(folder), said)
    else:
        child = started(lambda: called(words(name, folder, work)), said)

    def done() -> Ended:
        _, status = os.waitpid(child, 0)
        return Ended(os.waitstatus_to_exitcode(status), said.read_text(errors="replace"))

    return done


def _judged(ended: Ended) -> Outcome:
    if ended.status == 0:
        return Outcome(SURVIVED)
    wrong = sentence(ended, "is working in this folder", "holds the results of another configuration")
    return Outcome(NAMED, ended.said[-300:]) if wrong is None else Outcome(wrong, last(ended))


def _foreign(folder: Path, alone: list[Path]) -> str:
    """The tables that are of none of the commands."""
    known = [tables(one) for one in alone]
    told = []
    for name, text in tables(folder).items():
        wanted = [one[name] for one in known if name in one]
        if text not in wanted:
            told += list(different({name: text}, {name: wanted[0]} if wanted else {}))
    return "\n".join(told)


def _reads(folder: Path) -> int:
    """Read everything, over and over, while somebody writes: a file is whole or not there."""
    end = time.monotonic() + 3
    while time.monotonic() < end:
        for path in sorted(folder.rglob("*")):
            if path.name.startswith(".") or not path.is_file():
                continue
            if path.suffix in (".pt", ".pth") and not path.name.endswith("_training.pth"):
                torch.load(path, weights_only=True)
            elif path.suffix == ".html":
                assert path.read_text().rstrip().endswith("</html>"), path
        tables(folder)
        time.sleep(0.01)
    return 0
