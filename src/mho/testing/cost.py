"""The contract of technologies."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mho.costs import Technology, Work
from mho.costs.base import TOTALS, Floor
from mho.testing.promise import check_description, promises

_BITS = 8


def check_cost(technology: Technology, bits: int = _BITS) -> None:
    """Check that a technology keeps the contract of all technologies.

    The technology must: travel through JSON; provide at least the arrays that are needed, and never less for
    more; charge nothing for no work, in proportion for more of the same work, and each event no less than
    nothing; take a time for a vector that does not depend on how many there are, and no less for more groups
    of bits; cover an area and leak no less for more arrays; and take no less at its peak than what it leaks.

    Args:
        technology: any instance.
        bits: a resolution that its converters have.

    Raises:
        AssertionError: naming the technology and the broken promise.

    Example:
        >>> from mho.costs import GENERIC_22
        >>> check_cost(GENERIC_22)
    """
    must = promises(technology)
    must(isinstance(technology, Technology), "must derive from mho.costs.Technology")
    check_description(technology, Technology)
    small = Work.one(
        size=(128, 128), rows=100, columns=90, cells=2, streams=7, bits_in=bits, bits_out=bits, bits_driven=1,
        shared=8, reads=7, cell_reads=126_000, drives=700, conversions=630, additions=540, scalings=90,
        inputs=100, outputs=90, squares=300.0, power=1e-3, lengths=2e-3, v_read=0.2, products=9000,
    )  # fmt: skip
    large = small._replace(arrays=100)
    floors = technology.floor([small]), technology.floor([small, large])
    must(floors[0].arrays >= 1 and floors[1].arrays >= 101, "must provide the arrays that are needed")
    grown = all(a <= b for a, b in zip(*floors, strict=True))
    must(grown, "must not provide less for more arrays")
    whole = technology.whole([small, large])
    must(all(a <= b for a, b in zip(floors[1], whole, strict=True)), "the whole must hold the floor")
    _check_energy(technology, small, floors[0])
    _check_time(technology, small)
    for name in ("area", "leakage"):
        question = getattr(technology, name)
        less, more = (math.fsum(_positive(technology, name, question(large, f)).values()) for f in floors)
        must(less <= more * (1 + 1e-9), f"{name} must not be smaller for more arrays")
    peak = math.fsum(_positive(technology, "peak", technology.peak(large, whole)).values())
    leaks = math.fsum(technology.leakage(large, whole).values())
    must(peak >= leaks * (1 - 1e-9), "must take at its peak what it leaks")


def _positive(technology: Technology, name: str, found: Mapping[str, float]) -> Mapping[str, float]:
    """What a technology gave, by part."""
    must = promises(technology)
    must(all(isinstance(part, str) for part in found), f"{name} must go by names of parts")
    sound = all(math.isfinite(value) and value >= 0 for value in found.values())
    must(sound, f"{name} must be finite and not negative")
    return found


def _check_energy(technology: Technology, work: Work, floor: Floor) -> None:
    must = promises(technology)
    once = _positive(technology, "energy", technology.energy(work, floor))
    must(math.fsum(once.values()) > 0, "must take energy for work")
    twice = technology.energy(work.over(0.5), floor)
    for part, joules in once.items():
        fair = math.isclose(twice.get(part, 0.0), 2 * joules, rel_tol=1e-9)
        must(fair, f"must take twice the energy of {part!r} for twice the work")
    nothing = technology.energy(_with(work, dict.fromkeys(TOTALS, 0.0)), floor)
    must(not any(nothing.values()), "must take no energy for no work")
    for name in TOTALS:
        more = _with(work, {name: 3 * getattr(work, name)})
        total = math.fsum(technology.energy(more, floor).values())
        must(total >= math.fsum(once.values()) * (1 - 1e-9), f"must not take less for more {name}")


def _with(work: Work, totals: Mapping[str, float]) -> Work:
    """With other totals."""
    return Work(**{**work._asdict(), **totals})


def _check_time(technology: Technology, work: Work) -> None:
    must = promises(technology)
    seconds = technology.seconds(work)
    must(math.isfinite(seconds) and seconds > 0, "a vector must take a time")
    same = math.isclose(technology.seconds(work.over(0.5)), seconds, rel_tol=1e-12)
    must(same, "the time of a vector must not depend on their number")
    must(technology.seconds(work._replace(streams=14)) >= seconds, "more groups of bits must not be faster")
