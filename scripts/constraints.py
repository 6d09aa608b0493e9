"""Write constraints.txt: the exact versions of this environment, for `pip install -c`.

A version that needs a newer Python than mho does carries that as a marker, so that the file also
serves an older Python (pip then chooses the versions of those packages itself).
"""

from __future__ import annotations

import re
from importlib.metadata import distributions
from pathlib import Path

OLDEST = (3, 10)  # requires-python of mho
LEFT_OUT = {"mho", "pip", "setuptools", "wheel"}
HEAD = """\
# Versions with which mho is tested: pip install -c constraints.txt -e ".[dev]"
# Written by `make constraints`.
"""


def line(name: str, version: str, requires_python: str) -> str:
    """One constraint; the build of torch (+cpu, +cu130) is left to the machine."""
    pinned = f"{name}=={version.partition('+')[0]}"
    for oldest in re.findall(r">=\s*([\d.]+)", requires_python):
        if tuple(map(int, oldest.split("."))) > (*OLDEST, 0):
            return f'{pinned} ; python_full_version >= "{oldest}"'
    return pinned


def main() -> None:
    found = {d.name.lower().replace("_", "-"): d for d in distributions()}
    lines = [
        line(name, d.version, d.metadata.get("Requires-Python") or "")
        for name, d in sorted(found.items())
        if name not in LEFT_OUT
    ]
    Path(__file__).parents[1].joinpath("constraints.txt").write_text(HEAD + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
