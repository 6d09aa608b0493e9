"""What becomes of a case, and the table of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SURVIVED = "survived"  # as if nothing had been
NAMED = "named"  # refused in a sentence that says what is wrong
GOOD = (SURVIVED, NAMED)


class Outcome(NamedTuple):
    """What became of a case.

    Attributes:
        how: ``survived``, ``named``, or in a word what went wrong.
        detail: what was seen, on one line or several.
    """

    how: str
    detail: str = ""

    @property
    def good(self) -> bool:
        """Whether a promise was held."""
        return self.how in GOOD


@dataclass(frozen=True)
class Setting:
    """What all cases of a campaign share.

    Attributes:
        seed: of all that is drawn.
        quick: whether a part is enough.
        work: folder for whatever a campaign writes.
        handful: a few cases only, which show that the campaign works.
        only: the case that is wanted, or the beginning of its name.
    """

    seed: int
    quick: bool
    work: Path
    handful: bool = False
    only: str = ""

    def wants(self, group: str) -> bool:
        """Whether a case of this group may be wanted: what others need need not be made."""
        return not self.only or self.only.startswith(f"{group}/") or group.startswith(self.only)

    def count(self, all: int, quick: int, handful: int = 2) -> int:
        """A number of cases."""
        return handful if self.handful else quick if self.quick else all


@dataclass
class Tally:
    """The cases of a campaign by their first word, and by what became of them."""

    found: dict[str, Counter[str]] = field(default_factory=dict)
    failures: list[tuple[str, Outcome]] = field(default_factory=list)
    names: Counter[str] = field(default_factory=Counter)

    def add(self, case: str, outcome: Outcome) -> None:
        """One more case."""
        self.found.setdefault(group(case), Counter())[outcome.how] += 1
        if not outcome.good:
            self.failures.append((case, outcome))
        elif outcome.how == NAMED:
            self.names[outcome.detail[:100]] += 1

    @property
    def total(self) -> Counter[str]:
        """Over all groups."""
        return sum(self.found.values(), Counter())


def group(case: str) -> str:
    """What a case is counted under: its name but for its last part."""
    return case.rpartition("/")[0] or case


def table(tallies: Iterable[tuple[str, Tally]]) -> str:
    """Injected, survived, named and failed of each campaign and each group."""
    lines = [f"{'':<44}{'injected':>9}{'survived':>9}{'named':>9}{'failed':>9}"]
    for name, tally in tallies:
        for what, found in [(name, tally.total), *((f"  {g}", c) for g, c in sorted(tally.found.items()))]:
            good = [found[how] for how in GOOD]
            numbers = [found.total(), *good, found.total() - sum(good)]
            lines.append(f"{what[:43]:<44}" + "".join(f"{number:>9,}" for number in numbers))
    return "\n".join(lines)
