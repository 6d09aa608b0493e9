"""Documents and command lines that nobody meant: mutations of valid ones.

Nothing ends in a traceback, nothing takes longer than five seconds, and nothing is changed on the way: what a
description says is what the object has, and it comes back from JSON as it was.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
import itertools
import json
import random
import signal
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from campaigns.commands import COMMANDS, STATES, SWEEP, program, quiet_environment, small
from campaigns.outcomes import NAMED, SURVIVED, Outcome, Setting
from mho import config
from mho.config import from_json, kind_of, to_dict, to_json
from mho.config.documents import parse_json, parse_yaml, yaml_text
from mho.devices import Device
from mho.errors import ConfigError

LIMIT, CHUNK = 60.0, 100
SECONDS = 5  # for one document
SHARES = {"json": 30, "yaml": 25, "sweep": 20, "csv": 15, "line": 10}  # of a hundred
NUMBERS: tuple[Any, ...] = (
    0, -0.0, 1, -1, 2, 3, 7, 0.1, 25e-6, 1e-300, 5e-324, 1e300, 1.7976931348623157e308, -1e300, 2**31,
    2**53 + 1, 2**63, 2**64, 10**30, 10**400, float("nan"), float("inf"), -float("inf"), True, False,
)  # fmt: skip
TEXTS = (
    "", " ", "PCM", "devices.PCM", "None", "nan", "\x00", "\ud7ff", "é", "𝕏" * 50, "a" * 5000, "../../x",
    "{0}", "%s", "\n", "self", "kind", "__class__", "1e400", "0100", "1:30", "yes", "2001-01-01",
)  # fmt: skip
HEADS = (
    "time_s", "mean", "std", "c1_uS", "c1 (Mohm)", "G/uS", "current_nA", "V", "voltage", "", "error", "µS",
    "v",
)  # fmt: skip
CELLS = (
    "", "nan", "inf", "-1", "0", "1e400", "1e-320", "x", '"', '"1,2"', "1;2", "1,5", "٣", "0x10", "1_0",
    "\x00",
)  # fmt: skip
LIKELY = (
    "1", "2", "3", "8", "0.5", "1e-6", "1s", "1y", "1h,1d", "4,8", "pcm", "digits", "ideal", "--chips",
    "--epochs",
)  # fmt: skip
TABLES = {
    "states": STATES,
    "cells": "a,b\n1,2\n2,3\n3,5\n4,6\n",
    "pulses": "conductance\n" + "".join(f"{1 + k / 3:.3f}\n" for k in range(12)),
    "retention": "time_s,a,b\n1,10,11\n10,9,10\n100,8,9\n1000,7,8\n",
    "jumps": "g_uS,0,0.5,1\n1,0.1,0.2,0.3\n2,0.1,0.2,0.3\n3,0.1,0.2,0.3\n",
    "loop": "voltage,current\n" + "".join(f"{v / 10},{v * 1e-6}\n" for v in range(-5, 6)),
}
Document = Any


class Change(Exception):
    """What was read is not what was written."""


class Slow(BaseException):
    """A document took longer than it may; nothing catches it on the way."""


def cases(setting: Setting) -> list[str]:
    """``yaml/00017``: documents by their number."""
    from tests.compositions.parts import kinds

    quiet_environment()
    kinds(Device)  # imports all of mho, and the frameworks beside it: once, and not in each fork
    count = setting.count(20_000, 2000, 10)
    found = []
    for kind, share in SHARES.items():
        found += [f"{kind}/{k:05}" for k in range(max(1, count * share // 100))]
    random.Random(setting.seed).shuffle(found)  # so that slow ones lie apart
    return found


def tried(setting: Setting, case: str) -> Outcome:
    """Make the document and read it."""
    kind = case.partition("/")[0]
    chance = random.Random(f"{setting.seed}/{case}")
    shown = ""
    with tempfile.TemporaryDirectory(dir=setting.work) as folder, limited(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read, shown = KINDS[kind](chance, Path(folder))
            outcome = read()
        except Slow:
            outcome = Outcome(f"takes more than {SECONDS} s", traceback.format_exc(limit=-6))
        except Change as error:
            outcome = Outcome("changed without a word", str(error))
        except (ValueError, OSError) as error:
            outcome = named(error)
        except Exception:
            outcome = Outcome("a traceback", traceback.format_exc(limit=-6))
    return outcome if outcome.good else outcome._replace(detail=f"{shown[:1500]}\n{outcome.detail}")


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Raise :class:`Slow` when the time is over."""

    def over(*_: Any) -> None:
        raise Slow

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of the processor: others may be busy
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def named(error: Exception) -> Outcome:
    """Whether an error is a sentence of mho's, and not one of Python's that happened to be a ValueError."""
    from campaigns.chips import SOURCES

    text = str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    if not text or "[Errno" in text or not last.filename.startswith(SOURCES):
        return Outcome("no sentence of mho's", "".join(traceback.format_exception(error)[-6:]))
    return Outcome(NAMED, text)


# --- mutations -----------------------------------------------------------------------------------


def value(chance: random.Random) -> Document:
    """Anything that a document can hold."""
    kind = chance.randrange(8)
    if kind < 4:
        return chance.choice(NUMBERS)
    if kind < 5:
        return chance.choice(TEXTS)
    if kind < 6:
        return chance.choice((None, [], {}, [None], [[]], {"": 0}, {"kind": None}, {"kind": []}))
    if kind < 7:
        known = chance.choice(list(config.kinds()))
        return chance.choice((known, {"kind": known}, {"kind": known.upper()}))
    return nested(chance.choice((2, 50, 99, 101, 300)), chance.random() < 0.5)


def nested(depth: int, lists: bool) -> Document:
    """A value that lies deep."""
    found: Document = 1
    for _ in range(depth):
        found = [found] if lists else {"a": found}
    return found


def places(document: Document, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values within a document."""
    inside: Any = ()
    if isinstance(document, dict):
        inside = document.items()
    elif isinstance(document, list):
        inside = enumerate(document)
    for key, part in inside:
        yield (*above, key)
        yield from places(part, (*above, key))


def mutated(document: Document, chance: random.Random) -> Document:
    """A copy in which something is other, gone, new, or somewhere else."""
    document = copy.deepcopy(document)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        where = list(places(document))
        if not where:
            return value(chance)
        *above, key = chance.choice(where)
        owner = document
        for part in above:
            owner = owner[part]
        how = chance.randrange(6)
        if how < 3:
            owner[key] = value(chance)
        elif how == 3:
            del owner[key]
        elif how == 4 and isinstance(owner, dict):
            owner[chance.choice((*TEXTS, *map(str, owner), "bits", "g_max", "format"))] = owner[key]
        elif isinstance(owner[key], bool) or not isinstance(owner[key], int | float):
            owner[key] = [owner[key]]
        else:  # a number that may well be allowed
            owner[key] = chance.choice(
                (owner[key] * 2, owner[key] / 3, -owner[key], str(owner[key]), owner[key] + 1)
            )
    return document


def spoilt(text: str, chance: random.Random) -> bytes:
    """The bytes of a text, of which some may be other."""
    how = chance.randrange(14)
    raw = text.encode("utf-8", "surrogatepass")
    if how == 0:
        return raw[: chance.randrange(len(raw) + 1)]
    if how == 1:
        return text.encode(chance.choice(("utf-16", "utf-32", "utf-8-sig", "latin-1", "cp1252")), "replace")
    if how == 2 and raw:
        held = bytearray(raw)
        for _ in range(chance.randint(1, 5)):
            held[chance.randrange(len(held))] = chance.randrange(256)
        return bytes(held)
    if how == 3:
        line = chance.choice(text.splitlines() or [""])
        return (text + "\n" + line).encode("utf-8", "surrogatepass")
    if how == 4:
        lines = text.splitlines()
        chance.shuffle(lines)
        return "\n".join(lines).encode("utf-8", "surrogatepass")
    if how == 5:
        return raw.replace(b"\n", chance.choice((b"\r\n", b"\r", b"\x00", b"\n\n", b"")))
    return raw


# --- descriptions --------------------------------------------------------------------------------


def hardware(chance: random.Random) -> Any:
    """A valid description."""
    from tests.compositions.compositions import with_effects

    from campaigns.chips import Drawn

    case = Drawn.by(chance)
    return case.hardware(with_effects(case.bare_device(), case.bare_effects()))


def description(chance: random.Random, folder: Path, suffix: str) -> tuple[Callable[[], Outcome], str]:
    """A description in a file."""
    document = mutated({"format": 1, **to_plain(hardware(chance))}, chance)
    text = json.dumps(document) if suffix == ".json" else hostile_yaml(document, chance)
    raw = spoilt(text, chance)
    path = folder / f"chip{suffix}"
    path.write_bytes(raw)

    def read() -> Outcome:
        made = config.load(path)
        written = (parse_json if suffix == ".json" else parse_yaml)(
            raw.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
        )
        same(written, made, "")
        if from_json(to_json(made)) != made:
            raise Change("it comes back from JSON as another one")
        if suffix != ".json" and config.from_dict(parse_yaml(yaml_text(to_dict(made)))) != made:
            raise Change("it comes back from YAML as another one")
        return Outcome(SURVIVED)

    return read, raw.decode("utf-8", "replace")


def to_plain(made: Any) -> Document:
    """As JSON has it."""
    return json.loads(json.dumps(to_dict(made)))


def hostile_yaml(document: Document, chance: random.Random) -> str:
    """A YAML text, now and then with aliases, tags and merges."""
    try:
        text = yaml_text(document)
    except (ValueError, RecursionError):  # more digits or depth than can be written
        text = yaml_text({"kind": "Hardware", "bits": 1})
    how = chance.randrange(12)
    if how == 0:
        bombs = ["a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]"]
        letters = itertools.pairwise("abcdefghij")
        bombs += [f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}, *{a}]" for a, b in letters]
        return "\n".join(bombs) + "\n" + text
    if how == 1:
        return text.replace(
            ": ", chance.choice((": !!float ", ": !!python/name:os.system ", ": &x ", ": *x ", ":\t")), 1
        )
    if how == 2:
        return "base: &b {rows: 8}\n<<: *b\n" + text
    if how == 3:
        return "---\n" + text + "\n---\n" + text
    return text


def same(written: Document, made: Any, path: str) -> None:
    """Raise :class:`Change` where the object has not what the document says."""
    if dataclasses.is_dataclass(made):
        if not isinstance(written, Mapping):
            raise Change(f"{path}: {written!r:.100} became {made!r:.100}")
        if written.get("kind") != kind_of(type(made)):
            raise Change(f"{path}.kind: {written.get('kind')!r:.100} became {kind_of(type(made))}")
        for key, inside in written.items():
            if key not in ("kind", "format"):
                same(inside, getattr(made, key), f"{path}.{key}")
    elif isinstance(made, Mapping):
        for key in made.keys() | written.keys():
            same(written[key], made[key], f"{path}.{key}")
    elif isinstance(made, list | tuple):
        if not isinstance(written, list) or len(written) != len(made):
            raise Change(f"{path}: {written!r:.100} became {made!r:.100}")
        for number, (a, b) in enumerate(zip(written, made, strict=True)):
            same(a, b, f"{path}.{number}")
    elif _other(written, made):
        raise Change(f"{path}: {written!r:.100} became {made!r:.100}")


def _other(written: Any, made: Any) -> bool:
    """Whether a number or a word is another one; an integer may be the float that is nearest to it."""
    if isinstance(made, float) and isinstance(written, int) and not isinstance(written, bool):
        return float(written) != made
    return bool(written != made) or isinstance(written, bool) != isinstance(made, bool)


# --- sweeps, tables, command lines ---------------------------------------------------------------


def sweep(chance: random.Random, folder: Path) -> tuple[Callable[[], Outcome], str]:
    """The file of a sweep."""
    from mho.experiments.plan import description as described
    from mho.experiments.plan import read_plan

    document = parse_yaml(SWEEP)
    document["grid"]["seed"] = [0, 1]
    if chance.random() < 0.3:
        document["list"] = [{"hardware.tile.rows": 64}, {"hardware.tile.rows": 32}]
    if chance.random() < 0.3:
        document["report"] = {"metric": "accuracy", "cost": None, "fields": ["seed"]}
    if chance.random() < 0.05:
        document["grid"] = {f"hardware.dac.bits{k}": list(range(100)) for k in range(5)}
    suffix = chance.choice((".yaml", ".json"))
    changed = mutated(document, chance)
    raw = spoilt(json.dumps(changed) if suffix == ".json" else hostile_yaml(changed, chance), chance)
    path = folder / f"plan{suffix}"
    path.write_bytes(raw)

    def read() -> Outcome:
        plan = read_plan(path)
        for cell in plan.cells[:3]:
            with contextlib.suppress(ConfigError):
                same(dict(cell.study), described(cell), "study")
        return Outcome(SURVIVED)

    return read, raw.decode("utf-8", "replace")


def measured(chance: random.Random, folder: Path) -> tuple[Callable[[], Outcome], str]:
    """A table that a device is fitted to."""
    layout = chance.choice(list(TABLES))
    rows = [line.split(",") for line in TABLES[layout].splitlines()]
    for _ in range(chance.choice((0, 1, 1, 2, 4))):
        row = chance.choice(rows)
        how = chance.randrange(6)
        if how < 3 and row:
            row[chance.randrange(len(row))] = chance.choice(CELLS)
        elif how == 3 and rows[0]:
            rows[0][chance.randrange(len(rows[0]))] = chance.choice(HEADS)
        elif how == 4:
            row.append(chance.choice(CELLS))
        elif row:
            row.pop()
    between = chance.choice((",",) * 6 + (";", "\t"))
    text = "\n".join(between.join(row) for row in rows)
    raw = spoilt(text, chance) if chance.random() < 0.5 else text.encode()
    path = folder / "table.csv"
    path.write_bytes(raw)
    words = ["device", "fit", str(path), "--layout", layout, "--output", str(folder / "out")]
    if chance.random() < 0.7 and layout != "loop":
        words += ["--unit", chance.choice(("1e-6",) * 4 + ("uS", "kohm", "nA", "0", "nan", "1e300", "x"))]
    if layout == "loop":
        words += ["--model", "linear-ion-drift", "--free", "r_on"]
    return (lambda: called(words)), f"{' '.join(words)}\n{raw.decode('utf-8', 'replace')}"


def line(chance: random.Random, folder: Path) -> tuple[Callable[[], Outcome], str]:
    """A command line; a study that it would run is not run."""
    name = chance.choice(list(COMMANDS))
    (folder / "plan.yaml").write_text(SWEEP)
    (folder / "states.csv").write_text(STATES)
    words = [*COMMANDS[name], "--output", str(folder / "out")]
    words = [
        {"PLAN": str(folder / "plan.yaml"), "TABLE": str(folder / "states.csv")}.get(w, w) for w in words
    ]
    for _ in range(chance.choice((1, 1, 2))):
        places = [k for k in range(1, len(words)) if words[k - 1].startswith("--")]  # of values
        value = chance.random() < 0.7 and bool(places)
        if len(words) < 2:
            break
        place = chance.choice(places) if value else chance.randrange(1, len(words))
        word = chance.choice(
            (*TEXTS, *(repr(n) for n in NUMBERS if n != 10**400), "--quick", "--help", "--seed")
        )
        if word == "\x00" or "\ud7ff" in word:  # which no system hands to a program
            word = "-"
        if value:
            words[place] = word.replace("\x00", "")
        elif "\x00" in word or chance.random() < 0.3:
            words.pop(place)
        else:
            words[place : place + chance.randrange(2)] = [word]
    if folder / "out" != Path(words[-1]):  # it would write into the current folder
        words += ["--output", str(folder / "out")]
    return (lambda: called(words, run=name in ("device",))), repr(words)


class Reached(BaseException):
    """A command understood all that it was told."""


def called(words: list[str], run: bool = True) -> Outcome:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()

    def reached(*_: Any, **__: Any) -> None:
        raise Reached

    names = () if run else (
        "study.run", "quantize.run", "search.run", "sweep.run", "budget.run", "hwa.run_together",
        "reproduce.run_together",
    )  # fmt: skip
    with contextlib.ExitStack() as held:
        held.enter_context(small())
        held.enter_context(contextlib.redirect_stdout(out))
        held.enter_context(contextlib.redirect_stderr(err))
        for name in names:
            held.enter_context(patch(f"mho.commands.{name}", reached))
        try:
            program()(words, prog_name="mho")
        except Reached:
            return Outcome(SURVIVED)
        except SystemExit as error:
            return _status(error.code, err.getvalue() + out.getvalue())
    return Outcome(SURVIVED)


def _status(code: Any, said: str) -> Outcome:
    if code in (0, None):
        return Outcome(SURVIVED)
    if code == 2 and ("mho: " in said or "Usage: " in said) and "Traceback" not in said:
        if "[Errno" in said:
            return Outcome("no sentence of mho's", said)
        return Outcome(NAMED, " ".join(said.split()))
    return Outcome(f"status {code}", said)


KINDS: dict[str, Callable[[random.Random, Path], tuple[Callable[[], Outcome], str]]] = {
    "json": lambda chance, folder: description(chance, folder, ".json"),
    "yaml": lambda chance, folder: description(chance, folder, chance.choice((".yaml", ".yml"))),
    "sweep": sweep,
    "csv": measured,
    "line": line,
}
