"""Print the oldest versions that pyproject.toml allows, for `pip install`: torch==2.5 numpy==1.26 ..."""

from __future__ import annotations

import re
from pathlib import Path

TABLES = ("dependencies", "study")  # what mho needs, and what its command line needs


def floors(text: str) -> list[str]:
    """``name==version`` for each ``name>=version`` of the tables."""
    found = []
    for table in TABLES:
        (block,) = re.findall(rf"^{table} = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)
        for name, version in re.findall(r'"([\w-]+)>=([\d.]+)', block):
            found.append(f"{name}=={version}")
    return found


def main() -> None:
    print(*floors(Path(__file__).parents[1].joinpath("pyproject.toml").read_text()))


if __name__ == "__main__":
    main()
