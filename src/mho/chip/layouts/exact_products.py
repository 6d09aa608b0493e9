"""Products that are the same in every order of their sums, on every processor.

A float32 holds whole multiples of a quantum up to 2^24 of them exactly. Codes of a DAC are whole numbers; a
matrix is split into parts, each of whole multiples of a quantum so coarse that no sum over the rows of a tile
is rounded. Each product of a part is then exact, however its terms are added. With the codes
``|x| <= 2^p``, ``2^n`` rows and entries up to ``2^m``, the quanta are

    2^(p + n + m - 24),  and then, since a part leaves half a quantum at most, each 2^(25 - p - n) finer.

The parts are added in float64 and rounded to float32 once.

A matrix takes one part of float64 instead, with the quantum ``2^(p + n + m - 53)``. (Of convolutions runtimes
have float32 kernels alone.)
"""

from __future__ import annotations

import math
from typing import Any, cast

from torch import Tensor

from mho.chip.layout import Layout
from mho.chip.layouts.matrix import MatrixLayout
from mho.chip.reads import Read

_MANTISSA = 24  # bits of a float32
_WIDE = 53  # of a float64
_LARGEST = 2  # entries of a matrix lie below 2^2 cells at g_max
_FINEST = -27  # the last quantum, in cells at g_max: of a float32 of 1/8 to 1/4


class ExactLayout:
    """A layout whose products of whole numbers are exact sums.

    Args:
        layout: the layout.
        peak: the largest magnitude of a code, whole numbers or halves of them.

    Raises:
        ValueError: too many rows in a tile, or codes that are too large: a part would hold next to nothing.
    """

    def __init__(self, layout: Layout, peak: float) -> None:
        self._layout, self._peak = layout, peak
        rows = max(b - a for a, b in layout.rows)
        self._wide = isinstance(layout, MatrixLayout)
        self._quanta = [] if self._wide else quanta(peak, rows)
        self._fine = 2.0 ** (_bits(peak, rows) + _LARGEST - _WIDE)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # copies ask before there is a layout
            raise AttributeError(name)
        return getattr(self._layout, name)

    def product(self, x: Tensor, kernel: Tensor) -> Tensor:
        """All column currents, the parts of the kernel one after the other."""
        if self._wide:
            whole = _rounded(kernel.detach().double(), self._fine)
            whole = whole + (kernel - kernel.detach()) if kernel.requires_grad else whole
            return self._layout.product(x.double(), whole).to(kernel.dtype)
        rest, total = kernel.detach(), None
        for quantum in self._quanta:
            part = _rounded(rest, quantum)
            rest = rest - part
            if kernel.requires_grad and total is None:
                part = part + (kernel - kernel.detach())  # zero, with the gradient of the whole
            made = self._layout.product(x, part).double()  # a runtime that added to a product would round it
            total = made if total is None else total + made
        assert total is not None
        return total.to(kernel.dtype)

    def tiles(self, read: Read, x: Tensor) -> list[tuple[Layout, Read, Tensor]]:
        """The products of a read, each exact."""
        return [(exact(layout, self._peak), part, v) for layout, part, v in self._layout.tiles(read, x)]

    def plain(self) -> Layout:
        """The layout inside."""
        return self._layout


def exact(layout: Layout, peak: float) -> Layout:
    """The layout with exact products; arguments as for :class:`ExactLayout`."""
    return cast("Layout", ExactLayout(layout, peak))


def _rounded(values: Tensor, quantum: float) -> Tensor:
    """Whole multiples of a power of two."""
    return (values * (1 / quantum)).round() * quantum


def _bits(peak: float, rows: int) -> int:
    """Bits of a sum of codes."""
    return math.ceil(math.log2(2 * peak)) + math.ceil(math.log2(rows))


def quanta(peak: float, rows: int) -> list[float]:
    """The quantum of each part, the coarsest first.

    >>> [math.log2(q) for q in quanta(127, 256)]
    [-6.0, -15.0, -24.0, -33.0]
    """
    bits = _bits(peak, rows)
    finer = _MANTISSA + 1 - bits
    if finer < 4:
        raise ValueError(
            f"codes up to {peak:g} on {rows} rows: their sums need more than the {_MANTISSA} bits of a "
            "float32; give the DAC fewer bits, or the tiles fewer rows"
        )
    found = [bits + _LARGEST - _MANTISSA]
    while found[-1] > _FINEST:
        found.append(found[-1] - finer)
    return [2.0**exponent for exponent in found]
