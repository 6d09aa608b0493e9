"""Convolutions on arrays.

The rows of an array are the taps of the input channels, its columns the output channels; one patch of
the input is one vector. Tiles of rows are groups of input channels, so that one grouped convolution
multiplies by all tiles. A transposed convolution is the convolution of the input with zeros between
its samples: the same rows and columns, torch's own transposed operation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mho.autograd import exporting
from mho.chip.layout import Layout
from mho.chip.layouts.base import check_floating
from mho.chip.layouts.opaque_convolution import convolution
from mho.chip.layouts.patches import patches, spread
from mho.chip.reads import Lines, Read
from mho.mapping import without_bias_rows

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


_CURRENTS = 1 << 21  # read at once: 8 MB in float32
_ALONE = 1 << 16  # currents of a tile that are worth operations of their own; see docs/performance.md
_UNROLLED = 32  # tiles: each is a piece of a compiled graph


@dataclass(frozen=True)
class ConvolutionLayout:
    """Tiles of a convolution; a partial is ``[batch, group, tile, channel, column, *space]``."""

    rows: tuple[tuple[int, int], ...]
    columns: tuple[tuple[int, int], ...]
    groups: int
    inputs: int  # input channels of a group
    taps: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Any
    dilation: tuple[int, ...]
    transposed: bool = False
    output_padding: tuple[int, ...] = ()
    bias_rows: int = 0
    tile_axis: int = 2
    channel_axis: int = 3
    column_axis: int = 4
    batch_axis: int = 0
    one_hot: bool = False
    portioned: bool = True

    @property
    def output_axis(self) -> int:
        """The channel axis."""
        return -len(self.taps) - 1

    def matrix(self, weight: Tensor) -> Tensor:
        """The weight as ``[group, input * taps, output]``."""
        if self.transposed:
            flat = weight.view(self.groups, self.inputs, weight.shape[1], -1).transpose(2, 3)
        else:
            outputs = weight.shape[0] // self.groups
            flat = weight.view(self.groups, outputs, self.inputs, -1).permute(0, 2, 3, 1)
        return flat.reshape(self.groups, self.inputs * self._k, -1)

    def from_matrix(self, matrix: Tensor) -> Tensor:
        """``[group, input * taps, output]`` in the shape of the weight."""
        flat = matrix.reshape(self.groups, self.inputs, -1, matrix.shape[-1])
        if self.transposed:
            return flat.transpose(2, 3).reshape(-1, matrix.shape[-1], *self.taps)
        return flat.permute(0, 3, 1, 2).reshape(-1, self.inputs, *self.taps)

    def check(self, x: Tensor, where: str) -> None:
        """Inputs are floating-point numbers."""
        if not x.is_floating_point():
            check_floating(x, where)

    @property
    def product_axes(self) -> int:
        """Batch, channel and space."""
        return 2 + len(self.taps)

    @property
    def _k(self) -> int:
        return math.prod(self.taps)

    @property
    def _inputs(self) -> tuple[tuple[int, int], ...]:
        """The rows of each tile that have inputs."""
        return without_bias_rows(self.rows, self.bias_rows) if self.bias_rows else self.rows

    @property
    def _size(self) -> int:
        """Input channels that a tile touches, of the tile with most of them."""
        return max(-(-b // self._k) - a // self._k for a, b in self._inputs)

    @property
    def _starts(self) -> tuple[int, ...]:
        """First input channel of each tile, so that each sees equally many; one cut in two goes to both."""
        last = self.inputs - self._size
        return tuple(min(a // self._k, last) for a, _ in self._inputs)

    def _in_order(self) -> bool:
        size = self._size
        return self._starts == tuple(range(0, self.inputs, size))

    def input_index(self) -> list[int] | None:
        """Channels of each tile; the taps that are another tile's are zero."""
        if self._in_order():
            return None
        return [
            group * self.inputs + start + k
            for group in range(self.groups)
            for start in self._starts
            for k in range(self._size)
        ]

    def arrange(self, x: Tensor, index: Tensor | None) -> Tensor:
        """``x[batch, group * tile * channel, *space]``."""
        return x if index is None else x.index_select(1, index)

    def input_tiles(self, v: Tensor) -> tuple[Tensor, ...]:
        """Arranged inputs of each tile."""
        return self._split(v, (self.groups, len(self.rows), self._size)).unbind(2)

    @staticmethod
    def _split(x: Tensor, sizes: tuple[int, ...]) -> Tensor:
        """The channel axis in several; ``unflatten`` keeps channels-last memory as it is."""
        return torch.unflatten(x, 1, sizes)

    def samples(self, x: Tensor) -> int:
        """Images."""
        return x.shape[0]

    def sample(self, x: Tensor, every: int) -> Tensor:
        """Some images."""
        return x[::every]

    def vectors(self, x: Tensor) -> Tensor:
        """The patches, ``[image * position, group, input * tap]``."""
        ends = [self._around(axis) for axis in range(len(self.taps))]
        if self.transposed:  # the first tap of an input is the last one of a patch
            x, once = spread(x, self.stride), (1,) * len(self.taps)
            found = patches(x, self.taps, once, self.dilation, ends).flip(tuple(range(-len(self.taps), 0)))
        else:
            found = patches(x, self.taps, self.stride, self.dilation, ends)
        return found.reshape(len(found), self.groups, -1)

    def _around(self, axis: int) -> tuple[int, int]:
        """Zeros before and after the input, or after it was spread; fewer than none cut it."""
        before, after = self._padding(axis)
        if not self.transposed:
            return before, after
        reach = self.dilation[axis] * (self.taps[axis] - 1)
        return reach - before, reach - after + self.output_padding[axis]

    def column_vectors(self, y: Tensor) -> Tensor:
        """``[image * position, group, column]``."""
        y = y.movedim(1, -1).flatten(0, -2)
        return y.reshape(len(y), self.groups, -1)

    def row_sums(self, values: Tensor) -> Tensor:
        """``[group, input * taps]``: over all positions of each tap; the padding drives nothing."""
        sums = values.sum(0)  # [channel, *space]
        for axis in range(len(self.taps)):
            reached = self._reached(axis, sums.shape[1], values.device).to(sums.dtype)
            sums = torch.tensordot(sums, reached, dims=([1], [0]))  # the taps come last
        return sums.reshape(self.groups, -1)

    def _reached(self, axis: int, size: int, device: torch.device) -> Tensor:
        """Whether a tap meets an input of one axis at any position of the output, ``[size, taps]``."""
        kernel, stride, dilation = self.taps[axis], self.stride[axis], self.dilation[axis]
        before, after = self._padding(axis)
        place = torch.arange(size, device=device).unsqueeze(1)
        tap = torch.arange(kernel, device=device) * dilation
        if self.transposed:  # the output is where the taps of an input fall
            last = (size - 1) * stride - 2 * before + dilation * (kernel - 1) + self.output_padding[axis]
            output = place * stride - before + tap
            return (output >= 0) & (output <= last)
        outputs = (size + before + after - dilation * (kernel - 1) - 1) // stride + 1
        first = place + before - tap
        return (first >= 0) & (first % stride == 0) & (first // stride < outputs)

    def _padding(self, axis: int) -> tuple[int, int]:
        """Zeros before and after the input."""
        if self.padding == "valid":
            return 0, 0
        if self.padding == "same":
            total = self.dilation[axis] * (self.taps[axis] - 1)
            return total // 2, total - total // 2
        return self.padding[axis], self.padding[axis]

    def products(self, inputs: int, outputs: int) -> int:
        """Of the patches; a transposed convolution multiplies each input once by each of its taps."""
        if self.transposed:
            return inputs * self._k * self.columns[-1][1]
        return outputs * self.inputs * self._k

    def squares(self, x: Tensor) -> Tensor:
        """Elementwise."""
        return x * x

    def kernel(self, matrices: Tensor) -> Tensor:
        """The weight of a convolution with ``group * tile`` groups."""
        channels, groups, rows, columns = matrices.shape
        if self._in_order():
            tiles = matrices.view(channels, groups, len(self.rows), self._size * self._k, columns)
        else:
            parts = []
            for (a, b), start in zip(self._inputs, self._starts, strict=True):
                before = a - start * self._k
                after = self._size * self._k - before - (b - a)
                parts.append(F.pad(matrices[:, :, a:b], (0, 0, before, after)))
            tiles = torch.stack(parts, dim=2)
        shape = (groups * len(self.rows), self._size, *self.taps, channels * columns)
        flat = tiles.permute(1, 2, 3, 0, 4).reshape(shape)
        weight = self._weight(flat)
        if len(self.taps) == 2 and not self.transposed and not torch.is_grad_enabled():
            return weight.contiguous(memory_format=torch.channels_last)
        return weight

    def _weight(self, flat: Tensor) -> Tensor:
        """``[group, input, *taps, column]`` as torch's weight."""
        if self.transposed:
            return flat.movedim(-1, 2).flatten(0, 1).contiguous()
        return flat.movedim(-1, 1).flatten(0, 1).contiguous()

    def product(self, x: Tensor, kernel: Tensor) -> Tensor:
        """``[batch, group * tile * channel * column, *space]``."""
        groups = self.groups * len(self.rows)
        if torch.compiler.is_compiling() and torch.is_grad_enabled() and not exporting():
            padding = self._amounts()
            if padding is not None:
                return convolution(
                    x,
                    kernel,
                    self.stride,
                    padding,
                    self.dilation,
                    self.transposed,
                    self.output_padding,
                    groups,
                )
        return self._convolve(x, kernel, None, groups)

    def currents(self, read: Read, x: Tensor) -> int:
        """How many currents a tile gives for one image, about."""
        space, stride = math.prod(x.shape[2:]), math.prod(self.stride)
        if self.transposed:
            return read.kernel.shape[1] * space * stride
        return read.kernel.shape[0] * space // (stride * self.groups * len(self.rows))

    def one_by_one(self, read: Read, x: Tensor) -> bool:
        """Whether tiles are read one after the other: on the CPU, without gradients, where it is faster.

        The currents of one tile stay in a cache and oneDNN is slow with groups, but each tile costs calls
        of its own: a tile of few currents is faster with the others.
        """
        tiles = len(self.rows)
        if tiles == 1 or self.groups > 1 or torch.is_grad_enabled() or x.device.type != "cpu" or exporting():
            return False
        if torch.compiler.is_compiling() and tiles > _UNROLLED:
            return False
        return x.shape[0] * self.currents(read, x) >= _ALONE

    def tiles(self, read: Read, x: Tensor) -> list[tuple[Layout, Read, Tensor]]:
        """All tiles in one grouped convolution, or each on its own (:meth:`one_by_one`)."""
        if not self.one_by_one(read, x):
            return [(self, read, self.arrange(x, read.inputs))]
        count, size = len(self.rows), self._size
        single = replace(self, rows=((0, size * self._k),), inputs=size)

        def apart(values: Tensor | None, axis: int) -> Sequence[Tensor | None]:
            return (None,) * count if values is None else values.chunk(count, axis)

        parts = zip(
            self._starts,
            read.kernel.chunk(count),
            apart(read.variance, 0),
            apart(read.constant, 1),
            apart(read.bias, 1),
            apart(read.bias_variance, 1),
            apart(read.shot, 0),
            apart(read.bias_shot, 1),
            apart(read.thermal, 1),
            self._lines_apart(read.lines, count),
            strict=True,
        )
        names = (
            "kernel", "variance", "constant", "bias", "bias_variance", "shot", "bias_shot", "thermal", "lines"
        )  # fmt: skip
        return [
            (single, read.changed(**dict(zip(names, part, strict=True))), x.narrow(1, start, size))
            for start, *part in parts
        ]

    def _lines_apart(self, lines: Lines | None, count: int) -> Sequence[Lines | None]:
        """Those of each tile."""
        if lines is None:
            return (None,) * count
        axes = (0, 0, 3 + self.tile_axis, 0, 2 + self.tile_axis, 1, 1, 1)
        pairs = zip(lines, axes, strict=True)
        parts = [(None,) * count if x is None else x.chunk(count, axis) for x, axis in pairs]
        return [Lines(*each) for each in zip(*parts, strict=True)]

    def _amounts(self) -> tuple[int, ...] | None:
        """The padding of each axis; None where "same" pads one side more than the other."""
        if self.padding == "valid":
            return (0,) * len(self.taps)
        if self.padding == "same":
            totals = [d * (k - 1) for d, k in zip(self.dilation, self.taps, strict=True)]
            return None if any(t % 2 for t in totals) else tuple(t // 2 for t in totals)
        return tuple(self.padding)

    def partial(self, currents: Tensor, channels: int) -> Tensor:
        """``[batch, group, tile, channel, column, *space]``."""
        return self._split(currents, (self.groups, len(self.rows), channels, -1))

    def whole_kernel(self, matrix: Tensor) -> Tensor:
        """The digital layer's weight."""
        groups, _, columns = matrix.shape
        return self._weight(matrix.reshape(groups, self.inputs, *self.taps, columns))

    def whole_product(self, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        """The digital layer's convolution."""
        return self._convolve(x, kernel, bias, self.groups)

    def _convolve(self, x: Tensor, kernel: Tensor, bias: Tensor | None, groups: int) -> Tensor:
        n = len(self.taps)
        if self.transposed:
            return _TRANSPOSED[n](
                x, kernel, bias, self.stride, self.padding, self.output_padding, groups, self.dilation
            )
        return _CONV[n](x, kernel, bias, self.stride, self.padding, self.dilation, groups)

    def over_partial(self, values: Tensor) -> Tensor:
        """``[1, group, tile, channel, column, 1...]``."""
        return values.view(1, *values.shape, *(1,) * len(self.taps))

    def over_inputs(self, values: Tensor) -> Tensor:
        """Each tile's value for each of its channels, ``[1, channel, 1...]``."""
        spread = values.repeat_interleave(self._size).repeat(self.groups)
        return spread.view(1, -1, *(1 for _ in self.taps))

    def over_output(self, values: Tensor) -> Tensor:
        """``[column, 1...]``."""
        return values.view(-1, *(1,) * len(self.taps))

    def input_peak(self, x: Tensor, arranged: bool) -> Tensor:
        """Of each sample."""
        return x.detach().abs().amax(dim=tuple(range(1, x.dim())), keepdim=True)

    def input_peak_over_partial(self, peak: Tensor) -> Tensor:
        """``[batch, 1, 1, 1, 1, 1...]``."""
        return peak.view(-1, *(1 for _ in range(4 + len(self.taps))))

    def input_axes(self, x: Tensor, arranged: bool) -> tuple[int, ...]:
        """Of each sample."""
        return tuple(range(1, x.dim()))

    def column_axes(self, partial: Tensor) -> tuple[int, ...]:
        """Of each sample, group, tile and channel: columns and positions."""
        return tuple(range(4, partial.dim()))

    def output(self, total: Tensor, like: Tensor) -> Tensor:
        """``[batch, group * column, *space]``, in the memory format of the input."""
        y = total.flatten(1, 2)
        if like.is_contiguous():
            return y.contiguous()
        two = len(self.taps) == 2 and like.is_contiguous(memory_format=torch.channels_last)
        return y.contiguous(memory_format=torch.channels_last) if two else y

    def portion(self, read: Read, x: Tensor, tiled: bool) -> int | None:
        """How many images are read at once, without gradients; None for all.

        The currents of all tiles are many times the output. Kept to a few megabytes they stay in a
        cache and in memory that the allocator keeps; beyond, each read would ask the system for more.
        """
        if exporting() or not tiled or x.shape[0] < 2 or torch.is_grad_enabled():
            return None
        apart = read.steps is not None and self.one_by_one(read, x)
        if apart and torch.compiler.is_compiling():
            return None
        currents = self.currents(read, x) * (1 if apart else self.groups * len(self.rows))
        most = 4 if torch.compiler.is_compiling() else 16  # portions: each is a piece of the graph
        images = max(_CURRENTS // max(currents, 1), -(-x.shape[0] // most), 1)
        return None if images >= x.shape[0] else images
