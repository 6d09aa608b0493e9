"""How the noise of single cells is seen at the ends of the bit lines.

A conductance that is off by ``d`` injects the current ``d u`` into its two nodes, u being the voltage across
the cell, and the share T of it that reaches a sense amplifier is, by reciprocity, the voltage across that
cell when its bit line alone is driven by one volt. So the variance of a column's current is, exactly,

    var[c] = sum over cells (k, l) of  sigma[k, l]^2  T[c, k, l]^2  u[k, l]^2

with voltages u that depend on all inputs x. Here

- T and the voltage ``a`` of a cell whose row alone is driven follow from the impedances of lines: each line
  is a ladder whose rungs are cells in series with what the crossing line has there. What goes round a loop
  of four cells is left out.
- Cells of other columns act through their word line; their share is added to that of the cell on its own
  column.
- ``u = a x - b``. The voltage b that the other rows take away is in proportion to the currents ``i`` of the
  bit line, one for each of some groups of neighbouring rows: ``b = sum over groups of beta i``. The profile
  ``beta`` is that of inputs equal in a group, from the exact solution.

The variance is then a quadratic form of few products,

    var = x^2 . squares - 2 sum_p i_p (x . cross_p) + sum_pq lines_pq i_p i_q.

Shot noise goes with ``|u|``, which is ``|x| a`` less ``b`` times the sign of x, and ``|b|`` where x is 0.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor

from mho.array._circuit import Circuit
from mho.array._network import nodes

_OPEN = 1e18  # ohms
_ROUNDS = 4  # each takes the impedances of crossing lines from the one before


PLACES = (0, 0, 0, 1, 1, 2, 1)  # where the axis of tiles, or of copies, is in each part of the noise


class SeenNoise(NamedTuple):
    """Noise of the column currents of arrays, for inputs in volts.

    Attributes:
        squares: variance for each square of an input, siemens squared, ``[..., row, column]``.
        shot: sum of squared shares times conductance and voltage, for each magnitude of an input,
            siemens, ``[..., row, column]``.
        heat: conductance of which the noise of heat is that of the column, siemens, ``[..., column]``.
        currents: matrices of the currents that take voltage away, siemens, ``[group, ..., row, column]``.
        cross: what each input and each of these currents have in common, siemens, likewise.
        lines: factor of the products of these currents, ``[group, group, ..., column]``, no unit.
        shot_cross: what these currents take from the voltages of driven cells and give to those of others, as
            shot noise has it: times the sign of each input, no unit, ``[group, ..., row, column]``.
    """

    squares: Tensor
    shot: Tensor
    heat: Tensor
    currents: Tensor
    cross: Tensor
    lines: Tensor
    shot_cross: Tensor


def plain_noise(g: Tensor, g_eff: Tensor, variance: Tensor) -> SeenNoise:
    """Each cell is seen as its conductance is, whatever the other cells carry."""
    share = g_eff / g.clamp(min=torch.finfo(g.dtype).tiny)
    none = g.new_zeros((0, *g.shape))
    lines = g.new_zeros((0, 0, *g.shape[:-2], g.shape[-1]))
    return SeenNoise(variance * share**2, g_eff, g_eff.sum(-2), none, none, lines, none)


class _Ladder(NamedTuple):
    """One direction of lines: ``[tile, line, cell]``, the near end first.

    Attributes:
        impedance: at each node, without the rung there.
        out, back: voltage of a node over that of the one before and of the one behind it, when the current
            comes from there; the first and the last over that of the source.
    """

    impedance: Tensor
    out: Tensor
    back: Tensor

    @property
    def volts(self) -> Tensor:
        """Voltages when all ends are driven by one volt."""
        return self.out.cumprod(-1) + self.back.flip(-1).cumprod(-1).flip(-1)


def _ladder(ohms: Tensor, rungs: Tensor, far: Tensor) -> _Ladder:
    """``ohms`` before each node, conductance of its rung, and what is beyond the last node, ``[line]``."""
    cells = range(ohms.shape[-1])
    near, beyond = [], []
    z = torch.zeros_like(rungs[..., 0])
    for k in cells:
        z = z + ohms[..., k]
        near.append(z)
        z = _beside(z, rungs[..., k])
    z = far.expand_as(rungs[..., 0])
    for k in reversed(cells):
        beyond.append(z)
        z = _beside(z, rungs[..., k]) + ohms[..., k]
    first, second = torch.stack(near, -1), torch.stack(beyond[::-1], -1)
    out, back = _beside(second, rungs), _beside(first, rungs)
    behind = torch.cat(
        (ohms[..., 1:].expand_as(rungs[..., 1:]), far.expand_as(rungs[..., 0]).unsqueeze(-1)), -1
    )
    return _Ladder(_beside(first, 1 / second.clamp(min=1 / _OPEN)), _share(out, ohms), _share(back, behind))


def _beside(z: Tensor, y: Tensor) -> Tensor:
    """Impedance of z with the conductance y in parallel."""
    return z / (1 + z * y)


def _share(load: Tensor, ohms: Tensor) -> Tensor:
    total = load + ohms
    return torch.where(total > 0, load / total, torch.ones_like(total))


def _ends(circuit: Circuit) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Resistances before each node of word lines and of bit lines, and beyond the last ones."""
    ends = circuit.ends
    left, below = circuit.cells[1, 0].clone(), circuit.cells[2, 0].clone()
    left[list(ends.open_rows), 0] = _OPEN
    below[-1, list(ends.open_columns)] = _OPEN
    rows, columns = (left.new_full((n,), _OPEN) for n in left.shape)
    if ends.far_row_ohms is not None:
        rows[list(ends.far_rows)] = ends.far_row_ohms.to(rows)
    if ends.far_column_ohms is not None:
        columns[list(ends.far_columns)] = ends.far_column_ohms.to(columns)
    return left, _turned(below), rows, columns


def _turned(x: Tensor) -> Tensor:
    """``[row, column]`` as ``[column, row from below]``."""
    return x.flip(-2).mT


def _back(x: Tensor) -> Tensor:
    """The inverse of :func:`_turned`."""
    return x.mT.flip(-2)


class _Paths(NamedTuple):
    """What follows from the ladders, ``[tile, row, column]`` each; the word lines stay ladders.

    Attributes:
        own: voltage of a cell whose row alone is driven by one volt.
        reach: voltage of a cell whose bit line alone is.
        lift: square of the share of that voltage that the cell passes on to its word line.
        shunt: square of the share of a word line's voltage that a cell on it sees.
        heat: conductance into each bit line, ``[tile, column]``.
    """

    own: Tensor
    reach: Tensor
    lift: Tensor
    shunt: Tensor
    heat: Tensor
    words: _Ladder


def _paths(circuit: Circuit) -> _Paths:
    g = circuit.cells[0]
    left, below, far_rows, far_columns = _ends(circuit)
    z_bit = torch.zeros_like(g)
    for _ in range(_ROUNDS):
        words = _ladder(left, _beside(g, z_bit), far_rows)
        rungs = _turned(_beside(g, words.impedance))
        bits = _ladder(below, rungs, far_columns)
        z_bit = _back(bits.impedance)
    along, across = 1 / (1 + g * z_bit), 1 / (1 + g * words.impedance)
    volts = _back(bits.volts)
    return _Paths(
        words.volts * along, volts * across, (g * words.impedance) ** 2, along**2,
        (volts * _back(rungs)).sum(-2), words,
    )  # fmt: skip


def _gathered(paths: _Paths, weights: Tensor, power: int) -> Tensor:
    """Weights of cells as the sense amplifiers of their columns see them, those on the same word line added.

    ``power``: with which power of the voltage of a cell the weight goes.
    """
    own = paths.own.clamp(min=torch.finfo(weights.dtype).tiny)
    spread = weights * paths.shunt * own**power
    out, back = paths.words.out**2, paths.words.back**2
    columns = range(weights.shape[-1])
    left, right = [], []
    total = torch.zeros_like(spread[..., 0])
    for k in columns:
        left.append(total)
        total = back[..., k] * (total + spread[..., k])
    total = torch.zeros_like(total)
    for k in reversed(columns):
        right.append(total)
        total = out[..., k] * (total + spread[..., k])
    others = torch.stack(left, -1) + torch.stack(right[::-1], -1)
    return paths.reach**2 * (weights + paths.lift * others / own**power)


def seen_noise(circuit: Circuit, g_eff: Tensor, variance: Tensor, groups: int) -> SeenNoise:
    """The noise of the cells of a circuit at its sense amplifiers.

    Args:
        circuit: the cells and wires of all tiles.
        g_eff: the matrix seen from outside, ``[tile, row, column]``.
        variance: of the conductances, siemens squared, likewise.
        groups: of neighbouring rows, whose currents are told apart.
    """
    g = circuit.cells[0]
    whole = torch.ones_like(g[0])
    whole[list(circuit.broken_rows)], whole[:, list(circuit.broken_columns)] = 0, 0
    paths = _paths(circuit)
    currents, beta = _taken(circuit, g_eff, paths.own, groups)
    own = paths.own + (beta * currents).sum(0)
    seen, shot = _gathered(paths, variance * whole, 2), _gathered(paths, g * whole, 1)
    return SeenNoise(
        squares=seen * own**2,
        shot=shot * own,
        heat=paths.heat,
        currents=currents,
        cross=seen * own * beta,
        lines=torch.einsum("trc,gtrc,htrc->ghtc", seen, beta, beta),
        shot_cross=shot * beta,
    )


def _taken(circuit: Circuit, g_eff: Tensor, own: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Matrices of the currents of each group of rows, and the voltage that each takes from each cell."""
    tiles, rows, columns = g_eff.shape
    if not groups:
        return g_eff.new_zeros(0, *g_eff.shape), g_eff.new_zeros(0, *g_eff.shape)
    edges = [rows * k // groups for k in range(groups + 1)]
    masks = torch.stack([_between(g_eff[0, :, 0], a, b) for a, b in itertools.pairwise(edges)])
    drive = masks.mT.expand(tiles, -1, -1)
    word, bit, _ = nodes(circuit.cells, circuit.ends, drive, g_eff.new_zeros(tiles, columns, groups))
    inside = masks[:, None, :, None]
    lost = inside * own - (word - bit).transpose(0, 1)
    currents = inside * g_eff
    others = currents.sum(-2, keepdim=True) - currents
    least = 1e-6 * g_eff.sum(-2, keepdim=True)
    beta = torch.where(others > least, lost / others.clamp(min=torch.finfo(own.dtype).tiny), 0.0)
    return currents, beta


def _between(line: Tensor, first: int, end: int) -> Tensor:
    """One from a place to before another, zero elsewhere."""
    mask = torch.zeros_like(line)
    mask[first:end] = 1
    return mask
