"""The order in which an array is eliminated: pure bookkeeping on shapes, made once per shape.

A block of cells is seen from outside through its ports, counter-clockwise: L (left ends of the word
lines, top to bottom), D (lower ends of the bit lines, left to right), R (right ends, bottom to top) and
T (upper ends, right to left). Two neighbouring blocks a and b are merged by eliminating their common
face; the ports that are left are those of a, then those of b, each counter-clockwise from the face on.
A merged block keeps this division into two parts, and a face or the rest of the ports is always a few
contiguous pieces of them. Sides at the open edge of the array carry no current and are left out.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Segments = tuple[tuple[str, int], ...]  # (side, number of ports), counter-clockwise
Piece = tuple[int, int, int]  # (part, first, last + 1)
Pieces = tuple[Piece, ...]

LANES = 4  # faces up to this size are merged with the blocks in the last axis
SMALL = 8  # dimensions up to this are not padded


@dataclass(frozen=True, eq=False)
class Leaf:
    """One cell with the word-line segment at its left and the bit-line segment below it."""

    rows: int = 1
    columns: int = 1
    parts: tuple[Segments, Segments] = ((("L", 1), ("D", 1), ("R", 1), ("T", 1)), ())


@dataclass(frozen=True, eq=False)
class Cut:
    """Block ``index`` of those that were eliminated together below."""

    index: int
    rows: int
    columns: int
    parts: tuple[Segments, Segments]


@dataclass(frozen=True, eq=False)
class Merge:
    """Two neighbours and their common face.

    Attributes:
        rows, columns: size of the merged block in cells.
        a, b: the blocks; a gives the voltage of the face (left or lower block), b its current.
        joint: a and b are the same plan, eliminated together as one batch of twice the size.
        face: size of the common face.
        face_a, rest_a, face_b, rest_b: pieces of the children's parts.
        parts: ports of the merged block, those of a and those of b.
        lanes: whether the blocks lie in the last axis.
    """

    rows: int
    columns: int
    a: Plan
    b: Plan
    joint: bool
    face: int
    face_a: Pieces
    rest_a: Pieces
    face_b: Pieces
    rest_b: Pieces
    parts: tuple[Segments, Segments]
    lanes: bool


Plan = Leaf | Cut | Merge


@dataclass(frozen=True, eq=False)
class Whole:
    """The plan of a whole array.

    Attributes:
        rows, columns: size of the array.
        padded: size with the idle rows (on top) and columns (on the right) that make it divisible.
        blocks: number of blocks eliminated together by ``below``.
        below: the plan of one of them.
        top: the plan of the array, whose leaves are cuts.
        order: cells of the padded array in the order in which ``below`` takes them.
    """

    rows: int
    columns: int
    padded: tuple[int, int]
    blocks: int
    below: Plan
    top: Plan
    order: npt.NDArray[np.int64]


def padded_size(n: int) -> int:
    """The least a 2^k not below n, with a of at most :data:`SMALL`."""
    step = 1
    while n > SMALL * step:
        step *= 2
    return -(-n // step) * step


@functools.lru_cache(maxsize=256)
def whole(rows: int, columns: int, sides: str) -> Whole:
    """Plan of an array of which the given sides (L and D, also R, T) are connected."""
    padded = (padded_size(rows), padded_size(columns))
    grid = tuple(_blocks(n) if min(padded) >= 64 else 1 for n in padded)
    below = _joint(padded[0] // grid[0], padded[1] // grid[1])
    index = np.arange(padded[0] * padded[1]).reshape(padded)
    tiles = index.reshape(grid[0], padded[0] // grid[0], grid[1], padded[1] // grid[1])
    stack = tiles.transpose(0, 2, 1, 3).reshape(grid[0] * grid[1], below.rows, below.columns)
    order = np.stack([_order(below, block) for block in stack], axis=1).reshape(-1)
    top = _separate(below, (0, grid[0]), (0, grid[1]), (grid[0], grid[1]), sides)
    return Whole(rows, columns, padded, grid[0] * grid[1], below, top, order)


def _blocks(n: int) -> int:
    """Into how many blocks a dimension is cut that are merged one by one, their open sides left out."""
    return 4 if n >= 192 else 2


@functools.lru_cache(maxsize=256)
def _joint(rows: int, columns: int) -> Plan:
    """Halve the longer dimension; equal halves are eliminated together."""
    if rows == columns == 1:
        return Leaf()
    if columns >= rows:
        a, b = _joint(rows, columns - columns // 2), _joint(rows, columns // 2)
    else:
        a, b = _joint(rows - rows // 2, columns), _joint(rows // 2, columns)
    return _merge(a, b, columns >= rows, a is b, "")


def _separate(below: Plan, r: tuple[int, int], c: tuple[int, int], grid: tuple[int, int], sides: str) -> Plan:
    """Merge the blocks of grid rows ``r`` and columns ``c`` one by one."""
    rows, columns = r[1] - r[0], c[1] - c[0]
    if rows == columns == 1:
        return Cut(r[0] * grid[1] + c[0], below.rows, below.columns, below.parts)
    level = rows == 1 or (columns > 1 and columns * below.columns >= rows * below.rows)
    if level:
        middle = (c[0] + c[1]) // 2
        a = _separate(below, r, (c[0], middle), grid, sides)
        b = _separate(below, r, (middle, c[1]), grid, sides)
    else:
        middle = (r[0] + r[1]) // 2
        a = _separate(below, (middle, r[1]), c, grid, sides)
        b = _separate(below, (r[0], middle), c, grid, sides)
    edge = ("T" if r[0] == 0 else "") + ("R" if c[1] == grid[1] else "")
    return _merge(a, b, level, False, "".join(s for s in edge if s not in sides))


def _merge(a: Plan, b: Plan, level: bool, joint: bool, open_sides: str) -> Merge:
    face_a, rest_a, part_a = _divide(a.parts, "R" if level else "T", open_sides)
    face_b, rest_b, part_b = _divide(b.parts, "L" if level else "D", open_sides)
    face = size(face_a)
    lanes = face <= LANES and _in_lanes(a) and _in_lanes(b)
    rows = a.rows if level else a.rows + b.rows
    columns = a.columns + b.columns if level else a.columns
    return Merge(
        rows, columns, a, b, joint, face, face_a, rest_a, face_b, rest_b, (part_a, part_b), lanes
    )  # fmt: skip


def _in_lanes(plan: Plan) -> bool:
    return isinstance(plan, Leaf) or (isinstance(plan, Merge) and plan.lanes)


def size(pieces: Pieces) -> int:
    """Number of ports in some pieces."""
    return sum(end - start for _, start, end in pieces)


def within(pieces: Pieces, start: int, end: int) -> Pieces:
    """Pieces of the ports ``start`` to ``end`` of those that some pieces list."""
    out, at = [], 0
    for part, first, last in pieces:
        low, high = max(start - at, 0), min(end - at, last - first)
        if low < high:
            out.append((part, first + low, first + high))
        at += last - first
    return tuple(out)


def _divide(parts: tuple[Segments, Segments], side: str, open_sides: str) -> tuple[Pieces, Pieces, Segments]:
    """Pieces of a side, of the other ports counter-clockwise from it, and the latter's segments."""
    spans: list[tuple[str, Piece]] = []
    for part, segments in enumerate(parts):
        start = 0
        for name, length in segments:
            spans.append((name, (part, start, start + length)))
            start += length
    while spans[0][0] == side or spans[-1][0] != side:
        spans.append(spans.pop(0))  # turn until the side comes last
    face = [piece for name, piece in spans if name == side]
    rest = [(name, piece) for name, piece in spans if name != side and name not in open_sides]
    segments_left: list[tuple[str, int]] = []
    for name, (_, start, end) in rest:
        if segments_left and segments_left[-1][0] == name:
            segments_left[-1] = (name, segments_left[-1][1] + end - start)
        else:
            segments_left.append((name, end - start))
    return _joined(face), _joined([piece for _, piece in rest]), tuple(segments_left)


def _joined(pieces: Sequence[Piece]) -> Pieces:
    """Neighbouring pieces of one part as one."""
    out: list[Piece] = []
    for part, start, end in pieces:
        if out and out[-1][0] == part and out[-1][2] == start:
            out[-1] = (part, out[-1][1], end)
        else:
            out.append((part, start, end))
    return tuple(out)


def _order(plan: Plan, index: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Cells in the order in which a plan takes them: equal halves alternate, unequal ones follow."""
    if not isinstance(plan, Merge):
        return index.reshape(-1)
    if plan.columns != plan.a.columns:
        first, second = index[:, : plan.a.columns], index[:, plan.a.columns :]
    else:
        first, second = index[plan.b.rows :], index[: plan.b.rows]
    halves = _order(plan.a, first), _order(plan.b, second)
    return np.stack(halves, axis=1).reshape(-1) if plan.joint else np.concatenate(halves)


def side_pieces(plan: Plan, side: str) -> Pieces:
    """Pieces of one side, counter-clockwise."""
    return _divide(plan.parts, side, "")[0]
