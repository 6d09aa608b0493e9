"""Each file of a folder, and a saved chip, cut, emptied, flipped in many places, or swapped with another one.

The next run, or whoever loads the chip, gives the same numbers, or says in a sentence which file is damaged.
What is flipped is one bit. The folder lacks its last finished piece of work, so that all of it is needed.
What the next run does not open and writes anew, pages and figures, is flipped in one place only: no other
place can make a difference.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

import mho
from campaigns.commands import (
    STUDIES,
    different,
    last,
    prepared,
    quiet_environment,
    run,
    sentence,
    tables,
    warmed,
)
from campaigns.forks import Ended
from campaigns.outcomes import NAMED, SURVIVED, Outcome, Setting

LIMIT, CHUNK = 240.0, 4
OWN = (".lock", ".lock-holder", "workers.log")  # which nobody reads again
CHIP = "chip"


def cases(setting: Setting) -> list[str]:
    """``drift/chips.jsonl/flip-017``: what is done to which file."""
    quiet_environment()
    prepared(setting.work)
    flips, names = setting.count(100, 3, 2), setting.count(len(STUDIES), len(STUDIES), 0)
    found = _kinds(CHIP, setting.count(100, 60, 10))
    wanted = [name for name in STUDIES[:names] if setting.wants(name)]
    warmed(wanted, setting.work)
    for name in wanted:
        for file, matters in _interrupted(setting.work, name).items():
            found += _kinds(f"{name}/{file}", flips if matters else 1)
    return found


def _kinds(what: str, flips: int) -> list[str]:
    return [f"{what}/{how}" for how in ("empty", "cut", "swap", *(f"flip-{k:03}" for k in range(flips)))]


def _interrupted(work: Path, name: str) -> dict[str, bool]:
    """The files of a run without its last piece of work, and whether it matters where they are damaged."""
    alone, folder = work / f"{name}-alone", work / f"{name}-left"
    ended = run(name, alone, work, work / f"{name}.txt")
    if ended.status != 0:
        raise RuntimeError(f"mho {name} does not run at all:\n{last(ended)}")
    shutil.copytree(alone, folder)
    for log in folder.rglob("*.jsonl"):
        log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in OWN]
    again, log = work / f"{name}-again", work / f"{name}-read.txt"
    shutil.copytree(folder, again)
    before = {path: _version(again / path.relative_to(folder)) for path in files}
    ended = run(name, again, work, work / f"{name}.txt", before=lambda: _told_reads(again, log))
    if ended.status != 0:
        raise RuntimeError(f"mho {name} does not go on from what is left:\n{last(ended)}")
    read = set(log.read_text().splitlines())

    def matters(path: Path) -> bool:
        copy = again / path.relative_to(folder)
        return str(copy) in read or _version(copy) == before[path]

    return {str(path.relative_to(folder)): matters(path) for path in files}


def _version(path: Path) -> tuple[int, int]:
    """Which is another one for a file that was written anew."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def _told_reads(folder: Path, log: Path) -> None:
    """Write down which files of a folder this process opens to read, from here on."""
    out = os.open(log, os.O_CREAT | os.O_WRONLY)

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]).startswith(f"{folder}/"):
            flags = arguments[2]
            if not isinstance(flags, int) or flags & os.O_ACCMODE != os.O_WRONLY:
                os.write(out, f"{os.fsdecode(arguments[0])}\n".encode())

    sys.addaudithook(heard)


def tried(setting: Setting, case: str) -> Outcome:
    """Damage the file, and use it."""
    chance = random.Random(f"{setting.seed}/{case}")
    what, _, how = case.rpartition("/")
    if what == CHIP:
        return _chip(how, chance)
    name, _, file = what.partition("/")
    folder = setting.work / case.replace("/", "-")
    shutil.copytree(setting.work / f"{name}-left", folder)
    path = folder / file
    others = sorted(p for p in folder.rglob("*") if p.suffix == path.suffix and p.is_file() and p != path)
    others = others or sorted(p for p in folder.rglob("*") if p.is_file() and p != path)
    told = _damaged(path, how, chance, others)
    ended = run(name, folder, setting.work, setting.work / f"{folder.name}.txt")
    outcome = _seen(ended, folder, path, setting.work / f"{name}-alone")
    shutil.rmtree(folder)
    return outcome if outcome.good else outcome._replace(detail=f"{told}\n{outcome.detail}")


def _damaged(path: Path, how: str, chance: random.Random, others: list[Path]) -> str:
    """Do it, and say what was done."""
    if how == "swap":
        other = chance.choice(others)
        a, b = path.read_bytes(), other.read_bytes()
        path.write_bytes(b)
        other.write_bytes(a)
        return f"swapped with {other.name}"
    content, told = _changed(path.read_bytes(), how, chance)
    path.write_bytes(content)
    return told


def _changed(whole: bytes, how: str, chance: random.Random) -> tuple[bytes, str]:
    if how == "empty" or not whole:
        return b"", "emptied"
    if how == "cut":
        length = chance.randrange(len(whole))
        return whole[:length], f"cut to {length} of {len(whole)} bytes"
    place, bit = chance.randrange(len(whole)), chance.randrange(8)
    held = bytearray(whole)
    held[place] ^= 1 << bit
    around = bytes(held[max(0, place - 20) : place + 20])
    return bytes(held), f"byte {place} of {len(whole)}, bit {bit}: {around!r}"


def _seen(ended: Ended, folder: Path, path: Path, alone: Path) -> Outcome:
    """What became of it: a table that nobody wrote anew must be refused by whoever reads it next."""
    if ended.status != 0:
        wrong = sentence(ended, path.name, path.parent.name)
        return Outcome(NAMED, ended.said[-300:]) if wrong is None else Outcome(wrong, last(ended))
    found, wanted = tables(folder), tables(alone)
    others = [name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)]
    refused = {name: _refused(folder / name, alone / name) for name in others}
    silent = [name for name in others if refused[name] is None]
    if silent:
        return Outcome("silent", _told(silent, found, wanted))
    return Outcome(NAMED, str(refused[others[0]])) if others else Outcome(SURVIVED)


def _told(names: list[str], found: dict[str, str], wanted: dict[str, str]) -> str:
    each = (different({n: found.get(n, "")}, {n: wanted.get(n, "")}) for n in names)
    return "\n".join(line for lines in each for line in lines)


def _refused(path: Path, whole: Path) -> str | None:
    """What mho says where it reads a damaged file, or the tables beside it; None if it says nothing."""
    from mho.config.sealed import read_sealed
    from mho.experiments.store import claim
    from mho.experiments.tables import table_text

    try:
        if path.suffix == ".json":
            read_sealed(path, "run again")
        for table in path.parent.glob("*.csv"):
            table_text(table)
        claim(path.parent, read_sealed(whole.with_name("study.json"), ""))
    except ValueError as error:
        return str(error) if path.parent.name in str(error) else None
    return None


# --- a saved chip --------------------------------------------------------------------------------


def _model() -> nn.Module:
    torch.default_generator.manual_seed(1)
    digital = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    hardware = mho.Hardware(device=mho.devices.PCM(), dac=mho.DAC(bits=8), adc=mho.ADC(bits=8))
    return mho.convert(digital, hardware).eval()


def _chip(how: str, chance: random.Random) -> Outcome:
    """A chip as the documentation saves it."""
    model, x = _model(), torch.randn(5, 6, generator=torch.Generator().manual_seed(2))
    mho.program(model, seed=0)
    mho.calibrate(model, [x])
    mho.age(model, 3600.0)
    whole, other = _saved(model), _saved(nn.Linear(6, 8))
    content, told = (other, "another network") if how == "swap" else _changed(whole, how, chance)
    into = _model()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            into.load_state_dict(torch.load(io.BytesIO(content), weights_only=True))
            found = _read(into, x)
        except (MemoryError, AttributeError, NameError, AssertionError):
            return Outcome("no sentence", f"{told}\n{traceback.format_exc(limit=-4)}")
        except Exception as error:
            return Outcome(NAMED, f"{type(error).__name__}: {error}")
    if torch.equal(found, _read(model, x)):
        return Outcome(SURVIVED)
    if caught:
        return Outcome(NAMED, str(caught[0].message))
    return Outcome("silent", f"{told}\n{_which(model, into)}")


def _saved(model: nn.Module) -> bytes:
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return file.getvalue()


@torch.no_grad()
def _read(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    torch.default_generator.manual_seed(7)
    found: torch.Tensor = model(x)
    return found


def _which(one: nn.Module, other: nn.Module) -> str:
    a, b = one.state_dict(), other.state_dict()
    return f"other: {', '.join(name for name in a if not torch.equal(a[name], b[name]))}"
