"""Wires with resistance: the exact IR drop, solved once for each programmed tile.

Word line j is driven by ``v[j]`` at its left end through ``driver``; a segment ``row`` lies before each
cell, also the first. Bit line i ends, after a segment ``column`` below the last cell and through
``sense``, at virtual ground, where its current is sensed. The far ends are open unless ``far_driver`` or
``far_sense`` says otherwise. The network is linear, ``i = g_eff^T v``: a read costs one product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from mho.array._circuit import Circuit, Resistance, build
from mho.array._network import driven, nodes, transfer
from mho.array._noise import PLACES, SeenNoise, seen_noise
from mho.array.base import Array
from mho.array.wire_table import Metal, segment_resistance
from mho.config import config

Ohms = Annotated[float, Field(ge=0)]  # infinity: open
Line = Ohms | tuple[Ohms, ...]  # of all lines, or of each

_SHORT, _LONG = 0.01, 0.05  # shares of a voltage that a bit line takes where all cells conduct best


class Solution(NamedTuple):
    """Voltages and currents of one read.

    Attributes:
        current: current into each sense amplifier, amperes, ``[..., vector, column]``.
        word: word-line voltage at each cell, volts, ``[..., vector, row, column]``.
        bit: bit-line voltage at each cell, volts, ``[..., vector, row, column]``.
    """

    current: Tensor
    word: Tensor
    bit: Tensor

    @property
    def device(self) -> Tensor:
        """Voltage across each cell, volts."""
        return self.word - self.bit


def effective_conductance(
    g: Tensor,
    row: Resistance,
    column: Resistance,
    *,
    driver: Resistance = 0.0,
    sense: Resistance = 0.0,
    far_driver: Resistance | None = None,
    far_sense: Resistance | None = None,
) -> Tensor:
    """The matrix seen from outside, differentiable in the conductances and in every resistance.

    Args:
        g: cell conductances ``g[..., row, column]``, siemens, float32 or float64.
        row: resistance of a word-line segment, ohms: a number or tensor, one for each row, or a tensor
            ``[row, column]`` of each segment left of a cell. Infinity (numbers only): broken lines.
        column: resistance of a bit-line segment, likewise; ``[row, column]`` of the segment below a cell.
        driver: resistance between driver and first segment; one or one for each row. Infinity: open.
        sense: resistance between last segment and virtual ground. Infinity: open.
        far_driver: resistance of a second driver at the right end, same voltage; None for open.
        far_sense: resistance of a second virtual ground at the upper end; None for open.

    Returns:
        ``g_eff`` of the shape of ``g``, siemens: ``i[column] = sum_row g_eff[row, column] v[row]``.
        With ``far_sense``, i is the sum of both ends.

    Raises:
        ValueError: a resistance or conductance that is negative or not a number, shapes that do not
            match, or a line without a path to ground.

    >>> g = torch.tensor([[1e-4, 2e-4], [3e-4, 4e-4]], dtype=torch.float64)
    >>> g_eff = effective_conductance(g, 1.0, 1.0)
    >>> [f"{i:.5e}" for i in (g_eff.T @ torch.tensor([0.2, 0.1], dtype=torch.float64)).tolist()]
    ['4.99511e-05', '7.98802e-05']
    """
    circuit = build(g, row, column, driver, sense, far_driver, far_sense)
    return transfer(circuit.cells, circuit.ends).view(g.shape)


def noise_of(circuit: Circuit, variance: Tensor, groups: int) -> SeenNoise:
    """How the noise of cells ``[..., row, column]`` of a circuit is seen from outside."""
    lead, (rows, columns) = variance.shape[:-2], variance.shape[-2:]
    g_eff = transfer(circuit.cells, circuit.ends)
    seen = seen_noise(circuit, g_eff, variance.reshape(-1, rows, columns), groups)
    parts = zip(seen, PLACES, strict=True)
    return SeenNoise(*(part.unflatten(axis, lead) if lead else part.squeeze(axis) for part, axis in parts))


def admittance_of(circuit: Circuit, lead: Sequence[int]) -> Tensor:
    """What the drivers of a circuit see, ``[*lead, row, row]``."""
    y = driven(circuit.cells, circuit.ends)
    return y.view(*lead, *y.shape[1:])


@config
class Wires(Array):
    """Word and bit lines with resistance.

    Attributes:
        row, column: ohms of one segment of a word line or bit line, for all lines or for each.
        driver, sense: ohms between a line's near end and its driver or sense amplifier.
        far_driver, far_sense: ohms at the far end of lines that are driven or sensed at both ends;
            None for open.

    Infinity is allowed: a line of infinite ``row`` or ``column`` is broken everywhere, one of infinite
    ``driver`` or ``sense`` is open at that end.

    >>> Wires(row=1.0, column=2.0, driver=50.0).effective_conductance(torch.full((2, 3), 1e-5)).shape
    torch.Size([2, 3])
    """

    row: Line
    column: Line
    driver: Line = 0.0
    sense: Line = 0.0
    far_driver: Line | None = None
    far_sense: Line | None = None

    @classmethod
    def from_node(
        cls,
        node: str,
        *,
        row_pitch: float = 4.0,
        column_pitch: float = 4.0,
        metal: Metal | None = None,
        driver: float = 0.0,
        sense: float = 0.0,
    ) -> Wires:
        """Wires of a technology node.

        Args:
            node: width of the wires: "200nm", "100nm", "50nm", "40nm", "32nm", "22nm" or "14nm".
            row_pitch: length of a word-line segment (from one bit line to the next), in wire widths.
            column_pitch: length of a bit-line segment, in wire widths.
            metal: another metal than the table's copper.
            driver, sense: ohms at the ends.

        >>> round(Wires.from_node("22nm").row, 3)
        4.918
        """
        return cls(
            row=segment_resistance(node, row_pitch, metal),
            column=segment_resistance(node, column_pitch, metal),
            driver=driver,
            sense=sense,
        )

    def circuit(self, g: Tensor) -> Circuit:
        """The checked network of these wires and some cells."""
        return build(g, self.row, self.column, self.driver, self.sense, self.far_driver, self.far_sense)

    def effective_conductance(self, g: Tensor) -> Tensor:
        """The matrix seen from outside: see :func:`effective_conductance`."""
        circuit = self.circuit(g)
        return transfer(circuit.cells, circuit.ends).view(g.shape)

    def admittance(self, g: Tensor, analog: Sequence[Sequence[float]]) -> Tensor:
        """With what the wires take; each copy is in an array of its own."""
        return admittance_of(self.circuit(g.detach()), g.shape[:-2]).sum(0)

    loaded: ClassVar[bool] = True

    def noise_groups(self, rows: int, g_max: float) -> int:
        """One; two where segments of a bit line take much of the voltage, none where it takes little."""
        segments = _largest(self.column) * rows**2 * g_max / 2
        if segments + _largest(self.sense) * rows * g_max < _SHORT:
            return 0
        return 2 if segments > _LONG and rows > 1 else 1

    def seen_noise(
        self, g: Tensor, variance: Tensor, analog: Sequence[Sequence[float]], groups: int
    ) -> SeenNoise:
        """From the impedances of the lines and the exact voltages of few inputs."""
        return noise_of(self.circuit(g.detach()), variance, groups)

    def solve(self, g: Tensor, v: Tensor, v_column: Tensor | None = None) -> Solution:
        """All node voltages and currents for some inputs.

        Args:
            g: cell conductances ``[..., row, column]``, siemens.
            v: driver voltages, volts, ``[..., vector, row]`` or ``[row]``; leading axes broadcast with
                those of ``g``. A line that is open at its driver ignores its voltage.
            v_column: voltage that each sense amplifier holds its bit line at, ``[..., vector, column]``
                or ``[column]``; None for ground.

        Returns:
            Without a vector axis if ``v`` has none.

        Raises:
            ValueError: as in :func:`effective_conductance`; also where a broken line leaves a node
                without any path.
        """
        circuit = self.circuit(g)
        rows, columns = g.shape[-2:]
        lead, v_row, v_low, single = broadcast_inputs(g, v.detach(), v_column)
        count = v_row.shape[-2]
        cells = circuit.cells.detach().view(3, *g.shape).expand(3, *lead, rows, columns)
        word, bit, current = nodes(
            cells.reshape(3, -1, rows, columns),
            circuit.ends,
            v_row.reshape(-1, count, rows).mT,
            v_low.reshape(-1, count, columns).mT,
        )
        word, bit = _broken(circuit, g.expand(*lead, rows, columns).reshape(-1, 1, rows, columns), word, bit)
        shape = lead if single else (*lead, count)
        return Solution(
            current.reshape(*shape, columns),
            word.reshape(*shape, rows, columns),
            bit.reshape(*shape, rows, columns),
        )


def _largest(line: Line) -> float:
    """The largest finite resistance."""
    return max((ohm for ohm in (line if isinstance(line, tuple) else (line,)) if ohm < math.inf), default=0.0)


def broadcast_inputs(
    g: Tensor, v: Tensor, v_column: Tensor | None
) -> tuple[tuple[int, ...], Tensor, Tensor, bool]:
    """Leading axes, voltages ``[*lead, vector, line]`` of rows and columns, and whether v was one vector."""
    rows, columns = g.shape[-2:]
    v_row = _vectors(v, rows, "v", g)
    v_low = _vectors(v.new_zeros(columns) if v_column is None else v_column, columns, "v_column", g)
    lead = torch.broadcast_shapes(g.shape[:-2], v_row.shape[:-2], v_low.shape[:-2])
    count = max(v_row.shape[-2], v_low.shape[-2])
    single = v.ndim == 1 and (v_column is None or v_column.ndim == 1)
    return tuple(lead), v_row.expand(*lead, count, rows), v_low.expand(*lead, count, columns), single


def _vectors(v: Tensor, lines: int, name: str, g: Tensor) -> Tensor:
    if v.shape[-1:] != (lines,):
        raise ValueError(f"{name} has shape {tuple(v.shape)}: the last axis must have the {lines} lines of g")
    if not bool(torch.isfinite(v).all()):
        raise ValueError(f"{name} holds a voltage that is NaN or infinite")
    v = v.to(dtype=g.dtype, device=g.device)
    return v.unsqueeze(0) if v.ndim == 1 else v


def _broken(circuit: Circuit, g: Tensor, word: Tensor, bit: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes of broken lines take the voltage at the other side of their cell."""
    rows, columns = list(circuit.broken_rows), list(circuit.broken_columns)
    if not rows and not columns:
        return word, bit
    lost = torch.zeros(g.shape[-2:], dtype=torch.bool, device=g.device)
    lost[rows], lost[:, columns] = True, True
    alone = torch.zeros_like(lost)
    alone[torch.tensor(rows, dtype=torch.long)[:, None], torch.tensor(columns, dtype=torch.long)] = True
    bad = (lost & (g[:, 0] == 0)) | alone
    if bool(bad.any()):
        tile, row, column = (int(k) for k in bad.nonzero()[0])
        raise ValueError(
            f"the cell at row {row}, column {column} of tile {tile} lies on a broken line and leads nowhere: "
            "the voltage there is not defined; give it a conductance or leave the voltages out"
        )
    word, bit = word.clone(), bit.clone()
    word[..., rows, :] = bit[..., rows, :]
    bit[..., columns] = word[..., columns]
    return word, bit
