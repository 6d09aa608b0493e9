"""Voltage drops along the wires as sums of currents: what iterative solvers need.

The voltages of the cells are ``u = u0 - R i``: those without any current, less the drops. R is symmetric
and positive semidefinite, and is applied with cumulative sums in a time proportional to the cells.
All tensors are ``[batch, row, column]``.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from mho.array._circuit import Circuit


class Network(Protocol):
    """Wires as an iterative solver sees them."""

    def drop(self, i: Tensor) -> Tensor:
        """``R i``: how far the cell currents lower the cell voltages."""

    def resistance(self) -> Tensor:
        """The diagonal of R: drop at a cell for its own current, broadcasts over the batch."""

    @property
    def free(self) -> Free:
        """The lines without any path to ground but their cells."""


class Free(NamedTuple):
    """Lines whose voltage follows from their currents adding to zero."""

    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rows or self.columns)


class Line(NamedTuple):
    """One direction of wires: drops along the last axis, counted from the near end.

    Attributes:
        ohms: segment before each cell, ``[line, cell]``.
        far: resistance beyond the last cell to a second source, ``[line]``; infinity for none.
    """

    ohms: Tensor
    far: Tensor

    def drop(self, i: Tensor) -> Tensor:
        """Drops at the cells for their currents ``[..., line, cell]``."""
        beyond = i.flip(-1).cumsum(-1).flip(-1)
        drop = (self.ohms * beyond).cumsum(-1)
        path, total = self._paths()
        back = torch.where(total > 0, drop[..., -1:] / total, torch.zeros_like(total))
        return drop - path * back

    def resistance(self) -> Tensor:
        path, total = self._paths()
        back = torch.where(total > 0, path / total, torch.zeros_like(path))
        return path - path * back

    def _paths(self) -> tuple[Tensor, Tensor]:
        path = self.ohms.cumsum(-1)
        return path, path[..., -1:] + self.far[..., None]


class Crossbar(NamedTuple):
    """Word lines across bit lines."""

    word: Line
    bit: Line  # in [column, row]; near end below
    free: Free

    def drop(self, i: Tensor) -> Tensor:
        """Drops along the word line and along the bit line."""
        down = i.flip(-2).mT
        return self.word.drop(i) + self.bit.drop(down).mT.flip(-2)

    def resistance(self) -> Tensor:
        return self.word.resistance() + self.bit.resistance().mT.flip(-2)


class Ladder(NamedTuple):
    """Source lines beside the bit lines; the inputs only open and close the cells.

    Currents are ``[batch, sign, row, column]``: each sign has its own source line, and all signs of a
    place share one bit line.
    """

    source: Line  # in [column, row]; near end above
    bit: Line  # in [column, row]; near end below

    @property
    def free(self) -> Free:
        """No line floats."""
        return Free()

    def drop(self, i: Tensor) -> Tensor:
        """Drops along the source line and along the bit line."""
        down = i.sum(1, keepdim=True).flip(-2).mT
        return self.source.drop(i.mT).mT + self.bit.drop(down).mT.flip(-2)

    def resistance(self) -> Tensor:
        return self.source.resistance().mT + self.bit.resistance().mT.flip(-2)


def crossbar(circuit: Circuit) -> Crossbar:
    """The wires of a circuit, all tiles alike.

    Raises:
        ValueError: a line is open at its near end and connected at the far one.
    """
    cells, ends = circuit.cells, circuit.ends
    for name, opened, far in (
        ("word line", ends.open_rows, ends.far_rows),
        ("bit line", ends.open_columns, ends.far_columns),
    ):
        both = sorted(set(opened) & set(far))
        if both:
            raise ValueError(
                f"{name} {both[0]} is open at its near end and connected at the far one: the iterative "
                "solver takes lines connected at the near end, at both or at none; turn the array around"
            )
    left, below = cells[1, 0].detach(), cells[2, 0].detach()
    word = Line(left, _far(left, ends.far_rows, ends.far_row_ohms))
    up = below.flip(0).mT.contiguous()
    bit = Line(up, _far(up, ends.far_columns, ends.far_column_ohms))
    return Crossbar(word, bit, Free(ends.open_rows, ends.open_columns))


def _far(like: Tensor, lines: tuple[int, ...], ohms: Tensor | None) -> Tensor:
    far = like.new_full((like.shape[0],), float("inf"))
    if ohms is not None:
        far[list(lines)] = ohms.detach()
    return far
