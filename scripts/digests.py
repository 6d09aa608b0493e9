"""Record digests of what mho computes, and compare two records: what is rebuilt computes the same bits.

    python scripts/digests.py record --output old.json    # with the mho that is importable
    PYTHONPATH=../new/src python scripts/digests.py record --output new.json
    python scripts/digests.py compare old.json new.json --allowed allowed.txt

A digest is SHA-256 of the bits of a tensor, with its type and shape. Bits are those of one machine, one
version of torch and one thread; random numbers are drawn from fixed seeds. The combinations stand in
``digest_rows.py`` (every two parts meet) and ``digest_cases.py``.

A file of allowed differences has lines ``name: reason``, with no colon in the reason. The name is that of a
combination or of one of its quantities (``combination / quantity``); with ``*`` at its end it stands for all
that begin so.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
import time
from pathlib import Path

import torch

Digests = dict[str, dict[str, str]]
FAILED = "failed"


def environment() -> dict[str, str]:
    """What has to be the same for bits to be."""
    here = Path(__file__).parent
    text = b"".join(path.read_bytes() for path in sorted(here.glob("digest_*.py")))
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "combinations": hashlib.sha256(text).hexdigest()[:12],
    }


def record(output: Path, only: str) -> int:
    """Run all combinations; one that raises is recorded as failed."""
    torch.set_num_threads(1)
    import digest_cases

    import mho

    print(f"mho of {Path(mho.__file__).parent}")
    began, found = time.perf_counter(), {}
    for name, case in digest_cases.all_cases().items():
        if only not in name:
            continue
        try:
            found[name] = dict(digest_cases.run(case))
        except Exception as error:
            found[name] = {FAILED: f"{type(error).__name__}: {error}"}
            print(f"failed: {name}\n    {type(error).__name__}: {error}")
    made = {"environment": environment(), "digests": found}
    output.write_text(json.dumps(made, indent=1) + "\n")
    failed = sum(FAILED in quantities for quantities in found.values())
    count = sum(map(len, found.values()))
    print(f"{count} digests in {time.perf_counter() - began:.0f} s, {failed} combinations failed: {output}")
    print(f"{len(found)} combinations")
    return 1 if failed else 0


# --- comparing -----------------------------------------------------------------------------------


def load(path: Path) -> tuple[dict[str, str], Digests]:
    held = json.loads(path.read_text())
    return held["environment"], held["digests"]


def differences(old: Digests, new: Digests) -> dict[str, dict[str, str]]:
    """What differs, by combination and quantity."""
    found: dict[str, dict[str, str]] = {}
    for name in [*old, *(n for n in new if n not in old)]:
        if name not in old or name not in new:
            found[name] = {
                "combination": "only in the new record" if name in new else "missing in the new record"
            }
            continue
        a, b = old[name], new[name]
        differ = {
            q: explained(a.get(q), b.get(q)) for q in [*a, *(q for q in b if q not in a)] if differs(a, b, q)
        }
        if differ:
            found[name] = differ
    return found


def differs(a: dict[str, str], b: dict[str, str], quantity: str) -> bool:
    """Whether the bits do; a failure proves nothing, even if it is on both sides."""
    if quantity == FAILED:
        return True
    one, other = (held.get(quantity, "").partition(" norm ")[0] for held in (a, b))
    return one != other


def explained(a: str | None, b: str | None) -> str:
    """One line for a reader."""
    if a is None or b is None:
        return f"only in the new record: {b}" if a is None else f"missing in the new record: {a}"
    if " norm " not in a or " norm " not in b:
        return f"{a} -> {b}"
    (one, _, x), (other, _, y) = a.partition(" norm "), b.partition(" norm ")
    kind, shape = one.split()[:2], other.split()[:2]
    if kind != shape:
        return f"{' '.join(kind)} -> {' '.join(shape)}"
    return (
        f"{' '.join(kind)}, other bits; norm {x} -> {y}"
        if x != y
        else f"{' '.join(kind)}, other bits; norm {x}"
    )


def read_allowed(path: Path | None) -> dict[str, str]:
    """``name: reason``, one a line; the name may hold a colon."""
    found: dict[str, str] = {}
    for line in path.read_text().splitlines() if path else ():
        if line.strip() and not line.startswith("#"):
            name, separator, reason = line.rpartition(": ")
            if not separator or not reason.strip():
                raise SystemExit(f"{path}: {line!r} is not of the form 'name: reason'")
            found[name.strip()] = reason.strip()
    return found


def matching(allowed: dict[str, str], name: str, quantity: str) -> str | None:
    """The entry that explains a difference."""
    full = f"{name} / {quantity}"
    return next(
        (k for k in allowed if k in (name, full) or (k.endswith("*") and full.startswith(k[:-1]))), None
    )


def compare(old: Path, new: Path, allowed_path: Path | None) -> int:
    """Print what differs; 1 where something does that is not allowed."""
    (old_place, a), (new_place, b) = load(old), load(new)
    for key in sorted(old_place.keys() | new_place.keys()):
        if old_place.get(key) != new_place.get(key):
            print(f"NOTE: {key} differs, {old_place.get(key)} and {new_place.get(key)}: bits may, too")
    allowed, used, bad = read_allowed(allowed_path), set(), 0
    found = differences(a, b)
    for name, quantities in found.items():
        open_ones = {}
        for quantity, text in quantities.items():
            entry = matching(allowed, name, quantity)
            used.add(entry)
            if entry is None:
                open_ones[quantity] = text
        if open_ones:
            bad += 1
            print(name)
            for quantity, text in open_ones.items():
                print(f"    {quantity}: {text}")
    for name in allowed.keys() - used:
        print(f"allowed, and no difference: {name}")
    equal = len(a.keys() | b.keys()) - len(found)
    print(
        f"{len(a.keys() | b.keys())} combinations: {equal} equal to the bit, {len(found) - bad} differ as "
        f"allowed, {bad} differ"
    )
    return 1 if bad else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="run all combinations")
    recording.add_argument("--output", type=Path, required=True, help="JSON file to write")
    recording.add_argument("--only", default="", help="combinations whose name holds this")
    comparing = commands.add_parser("compare", help="compare two records")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path)
    comparing.add_argument("--allowed", type=Path, help="file of lines 'name: reason'")
    given = parser.parse_args()
    if given.command == "record":
        return record(given.output, given.only)
    return compare(given.old, given.new, given.allowed)


if __name__ == "__main__":
    sys.exit(main())
