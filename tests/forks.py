"""Programs in new processes that share one import of mho: forks of an interpreter that did nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_FORKER = """
import json, os, sys
import mho
programs, folder, statuses = json.load(sys.stdin), sys.argv[1], {}
for name, text in programs.items():
    child = os.fork()
    if child == 0:
        for number, stream in ((1, "out"), (2, "err")):
            os.dup2(os.open(os.path.join(folder, f"{name}.{stream}"), os.O_CREAT | os.O_WRONLY), number)
        exec(compile(text, name, "exec"), {"__name__": "__main__"})
        sys.exit()
    statuses[name] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(statuses))
"""


class Ended(NamedTuple):
    """How a program ended, and what it wrote."""

    status: int
    out: str
    err: str


def run_each(programs: Mapping[str, str], folder: Path, *options: str) -> dict[str, Ended]:
    """Run programs one after the other, each in a process of its own, whose output goes into the folder.

    ``options`` are those of the interpreter.
    """
    done = subprocess.run(
        [sys.executable, *options, "-c", _FORKER, str(folder)],
        input=json.dumps(dict(programs)),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {
        name: Ended(status, *((folder / f"{name}.{stream}").read_text() for stream in ("out", "err")))
        for name, status in json.loads(done.stdout).items()
    }
