"""Dense layers on arrays."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from mho.keras.geometry import MatrixGeometry
from mho.keras.layer import AnalogLayer, OnArray, activated, same

Tensor = Any  # of the backend


@keras.saving.register_keras_serializable(package="mho")
class AnalogDense(AnalogLayer, keras.layers.Dense):
    """``keras.layers.Dense`` on an array: rows are inputs, columns are outputs.

    Args:
        units, activation, use_bias, ...: as in ``keras.layers.Dense``.
        hardware, recipe, path: as in :class:`~mho.keras.AnalogLayer`.

    >>> import mho, numpy
    >>> layer = AnalogDense(3, hardware=mho.Hardware())
    >>> layer(numpy.ones((2, 4), "float32")).shape == (2, 3)
    True
    """

    def build(self, input_shape: Any) -> None:
        """The weights of the layer, and its array."""
        super().build(input_shape)
        self.array.lay_out(MatrixGeometry(int(input_shape[-1]), self.units), self.use_bias)

    def on_arrays(self) -> dict[str, OnArray]:
        """The kernel."""
        return {"": OnArray(self.array, self._kernel, same, same, self.bias)}

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Read the array with the vectors ``inputs[..., input]``; returns ``[..., units]``."""
        return activated(self, self.array.read(inputs, self._kernel, self.bias, bool(training)))


@keras.saving.register_keras_serializable(package="mho")
class AnalogEinsumDense(AnalogLayer, keras.layers.EinsumDense):
    """``keras.layers.EinsumDense`` on an array, where its kernel is one matrix.

    The axes of the kernel that the output does not have are rows, the others columns. An axis that input,
    kernel and output all have, a matrix for each of its places, is refused.

    Args:
        equation, output_shape, activation, bias_axes, ...: as in ``keras.layers.EinsumDense``.
        hardware, recipe, path: as in :class:`~mho.keras.AnalogLayer`.

    >>> import mho, numpy
    >>> layer = AnalogEinsumDense("abc,cde->abde", (None, 2, 3), hardware=mho.Hardware())
    >>> layer(numpy.ones((1, 5, 4), "float32")).shape == (1, 5, 2, 3)
    True
    """

    def build(self, input_shape: Any) -> None:
        """The weights of the layer, and its array."""
        super().build(input_shape)
        self._axes = Axes.of(self.equation, len(input_shape))
        self._axes.check_bias(self.bias_axes)
        sizes = dict(zip(self._axes.kernel, self._kernel.shape, strict=True))
        rows, columns = (
            math.prod(sizes[a] for a in group) for group in (self._axes.rows, self._axes.columns)
        )
        self.array.lay_out(MatrixGeometry(rows, columns), self.bias is not None)

    def on_arrays(self) -> dict[str, OnArray]:
        """The kernel, as a matrix."""
        return {"": OnArray(self.array, self._kernel, self._matrix, self._stored, self.bias)}

    def _matrix(self, kernel: Any) -> Any:
        """``[row, column]``, in the graph or in numpy."""
        how = np if isinstance(kernel, np.ndarray) else ops
        ordered = how.transpose(kernel, self._axes.order)
        return how.reshape(ordered, (-1, math.prod(ordered.shape[len(self._axes.rows) :])))

    def _stored(self, matrix: Any) -> Any:
        """The kernel of a matrix, numpy."""
        shape = [self._kernel.shape[k] for k in self._axes.order]
        return matrix.reshape(shape).transpose(np.argsort(self._axes.order))

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Read the array with the vectors that lie along the axes of its rows."""
        axes = self._axes
        x = ops.transpose(inputs, axes.inputs)
        lead = ops.shape(x)[: len(axes.inputs) - len(axes.rows)]
        x = ops.reshape(x, (*lead, -1))
        bias = None if self.bias is None else ops.reshape(self.bias, (-1,))
        y = self.array.read(x, self._matrix(ops.convert_to_tensor(self._kernel)), bias, bool(training))
        columns = [self._kernel.shape[axes.kernel.index(a)] for a in axes.columns]
        return activated(self, ops.transpose(ops.reshape(y, (*lead, *columns)), axes.outputs))


class Axes:
    """The axes of an equation ``input,kernel->output``.

    Attributes:
        kernel, rows, columns: names of axes of the kernel.
        order: axes of the kernel, rows first.
        inputs: axes of the input, those of the rows last.
        outputs: where the axes of ``[..., columns]`` go.
    """

    def __init__(self, given: str, kernel: str, result: str) -> None:
        for axis in kernel:
            if axis in given and axis in result:
                raise ValueError(
                    f"equation = '{given},{kernel}->{result}': axis {axis!r} has a matrix for each of its "
                    "places; an array holds one matrix, use a layer for each"
                )
        self.kernel = kernel
        self.rows = [a for a in kernel if a in given]
        self.columns = [a for a in kernel if a not in given]
        lead = [a for a in given if a not in self.rows]
        self.order = [kernel.index(a) for a in (*self.rows, *self.columns)]
        self.inputs = [given.index(a) for a in (*lead, *self.rows)]
        self.outputs = [[*lead, *self.columns].index(a) for a in result]

    def check_bias(self, axes: str | None) -> None:
        """``ValueError`` unless there is a bias for each column, or none."""
        if axes is not None and list(axes) != self.columns:
            raise ValueError(
                f"bias_axes = {axes!r}: an array has a bias for each column, {''.join(self.columns)!r}; "
                "give these axes, or none"
            )

    @classmethod
    def of(cls, equation: str, rank: int) -> Axes:
        """Those of an equation of Keras, its ellipsis written out."""
        operands, _, result = equation.replace(" ", "").partition("->")
        given, _, kernel = operands.partition(",")
        if "..." in given:
            free = [a for a in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if a not in equation]
            named = "".join(free[: rank - len(given) + 3])
            given, result = given.replace("...", named), result.replace("...", named)
        return cls(given, kernel, result)
