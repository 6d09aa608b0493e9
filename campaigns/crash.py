"""A run is ended at each of its write events once, and meets a full disk at each once.

The same command again must give the tables of a run that nothing disturbed. What a full disk ends must have
said so in a sentence that names the file or its folder.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from campaigns.commands import (
    COMMANDS,
    different,
    last,
    prepared,
    quiet_environment,
    run,
    sentence,
    tables,
    warmed,
)
from campaigns.forks import KILLED
from campaigns.outcomes import NAMED, SURVIVED, Outcome, Setting
from campaigns.writes import FULL, KILL, Hit, Watch

LIMIT, CHUNK = 240.0, 2


def cases(setting: Setting) -> list[str]:
    """``command/kill/017``: what is done to which event."""
    quiet_environment()
    prepared(setting.work)
    names = ["device"] if setting.handful else [name for name in COMMANDS if setting.wants(name)]
    warmed(names, setting.work)
    found = []
    for name in names:
        events = _undisturbed(setting.work, name)
        step = setting.count(1, 1 if name == "drift" else 8, 8)
        first = setting.seed % step  # another eighth each time
        found += [f"{name}/{how}/{k:03}" for how in (KILL, FULL) for k in range(first, len(events), step)]
    return found


def _undisturbed(work: Path, name: str) -> list[str]:
    """The events of a run that nothing disturbs; its folder stays."""
    folder, log = work / name / "alone", work / name / "events.txt"
    folder.parent.mkdir()
    ended = run(name, folder, work, work / name / "said.txt", before=Watch(folder, log=log).begin)
    if ended.status != 0:
        raise RuntimeError(f"mho {name} does not run at all:\n{last(ended)}")
    return log.read_text().splitlines()


def tried(setting: Setting, case: str) -> Outcome:
    """End the run there, or fill the disk, and run it again."""
    name, how, number = case.split("/")
    work = setting.work / name
    folder, said = work / f"{how}-{number}", work / f"{how}-{number}.txt"
    hit = Hit(int(number), how)
    log = work / f"{how}-{number}.log"
    first = run(name, folder, setting.work, said, before=Watch(folder, hit, log).begin)
    wrong = _wrong_end(first.status, how) if how == KILL else None
    if how == FULL and first.status != 0:
        wrong = sentence(first, str(folder), folder.name)
    event = (log.read_text().splitlines() or ["?"])[min(int(number), 10**6) :][:1]
    if wrong is not None:
        return Outcome(wrong, f"at event {event}\n{last(first)}")
    more = ("--retry",) if name == "sweep" and how == FULL else ()
    second = run(name, folder, setting.work, said, *more)
    if second.status != 0:
        return Outcome("the same command does not go on", f"at event {event}\n{last(second)}")
    told = "\n".join(different(tables(folder), forked_tables(work, name)))
    if told:
        return Outcome("other tables", f"at event {event}\n{told}")
    shutil.rmtree(folder)
    return Outcome(NAMED if how == FULL and first.status != 0 else SURVIVED, first.said.strip()[-100:])


def forked_tables(work: Path, name: str) -> dict[str, str]:
    """Those of the run that nothing disturbed."""
    return tables(work / "alone")


def _wrong_end(status: int | None, how: str) -> str | None:
    return None if status == KILLED else f"it was to be killed and ended with status {status}"
