"""How lines are cut into tiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mho.mapping import spans

SIZES = st.integers(1, 2_000)


def sizes(cut: tuple[tuple[int, int], ...]) -> list[int]:
    return [b - a for a, b in cut]


@given(SIZES, st.integers(1, 600), st.booleans())
def test_tiles_cover_every_line_once(size: int, limit: int, full: bool) -> None:
    cut = spans(size, limit, full=full)
    assert [a for a, _ in cut] == [0, *(b for _, b in cut)][:-1] and cut[-1][1] == size
    assert all(0 < n <= limit for n in sizes(cut))


@given(SIZES, st.integers(1, 600))
def test_full_tiles(size: int, limit: int) -> None:
    *filled, last = sizes(spans(size, limit, full=True))
    assert all(n == limit for n in filled) and last <= limit
    assert len(filled) + 1 == -(-size // limit)


@given(SIZES, st.integers(1, 600))
def test_even_tiles(size: int, limit: int) -> None:
    """As few as can be, or up to half as many again if they are equal then."""
    got = sizes(spans(size, limit))
    fewest = -(-size // limit)
    assert max(got) - min(got) <= 1
    assert fewest <= len(got) <= fewest + fewest // 2
    assert len(got) == fewest or len(set(got)) == 1


@given(st.integers(1, 60), st.integers(1, 25), st.integers(1, 600))
def test_taps_of_a_channel_stay_together(channels: int, taps: int, limit: int) -> None:
    cut = spans(channels * taps, limit, unit=taps)
    if taps <= limit:
        assert all(a % taps == 0 and b % taps == 0 for a, b in cut)
        assert max(sizes(cut)) - min(sizes(cut)) <= taps
    assert sum(sizes(cut)) == channels * taps and max(sizes(cut)) <= limit


@pytest.mark.parametrize("size", [1, 7, 300])
def test_no_limit(size: int) -> None:
    assert spans(size, None) == spans(size, size) == spans(size, size + 1) == ((0, size),)
