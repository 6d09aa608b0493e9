"""A published claim in figures, and the verdict on figures of ours."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from mho.experiments.statistics import MeanEstimate

MET, NOT_MET, UNDECIDED = "met", "not met", "undecided"


@dataclass(frozen=True)
class Figure:
    """One published figure, and what of ours counts as the same.

    Attributes:
        key: names it in tables.
        what: it is, in words.
        published: as the source gives it; a direction where it gives no number.
        unit: of published and ours; empty for a ratio.
        least, most: ends of the tolerance; the whole interval of ours must lie within.
    """

    key: str
    what: str
    published: str
    unit: str = ""
    least: float = -math.inf
    most: float = math.inf

    @property
    def tolerance(self) -> str:
        """The tolerance in words.

        >>> Figure("a", "", "0.5", "points", 0.0, 1.0).tolerance, Figure("a", "", "> 1", least=1.0).tolerance
        ('0 to 1', 'at least 1')
        """
        if math.isinf(self.most):
            return f"at least {self.least:g}"
        return f"at most {self.most:g}" if math.isinf(self.least) else f"{self.least:g} to {self.most:g}"

    def verdict(self, ours: MeanEstimate) -> str:
        """Whether ours lies within the tolerance.

        Args:
            ours: mean over seeds with its interval.

        Returns:
            ``"met"``: the whole interval lies within; ``"not met"``: all of it lies outside;
            ``"undecided"``: it crosses an end, or one seed gave no interval.

        >>> from mho.experiments.statistics import estimate
        >>> Figure("a", "", "> 1", least=1.0).verdict(estimate([1.2, 1.3, 1.25]))
        'met'
        """
        if math.isnan(ours.low):
            return UNDECIDED
        if ours.high < self.least or ours.low > self.most:
            return NOT_MET
        return MET if self.least <= ours.low and ours.high <= self.most else UNDECIDED


@dataclass(frozen=True)
class Claim:
    """What a paper found.

    Attributes:
        name: of the claim, in lower case, as a command takes it.
        paper: the citation.
        statement: what it says, in our words.
        source: what of it was read, and what is from memory.
        figures: that are compared; all of them must be met.
    """

    name: str
    paper: str
    statement: str
    source: str
    figures: tuple[Figure, ...]


def overall(verdicts: Iterable[str]) -> str:
    """The verdict on a claim from those on its figures.

    >>> overall(["met", "met"]), overall(["met", "undecided"]), overall(["undecided", "not met"])
    ('met', 'undecided', 'not met')
    """
    found = set(verdicts)
    return next((verdict for verdict in (NOT_MET, UNDECIDED) if verdict in found), MET)
