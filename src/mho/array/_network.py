"""Whole arrays: the elimination as one differentiable operator, and the ends of the lines.

The operator is opaque to torch.compile, runs outside autocast, and takes tiles in portions that fit
the cache of a CPU or keep a GPU busy.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mho.array._circuit import Ends, check_values
from mho.array._elimination import eliminate
from mho.array._elimination import transfer as last_columns
from mho.array._plan import Merge, Plan, Whole, whole
from mho.array._reverse import cell_ports, gradient
from mho.autograd import forward_mode

CELLS_CPU = 1 << 14  # cells solved at once: 2 MB of float64 per level of the elimination
CELLS_GPU = 1 << 22
VALUES = 1 << 21  # cells times vectors whose voltages are found at once


# --- the operator ------------------------------------------------------------------------------


def _portions(cells: Tensor) -> list[Tensor]:
    limit = CELLS_CPU if cells.device.type == "cpu" else CELLS_GPU
    return list(cells.split(max(1, limit // (cells.shape[2] * cells.shape[3])), dim=1))


def _padded(plan: Whole, cells: Tensor) -> Tensor:
    """Idle rows on top and idle columns at the right."""
    rows, columns = plan.padded[0] - plan.rows, plan.padded[1] - plan.columns
    return F.pad(cells, (0, columns, rows, 0)) if rows or columns else cells


def _port_index(plan: Whole, sides: str, device: torch.device) -> Tensor:
    """Where the ports of the real lines are, rows from the top and columns from the left."""
    rows, columns = plan.padded
    parts, start = [], 0
    for side in sides:
        length = rows if side in "LR" else columns
        line = torch.arange(start, start + length)
        line = line.flip(0) if side in "RT" else line
        parts.append(line[rows - plan.rows :] if side in "LR" else line[: plan.columns])
        start += length
    return torch.cat(parts).to(device)


def _crossbar(cells: Tensor, sides: str, keep: bool) -> list[Tensor]:
    """The hybrid map of arrays over the connected sides, then the tape of the elimination.

    Args:
        cells: ``[3, tile, row, column]``: conductance, resistance of the word-line segment left of
            each cell, of the bit-line segment below it; all finite and not negative.
        sides: connected sides, "LD" with or without "R" and "T".
        keep: whether to return the tape.
    """
    check_values(cells)
    plan = whole(cells.shape[2], cells.shape[3], sides)
    index = _port_index(plan, sides, cells.device)
    maps: list[Tensor] = []
    tapes: list[Tensor] = []
    with torch.no_grad(), torch.autocast(cells.device.type, enabled=False):
        for portion in _portions(cells):
            tape: list[Tensor] | None = [] if keep else None
            h = eliminate(plan, _padded(plan, portion), sides, tape)
            maps.append(h.index_select(1, index).index_select(2, index))
            tapes += tape or []
        return [torch.cat(maps) if len(maps) > 1 else maps[0], *tapes]


def _crossbar_fake(cells: Tensor, sides: str, keep: bool) -> list[Tensor]:
    tiles, rows, columns = (int(k) for k in cells.shape[1:])  # compiled for these sizes
    plan = whole(rows, columns, sides)
    ports = sum(rows if side in "LR" else columns for side in sides)
    out = [cells.new_empty(tiles, ports, ports)]
    if keep:
        for portion in _portions(cells):
            n = portion.shape[1]
            shapes = _tape_shapes(plan.below, n * plan.blocks) + _tape_shapes(plan.top, n)
            out += [cells.new_empty(shape) for shape in shapes]
    return out


def _transfer(cells: Tensor) -> Tensor:
    """Effective conductance ``[tile, row, column]`` of arrays with open far ends, without a tape.

    Args:
        cells: as for the hybrid map.
    """
    check_values(cells)
    plan = whole(cells.shape[2], cells.shape[3], "LD")
    idle = plan.padded[0] - plan.rows
    with torch.no_grad(), torch.autocast(cells.device.type, enabled=False):
        found = [last_columns(plan, _padded(plan, portion)) for portion in _portions(cells)]
        return torch.cat([h[:, idle:, : plan.columns] for h in found]).neg_()


def _transfer_fake(cells: Tensor) -> Tensor:
    return cells.new_empty(cells.shape[1:])


def _transfer_vmap(info: Any, dims: Any, cells: Tensor) -> tuple[Tensor, int]:
    return torch.stack([crossbar_transfer(one) for one in cells.unbind(dims[0])]), 0


def _tape_shapes(plan: Plan, batch: int) -> list[tuple[int, int, int]]:
    if not isinstance(plan, Merge):
        return []
    before = _tape_shapes(plan.a, batch * 2 if plan.joint else batch)
    if not plan.joint:
        before += _tape_shapes(plan.b, batch)
    for segments in plan.parts:
        width = sum(length for _, length in segments)
        before.append((2 * plan.face, width, batch) if plan.lanes else (batch, 2 * plan.face, width))
    return before


def _crossbar_gradient(cells: Tensor, sides: str, grad: Tensor, tape: list[Tensor]) -> Tensor:
    """Gradient with respect to ``cells`` for the gradient of the hybrid map."""
    plan = whole(cells.shape[2], cells.shape[3], sides)
    index = _port_index(plan, sides, cells.device)
    portions = _portions(cells)
    length = len(tape) // len(portions)
    out, start = [], 0
    with torch.no_grad(), torch.autocast(cells.device.type, enabled=False):
        for k, portion in enumerate(portions):
            n = portion.shape[1]
            ports = sum(plan.padded[0] if side in "LR" else plan.padded[1] for side in sides)
            whole_grad = grad.new_zeros(n, ports, ports)
            whole_grad[:, index[:, None], index] = grad[start : start + n]
            record = list(tape[k * length : (k + 1) * length])
            d = gradient(plan, _padded(plan, portion), sides, record, whole_grad)
            out.append(d[:, :, plan.padded[0] - plan.rows :, : plan.columns])
            start += n
        return torch.cat(out, dim=1).contiguous()


def _crossbar_gradient_fake(cells: Tensor, sides: str, grad: Tensor, tape: list[Tensor]) -> Tensor:
    return torch.empty_like(cells, memory_format=torch.contiguous_format)


def _crossbar_vmap(
    info: Any, dims: Any, cells: Tensor, sides: str, keep: bool
) -> tuple[list[Tensor], list[int]]:
    each = [crossbar(one, sides, keep) for one in cells.unbind(dims[0])]
    out = [torch.stack(parts) for parts in zip(*each, strict=True)]
    return out, [0] * len(out)


def _crossbar_gradient_vmap(
    info: Any, dims: Any, cells: Tensor, sides: str, grad: Tensor, tape: list[Tensor]
) -> tuple[Tensor, int]:
    def at(x: Tensor, dim: int | None, k: int) -> Tensor:
        return x if dim is None else x.select(dim, k)

    out = [
        crossbar_gradient(
            at(cells, dims[0], k), sides, at(grad, dims[2], k),
            [at(t, d, k) for t, d in zip(tape, dims[3], strict=True)],
        )
        for k in range(info.batch_size)
    ]  # fmt: skip
    return torch.stack(out), 0


torch.library.define("mho::crossbar_transfer", "(Tensor cells) -> Tensor")
torch.library.impl("mho::crossbar_transfer", "CompositeExplicitAutograd", _transfer)
torch.library.register_fake("mho::crossbar_transfer", _transfer_fake)
torch.library.register_vmap("mho::crossbar_transfer", _transfer_vmap)
torch.library.define("mho::crossbar", "(Tensor cells, str sides, bool keep) -> Tensor[]")
torch.library.impl("mho::crossbar", "CompositeExplicitAutograd", _crossbar)
torch.library.register_fake("mho::crossbar", _crossbar_fake)
torch.library.register_vmap("mho::crossbar", _crossbar_vmap)
torch.library.define(
    "mho::crossbar_gradient", "(Tensor cells, str sides, Tensor grad, Tensor[] tape) -> Tensor"
)
torch.library.impl("mho::crossbar_gradient", "CompositeExplicitAutograd", _crossbar_gradient)
torch.library.register_fake("mho::crossbar_gradient", _crossbar_gradient_fake)
torch.library.register_vmap("mho::crossbar_gradient", _crossbar_gradient_vmap)
crossbar_transfer = torch.ops.mho.crossbar_transfer.default
crossbar = torch.ops.mho.crossbar.default
crossbar_gradient = torch.ops.mho.crossbar_gradient.default


class _Crossbar(torch.autograd.Function):
    """The operator with its gradient; a Function, so that torch.func works through it."""

    generate_vmap_rule = True

    @staticmethod
    def forward(cells: Tensor, sides: str, keep: bool) -> tuple[Tensor, ...]:
        return tuple(crossbar(cells, sides, keep))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.sides = inputs[1]
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(inputs[0], *output[1:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, None, None]:
        cells, *tape = ctx.saved_tensors
        return crossbar_gradient(cells, ctx.sides, grad, tape), None, None


# --- the ends of the lines ---------------------------------------------------------------------


def transfer(cells: Tensor, ends: Ends) -> Tensor:
    """Effective conductance ``[tile, row, column]`` of cells ``[3, tile, row, column]``."""
    rows, columns = cells.shape[2:]
    h: Tensor
    if forward_mode():
        return _transfer_of(_forward_map(cells, ends), ends, rows, columns)
    differentiable = torch.is_grad_enabled() and cells.requires_grad
    if ends.plain and not differentiable:
        h = crossbar_transfer(cells)
        return h
    if differentiable:
        h = _Crossbar.apply(cells, ends.sides, True)[0]  # type: ignore[no-untyped-call]
    else:
        h = crossbar(cells, ends.sides, False)[0]
    return _transfer_of(h, ends, rows, columns)


def _forward_map(cells: Tensor, ends: Ends) -> Tensor:
    """The hybrid map, operation by operation: forward-mode derivatives do not pass the operator."""
    check_values(cells)
    plan = whole(cells.shape[2], cells.shape[3], ends.sides)
    index = _port_index(plan, ends.sides, cells.device)
    with torch.autocast(cells.device.type, enabled=False):
        found = [eliminate(plan, _padded(plan, portion), ends.sides, None) for portion in _portions(cells)]
        return torch.cat([h.index_select(1, index).index_select(2, index) for h in found])


def _transfer_of(h: Tensor, ends: Ends, rows: int, columns: int) -> Tensor:
    """Effective conductances from the hybrid map."""
    if ends.plain:
        return -h[:, :rows, rows:]
    drive = torch.eye(rows, dtype=h.dtype, device=h.device).expand(h.shape[0], rows, rows)
    x = _ports(h, ends, drive, drive.new_zeros(h.shape[0], columns, rows))
    return _currents(h, ends, x, rows, columns).transpose(1, 2)


def driven(cells: Tensor, ends: Ends) -> Tensor:
    """Currents out of all drivers over their voltages, ``[tile, row, row]``.

    Args:
        cells: ``[3, tile, row, column]``.
        ends: how the lines end.
    """
    rows, columns = cells.shape[2:]
    h: Tensor = crossbar(cells.detach(), ends.sides, False)[0]
    drive = torch.eye(rows, dtype=h.dtype, device=h.device).expand(h.shape[0], rows, rows)
    x = _ports(h, ends, drive, drive.new_zeros(h.shape[0], columns, rows))
    near: Tensor = h[:, :rows] @ x
    if not ends.far_rows:
        return near
    far = list(ends.far_rows)
    return near.index_add(1, torch.tensor(far, device=h.device), x[:, rows + columns :][:, far], alpha=-1)


def nodes(cells: Tensor, ends: Ends, v_row: Tensor, v_column: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Voltages of all nodes and currents of the bit lines.

    Args:
        cells: ``[3, tile, row, column]``.
        ends: how the lines end.
        v_row: voltage of the drivers, ``[tile, row, vector]``.
        v_column: voltage at the sensed ends of the bit lines, ``[tile, column, vector]``.

    Returns:
        word-line and bit-line voltages ``[tile, vector, row, column]``, currents ``[tile, vector, column]``.
    """
    check_values(cells)
    plan = whole(cells.shape[2], cells.shape[3], ends.sides)
    index = _port_index(plan, ends.sides, cells.device)
    found, start = [], 0
    with torch.autocast(cells.device.type, enabled=False):
        for portion in _portions(cells):
            n = portion.shape[1]
            padded = _padded(plan, portion)
            tape: list[Tensor] = []
            h = eliminate(plan, padded, ends.sides, tape)
            h_real = h.index_select(1, index).index_select(2, index)
            x = _ports(h_real, ends, v_row[start : start + n], v_column[start : start + n])
            current = _currents(h_real, ends, x, plan.rows, plan.columns)
            x_padded = x.new_zeros(n, h.shape[1], x.shape[2]).index_copy(1, index, x)
            volts = [
                _cell_voltages(padded, cell_ports(plan, ends.sides, list(tape), some))
                for some in x_padded.split(max(1, VALUES // padded[0].numel()), dim=2)
            ]
            word, bit = (torch.cat([v[k] for v in volts], dim=-1) for k in (0, 1))
            found.append((word, bit, current))
            start += n
    top = plan.padded[0] - plan.rows
    word, bit = (torch.cat([f[k] for f in found])[:, top:, : plan.columns].movedim(-1, 1) for k in (0, 1))
    return word, bit, torch.cat([f[2] for f in found]).transpose(1, 2)


def _cell_voltages(cells: Tensor, ports: Tensor) -> tuple[Tensor, Tensor]:
    """Node voltages ``[tile, row, column, vector]`` from the ports of each cell."""
    g, left, below = cells.unsqueeze(-1)
    v_left, v_down, i_right, i_top = ports
    current = g / (1 + g * (left + below)) * (v_left - v_down - left * i_right + below * i_top)
    return v_left - left * (current + i_right), v_down + below * (current - i_top)


def _ports(h: Tensor, ends: Ends, v_row: Tensor, v_column: Tensor) -> Tensor:
    """Values at all ports, ``[tile, port, vector]``, from the voltages of drivers and sensed ends.

    A connected near end has a given voltage. Unknown are the voltage of an open near end, where no
    current flows, and the current of a connected far end, where ``v = v_source + r i``.
    """
    rows, columns = v_row.shape[1], v_column.shape[1]
    far = rows + columns
    far_t = far + (rows if ends.far_rows else 0)
    count = h.shape[1] - rows - columns
    known = torch.cat((v_row, v_column, v_row.new_zeros(v_row.shape[0], count, v_row.shape[2])), dim=1)
    lines = (
        list(ends.open_rows),
        [rows + i for i in ends.open_columns],
        [far + j for j in ends.far_rows],
        [far_t + i for i in ends.far_columns],
    )
    unknown = torch.tensor([k for group in lines for k in group], dtype=torch.long, device=h.device)
    if not len(unknown):
        return known
    given = torch.ones(h.shape[1], dtype=h.dtype, device=h.device).index_fill(0, unknown, 0.0)
    known = known * given[:, None]
    source = torch.cat(
        (
            v_row.new_zeros(v_row.shape[0], len(lines[0]) + len(lines[1]), v_row.shape[2]),
            v_row[:, list(ends.far_rows)],
            v_column[:, list(ends.far_columns)],
        ),
        dim=1,
    )
    ohms = [h.new_zeros(len(lines[0]) + len(lines[1]))]
    ohms += [r for r in (ends.far_row_ohms, ends.far_column_ohms) if r is not None]
    near = h.index_select(1, unknown)
    a = near.index_select(2, unknown) - torch.diag(torch.cat(ohms))
    size = a.detach().diagonal(dim1=1, dim2=2).abs()
    scale = torch.where(size > 0, size, torch.ones_like(size)).rsqrt().unsqueeze(2)
    balanced = scale * a * scale.transpose(1, 2)
    found = scale * torch.linalg.solve(balanced, scale * (source - near @ known))
    return known.index_add(1, unknown, found)


def _currents(h: Tensor, ends: Ends, x: Tensor, rows: int, columns: int) -> Tensor:
    """Currents into the sense amplifiers, ``[tile, column, vector]``."""
    down = -(h[:, rows : rows + columns] @ x)
    if ends.far_columns:
        down = down + x[:, -columns:]
    return down
