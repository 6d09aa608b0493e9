"""Arrays of nonlinear cells: Newton's method with a matrix-free solver for each input vector.

With the currents ``i(u)`` of the cells, the voltages obey ``u = u0 + C f - R i(u)``, where u0 are the
voltages without current, R the wires (see ``_drops``), f the voltages of lines that float, and C the cells
on them; ``C^T i = 0``. A step solves ``(1 + s R s) y = ...``, with s the square root of the slopes of the
law, by conjugate gradients, within the space of currents that vanish on floating lines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mho.array._drops import Free, Network, crossbar
from mho.array._floating import Floating
from mho.array.nonlinear import HasCurrent, Law, slope
from mho.array.wires import Wires, broadcast_inputs
from mho.autograd import forward_mode, in_transform

MAX_ITERATIONS = 4000  # of the conjugate gradients; Newton's own check says if they were too few


class NotSolvedError(RuntimeError):
    """The equations of a nonlinear array were not met."""


class Operating(NamedTuple):
    """The operating point of a nonlinear array.

    Attributes:
        current: into each sense amplifier, amperes, ``[..., vector, column]``.
        device: voltage across each cell, volts, ``[..., vector, row, column]``.
        cell: current of each cell, amperes, likewise.
        residual: largest error of a cell's voltage, volts, ``[..., vector]``.
        steps: Newton steps of the slowest vector.
    """

    current: Tensor
    device: Tensor
    cell: Tensor
    residual: Tensor
    steps: int


def solve_nonlinear(
    law: HasCurrent,
    state: Tensor,
    wires: Wires,
    v: Tensor,
    v_column: Tensor | None = None,
    *,
    tolerance: float | None = None,
    max_steps: int = 60,
) -> Operating:
    """Currents and voltages of an array of cells that are not ohmic.

    Gradients of the result reach ``state`` and ``v`` unless a line floats.

    Args:
        law: current of a cell from its voltage and state; it must rise with the voltage.
        state: conductance or other state of each cell, ``[..., row, column]``.
        wires: the lines; open ones float.
        v: driver voltages, volts, ``[..., vector, row]`` or ``[row]``.
        v_column: voltage held at each sensed end, likewise; None for ground.
        tolerance: largest error of a cell's voltage relative to the largest applied voltage; by default
            1e-11 in float64 and 3e-6 in float32.
        max_steps: Newton steps after which to give up.

    Raises:
        NotSolvedError: the tolerance was not met; the message has the residual and what to do.

    >>> from mho.array.nonlinear import Sinh
    >>> g, wires = torch.full((4, 4), 1e-4, dtype=torch.float64), Wires(row=1.0, column=1.0)
    >>> point = solve_nonlinear(Sinh(v_c=0.25), g, wires, torch.full((4,), 0.2, dtype=torch.float64))
    >>> bool(point.residual < 1e-11), point.steps < 8
    (True, True)
    """
    circuit = wires.circuit(state)
    network = crossbar(circuit)
    lead, v_row, v_low, single = broadcast_inputs(state, v, v_column)
    rows, columns = state.shape[-2:]
    state = state.expand(*lead, rows, columns).unsqueeze(-3)
    state = state.expand(*lead, v_row.shape[-2], rows, columns).reshape(-1, rows, columns)
    keep = torch.ones_like(state[0])
    keep[list(circuit.broken_rows)] = 0
    keep[:, list(circuit.broken_columns)] = 0
    open_voltage = _open_voltage(v_row, v_low, network.free)
    cut = _Cut(law, keep)
    u, residual, steps = solve_cells(cut, state, network, open_voltage, tolerance, max_steps)
    cell = cut.current(u, state)
    shape = (*lead, v_row.shape[-2]) if not single else lead
    return Operating(
        cell.sum(-2).reshape(*shape, columns),
        (u * keep).reshape(*shape, rows, columns),
        cell.reshape(*shape, rows, columns),
        residual.reshape(shape),
        steps,
    )


class _Cut(Law):
    """A law whose cells on broken lines carry nothing."""

    def __init__(self, law: HasCurrent, keep: Tensor) -> None:
        self.law, self.keep = law, keep

    def current(self, v: Tensor, g: Tensor) -> Tensor:
        return self.law.current(v, g) * self.keep

    def slope(self, v: Tensor, g: Tensor) -> Tensor:
        return slope(self.law, v, g) * self.keep


def _open_voltage(v_row: Tensor, v_low: Tensor, free: Free) -> Tensor:
    """Cell voltages without any current, ``[batch, row, column]``; floating lines at 0."""
    v_row, v_low = v_row.reshape(-1, v_row.shape[-1]), v_low.reshape(-1, v_low.shape[-1])
    if free:
        v_row = v_row.index_fill(1, torch.tensor(free.rows, dtype=torch.long, device=v_row.device), 0.0)
        v_low = v_low.index_fill(1, torch.tensor(free.columns, dtype=torch.long, device=v_low.device), 0.0)
    return v_row[:, :, None] - v_low[:, None, :]


# --- the solver --------------------------------------------------------------------------------


def solve_cells(
    law: HasCurrent, state: Tensor, network: Network, u0: Tensor, tolerance: float | None, max_steps: int
) -> tuple[Tensor, Tensor, int]:
    """Cell voltages ``[batch, ...]`` with their largest error in volts ``[batch]``, and the steps."""
    if tolerance is None:
        tolerance = 1e-11 if u0.dtype == torch.float64 else 3e-6
    with torch.no_grad():
        u, residual, steps = _newton(law, state, network, u0, tolerance, max_steps)
    if forward_mode() or (torch.is_grad_enabled() and (state.requires_grad or u0.requires_grad)):
        if network.free:
            raise ValueError("an array with floating lines has no gradient: detach its state and voltages")
        u = _Implicit.apply(u0, state, u, law, network)  # type: ignore[no-untyped-call]
    return u, residual, steps


def _newton(
    law: HasCurrent, state: Tensor, network: Network, u0: Tensor, tolerance: float, max_steps: int
) -> tuple[Tensor, Tensor, int]:
    scale = _norm(u0).clamp(min=torch.finfo(u0.dtype).tiny)
    g = slope(law, torch.zeros_like(u0), state)
    lines = Floating(network.free, g)
    f = lines.start(u0)
    u = u0 + lines.spread(f)
    step = 0
    while True:
        error, balance = _errors(law, state, network, u0, u, f, lines)
        g = slope(law, u, state)
        lines = Floating(network.free, g)
        size = torch.maximum(_norm(error), _norm(lines.volts(balance)))
        if bool((size <= tolerance * scale).all()):
            return u, size, step
        if step == max_steps:
            break
        du, df = _step(network, g, lines, error, balance, tolerance)

        def merit(t: Tensor, u: Tensor = u, f: Tensor = f, lines: Floating = lines) -> Tensor:
            at_u, at_f = u + _wide(t, u0) * du, f + t[:, None] * df  # noqa: B023
            error, balance = _errors(law, state, network, u0, at_u, at_f, lines)
            return torch.maximum(_norm(error), _norm(lines.volts(balance)))

        t = _search(merit, size, tolerance * scale)
        u, f, step = u + _wide(t, u0) * du, f + t[:, None] * df, step + 1
    worst = int((size / scale).argmax())
    raise NotSolvedError(
        f"the voltages of input vector {worst} are wrong by up to {float(size[worst]):.3g} V after "
        f"{max_steps} Newton steps (wanted: {tolerance * float(scale[worst]):.3g} V); use float64, a larger "
        "tolerance or more steps, and check that the law rises over the whole range of voltages"
    )


def _search(merit: Callable[[Tensor], Tensor], size: Tensor, goal: Tensor) -> Tensor:
    """Fraction of the step for each vector: halved until the error does not grow, at most 30 times."""
    t = torch.ones_like(size)
    for _ in range(30):
        new = merit(t)
        worse = ~((new <= size) | (new <= goal))
        if not bool(worse.any()):
            break
        t = torch.where(worse, t / 2, t)
    return t


def _norm(x: Tensor) -> Tensor:
    """Largest magnitude of each vector of the batch; 0 without entries."""
    flat = x.flatten(1).abs()
    return flat.amax(1) if flat.shape[1] else flat.sum(1)


def _dot(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).flatten(1).sum(1)


def _wide(x: Tensor, like: Tensor) -> Tensor:
    return x.view(-1, *(1,) * (like.ndim - 1))


def _errors(
    law: HasCurrent, state: Tensor, network: Network, u0: Tensor, u: Tensor, f: Tensor, lines: Floating
) -> tuple[Tensor, Tensor]:
    """What the voltages and the sums of currents on floating lines are wrong by."""
    i = law.current(u, state)
    return u - u0 - lines.spread(f) + network.drop(i), lines.gather(i)


def _step(
    network: Network, g: Tensor, lines: Floating, error: Tensor, balance: Tensor, tolerance: float
) -> tuple[Tensor, Tensor]:
    """The Newton step of the cell voltages and of the floating lines."""
    root = g.clamp(min=0).sqrt()

    def apply(y: Tensor) -> Tensor:
        return y + root * network.drop(root * y)

    def project(y: Tensor) -> Tensor:
        return lines.project(y, root)

    right = -root * error
    start = lines.particular(root, balance)
    diagonal = 1 + g * network.resistance()
    y = start + _conjugate_gradients(apply, project(right - apply(start)), diagonal, project, tolerance)
    df = lines.multipliers(apply(y) - right, root)
    return -error + lines.spread(df) - network.drop(root * y), df


def _conjugate_gradients(
    apply: Callable[[Tensor], Tensor],
    right: Tensor,
    diagonal: Tensor,
    project: Callable[[Tensor], Tensor],
    tolerance: float,
) -> Tensor:
    """Solve ``P A P y = right`` for each vector of the batch, preconditioned by the diagonal of A."""
    y = torch.zeros_like(right)
    residual = right
    z = project(residual / diagonal)
    p = z
    rho = _dot(residual, z)
    goal = (0.1 * tolerance) ** 2 * rho
    for _ in range(MAX_ITERATIONS):
        if bool((rho <= goal).all()):
            break
        q = project(apply(p))
        curvature = _dot(p, q)
        alpha = torch.where(rho > goal, rho / curvature, torch.zeros_like(rho))
        y = y + _wide(alpha, y) * p
        residual = residual - _wide(alpha, y) * q
        z = project(residual / diagonal)
        new = _dot(residual, z)
        beta = torch.where(rho > 0, new / rho, torch.zeros_like(rho))
        p = z + _wide(beta, y) * p
        rho = new
    return y


def _response(error: Tensor, g: Tensor, network: Network) -> Tensor:
    """Change of the cell voltages that takes an error away, with the slopes ``g`` of the cells."""
    tolerance = 1e-12 if g.dtype == torch.float64 else 1e-6
    none = error.new_zeros(error.shape[0], 0)
    return _step(network, g, Floating(Free(), g), error, none, tolerance)[0]


class _Responses(torch.autograd.Function):
    """:func:`_response` under ``vmap``: one after the other, for its loop ends when the values say so."""

    @staticmethod
    def forward(error: Tensor, g: Tensor, network: Network) -> Tensor:
        return _response(error, g, network)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(
        info: Any, dims: tuple[Any, ...], error: Tensor, g: Tensor, network: Network
    ) -> tuple[Tensor, int]:
        def of(x: Tensor, axis: int | None, k: int) -> Tensor:
            return x if axis is None else x.select(axis, k)

        found = [
            _responses(of(error, dims[0], k), of(g, dims[1], k), network) for k in range(info.batch_size)
        ]
        return torch.stack(found), 0


def _responses(error: Tensor, g: Tensor, network: Network) -> Tensor:
    if not in_transform():
        return _response(error, g, network)
    return _Responses.apply(error, g, network)  # type: ignore[no-untyped-call, no-any-return]


class _Implicit(torch.autograd.Function):
    """The derivatives of solved cell voltages: one linear solve with the slopes of the law."""

    generate_vmap_rule = True

    @staticmethod
    def forward(u0: Tensor, state: Tensor, u: Tensor, law: HasCurrent, network: Network) -> Tensor:
        return u.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, state, u, ctx.law, ctx.network = inputs
        ctx.save_for_backward(state, u)
        ctx.save_for_forward(state, u)

    @staticmethod
    def jvp(ctx: Any, u0: Tensor | None, state: Tensor | None, *_: Any) -> Tensor:
        at, u = ctx.saved_tensors
        error = torch.zeros_like(u) if u0 is None else -u0
        if state is not None:
            back = torch.func.vjp(lambda s: ctx.law.current(u, s), at)[1]
            error = error + ctx.network.drop(back(torch.ones_like(u))[0] * state)
        return _responses(error, slope(ctx.law, u, at), ctx.network)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        state, u = ctx.saved_tensors
        law, network = ctx.law, ctx.network
        g = slope(law, u, state)
        mu = _responses(-network.drop(grad), g, network)
        grad_state = None
        if ctx.needs_input_grad[1]:
            with torch.enable_grad():
                back = torch.func.vjp(lambda s: law.current(u, s), state)[1]
                (grad_state,) = back(-mu)
        return grad - g * mu, grad_state, None, None, None
