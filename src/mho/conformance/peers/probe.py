"""Prints which simulators this interpreter can import, as JSON: name to version."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
from pathlib import Path

# name: the module, a folder that it must have (the module's name may be another program's), the distributions
SIMULATORS = {
    "aihwkit": ("aihwkit", "simulator", ("aihwkit",)),
    "aihwkit-lightning": ("aihwkit_lightning", "simulator", ("aihwkit-lightning",)),
    "CrossSim": ("simulator", "cores", ("CrossSim",)),
    "MemTorch": ("memtorch", "bh", ("memtorch-cpu", "memtorch")),
    "badcrossbar": ("badcrossbar", ".", ("badcrossbar",)),
}


def found() -> dict[str, str]:
    """Versions by name, of those that are there."""
    versions = {}
    for name, (module, folder, distributions) in SIMULATORS.items():
        spec = importlib.util.find_spec(module)
        where = [] if spec is None else [Path(p) for p in spec.submodule_search_locations or ()]
        there = [path for path in where if (path / folder).is_dir()]
        if there:
            versions[name] = _version(there[0], distributions)
    return versions


def _version(package: Path, distributions: tuple[str, ...]) -> str:
    """As installed, else as the package or the checkout around it says."""
    for distribution in distributions:
        for held in importlib.metadata.distributions(name=distribution):
            return held.version
    for path in (package / "__init__.py", package.parent / "pyproject.toml"):
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        said = re.search(r"""^(?:__)?version(?:__)?\s*=\s*["']([^"']+)""", text, re.MULTILINE)
        if said:
            return said.group(1)
    return "of unknown version"


if __name__ == "__main__":
    print(json.dumps(found()))  # noqa: T201
