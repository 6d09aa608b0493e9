"""Convolutions on arrays with channels last, and with the odd zero of padding "same" at the end."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from mho.keras.array import CrossbarArray
from mho.keras.geometry import ConvolutionGeometry
from mho.keras.layer import AnalogLayer, OnArray, activated, same

Tensor = Any  # of the backend
_register = keras.saving.register_keras_serializable(package="mho")


class _Convolution(AnalogLayer):
    """What the plain convolutions share."""

    def build(self, input_shape: Any) -> None:
        """The weights of the layer, and its array."""
        super().build(input_shape)
        layer: Any = self
        self.array.lay_out(
            geometry(layer, int(input_shape[-1]) // layer.groups, layer.filters), layer.use_bias
        )

    def on_arrays(self) -> dict[str, OnArray]:
        """The kernel."""
        layer: Any = self
        return {"": OnArray(self.array, layer._kernel, same, same, layer.bias)}

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Read the array with every patch of ``inputs[batch, *space, channel]``."""
        layer: Any = self
        if layer.padding == "causal":
            inputs = ops.pad(inputs, layer._compute_causal_padding())
        return activated(self, self.array.read(inputs, layer._kernel, layer.bias, bool(training)))


def geometry(
    layer: Any, inputs: int, filters: int, groups: int | None = None, taps: tuple[int, ...] | None = None,
    **other: Any,
) -> ConvolutionGeometry:  # fmt: skip
    """How the kernel of a convolution of Keras lies on an array.

    Args:
        layer: the layer, for its strides, dilation and padding.
        inputs: channels of a group.
        filters: of all groups.
        groups: by default the layer's.
        taps: by default the layer's kernel size.
        other: what else a geometry has.
    """
    groups = layer.groups if groups is None else groups
    return ConvolutionGeometry(
        inputs, filters // groups, groups, tuple(layer.kernel_size) if taps is None else taps,
        **{
            "stride": tuple(layer.strides),
            "dilation": tuple(layer.dilation_rate),
            "padding": "same" if layer.padding == "same" else "valid",
            **other,
        },
    )  # fmt: skip


@_register
class AnalogConv1D(_Convolution, keras.layers.Conv1D):
    """``keras.layers.Conv1D`` on an array, padding ``"causal"`` too. Arguments as there, and ``hardware``."""


@_register
class AnalogConv2D(_Convolution, keras.layers.Conv2D):
    """``keras.layers.Conv2D`` on an array. Arguments as there, and ``hardware``.

    >>> import mho, numpy
    >>> layer = AnalogConv2D(8, 3, strides=2, padding="same", hardware=mho.Hardware())
    >>> layer(numpy.ones((2, 16, 16, 3), "float32")).shape == (2, 8, 8, 8)
    True
    """


@_register
class AnalogConv3D(_Convolution, keras.layers.Conv3D):
    """``keras.layers.Conv3D`` on an array. Arguments as there, and ``hardware``."""


class _Transposed(AnalogLayer):
    """What the transposed convolutions share; Keras stores their kernel as ``[*taps, output, input]``."""

    def build(self, input_shape: Any) -> None:
        """The weights of the layer, and its array."""
        super().build(input_shape)
        layer: Any = self
        more = None if layer.output_padding is None else tuple(layer.output_padding)
        how = geometry(layer, int(input_shape[-1]), layer.filters, 1, transposed=True, output_padding=more)
        self.array.lay_out(how, layer.use_bias)

    def on_arrays(self) -> dict[str, OnArray]:
        """The kernel."""
        layer: Any = self
        return {"": OnArray(self.array, layer.kernel, _swapped, _swapped, layer.bias)}

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Read the array with every vector ``inputs[batch, *space, channel]``."""
        layer: Any = self
        kernel = _swapped(ops.convert_to_tensor(layer.kernel))
        return activated(self, self.array.read(inputs, kernel, layer.bias, bool(training)))


def _swapped(kernel: Any) -> Any:
    """Inputs and outputs change places, in the graph or in numpy."""
    how: Any = np if isinstance(kernel, np.ndarray) else ops
    return how.swapaxes(kernel, -1, -2)


@_register
class AnalogConv1DTranspose(_Transposed, keras.layers.Conv1DTranspose):
    """``keras.layers.Conv1DTranspose`` on an array. Arguments as there, and ``hardware``."""


@_register
class AnalogConv2DTranspose(_Transposed, keras.layers.Conv2DTranspose):
    """``keras.layers.Conv2DTranspose`` on an array. Arguments as there, and ``hardware``."""


@_register
class AnalogConv3DTranspose(_Transposed, keras.layers.Conv3DTranspose):
    """``keras.layers.Conv3DTranspose`` on an array. Arguments as there, and ``hardware``."""


class _Depthwise(AnalogLayer):
    """What the depthwise convolutions share: each channel is a group, with an array of its own taps."""

    def build(self, input_shape: Any) -> None:
        """The weights of the layer, and its array."""
        super().build(input_shape)
        layer: Any = self
        channels = int(input_shape[-1])
        self.array.lay_out(geometry(layer, 1, channels * layer.depth_multiplier, channels), layer.use_bias)

    def on_arrays(self) -> dict[str, OnArray]:
        """The kernel, ``[*taps, 1, channel * multiplier]``."""
        layer: Any = self
        return {"": OnArray(self.array, layer.kernel, side_by_side, same, layer.bias)}

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Read the array with every patch of each channel."""
        layer: Any = self
        kernel = side_by_side(ops.convert_to_tensor(layer.kernel))
        return activated(self, self.array.read(inputs, kernel, layer.bias, bool(training)))


def side_by_side(kernel: Any) -> Any:
    """A depthwise kernel ``[*taps, channel, multiplier]`` as ``[*taps, 1, channel * multiplier]``."""
    how: Any = np if isinstance(kernel, np.ndarray) else ops
    return how.reshape(kernel, (*kernel.shape[:-2], 1, kernel.shape[-2] * kernel.shape[-1]))


@_register
class AnalogDepthwiseConv1D(_Depthwise, keras.layers.DepthwiseConv1D):
    """``keras.layers.DepthwiseConv1D`` on an array. Arguments as there, and ``hardware``."""


@_register
class AnalogDepthwiseConv2D(_Depthwise, keras.layers.DepthwiseConv2D):
    """``keras.layers.DepthwiseConv2D`` on an array. Arguments as there, and ``hardware``."""


class _Separable(AnalogLayer):
    """What the separable convolutions share: two arrays, ``depthwise`` and ``pointwise``."""

    depthwise: CrossbarArray
    pointwise: CrossbarArray

    def array_names(self) -> tuple[str, ...]:
        """One for each kernel."""
        return ("depthwise", "pointwise")

    def build(self, input_shape: Any) -> None:
        """The weights of the layer, and its arrays."""
        super().build(input_shape)
        layer: Any = self
        channels, ones = int(input_shape[-1]), (1,) * len(layer.kernel_size)
        between = channels * layer.depth_multiplier
        self.depthwise.lay_out(geometry(layer, 1, between, channels), False)
        point = geometry(layer, between, layer.filters, 1, ones, stride=ones, dilation=ones, padding="valid")
        self.pointwise.lay_out(point, layer.use_bias)

    def on_arrays(self) -> dict[str, OnArray]:
        """Both kernels."""
        layer: Any = self
        return {
            "depthwise": OnArray(self.depthwise, layer.depthwise_kernel, side_by_side, same),
            "pointwise": OnArray(self.pointwise, layer.pointwise_kernel, same, same, layer.bias),
        }

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Read one array after the other."""
        layer: Any = self
        kernel = side_by_side(ops.convert_to_tensor(layer.depthwise_kernel))
        x = self.depthwise.read(inputs, kernel, None, bool(training))
        return activated(self, self.pointwise.read(x, layer.pointwise_kernel, layer.bias, bool(training)))


@_register
class AnalogSeparableConv1D(_Separable, keras.layers.SeparableConv1D):
    """``keras.layers.SeparableConv1D`` on two arrays. Arguments as there, and ``hardware``."""


@_register
class AnalogSeparableConv2D(_Separable, keras.layers.SeparableConv2D):
    """``keras.layers.SeparableConv2D`` on two arrays. Arguments as there, and ``hardware``."""
