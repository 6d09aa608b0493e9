"""The Pareto front: what is best at its price."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(costs: Sequence[float], gains: Sequence[float]) -> list[int]:
    """Places of the points that no other one beats, in the order of rising cost.

    A point is beaten by one that costs no more and gains no less, and is better in one of the two. Of
    equal points the first stays.

    Args:
        costs: smaller is better.
        gains: larger is better, as many.

    >>> pareto_front([3.0, 1.0, 2.0, 2.0], [0.9, 0.5, 0.8, 0.7])
    [1, 2, 0]
    """
    if len(costs) != len(gains):
        raise ValueError(f"{len(costs)} costs and {len(gains)} gains: give as many of both")
    front: list[int] = []
    best = float("-inf")
    for i in sorted(range(len(costs)), key=lambda i: (costs[i], -gains[i], i)):
        if gains[i] > best:
            front.append(i)
            best = gains[i]
    return front
