"""How the kernel of a Keras layer lies on an array.

Keras stores kernels as ``[*taps, inputs, outputs]`` and puts channels last, torch the other way round. A
:class:`Geometry` says once how one becomes the other, so that the array of a Keras layer is, cell by cell,
that of the torch layer with the same weights. Inside the graph there is one *canonical* kernel,
``[*taps, inputs, group * column]``, in Keras' order of columns, and its tiles are
``[tile, *taps, size, group * column]``. A matrix has no taps.

Nothing here knows Keras: arrays are numpy's or torch's.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mho.chip.layouts import ArraySize, ConvolutionLayout
from mho.mapping import spans
from mho.nn.crossbar import Crossbar
from mho.nn.embedding import LookUpCrossbar

Array = Any  # numpy's


@dataclasses.dataclass(frozen=True)
class Geometry(ABC):
    """How a kernel lies on an array.

    Attributes:
        inputs: inputs of a group.
        columns: outputs of a group.
        groups: groups of a convolution.
        taps: size of the kernel of a convolution.
    """

    inputs: int
    columns: int
    groups: int = 1
    taps: tuple[int, ...] = ()
    one_hot: bool = dataclasses.field(default=False, init=False)

    @property
    def outputs(self) -> int:
        """Columns of all groups."""
        return self.groups * self.columns

    @abstractmethod
    def crossbar(self, owner: nn.Module) -> Crossbar:
        """The array of ``owner.weight`` and ``owner.bias``, not described yet."""

    @abstractmethod
    def to_torch(self, kernel: Array) -> Array:
        """Keras' canonical kernel in the shape of torch's Parameter."""

    @abstractmethod
    def to_keras(self, weight: Array) -> Array:
        """The inverse of :meth:`to_torch`."""

    def columns_to_torch(self, values: Array) -> Array:
        """``values[..., group * column]`` in torch's order of columns."""
        return values

    def columns_to_keras(self, values: Array) -> Array:
        """``values[..., group * column]`` in Keras' order of columns."""
        return values

    @abstractmethod
    def packed(self, kernel: Tensor, tiles: int, channels: int) -> Array:
        """A packed matrix of ``mho.chip`` as ``[tile, *taps, size, group * channel * column]``."""

    @abstractmethod
    def currents(self, values: Tensor, tiles: int) -> Array:
        """What broadcasts over the currents of ``mho.chip`` as ``[tile, group * channel * column]``."""

    @abstractmethod
    def input_to_torch(self, x: Array) -> tuple[Array, Any]:
        """An input of the Keras layer as torch takes it, and what :meth:`output_to_keras` needs to know."""

    @abstractmethod
    def output_to_keras(self, y: Array, told: Any) -> Array:
        """What torch's layer gives, as the Keras layer gives it."""

    def place(self, crossbar: Crossbar, told: Any) -> None:
        """Let the torch side do what the Keras layer does with this input."""

    # --- which inputs go to which tile ------------------------------------------------------------

    def cut(self, rows: tuple[tuple[int, int], ...]) -> tuple[list[list[int]], Array]:
        """Which inputs each tile has, and which of their taps are its own.

        Args:
            rows: first and last + 1 row of each tile; a row is a tap of an input, taps vary fastest.

        Returns:
            Numbers of inputs ``[tile][size]``, and ones and zeros ``[tile, *taps, size, 1]``.
        """
        k = math.prod(self.taps)
        size = max(-(-b // k) - a // k for a, b in rows)
        chosen = [[min(self._start(a // k, size) + j, self.inputs - 1) for j in range(size)] for a, _ in rows]
        own = np.zeros((len(rows), size, k), dtype="float32")
        for t, (a, b) in enumerate(rows):
            for j in range(size):
                first = (self._start(a // k, size) + j) * k
                own[t, j] = [a <= first + tap < b for tap in range(k)]
        return chosen, np.moveaxis(own, 1, 2).reshape(len(rows), *self.taps, size, 1)

    def _start(self, first: int, size: int) -> int:
        """The first input of a tile: each has equally many."""
        return min(first, self.inputs - size) if self.taps else first


@dataclasses.dataclass(frozen=True)
class MatrixGeometry(Geometry):
    """A matrix ``[inputs, columns]``.

    Attributes:
        blocks: number of Keras' block of columns in the place of each of torch's, for gates; empty for one
            block.
        called: what the layer calls its inputs, for messages.
    """

    blocks: tuple[int, ...] = ()

    def crossbar(self, owner: nn.Module) -> Crossbar:
        """The array of a matrix."""
        return Crossbar(owner, "weight", "bias")

    def to_torch(self, kernel: Array) -> Array:
        """``[output, input]``."""
        return self.columns_to_torch(kernel).T

    def to_keras(self, weight: Array) -> Array:
        """``[input, output]``."""
        return self.columns_to_keras(weight.T)

    def columns_to_torch(self, values: Array) -> Array:
        """The blocks in torch's order."""
        return self._ordered(values, self.blocks)

    def columns_to_keras(self, values: Array) -> Array:
        """The blocks in Keras' order."""
        return self._ordered(values, tuple(int(k) for k in np.argsort(self.blocks)))

    def _ordered(self, values: Array, blocks: tuple[int, ...]) -> Array:
        if len(blocks) < 2:
            return values
        parts = np.split(values, len(blocks), axis=-1)
        return np.concatenate([parts[k] for k in blocks], axis=-1)

    def packed(self, kernel: Tensor, tiles: int, channels: int) -> Array:
        """``[tile, row, channel * column]``."""
        flat: Array = kernel.numpy()
        return self._channels_to_keras(flat, channels)

    def currents(self, values: Tensor, tiles: int) -> Array:
        """From ``[tile, 1, channel * column]``."""
        flat: Array = values.numpy().reshape(tiles, -1)
        return self._channels_to_keras(flat, flat.shape[-1] // self.columns)

    def _channels_to_keras(self, values: Array, channels: int) -> Array:
        """``[..., channel * column]``; a reference column stays the last of its channel."""
        if len(self.blocks) < 2:
            return values
        apart = values.reshape(*values.shape[:-1], channels, -1)
        own, rest = apart[..., : self.columns], apart[..., self.columns :]
        joined = np.concatenate([self.columns_to_keras(own), rest], axis=-1)
        return joined.reshape(values.shape)

    def input_to_torch(self, x: Array) -> tuple[Array, Any]:
        """As it is."""
        return x, None

    def output_to_keras(self, y: Array, told: Any) -> Array:
        """The columns in Keras' order."""
        return self.columns_to_keras(y)


@dataclasses.dataclass(frozen=True)
class LookUpGeometry(Geometry):
    """A table ``[inputs, columns]`` that is read row by row."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "one_hot", True)

    def crossbar(self, owner: nn.Module) -> Crossbar:
        """The array of a table."""
        return LookUpCrossbar(owner)

    def to_torch(self, kernel: Array) -> Array:
        """As it is."""
        return kernel

    def to_keras(self, weight: Array) -> Array:
        """As it is."""
        return weight

    def packed(self, kernel: Tensor, tiles: int, channels: int) -> Array:
        """All rows in one: ``[1, row, channel * column]``."""
        return kernel.numpy()[None]

    def currents(self, values: Tensor, tiles: int) -> Array:
        """The same for all rows."""
        return values.numpy().reshape(1, -1)

    def input_to_torch(self, x: Array) -> tuple[Array, Any]:
        """Row numbers."""
        return x.astype("int64"), None

    def output_to_keras(self, y: Array, told: Any) -> Array:
        """As it is."""
        return y


@dataclasses.dataclass(frozen=True)
class ConvolutionGeometry(Geometry):
    """A convolution with Keras' rules: channels last, and "same" pads more at the end.

    Attributes:
        stride, dilation: of each axis.
        padding: ``"valid"`` or ``"same"``.
        transposed: whether it is a transposed convolution.
        output_padding: of a transposed one; None for Keras' default.
    """

    stride: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    padding: str = "valid"
    transposed: bool = False
    output_padding: tuple[int, ...] | None = None

    def crossbar(self, owner: nn.Module) -> Crossbar:
        """The array of a convolution, laid out as mho's torch layer lays it out."""
        return Crossbar(owner, "weight", "bias", layout=self._layout)

    def _layout(self, shape: tuple[int, ...], size: ArraySize) -> ConvolutionLayout:
        taps = math.prod(self.taps)
        return ConvolutionLayout(
            rows=spans(self.inputs * taps, size.rows, unit=taps, full=size.full),
            columns=spans(self.columns, size.columns, full=size.full),
            groups=self.groups, inputs=self.inputs, taps=self.taps, stride=self.stride,
            padding=(0,) * len(self.taps), dilation=self.dilation, transposed=self.transposed,
            output_padding=(0,) * len(self.taps) if self.transposed else (),
        )  # fmt: skip

    def to_torch(self, kernel: Array) -> Array:
        """``[group * column, input, *taps]``; of a transposed one ``[input, column, *taps]``."""
        return np.moveaxis(kernel, (-2, -1), (0, 1) if self.transposed else (1, 0))

    def to_keras(self, weight: Array) -> Array:
        """``[*taps, input, group * column]``."""
        return np.moveaxis(weight, (0, 1), (-2, -1) if self.transposed else (-1, -2))

    def packed(self, kernel: Tensor, tiles: int, channels: int) -> Array:
        """From the weight of a convolution with ``group * tile`` groups."""
        n, values = len(self.taps), kernel.contiguous().numpy()
        if self.transposed:  # [group, tile, size, channel * column, *taps]
            size = values.shape[0] // (self.groups * tiles)
            apart = values.reshape(self.groups, tiles, size, *values.shape[1:])
            apart = np.moveaxis(apart, 2, 3)
        else:  # [group, tile, channel * column, size, *taps]
            apart = values.reshape(self.groups, tiles, -1, *values.shape[1:])
        ordered = apart.transpose(1, *range(4, 4 + n), 3, 0, 2)
        return ordered.reshape(*ordered.shape[: n + 2], -1)

    def currents(self, values: Tensor, tiles: int) -> Array:
        """From ``[1, group * tile * channel * column, 1...]``."""
        apart = values.numpy().reshape(self.groups, tiles, -1)
        return np.swapaxes(apart, 0, 1).reshape(tiles, -1)

    # --- through torch ----------------------------------------------------------------------------

    def input_to_torch(self, x: Array) -> tuple[Array, Any]:
        """Channels first; where Keras pads one side more than the other, with its zeros."""
        space = x.shape[1:-1]
        x = np.moveaxis(x, -1, 1)
        if self.transposed:
            return x, space
        pads = self.pads(space)
        if all(before == after for before, after in pads):
            return x, tuple(before for before, _ in pads)
        return np.pad(x, ((0, 0), (0, 0), *pads)), (0,) * len(pads)

    def output_to_keras(self, y: Array, told: Any) -> Array:
        """Channels last; of a transposed convolution, the part that Keras keeps."""
        if self.transposed:
            kept = [slice(before, before + size) for before, size, _ in self.kept(told)]
            everything: Any = (slice(None), slice(None), *kept)
            y = y[everything]
        return np.moveaxis(y, 1, -1)

    def place(self, crossbar: Crossbar, told: Any) -> None:
        """Padding, and zeros after what a transposed convolution gives."""
        layout: Any = crossbar.layout
        name, value = "padding", told
        if self.transposed:
            name, value = "output_padding", tuple(more for *_, more in self.kept(told))
        if getattr(layout, name) != value:
            crossbar.layout = dataclasses.replace(layout, **{name: value})

    def pads(self, space: tuple[int, ...]) -> list[tuple[int, int]]:
        """Zeros before and after each axis of the input: Keras puts the odd one at the end."""
        if self.padding == "valid":
            return [(0, 0)] * len(space)
        found = []
        for size, taps, stride, dilation in zip(space, self.taps, self.stride, self.dilation, strict=True):
            wanted = (-(-size // stride) - 1) * stride + dilation * (taps - 1) + 1
            total = max(wanted - size, 0)
            found.append((total // 2, total - total // 2))
        return found

    def kept(self, space: tuple[int, ...]) -> list[tuple[int, int, int]]:
        """Of each axis that torch's transposed convolution gives: what to leave out, to keep, and to add."""
        given = self.output_padding or (None,) * len(space)
        axes = zip(space, self.taps, self.stride, self.dilation, given, strict=True)
        return [_kept(*axis, self.padding == "same") for axis in axes]


def _kept(
    size: int, taps: int, stride: int, dilation: int, more: int | None, same: bool
) -> tuple[int, int, int]:
    """What of the full output of one axis Keras keeps: ``(first, length, zeros to add)``."""
    reach = dilation * (taps - 1) + 1
    full = (size - 1) * stride + reach
    if not same:
        before, length = 0, full + (max(reach, stride) - reach if more is None else more)
    elif more is None:
        before, length = max(reach - stride, 0) // 2, size * stride
    else:
        odd = reach % 2
        before = max(reach - 1 - -(-(reach + odd - 2 + more) // 2), 0)
        length = full - reach + odd + more
    return before, length, max(before + length - full, 0)


def tensor(values: Array, like: Tensor | None = None) -> Tensor:
    """A torch tensor of a numpy array, with memory of its own."""
    return torch.from_numpy(np.array(values)).to(torch.float32 if like is None else like.dtype)
