"""The bookkeeping of the elimination: every cell once, every port once, whatever the shape."""

from __future__ import annotations

import pytest

from mho.array._plan import Cut, Leaf, Merge, Plan, padded_size, side_pieces, size, whole


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 16, 17, 65, 100, 128, 129, 255, 1000])
def test_padding(n: int) -> None:
    padded = padded_size(n)
    assert n <= padded < 1.25 * n + 1
    if n & (n - 1) == 0:
        assert padded == n


def leaves(plan: Plan) -> int:
    if isinstance(plan, Merge):
        return leaves(plan.a) + leaves(plan.b)
    return plan.rows * plan.columns if isinstance(plan, Cut) else 1


def check(plan: Plan, below: Plan) -> None:
    """A merge's face has one size on both sides, and no port of a child is lost or used twice."""
    if isinstance(plan, Leaf | Cut):
        return
    for child, face, rest in ((plan.a, plan.face_a, plan.rest_a), (plan.b, plan.face_b, plan.rest_b)):
        assert size(face) == plan.face
        used = [
            (part, k) for pieces in (face, rest) for part, start, end in pieces for k in range(start, end)
        ]
        assert len(used) == len(set(used)) <= sum(n for part in child.parts for _, n in part)
        check(child, below)
    assert not plan.joint or plan.a is plan.b


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (13, 1), (5, 7), (64, 64), (64, 300), (200, 90)], ids=str)
@pytest.mark.parametrize("sides", ["LD", "LDR", "LDT", "LDRT"])
def test_plan(shape: tuple[int, int], sides: str) -> None:
    plan = whole(*shape, sides)
    rows, columns = plan.padded
    assert sorted(plan.order.tolist()) == list(range(rows * columns))
    assert leaves(plan.top) == rows * columns == plan.blocks * leaves(plan.below)
    check(plan.top, plan.below)
    check(plan.below, plan.below)
    for side in sides:
        assert size(side_pieces(plan.top, side)) == (rows if side in "LR" else columns)
