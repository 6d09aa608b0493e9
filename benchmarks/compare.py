"""``python -m benchmarks.compare --old TREE --new TREE``: the rows of ``make bench``, of two checkouts.

Each round runs a process with either tree, which goes first by turns. The benchmarks are those of this
checkout; only ``src`` is the tree's. A row is a multiple of plain torch in the same process (``import mho``:
of ``import torch``), so that a machine that is busy or slow cancels in part.

Of each row: medians over the rounds, new/old, the change in percent, in how many rounds the new tree was
faster, and how far the rounds of the old tree lie from their own median. A row is SLOWER where new/old is
above ``--limit`` and beyond all rounds of the old tree. Where that spread is wide, run more rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
Multiples = dict[str, float]  # one process: how many times torch, by row
IMPORT = """\
import time
a = time.process_time()
import torch
b = time.process_time()
import mho
print((time.process_time() - b) / (b - a), mho.__file__, sep="\\n")
"""


class Line(NamedTuple):
    """What is said of one row."""

    row: str
    old: float
    new: float
    faster: int  # rounds
    low: float  # the rounds of the old tree, over their median
    high: float

    @property
    def ratio(self) -> float:
        return self.new / self.old

    def slower(self, limit: float) -> bool:
        """By more than the limit, and by more than the old tree differs from itself."""
        return self.ratio > max(limit, self.high)


def lines(old: list[Multiples], new: list[Multiples]) -> list[Line]:
    """Each row that is in all processes; round by round in the same order."""
    found = []
    for row in old[0]:
        if all(row in one for one in (*old, *new)):
            a, b = [one[row] for one in old], [one[row] for one in new]
            middle = median(a)
            faster = sum(y < x for x, y in zip(a, b, strict=True))
            found.append(Line(row, middle, median(b), faster, min(a) / middle, max(a) / middle))
    return found


def table(found: Iterable[Line], rounds: int, limit: float) -> str:
    """For people."""
    text = [
        f"{'row':<54}{'old':>8}{'new':>8}{'new/old':>9}{'change':>9}{'faster':>8}{'old against old':>18}",
        *(
            f"{x.row:<54}{x.old:>8.2f}{x.new:>8.2f}{x.ratio:>9.3f}{100 * (x.ratio - 1):>+8.1f}%"
            f"{f'{x.faster}/{rounds}':>8}{f'{x.low:.3f} to {x.high:.3f}':>18}"
            f"{'   SLOWER' if x.slower(limit) else ''}"
            for x in found
        ),
    ]
    return "\n".join(text)


# --- running ------------------------------------------------------------------------------------


def source(tree: Path) -> Path:
    """The folder that holds the package: the tree's ``src``, or the tree."""
    for folder in (tree / "src", tree):
        if (folder / "mho" / "__init__.py").is_file():
            return folder.resolve()
    raise SystemExit(f"{tree}: neither src/mho nor mho lies there; give a checkout")


def child(src: Path, *arguments: str) -> list[str]:
    """Lines that a process with this mho prints."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    own = {**os.environ, **one, "PYTHONPATH": str(src), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=own, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{src}: {' '.join(arguments)[:60]} failed\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()


def run(src: Path, options: list[str]) -> Multiples:
    """All rows, in new processes."""
    share, place = child(src, "-c", IMPORT)
    if not Path(place).is_relative_to(src):
        raise SystemExit(f"PYTHONPATH={src} imports mho of {place}: another one comes first on sys.path")
    found = {"import mho": float(share)}
    for line in child(src, "-m", "benchmarks", "--json", *options):
        name, what, _, multiple = json.loads(line)
        if not what.startswith("read noise adds"):  # a difference of two rows, which may be nothing
            found[f"{name}, {what}"] = multiple
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--old", type=Path, required=True, help="a checkout")
    parser.add_argument("--new", type=Path, required=True, help="another checkout")
    parser.add_argument("--rounds", type=int, default=7, help="processes of each tree")
    parser.add_argument(
        "--limit", type=float, default=1.05, help="new/old above which a row is called slower"
    )
    parser.add_argument("--all", action="store_true", help="ResNet-18 and compiled rows too (long)")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    given = parser.parse_args()
    trees = {"old": source(given.old), "new": source(given.new)}
    options = ([] if given.all else ["--quick"]) + ["--only", given.only]
    made: dict[str, list[Multiples]] = {"old": [], "new": []}
    for k in range(given.rounds):
        for name in ("old", "new") if k % 2 == 0 else ("new", "old"):
            made[name].append(run(trees[name], options))
            print(f"round {k + 1} of {given.rounds}: {name}", file=sys.stderr, flush=True)
    found = lines(made["old"], made["new"])
    print(table(found, given.rounds, given.limit))
    slower = [x.row for x in found if x.slower(given.limit)]
    faster = sum(x.ratio <= 0.75 for x in found)
    print(
        f"{len(found)} rows: {faster} at least 25 % faster; {len(slower)} above {given.limit:g} and beyond "
        "the old tree's own spread"
    )


if __name__ == "__main__":
    main()
