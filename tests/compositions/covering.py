"""Few rows in which every two values of different axes meet."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest

Place = tuple[int, int]  # an axis, and a value in it


def some(rows: Sequence[Any], among: Collection[Any] = ()) -> list[Any]:
    """Every third of generated rows and those ``among`` them; the others are for ``make exhaustive``."""
    chosen = {*range(0, len(rows), 3), *(k for k, row in enumerate(rows) if row in among)}
    return [
        row if k in chosen else pytest.param(*each(row), marks=pytest.mark.exhaustive)
        for k, row in enumerate(rows)
    ]


def each(row: Any) -> tuple[Any, ...]:
    """The arguments of a test that is parametrised by a row."""
    return row if type(row) is tuple else (row,)


def covering(
    axes: Sequence[Sequence[Any]],
    allowed: Callable[..., bool] = lambda row: True,
    strangers: Collection[tuple[int, int]] = (),
) -> list[tuple]:
    """Rows with a value of each axis, such that every two values that may meet do.

    A row begins with a pair that has not met; each further axis, in a random order, takes the value that
    lets most pairs meet for the first time.

    Args:
        axes: the values of each axis.
        allowed: whether a row may be; values that are not chosen yet are None in its list.
        strangers: pairs of axes, the first one first, whose values need not meet.
    """
    rng = random.Random(0)

    def values(row: dict[int, int]) -> list[Any]:
        return [axes[k][row[k]] if k in row else None for k in range(len(axes))]

    def fits(row: dict[int, int]) -> bool:
        return allowed(values(row))

    open_pairs: dict[tuple[Place, Place], None] = {
        ((i, a), (j, b)): None
        for i, j in itertools.combinations(range(len(axes)), 2)
        if (i, j) not in strangers
        for a in range(len(axes[i]))
        for b in range(len(axes[j]))
        if fits({i: a, j: b})
    }
    rows = []
    while open_pairs:
        row = dict(next(iter(open_pairs)))
        for k in rng.sample(range(len(axes)), len(axes)):
            if k in row:
                continue
            among = [v for v in range(len(axes[k])) if fits({**row, k: v})]
            if not among:
                raise ValueError(f"no value of axis {k} fits {values(row)}")
            rng.shuffle(among)
            row[k] = max(among, key=lambda v: sum(_pair((k, v), p) in open_pairs for p in row.items()))
        for p, q in itertools.combinations(sorted(row.items()), 2):
            open_pairs.pop((p, q), None)
        rows.append(tuple(values(row)))
    return rows


def _pair(p: Place, q: Place) -> tuple[Place, Place]:
    return (p, q) if p < q else (q, p)
