"""The rows are few, and nothing that may meet is left out."""

from __future__ import annotations

import itertools
from typing import Any

from .covering import covering


def met(rows: list[tuple]) -> set[tuple[Any, ...]]:
    return {(i, j, r[i], r[j]) for r in rows for i, j in itertools.combinations(range(len(r)), 2)}


def test_every_two_values_meet() -> None:
    axes = ["abcde", "abcd", "abc", "ab", "ab", "ab"]
    rows = covering(axes)
    wanted = {
        (i, j, a, b) for i, j in itertools.combinations(range(len(axes)), 2) for a in axes[i] for b in axes[j]
    }
    assert met(rows) == wanted
    assert 20 <= len(rows) <= 28  # of 960


def test_strangers_need_not_meet() -> None:
    rows = covering(["abcde", "abcd", "ab"], strangers=[(0, 1)])
    assert len(rows) == 10  # the first and the last
    assert len({row[:2] for row in rows}) < 20 and len({row[1:] for row in rows}) == 8


def test_what_may_not_meet_does_not() -> None:
    def allowed(row: list[Any]) -> bool:
        return not (row[0] == "a" and row[1] == "b") and not (row[1] == "c" and row[2] == "a")

    rows = covering(["abc", "abc", "abc"], allowed)
    assert all(allowed(list(row)) for row in rows)
    assert len(met(rows)) == 27 - 2
