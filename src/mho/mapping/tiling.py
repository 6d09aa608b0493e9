"""How a large matrix is cut into tiles."""

from __future__ import annotations

from itertools import pairwise


def spans(
    size: int, limit: int | None, unit: int = 1, full: bool = False, extra: int = 0
) -> tuple[tuple[int, int], ...]:
    """Cut ``size`` lines into tiles of at most ``limit`` lines.

    Args:
        size: number of lines.
        limit: lines of a tile; None for one tile.
        unit: lines that stay together when ``limit`` allows it (the taps of an input channel).
        full: fill each tile before the next one begins. Otherwise the tiles are as even as can be, and
            equal if half as many tiles again are enough for that (equal tiles make one product).
        extra: lines after these, of no unit (bias rows): in the last tile if it has room for them.

    Returns:
        ``(start, stop)`` of each tile.

    >>> spans(11, 4), spans(10, 4, full=True), spans(10, None)
    (((0, 4), (4, 8), (8, 11)), ((0, 4), (4, 8), (8, 10)), ((0, 10),))
    >>> [stop - start for start, stop in spans(64 * 9, 256, unit=9)]
    [144, 144, 144, 144]
    >>> spans(8, 5, extra=1), spans(8, 4, extra=1)
    (((0, 4), (4, 9)), ((0, 3), (3, 6), (6, 9)))
    """
    if extra and not full and limit is not None and size + extra > limit:
        return _with_extra(size, limit, unit, extra)
    size += extra
    if limit is None or size <= limit:
        return ((0, size),)
    if full:
        return tuple((a, min(a + limit, size)) for a in range(0, size, limit))
    if unit > limit or size % unit:
        unit = 1
    units, most = size // unit, limit // unit
    fewest = -(-units // most)
    equal = (n for n in range(fewest, fewest + fewest // 2 + 1) if units % n == 0)
    count = next(equal, fewest)
    edges = [unit * (k * (units // count) + min(k, units % count)) for k in range(count + 1)]
    return tuple(pairwise(edges))


def _with_extra(size: int, limit: int, unit: int, extra: int) -> tuple[tuple[int, int], ...]:
    """:func:`spans` of lines that one tile does not hold, with others after them."""
    *before, (start, stop) = spans(size, limit, unit)
    if stop + extra - start <= limit:
        return (*before, (start, stop + extra))
    if unit > limit or size % unit:
        unit = 1
    whole = spans(size + -(-extra // unit) * unit, limit, unit)  # as if they were whole units
    return tuple((a, min(b, size + extra)) for a, b in whole if a < size + extra)


def without_bias_rows(rows: tuple[tuple[int, int], ...], bias_rows: int) -> tuple[tuple[int, int], ...]:
    """The tiles of ``rows`` without the last ``bias_rows`` lines; a tile of nothing else is empty.

    >>> without_bias_rows(((0, 4), (4, 8), (8, 9)), 2)
    ((0, 4), (4, 7), (7, 7))
    """
    end = rows[-1][1] - bias_rows
    return tuple((min(a, end), min(b, end)) for a, b in rows)
