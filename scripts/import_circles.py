"""Fail where modules of mho import each other in a circle, also by imports in functions and for types alone.

import-linter keeps the floors of the house; this looks inside them. A circle is a set of modules each of
which reaches all others by imports. Those that are still there stand in ``import_circles.txt``, one a line;
the list may only become shorter, and its circles smaller.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import grimp

KNOWN = Path(__file__).with_suffix(".txt")
Circle = frozenset[str]


def circles(package: str) -> dict[Circle, list[str]]:
    """The circles of an importable package, the smallest first, and the imports that close each of them."""
    graph = grimp.build_graph(package, exclude_type_checking_imports=False, cache_dir=None)
    reached = {module: graph.find_upstream_modules(module) for module in graph.modules}
    found = {frozenset({m, *(n for n in reached[m] if m in reached[n])}) for m in graph.modules}
    made = sorted((circle for circle in found if len(circle) > 1), key=lambda c: (len(c), sorted(c)))
    return {circle: _imports(graph, circle) for circle in made}


def _imports(graph: grimp.ImportGraph, circle: Circle) -> list[str]:
    """Each import from one module of a circle to another one, with its line."""
    return [
        f"{module}:{detail['line_number']} imports {imported}"
        for module in sorted(circle)
        for imported in sorted(graph.find_modules_directly_imported_by(module) & circle)
        for detail in graph.get_import_details(importer=module, imported=imported)
    ]


def read_known(path: Path) -> set[Circle]:
    """The circles of the list."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {frozenset(line.split()) for line in lines if line.strip() and not line.startswith("#")}


def problems(found: dict[Circle, list[str]], known: Iterable[Circle]) -> list[str]:
    """What is wrong: a circle that is not in the list, and one in the list that is gone or smaller."""
    known, said = set(known), []
    for circle, imports in found.items():
        if circle in known:
            continue
        if any(circle < listed for listed in known):
            said.append(f"smaller than in the list, good; write it there so:\n    {' '.join(sorted(circle))}")
        else:
            said.append("a new circle of imports:\n" + "\n".join(f"    {line}" for line in imports))
    gone = sorted(known - found.keys(), key=sorted)
    return [*said, *(f"no such circle is left; take it out:\n    {' '.join(sorted(c))}" for c in gone)]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--show", action="store_true", help="print all circles with their imports")
    found = circles("mho")
    if parser.parse_args().show:
        for circle, imports in found.items():
            print(" ".join(sorted(circle)), *(f"    {line}" for line in imports), sep="\n")
    said = problems(found, read_known(KNOWN))
    for text in said:
        print(f"{KNOWN.name}: {text}", file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
