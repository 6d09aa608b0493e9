"""Products by arrays whose cells obey no Ohm's law."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from mho.array import NonlinearCells
from mho.converters import DAC, Dynamic
from mho.cut import Cut, Limit, Read


class _CurvedCut:
    """A cut whose product by one matrix goes by the law of the cells."""

    def __init__(self, cut: Cut, array: NonlinearCells, v_read: float, high: float, kernel: Tensor) -> None:
        self._cut, self._array, self._v_read, self._high, self._kernel = cut, array, v_read, high, kernel

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cut, name)

    def squares(self, x: Tensor) -> Tensor:
        """Of what the noise of the cells is multiplied by."""
        return self._cut.squares(self._shaped(x) if self._array.separable else x)

    def product(self, x: Tensor, kernel: Tensor) -> Tensor:
        """All column currents."""
        if kernel is not self._kernel:
            return self._cut.product(x, kernel)
        if kernel.dim() == self._cut.product_axes:
            return self._cut.product(self._shaped(x) if self._array.separable else x, kernel)
        return self._interpolated(x, kernel)

    def _shaped(self, x: Tensor) -> Tensor:
        return self._array.shape(x / self._high, self._v_read) * self._high

    def _interpolated(self, x: Tensor, kernels: Tensor) -> Tensor:
        """The sum of the products by the matrices of all points, each input shared out between two."""
        n = self._array.points
        place = x * (n / self._high)
        below = place.detach().floor().clamp(-n, n - 1)
        share = place - below
        total: Tensor | None = None
        for k, kernel in zip(_points(n), kernels.unbind(0), strict=True):
            weight = torch.where(below == k, 1 - share, torch.where(below == k - 1, share, 0.0))
            part = self._cut.product(weight * self._high, kernel)
            total = part if total is None else total + part
        assert total is not None
        return total


def curved(cut: Cut, array: NonlinearCells, v_read: float, read: Read, dac: DAC | None, limit: Limit) -> Cut:
    """The cut for a product in which the full scale of the DAC is the read voltage."""
    assert dac is not None
    if limit is None and not isinstance(dac.range, Dynamic):
        return cut
    high = 1.0 if dac.ideal else dac.grid().high
    if dac.stream is not None:
        high = dac.stream.high
    return cast("Cut", _CurvedCut(cut, array, v_read, high, read.kernel))


def with_points(read: Read, array: NonlinearCells, kernels: Callable[[list[float]], list[Tensor]]) -> Read:
    """The read with a matrix for each voltage; ``kernels`` gives those of voltages over the read voltage."""
    if array.separable:
        return read
    return read._replace(kernel=torch.stack(kernels([k / array.points for k in _points(array.points)])))


def in_proportion(kernel: Tensor, array: NonlinearCells) -> Tensor:
    """A matrix as :func:`with_points` has it for cells that obey Ohm's law."""
    places = torch.tensor(_points(array.points), dtype=kernel.dtype, device=kernel.device)
    return kernel * (places / array.points).view(-1, *(1 for _ in kernel.shape))


def _points(n: int) -> list[int]:
    """From the most negative to the most positive voltage; nothing flows at 0."""
    return [k for k in range(-n, n + 1) if k]
