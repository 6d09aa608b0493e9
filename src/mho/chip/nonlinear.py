"""Products by arrays whose cells obey no Ohm's law."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from mho.array import Array
from mho.chip.layout import Layout
from mho.chip.reads import Read


class _NonlinearLayout:
    """A layout whose product by one matrix goes by the law of the cells."""

    def __init__(self, layout: Layout, array: Array, v_read: float, high: float, kernel: Tensor) -> None:
        self._layout, self._array, self._v_read, self._high, self._kernel = layout, array, v_read, high, kernel

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layout, name)

    def squares(self, x: Tensor) -> Tensor:
        """Of what the noise of the cells is multiplied by."""
        return self._layout.squares(self._array.driven(x, self._high, self._v_read))

    def product(self, x: Tensor, kernel: Tensor) -> Tensor:
        """All column currents."""
        if kernel is not self._kernel:
            return self._layout.product(x, kernel)
        if kernel.dim() == self._layout.product_axes:
            return self._layout.product(self._array.driven(x, self._high, self._v_read), kernel)
        return self._interpolated(x, kernel)

    def _interpolated(self, x: Tensor, kernels: Tensor) -> Tensor:
        """The sum of the products by the matrices of all points, each input shared out between two."""
        n = len(kernels) // 2
        place = x * (n / self._high)
        below = place.detach().floor().clamp(-n, n - 1)
        share = place - below
        total: Tensor | None = None
        for k, kernel in zip(_points(n), kernels.unbind(0), strict=True):
            weight = torch.where(below == k, 1 - share, torch.where(below == k - 1, share, 0.0))
            part = self._layout.product(weight * self._high, kernel)
            total = part if total is None else total + part
        assert total is not None
        return total


def by_law(array: Array, v_read: float, read: Read, layout: Layout, high: float | None) -> tuple[Read, Layout]:
    """The read and the layout for a product in which the full scale of the DAC is the read voltage.

    Args:
        array: cells without Ohm's law.
        v_read: read voltage, volts.
        read: with one matrix, or one for each of ``array.voltages``.
        layout: how the layer's matrix lies in tiles.
        high: the converted input of full scale; None where inputs are not converted: no law is felt.
    """
    if high is None:
        return at_full_scale(read, layout), layout
    return read, cast("Layout", _NonlinearLayout(layout, array, v_read, high, read.kernel))


def at_full_scale(read: Read, layout: Layout) -> Read:
    """The read with one matrix, that of full-scale inputs."""
    return read._replace(kernel=read.kernel[-1]) if read.kernel.dim() > layout.product_axes else read


def in_proportion(kernel: Tensor, count: int) -> Tensor:
    """A matrix as there is one for each of ``count`` voltages, for cells that obey Ohm's law."""
    n = count // 2
    places = torch.tensor(_points(n), dtype=kernel.dtype, device=kernel.device)
    return kernel * (places / n).view(-1, *(1 for _ in kernel.shape))


def _points(n: int) -> list[int]:
    """From the most negative to the most positive voltage; nothing flows at 0."""
    return [k for k in range(-n, n + 1) if k]
