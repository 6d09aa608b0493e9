"""How a large matrix is cut into tiles."""

from __future__ import annotations

from itertools import pairwise


def spans(size: int, limit: int | None, unit: int = 1, full: bool = False) -> tuple[tuple[int, int], ...]:
    """Cut ``size`` lines into tiles of at most ``limit`` lines.

    Args:
        size: number of lines.
        limit: lines of a tile; None for one tile.
        unit: lines that stay together when ``limit`` allows it (the taps of an input channel).
        full: fill each tile before the next one begins. Otherwise the tiles are as even as can be, and
            equal if half as many tiles again are enough for that (equal tiles make one product).

    Returns:
        ``(start, stop)`` of each tile.

    >>> spans(11, 4), spans(10, 4, full=True), spans(10, None)
    (((0, 4), (4, 8), (8, 11)), ((0, 4), (4, 8), (8, 10)), ((0, 10),))
    >>> [stop - start for start, stop in spans(64 * 9, 256, unit=9)]
    [144, 144, 144, 144]
    """
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
