"""The products of an array in the graph: tiles, currents and partial sums of a geometry.

Shapes: arranged inputs ``[tile, ..., size]``, a kernel ``[tile, *taps, size, group * channel * column]``,
currents ``[tile, ..., group * channel * column]``, a partial ``[tile, ..., group, channel, column]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from mho.keras.geometry import ConvolutionGeometry, Geometry

Tensor = Any  # of the backend


class Products:
    """How one array multiplies.

    Args:
        geometry: how the kernel lies on the array.
        rows: first and last + 1 row of each tile of rows.
    """

    def __init__(self, geometry: Geometry, rows: tuple[tuple[int, int], ...]) -> None:
        self.geometry, self.rows = geometry, rows
        chosen, self.own = geometry.cut(rows)
        self.tiles, self.size = len(chosen), len(chosen[0])
        self._in_order = self.tiles == 1 and chosen[0] == list(range(geometry.inputs))
        self._chosen = np.array(chosen, "int32")

    @staticmethod
    def of(geometry: Geometry, rows: tuple[tuple[int, int], ...]) -> Products:
        """The products of that kind of layer."""
        if geometry.one_hot:
            return LookUp(geometry, rows)
        return (
            Convolution(geometry, rows)
            if isinstance(geometry, ConvolutionGeometry)
            else Products(geometry, rows)
        )

    def apart(self, kernel: Tensor) -> Tensor:
        """A canonical kernel cut into tiles."""
        if self._in_order:
            return kernel[None]
        axis = len(self.geometry.taps)
        picked = ops.take(kernel, self._chosen.reshape(-1), axis=axis)
        shape = (*self.geometry.taps, self.tiles, self.size, kernel.shape[-1])
        return ops.moveaxis(ops.reshape(picked, shape), axis, 0) * ops.convert_to_tensor(self.own)

    def ones(self) -> Tensor:
        """The kernel that adds up all inputs of each group, ``[tile, *taps, size, group]``."""
        return ops.convert_to_tensor(np.repeat(self.own, self.geometry.groups, axis=-1))

    def arrange(self, x: Tensor) -> Tensor:
        """``x[..., input]`` as ``[tile, vector, size]``."""
        x = ops.reshape(x, (-1, self.geometry.inputs))
        if self._in_order:
            return x[None]
        picked = ops.reshape(ops.take(x, self._chosen.reshape(-1), axis=1), (-1, self.tiles, self.size))
        return ops.transpose(picked, (1, 0, 2))

    def currents(self, v: Tensor, kernel: Tensor) -> Tensor:
        """The product of arranged inputs with the kernels of all tiles."""
        return ops.matmul(v, kernel)

    def partial(self, currents: Tensor, channels: int) -> Tensor:
        """Currents with axes for groups, channels and columns."""
        shape = ops.shape(currents)[:-1]
        return ops.reshape(currents, (*shape, self.geometry.groups, channels, -1))

    def whole(self, x: Tensor, kernel: Tensor) -> Tensor:
        """The digital layer's own operation with a canonical kernel."""
        return ops.matmul(x, kernel)

    def input_peak(self, x: Tensor) -> Tensor:
        """Largest magnitude of each vector, to broadcast over the layer's input."""
        return ops.max(ops.abs(x), axis=-1, keepdims=True)

    def arranged_peak(self, peak: Tensor) -> Tensor:
        """What :meth:`input_peak` gave, to broadcast over arranged inputs and currents."""
        return ops.reshape(peak, (1, -1, 1))

    def column_peak(self, partial: Tensor) -> Tensor:
        """Largest current of each vector, tile and channel."""
        return ops.max(ops.abs(partial), axis=-1, keepdims=True)

    def output(self, total: Tensor, x: Tensor) -> Tensor:
        """``[..., group, column]`` of all vectors in the shape of the layer's output for ``x``."""
        return ops.reshape(total, (*ops.shape(x)[:-1], self.geometry.outputs))

    def over_inputs(self, values: Tensor) -> Tensor:
        """``values[tile]`` to broadcast over arranged inputs and over currents."""
        return ops.reshape(values, (-1, *(1,) * (2 + len(self.geometry.taps))))

    def over_currents(self, values: Tensor) -> Tensor:
        """``values[tile, group * channel * column]`` to broadcast over currents."""
        return ops.reshape(values, (self.tiles, *(1,) * (1 + len(self.geometry.taps)), -1))

    def over_partial(self, limits: Tensor, x: Tensor) -> Tensor:
        """``limits[channel, tile or 1, 1]`` to broadcast over a partial of the inputs ``x``."""
        channels, tiles = limits.shape[0], limits.shape[1]
        axes = (1,) * (1 + len(self.geometry.taps))
        return ops.reshape(ops.transpose(limits[..., 0]), (tiles, *axes, 1, channels, 1))


class Convolution(Products):
    """A convolution: each tile reads some channels."""

    geometry: ConvolutionGeometry

    def arrange(self, x: Tensor) -> Tensor:
        """``[tile, batch, *space, group * size]``."""
        if self._in_order:
            return x[None]
        groups, inputs = self.geometry.groups, self.geometry.inputs
        first = np.arange(groups)[:, None] * inputs
        return ops.stack([ops.take(x, (first + chosen).reshape(-1), axis=-1) for chosen in self._chosen])

    def currents(self, v: Tensor, kernel: Tensor) -> Tensor:
        """One tile after the other."""
        return ops.stack([self._convolve(v[t], kernel[t]) for t in range(self.tiles)])

    def whole(self, x: Tensor, kernel: Tensor) -> Tensor:
        """The convolution."""
        return self._convolve(x, kernel)

    def _convolve(self, x: Tensor, kernel: Tensor) -> Tensor:
        how, groups = self.geometry, self.geometry.groups
        if how.transposed:
            return ops.conv_transpose(
                x, ops.swapaxes(kernel, -1, -2), strides=how.stride, padding=how.padding,
                output_padding=how.output_padding, dilation_rate=how.dilation, data_format="channels_last",
            )  # fmt: skip
        names = {"strides": how.stride, "padding": how.padding, "dilation_rate": how.dilation}
        if groups > 1 and kernel.shape[-2] == 1 and len(how.taps) < 3:
            kernel = ops.reshape(kernel, (*how.taps, groups, -1))
            return ops.depthwise_conv(x, kernel, data_format="channels_last", **names)
        return ops.conv(x, kernel, data_format="channels_last", **names)

    def input_peak(self, x: Tensor) -> Tensor:
        """Of each sample."""
        return ops.max(ops.abs(x), axis=tuple(range(1, len(x.shape))), keepdims=True)

    def arranged_peak(self, peak: Tensor) -> Tensor:
        """With an axis for the tiles."""
        return peak[None]

    def column_peak(self, partial: Tensor) -> Tensor:
        """Of each sample, group, tile and channel: over columns and positions."""
        axes = (*range(2, 2 + len(self.geometry.taps)), len(partial.shape) - 1)
        return ops.max(ops.abs(partial), axis=axes, keepdims=True)

    def output(self, total: Tensor, x: Tensor) -> Tensor:
        """The groups side by side."""
        return ops.reshape(total, (*ops.shape(total)[:-2], self.geometry.outputs))


class LookUp(Products):
    """A table: an input is the number of a row, and the tile of that row alone is read."""

    def __init__(self, geometry: Geometry, rows: tuple[tuple[int, int], ...]) -> None:
        super().__init__(geometry, ((0, geometry.inputs),))
        self._tile_of = np.repeat(np.arange(len(rows)), [b - a for a, b in rows]).astype("int32")

    def arrange(self, x: Tensor) -> Tensor:
        """``[1, look-up]``."""
        return ops.reshape(x, (1, -1))

    def currents(self, v: Tensor, kernel: Tensor) -> Tensor:
        """``[1, look-up, channel * column]``."""
        return ops.take(kernel[0], v[0], axis=0)[None]

    def whole(self, x: Tensor, kernel: Tensor) -> Tensor:
        """The rows."""
        return ops.take(kernel, x, axis=0)

    def output(self, total: Tensor, x: Tensor) -> Tensor:
        """``[..., column]``."""
        return ops.reshape(total, (*ops.shape(x), self.geometry.outputs))

    def over_partial(self, limits: Tensor, x: Tensor) -> Tensor:
        """The limits of the tile of each look-up."""
        if limits.shape[1] == 1:
            return super().over_partial(limits, x)
        tiles = ops.take(ops.convert_to_tensor(self._tile_of), ops.reshape(x, (-1,)), axis=0)
        each = ops.take(limits[..., 0], tiles, axis=1)  # [channel, look-up]
        return ops.reshape(ops.transpose(each), (1, -1, 1, limits.shape[0], 1))
