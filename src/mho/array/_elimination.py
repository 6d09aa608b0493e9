"""Exact elimination of a resistive crossbar, its reverse, and the voltages inside.

Each block of cells is the symmetric hybrid map ``y = H x`` of its ports, with

    x = (v_L, v_D, i_R, i_T)   voltages at the left and lower ends, currents leaving at the others
    y = (i_L, -i_D, v_R, v_T)  currents entering at the left, minus those leaving below, voltages

so that wires and cells of zero resistance or zero conductance need no special case. Merging a and b
eliminates the face between them, where the y of one is the x of the other. With ``Z = -H_a[face, face]``
(a resistance) and ``Y = H_b[face, face]`` (a conductance), both positive semidefinite,

    M = (1 + Z Y)^-1,  S = Y M,  T = M Z
    i = S p + M^T q,   v = M p - T q       p, q: what the other ports of a and b impose on the face
    H_aa += P^T S P,   H_ab = P^T M^T Q,   H_bb -= Q^T T Q

All eigenvalues of ``1 + Z Y`` are at least 1, so nothing cancels and float32 works. H is a Schur
complement of a symmetric form; hence its derivative needs only the rows ``W = (i, v)`` of the
solution: ``dH = E^T dH_a E + ...`` with ``E`` = the ports of a as functions of the merged ports.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mho.array._batched import Lanes, Layout, Stack, to_lanes, to_stack
from mho.array._plan import Cut, Leaf, Merge, Pieces, Plan, Whole, side_pieces, size, within


class Block(NamedTuple):
    """A symmetric matrix over the two parts of a block's ports; ``ab`` and ``bb`` None without part b."""

    aa: Tensor
    ab: Tensor | None
    bb: Tensor | None
    layout: Layout

    def pick(self, row: int, column: int) -> Tensor:
        """The submatrix (part row, part column)."""
        if row == column:
            chosen = self.bb if row else self.aa
        else:
            chosen = self.ab
        assert chosen is not None
        return self.layout.t(chosen) if row > column else chosen


def _gather(block: Block, rows: Pieces, columns: Pieces, *, copy: bool = False) -> Tensor:
    """Submatrix of a block; a view if it lies in one piece and need not be a copy."""
    if len(rows) == len(columns) == 1 and not copy:
        (r, r0, r1), (c, c0, c1) = rows[0], columns[0]
        return block.layout.part(block.pick(r, c), slice(r0, r1), slice(c0, c1))
    out = block.layout.empty(block.aa, size(rows), size(columns))
    top = 0
    for r, r0, r1 in rows:
        left = 0
        for c, c0, c1 in columns:
            here = block.layout.part(out, slice(top, top + r1 - r0), slice(left, left + c1 - c0))
            here.copy_(block.layout.part(block.pick(r, c), slice(r0, r1), slice(c0, c1)))
            left += c1 - c0
        top += r1 - r0
    return out


def _in(block: Block, layout: Layout) -> Block:
    if block.layout is layout:
        return block
    move = to_stack if layout is Stack else to_lanes
    ab = None if block.ab is None else move(block.ab)
    bb = None if block.bb is None else move(block.bb)
    return Block(move(block.aa), ab, bb, layout)


def _halves(block: Block, n: int) -> tuple[Block, Block]:
    layout = block.layout
    aa, ab, bb = (None if x is None else layout.halves(x, n) for x in block[:3])
    assert aa is not None
    first = Block(aa[0], ab and ab[0], bb and bb[0], layout)
    return first, Block(aa[1], ab and ab[1], bb and bb[1], layout)


# --- forward -----------------------------------------------------------------------------------


def leaf(cells: Tensor) -> Block:
    """The hybrid map of single cells, in closed form without subtraction.

    Args:
        cells: conductance, resistance of the word-line segment at the left and of the bit-line segment
            below, ``[3, batch]``.
    """
    g, left, below = cells
    share = 1 / (1 + g * (left + below))
    a = g * share
    ll = share * (1 + g * below)  # v_R over v_L
    dd = share * (1 + g * left)  # v_T over v_D
    x, y, z = a * below, a * left, -a * left * below
    rows = (a, -a, ll, x, -a, a, y, dd, ll, y, -left * ll, z, x, dd, z, -below * dd)
    return Block(torch.stack(rows).view(4, 4, g.shape[0]), None, None, Lanes)


def merge(plan: Merge, a: Block, b: Block, tape: list[Tensor] | None) -> Block:
    """The hybrid map of two neighbours; ``tape`` receives the rows W of a's and of b's ports."""
    on: Layout = Lanes if plan.lanes else Stack
    a, b = _in(a, on), _in(b, on)
    w_a, w_b, p, q = _solve_face(plan, a, b, on, full=tape is not None)
    if tape is not None:
        tape += (w_a, w_b)
    k = plan.face
    aa = on.add_mm(
        _gather(a, plan.rest_a, plan.rest_a, copy=True), on.t(p), on.part(w_a, slice(0, k), slice(None))
    )
    ab = on.mm(on.t(p), on.part(w_b, slice(0, k), slice(None)))
    rest = _gather(b, plan.rest_b, plan.rest_b, copy=True)
    bb = on.add_mm(rest, on.t(q), on.part(w_b, slice(k, 2 * k), slice(None)))
    return Block(aa, ab, bb, on)


def _solve_face(
    plan: Merge, a: Block, b: Block, on: Layout, full: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows (i, v) of the face over a's ports and over b's, and the rows P, Q of the blocks.

    Without ``full`` the rows v over a's ports are left out.
    """
    z, y, p, q = _faces(plan, a, b, on)
    m = on.inverse_of_one_plus(on.mm(z, y).neg_())
    s = on.mm(y, m)
    w_a = on.mm(on.above(s, m) if full else s, p)
    w_b = on.mm(on.above(on.t(m), on.mm(m, z)), q)
    return w_a, w_b, p, q


def _faces(plan: Merge, a: Block, b: Block, on: Layout) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """-Z, Y, P and Q of a face, all in the order of a's ports."""
    z = _gather(a, plan.face_a, plan.face_a)  # -Z
    p = _gather(a, plan.face_a, plan.rest_a)
    y = on.flip_rows(on.t(on.flip_rows(_gather(b, plan.face_b, plan.face_b))))
    q = on.flip_rows(_gather(b, plan.face_b, plan.rest_b))
    return z, y, p, q


def forward(plan: Plan, cells: Tensor, below: Block | None, tape: list[Tensor] | None) -> Block:
    """Eliminate a plan.

    Args:
        plan: what to do.
        cells: ``[3, cell, batch]`` in the plan's order; unused if the leaves are cuts.
        below: the blocks that cuts refer to, in the batch's slow index.
        tape: list that receives what :func:`pull` and :func:`push` need, or None.
    """
    if isinstance(plan, Leaf):
        return leaf(cells.flatten(1))
    if isinstance(plan, Cut):
        assert below is not None
        return _cut(below, plan.index, cells.shape[2])
    n = cells.shape[2]
    if plan.joint:
        both = forward(plan.a, cells.reshape(3, cells.shape[1] // 2, 2 * n), below, tape)
        both = _in(both, Lanes if plan.lanes else Stack)
        a, b = _halves(both, n)
    else:
        count = plan.a.rows * plan.a.columns
        a = forward(plan.a, cells[:, :count], below, tape)
        b = forward(plan.b, cells[:, count:], below, tape)
    return merge(plan, a, b, tape)


def _cut(blocks: Block, index: int, n: int) -> Block:
    pick = [None if x is None else x[index * n : (index + 1) * n] for x in blocks[:3]]
    assert pick[0] is not None
    return Block(pick[0], pick[1], pick[2], blocks.layout)


def eliminate(plan: Whole, cells: Tensor, sides: str, tape: list[Tensor] | None) -> Tensor:
    """The hybrid map of whole arrays over the connected sides.

    Args:
        plan: the plan of one array.
        cells: ``[3, tile, row, column]`` of the padded size: conductance, resistance of the word-line
            segment left of each cell, of the bit-line segment below it.
        sides: the sides in the order wanted, counter-clockwise within a side.
        tape: list that receives what the way down needs, or None.

    Returns:
        ``[tile, port, port]``.
    """
    tiles = cells.shape[1]
    cells = ordered(plan, cells)
    below = forward(
        plan.below, cells.reshape(3, cells.shape[1] // plan.blocks, plan.blocks * tiles), None, tape
    )
    if isinstance(plan.top, Cut):
        block = below
    else:
        block = forward(plan.top, cells, _in(below, Stack), tape)
    ports = tuple(piece for side in sides for piece in side_pieces(plan.top, side))
    return _gather(_in(block, Stack), ports, ports)


def transfer(plan: Whole, cells: Tensor) -> Tensor:
    """The entries of the hybrid map that give ``-g_eff``: [left ends, lower ends] of whole arrays.

    The last merge solves for the columns of the lower ends only, a third of the work of the full merge.

    Args:
        plan: the plan of one array whose right and upper sides are open.
        cells: as in :func:`eliminate`.
    """
    if not isinstance(plan.top, Merge):
        return eliminate(plan, cells, "LD", None)[:, : plan.padded[0], plan.padded[0] :]
    tiles = cells.shape[1]
    cells = ordered(plan, cells)
    below = forward(
        plan.below, cells.reshape(3, cells.shape[1] // plan.blocks, plan.blocks * tiles), None, None
    )
    below = _in(below, Stack)
    a, b = forward(plan.top.a, cells, below, None), forward(plan.top.b, cells, below, None)
    return _last_merge(plan.top, _in(a, Stack), _in(b, Stack))


def _last_merge(plan: Merge, a: Block, b: Block) -> Tensor:
    """Left ends by lower ends of two merged blocks."""
    z, y, p, q = _faces(plan, a, b, Stack)
    one_plus = torch.bmm(z, y).neg_()
    one_plus.diagonal(dim1=1, dim2=2).add_(1.0)
    factor, pivots, _ = torch.linalg.lu_factor_ex(one_plus)
    blocks, rests, reach = (a, b), (plan.rest_a, plan.rest_b), (p, q)
    columns = []
    for part, first, last in side_pieces(plan, "D"):
        drive = reach[part][:, :, first:last].contiguous()
        if part == 0:
            v = torch.linalg.lu_solve(factor, pivots, drive)
            i = torch.bmm(y, v)
        else:
            i = torch.linalg.lu_solve(factor, pivots, drive, adjoint=True)
            v = torch.bmm(z, i)
        rows = []
        for row, start, end in side_pieces(plan, "L"):
            out = torch.bmm(reach[row][:, :, start:end].mT, v if row else i)
            if row == part:
                own = within(rests[part], start, end), within(rests[part], first, last)
                out += _gather(blocks[part], *own)
            rows.append(out)
        columns.append(torch.cat(rows, dim=1))
    return torch.cat(columns, dim=2)


def ordered(plan: Whole, cells: Tensor) -> Tensor:
    """``[..., tile, row, column]`` as ``[..., cell, tile]`` in the order of the elimination."""
    flat = cells.flatten(-2)
    order = torch.from_numpy(plan.order).to(cells.device).expand_as(flat)
    return flat.gather(-1, order).transpose(-1, -2).contiguous()


def unordered(plan: Whole, cells: Tensor) -> Tensor:
    """The inverse of :func:`ordered`."""
    flat = cells.transpose(-1, -2)
    order = torch.from_numpy(plan.order).to(cells.device).expand_as(flat)
    back: Tensor = torch.empty_like(flat).scatter_(-1, order, flat).unflatten(-1, plan.padded)
    return back
