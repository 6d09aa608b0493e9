"""Whether what is to be computed can fit into the memory of this machine, before it is begun."""

from __future__ import annotations

import contextlib
import os

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container


def machine_memory() -> float:
    """Bytes of this machine, or of the container that this runs in; infinity if unknown."""
    found = [_limit(path) for path in _LIMITS]
    with contextlib.suppress(AttributeError, OSError, ValueError):
        found.append(float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE"))
    return min(found)


def _limit(path: str) -> float:
    try:
        with open(path, encoding="ascii") as file:
            return float(file.read())
    except (OSError, ValueError):  # no container, or "max"
        return float("inf")


def check_fits(needed: float, what: str, remedy: str) -> None:
    """Refuse what no memory of this machine can hold.

    Args:
        needed: bytes, at the least.
        what: needs them, in words.
        remedy: what to do.

    Raises:
        ValueError: they are more than the machine has.
    """
    there = machine_memory()
    if needed > there:
        raise ValueError(
            f"{what} takes about {needed / 1e9:,.0f} GB, and this machine has {there / 1e9:,.0f} GB; {remedy}"
        )
