"""Numbers and tables as people write them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def kind_name(description: Mapping[str, Any]) -> str:
    """The class of a description in plain values.

    >>> kind_name({"kind": "experiments.SmallCNN"})
    'SmallCNN'
    """
    return str(description["kind"]).rpartition(".")[2]


def percent(value: float, sign: str = "") -> str:
    """A fraction in percent, with two decimals.

    >>> percent(0.125), percent(0.125, "+"), percent(math.nan)
    ('12.50', '+12.50', '-')
    """
    return "-" if math.isnan(value) else f"{100 * value:{sign}.2f}"


def span(low: float | None, high: float | None, sign: str = "") -> str:
    """The ends of an interval of fractions in percent; None where there is none.

    >>> span(0.125, 0.25), span(-0.01, 0.01, "+"), span(None, None)
    ('12.50 to 25.00', '-1.00 to +1.00', '-')
    """
    return "-" if low is None or high is None else f"{percent(low, sign)} to {percent(high, sign)}"


def mean_and_spread(mean: float, std: float | None) -> str:
    """A fraction and its standard deviation in percent; None for one value."""
    return percent(mean) if std is None else f"{percent(mean)} ± {percent(std)}"


def joined(words: Sequence[str]) -> str:
    """Words as a list.

    >>> joined(["a", "b", "c"])
    'a, b and c'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def aligned(rows: Sequence[Sequence[str]], left: Sequence[int]) -> list[str]:
    """Rows of cells as lines of one width for each column.

    Args:
        rows: the head among them.
        left: columns whose cells begin at the left.

    >>> aligned([("name", "n"), ("x", "10")], left=[0])
    ['name   n', 'x     10']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            c.ljust(w) if k in left else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
