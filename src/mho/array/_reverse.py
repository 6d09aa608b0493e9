"""Down the tree of an elimination: the gradient, and the voltages inside.

Both go from the whole array to the cells and use the rows ``W`` that the elimination left on its tape:
the currents and voltages of each face as functions of the ports of the merged block.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mho.array._batched import Lanes, Layout, Stack, to_stack
from mho.array._elimination import Block, _halves, _in, ordered, unordered
from mho.array._plan import Cut, Leaf, Merge, Pieces, Plan, Segments, Whole, side_pieces

Tape = list[Tensor]


def _widths(plan: Plan) -> tuple[int, int]:
    def width(segments: Segments) -> int:
        return sum(length for _, length in segments)

    return width(plan.parts[0]), width(plan.parts[1])


# --- gradient ----------------------------------------------------------------------------------


def pull(plan: Plan, k: Block, cells: Tensor, tape: Tape, cuts: dict[int, Block]) -> Tensor | None:
    """Gradient of a scalar with respect to the cells.

    Args:
        plan: the plan that was eliminated.
        k: symmetric gradient with respect to the block's hybrid map; consumed.
        cells: as in the elimination, ``[3, cell, batch]``.
        tape: what the elimination wrote; consumed from its end.
        cuts: receives the gradients of the blocks that cuts refer to.

    Returns:
        ``[3, cell, batch]``, or None if the leaves are cuts.
    """
    if isinstance(plan, Leaf):
        return _pull_leaf(_in(k, Lanes).aa, cells.flatten(1)).view_as(cells)
    if isinstance(plan, Cut):
        cuts[plan.index] = k
        return None
    on: Layout = Lanes if plan.lanes else Stack
    k = _in(k, on)
    w_b, w_a = tape.pop(), tape.pop()
    f = plan.face
    assert k.ab is not None and k.bb is not None
    x_a = on.add_mm(on.mm(k.aa, on.t(w_a)), k.ab, on.t(w_b))
    x_b = on.add_mm(on.mm(on.t(k.ab), on.t(w_a)), k.bb, on.t(w_b))
    every, i, v = slice(None), slice(0, f), slice(f, 2 * f)
    y_a = on.add_mm(
        on.mm(on.part(w_a, i, every), on.part(x_a, every, i)), on.part(w_b, i, every), on.part(x_b, every, i)
    )
    y_b = on.add_mm(
        on.mm(on.part(w_a, v, every), on.part(x_a, every, v)), on.part(w_b, v, every), on.part(x_b, every, v)
    )
    y_b = on.flip_rows(on.t(on.flip_rows(y_b)))
    x_b = on.t(on.flip_rows(on.t(on.part(x_b, every, v))))
    grad_a = (k.aa, on.part(x_a, every, i), y_a)
    grad_b = (k.bb, x_b, y_b)
    n = cells.shape[2]
    if plan.joint:
        both = _empty(plan.a, k.aa, on, 2 * n)
        first, second = _halves(both, n)
        _scatter(first, plan.rest_a, plan.face_a, grad_a)
        _scatter(second, plan.rest_b, plan.face_b, grad_b)
        out = pull(plan.a, both, cells.reshape(3, cells.shape[1] // 2, 2 * n), tape, cuts)
        return None if out is None else out.view_as(cells)
    count = plan.a.rows * plan.a.columns
    block_b = _empty(plan.b, k.aa, on, n)
    _scatter(block_b, plan.rest_b, plan.face_b, grad_b)
    out_b = pull(plan.b, block_b, cells[:, count:], tape, cuts)
    block_a = _empty(plan.a, k.aa, on, n)
    _scatter(block_a, plan.rest_a, plan.face_a, grad_a)
    out_a = pull(plan.a, block_a, cells[:, :count], tape, cuts)
    return None if out_a is None or out_b is None else torch.cat((out_a, out_b), dim=1)


def _empty(plan: Plan, like: Tensor, on: Layout, n: int) -> Block:
    """A block of zeros in the shape of a plan's hybrid map."""
    first, second = _widths(plan)

    def zeros(rows: int, columns: int) -> Tensor:
        return like.new_zeros((n, rows, columns) if on is Stack else (rows, columns, n))

    if not second:
        return Block(zeros(first, first), None, None, on)
    return Block(zeros(first, first), zeros(first, second), zeros(second, second), on)


def _scatter(block: Block, rest: Pieces, face: Pieces, values: tuple[Tensor, Tensor, Tensor]) -> None:
    """Write (rest x rest, rest x face, face x face) into the parts of a symmetric block."""
    on = block.layout
    rest_rest, rest_face, face_face = values
    face_rest = on.t(rest_face)
    table = ((rest_rest, rest_face), (face_rest, face_face))
    places: list[tuple[int, int, int, int, int]] = []  # (group, part, first, last + 1, offset in group)
    for group, pieces in enumerate((rest, face)):
        offset = 0
        for part, start, end in pieces:
            places.append((group, part, start, end, offset))
            offset += end - start
    for g, r, r0, r1, row in places:
        for h, c, c0, c1, column in places:
            if r > c:
                continue
            source = on.part(table[g][h], slice(row, row + r1 - r0), slice(column, column + c1 - c0))
            on.part(block.pick(r, c), slice(r0, r1), slice(c0, c1)).copy_(source)


def _stacked(blocks: list[Block]) -> Block:
    aa = torch.cat([block.aa for block in blocks])
    ab = [block.ab for block in blocks if block.ab is not None]
    bb = [block.bb for block in blocks if block.bb is not None]
    return Block(aa, torch.cat(ab) if ab else None, torch.cat(bb) if bb else None, Stack)


def _pull_leaf(k: Tensor, cells: Tensor) -> Tensor:
    """Gradients of conductance and both resistances of single cells, ``[3, batch]``."""
    g, left, below = cells
    share = 1 / (1 + g * (left + below))
    a = g * share
    kc = k[0] - k[1] - left * k[2] + below * k[3]  # K c: the current is a c.x, the voltage share c.x
    ckc = kc[0] - kc[1] - left * kc[2] + below * kc[3]
    d_left = -(a * (a * ckc + 2 * kc[2]) + k[2, 2])
    d_below = -(a * (a * ckc - 2 * kc[3]) + k[3, 3])
    return torch.stack((share * share * ckc, d_left, d_below))


def gradient(plan: Whole, cells: Tensor, sides: str, tape: Tape, grad: Tensor) -> Tensor:
    """Gradient with respect to the padded cells ``[3, tile, row, column]``.

    Args:
        plan, cells, sides: as in the elimination.
        tape: what it wrote; consumed.
        grad: gradient with respect to its result, ``[tile, port, port]``.
    """
    tiles = cells.shape[1]
    cells = ordered(plan, cells)
    symmetric = (grad + grad.transpose(1, 2)) / 2
    root = _empty(plan.top, grad, Stack, tiles)
    ports = tuple(piece for side in sides for piece in side_pieces(plan.top, side))
    nothing = symmetric[:, :, :0]
    _scatter(root, ports, (), (symmetric, nothing, nothing[:, :0]))
    if isinstance(plan.top, Merge):
        cuts: dict[int, Block] = {}
        pull(plan.top, root, cells, tape, cuts)
        root = _stacked([_in(cuts[index], Stack) for index in range(plan.blocks)])
    out = pull(
        plan.below, root, cells.reshape(3, cells.shape[1] // plan.blocks, plan.blocks * tiles), tape, {}
    )
    assert out is not None
    return unordered(plan, out.reshape(cells.shape))


# --- voltages ----------------------------------------------------------------------------------


def push(
    plan: Plan, x: tuple[Tensor, Tensor], tape: Tape, cuts: dict[int, tuple[Tensor, Tensor]]
) -> Tensor | None:
    """Port values of all cells from those of the block.

    Args:
        plan: the plan that was eliminated.
        x: values at the ports of both parts, ``[batch, port, vector]``.
        tape: what the elimination wrote; consumed from its end.
        cuts: receives the port values of the blocks that cuts refer to.

    Returns:
        ``[cell, batch, 4, vector]``, or None if the leaves are cuts.
    """
    if isinstance(plan, Leaf):
        return x[0].unsqueeze(0)
    if isinstance(plan, Cut):
        cuts[plan.index] = x
        return None
    w_b, w_a = (to_stack(w) if plan.lanes else w for w in (tape.pop(), tape.pop()))
    face = torch.baddbmm(torch.bmm(w_a, x[0]), w_b, x[1])
    x_a = _arranged(plan.a, (plan.rest_a, plan.face_a), (x[0], face[:, : plan.face]))
    x_b = _arranged(plan.b, (plan.rest_b, plan.face_b), (x[1], face[:, plan.face :].flip(1)))
    if plan.joint:
        out = push(plan.a, (torch.cat((x_a[0], x_b[0])), torch.cat((x_a[1], x_b[1]))), tape, cuts)
        return None if out is None else out.reshape(2 * out.shape[0], x[0].shape[0], *out.shape[2:])
    out_b = push(plan.b, x_b, tape, cuts)
    out_a = push(plan.a, x_a, tape, cuts)
    return None if out_a is None or out_b is None else torch.cat((out_a, out_b))


def _arranged(plan: Plan, places: tuple[Pieces, ...], values: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Port values in the order of a plan's parts; open ports are 0."""
    n, _, vectors = values[0].shape
    parts = [values[0].new_zeros(n, width, vectors) for width in _widths(plan)]
    for pieces, value in zip(places, values, strict=True):
        offset = 0
        for part, start, end in pieces:
            parts[part][:, start:end] = value[:, offset : offset + end - start]
            offset += end - start
    return parts[0], parts[1]


def cell_ports(plan: Whole, sides: str, tape: Tape, x: Tensor) -> Tensor:
    """Port values of every cell: v_L, v_D, i_R and i_T.

    Args:
        plan, sides: as in the elimination.
        tape: what it wrote; consumed.
        x: values at the ports of whole arrays, ``[tile, port, vector]``.

    Returns:
        ``[4, tile, row, column, vector]`` of the padded size.
    """
    tiles, _, vectors = x.shape
    ports = tuple(piece for side in sides for piece in side_pieces(plan.top, side))
    parts = _arranged(plan.top, (ports,), (x,))
    if isinstance(plan.top, Merge):
        cuts: dict[int, tuple[Tensor, Tensor]] = {}
        push(plan.top, parts, tape, cuts)
        chosen = [cuts[index] for index in range(plan.blocks)]
        parts = torch.cat([c[0] for c in chosen]), torch.cat([c[1] for c in chosen])
    out = push(plan.below, parts, tape, {})
    assert out is not None
    cells = out.reshape(out.shape[0] * plan.blocks, tiles, 4, vectors).permute(2, 3, 0, 1)
    return unordered(plan, cells).movedim(1, -1)
