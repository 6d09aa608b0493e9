"""Passive arrays: what happens to the other cells when one is read or written.

Without a transistor in each cell, the lines of the selected cell touch all their other cells. A scheme
says what the unselected lines do meanwhile. The selected word line is at ``voltage``, the selected bit
line at 0.

| scheme | unselected word lines | unselected bit lines | half-selected cells | unselected cells |
|---|---|---|---|---|
| :class:`Grounded` | 0 | 0 | V on the word line, 0 on the bit line | 0 |
| :class:`Floating` | open | open | what the network gives | what the network gives |
| :class:`HalfVoltage` | V/2 | V/2 | V/2 | 0 |
| :class:`ThirdVoltage` | V/3 | 2V/3 | V/3 | -V/3 |

(with wires of no resistance).
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from mho.array._circuit import check_shape
from mho.array.newton import solve_nonlinear
from mho.array.nonlinear import HasCurrent
from mho.array.wires import Line, Wires
from mho.config import config


class Scheme(ABC):
    """What the unselected lines do."""

    @abstractmethod
    def unselected(self, voltage: float) -> tuple[float, float] | None:
        """Voltages of unselected word lines and bit lines for a selected ``voltage``; None for open."""


@config
class Grounded(Scheme):
    """Unselected lines at ground: the usual read, nothing sneaks into the sense amplifier but wire drops."""

    def unselected(self, voltage: float) -> tuple[float, float]:
        """Zero and zero."""
        return 0.0, 0.0


@config
class Floating(Scheme):
    """Unselected lines open: currents sneak through three and more cells in series."""

    def unselected(self, voltage: float) -> None:
        """Open."""
        return


@config
class HalfVoltage(Scheme):
    """Unselected lines at half the voltage."""

    def unselected(self, voltage: float) -> tuple[float, float]:
        """V/2 and V/2."""
        return voltage / 2, voltage / 2


@config
class ThirdVoltage(Scheme):
    """Unselected word lines at one third and bit lines at two thirds of the voltage."""

    def unselected(self, voltage: float) -> tuple[float, float]:
        """V/3 and 2V/3."""
        return voltage / 3, 2 * voltage / 3


class Access(NamedTuple):
    """One cell read or written.

    Attributes:
        row, column: the selected cell.
        device: voltage across each cell, volts, ``[..., row, column]``.
        cell: current of each cell, amperes, likewise.
        sensed: current into the selected bit line's sense amplifier, amperes, ``[...]``.
    """

    row: int
    column: int
    device: Tensor
    cell: Tensor
    sensed: Tensor

    @property
    def selected(self) -> Tensor:
        """Voltage that reaches the selected cell, volts."""
        return self.device[..., self.row, self.column]

    @property
    def sneak(self) -> Tensor:
        """Sensed current that did not come through the selected cell, amperes."""
        return self.sensed - self.cell[..., self.row, self.column]

    @property
    def half_selected(self) -> Tensor:
        """Largest voltage magnitude on another cell of the selected lines, volts."""
        return torch.maximum(self._others(self.device[..., self.row, :], self.column),
                             self._others(self.device[..., :, self.column], self.row))  # fmt: skip

    @property
    def unselected(self) -> Tensor:
        """Largest voltage magnitude on a cell of neither selected line, volts."""
        rest = self.device.abs().clone()
        rest[..., self.row, :] = 0
        rest[..., :, self.column] = 0
        return rest.amax((-2, -1))

    @property
    def power(self) -> Tensor:
        """Power turned into heat in all cells, watts."""
        return (self.device * self.cell).sum((-2, -1))

    @staticmethod
    def _others(line: Tensor, k: int) -> Tensor:
        rest = line.abs().clone()
        rest[..., k] = 0
        return rest.amax(-1)


def access(
    g: Tensor,
    wires: Wires,
    scheme: Scheme,
    row: int,
    column: int,
    voltage: float,
    law: HasCurrent | None = None,
) -> Access:
    """Select one cell of an array.

    Args:
        g: cell conductances (or states of ``law``) ``[..., row, column]``.
        wires: the lines.
        scheme: what the unselected lines do.
        row, column: the cell.
        voltage: voltage of the selected word line, volts.
        law: current-voltage law of the cells, for example with a selector; ohmic if None.

    Raises:
        ValueError: a cell that is not in the array; a floating line without any conducting cell.

    >>> g = torch.full((8, 8), 1e-4, dtype=torch.float64)
    >>> half = access(g, Wires(row=0.0, column=0.0), HalfVoltage(), 2, 3, 1.0)
    >>> half.selected.item(), half.half_selected.item(), half.unselected.item()
    (1.0, 0.5, 0.0)
    """
    check_shape(g)
    rows, columns = g.shape[-2:]
    for name, k, n in (("row", row, rows), ("column", column, columns)):
        if not 0 <= k < n:
            raise ValueError(f"{name} = {k!r}: the array has {name}s 0 to {n - 1}")
    rest = scheme.unselected(voltage)
    v_row = g.new_full((rows,), rest[0] if rest else 0.0)
    v_column = g.new_full((columns,), rest[1] if rest else 0.0)
    v_row[row], v_column[column] = voltage, 0.0
    if rest is None:
        wires = _open(wires, rows, columns, row, column)
    if law is None:
        solution = wires.solve(g.detach(), v_row, v_column)
        device, sensed = solution.device, solution.current
        cell = g.detach() * device
    else:
        with torch.no_grad():
            point = solve_nonlinear(law, g.detach(), wires, v_row, v_column)
        device, cell, sensed = point.device, point.cell, point.current
    return Access(row, column, device, cell, sensed[..., column])


def _open(wires: Wires, rows: int, columns: int, row: int, column: int) -> Wires:
    """The same wires with all lines but two disconnected."""

    def only(line: Line, n: int, k: int) -> Line:
        ohm = line[k] if isinstance(line, tuple) else line
        return tuple(ohm if i == k else float("inf") for i in range(n))

    far_driver, far_sense = wires.far_driver, wires.far_sense
    return dataclasses.replace(
        wires,
        driver=only(wires.driver, rows, row),
        sense=only(wires.sense, columns, column),
        far_driver=None if far_driver is None else only(far_driver, rows, row),
        far_sense=None if far_sense is None else only(far_sense, columns, column),
    )


def selected_voltages(
    g: Tensor, wires: Wires, scheme: Scheme, voltage: float, *, portion: int = 64
) -> Tensor:
    """Voltage that reaches each cell when it is the selected one: what a write really applies.

    Args:
        g: ohmic cell conductances ``[..., row, column]``, siemens.
        wires: the lines.
        scheme: what the unselected lines do; not :class:`Floating`.
        voltage: voltage of the selected word line, volts.
        portion: selections solved at once.

    Returns:
        ``[..., row, column]``, volts.

    The network is linear, and each line's voltage is a sum over "all lines" and "this line": rows +
    columns solutions give all rows x columns selections.

    >>> g = torch.full((4, 4), 1e-3, dtype=torch.float64)
    >>> v = selected_voltages(g, Wires(row=5.0, column=5.0), HalfVoltage(), 1.0)
    >>> bool(v[3, 0] > v[0, 3])  # near both the driver and the sense amplifier, and far from both
    True
    """
    check_shape(g)
    rows, columns = g.shape[-2:]
    rest = scheme.unselected(voltage)
    if rest is None:
        raise ValueError(
            f"scheme = {scheme!r}: floating lines make another network of each selection; "
            "use access() for the cells of interest, or a scheme that holds the lines"
        )
    g = g.detach()
    base = wires.solve(g, g.new_full((rows,), rest[0]), g.new_full((columns,), rest[1])).device
    out = base.clone()
    eye_row, eye_column = torch.eye(rows).to(g), torch.eye(columns).to(g)
    for start in range(0, rows, portion):
        lines = eye_row[start : start + portion] * (voltage - rest[0])
        device = wires.solve(g, lines).device
        for k in range(lines.shape[0]):
            out[..., start + k, :] += device[..., k, start + k, :]
    for start in range(0, columns, portion):
        lines = eye_column[start : start + portion] * -rest[1]
        device = wires.solve(g, g.new_zeros(lines.shape[0], rows), lines).device
        for k in range(lines.shape[0]):
            out[..., :, start + k] += device[..., k, :, start + k]
    return out
