"""Convolutions on arrays (see ``mho.chip.layouts.convolution``)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mho.chip.layouts import ArraySize, ConvolutionLayout, no_tensor
from mho.hardware import Hardware
from mho.mapping import spans
from mho.nn.crossbar import Crossbar
from mho.nn.layer import AnalogLayer


class _AnalogConv(AnalogLayer):
    """What the six convolutions share."""

    in_channels: int
    out_channels: int
    groups: int
    kernel_size: tuple[int, ...]
    transposed: bool

    def make_arrays(self) -> dict[str, Crossbar]:
        """The array of the kernel."""
        return {"crossbar": Crossbar(self, "weight", "bias", layout=self.tiles)}

    def tiles(self, shape: tuple[int, ...], size: ArraySize) -> ConvolutionLayout:
        """Tiles of whole input channels where a tile has rows enough for one."""
        inputs, taps = self.in_channels // self.groups, math.prod(self.kernel_size)
        padded = getattr(self, "padding_mode", "zeros") != "zeros"
        return ConvolutionLayout(
            rows=spans(inputs * taps, size.rows, unit=taps, full=size.full, extra=size.bias_rows),
            columns=spans(self.out_channels // self.groups, size.columns, full=size.full),
            groups=self.groups,
            inputs=inputs,
            taps=self.kernel_size,
            stride=self.stride,  # type: ignore[arg-type]
            padding=(0,) * len(self.kernel_size) if padded else self.padding,
            dilation=self.dilation,  # type: ignore[arg-type]
            transposed=self.transposed,
            output_padding=self.output_padding if self.transposed else (),  # type: ignore[arg-type]
            bias_rows=size.bias_rows,
        )

    def _checked(self, x: Tensor) -> tuple[Tensor, bool]:
        """``x`` with a batch axis, and whether it had one."""
        if not isinstance(x, Tensor):
            raise TypeError(no_tensor(x, self.path or type(self).__name__))
        n = len(self.kernel_size)
        if x.dim() not in (n + 1, n + 2) or x.shape[-n - 1] != self.in_channels:
            raise ValueError(
                f"x has shape {tuple(x.shape)}: {self.path or type(self).__name__!r} takes [batch, "
                f"{self.in_channels}, {'*' * n}] or the same without batch"
            )
        batched = x.dim() == n + 2
        return (x if batched else x.unsqueeze(0)), batched


class _Forward(_AnalogConv):
    """The forward pass of the plain convolutions."""

    def forward(self, input: Tensor) -> Tensor:
        """Read the array with every patch of ``input[batch, channel, *space]``, batch optional."""
        x, batched = self._checked(input)
        if self.padding_mode != "zeros":
            x = F.pad(x, self._reversed_padding_repeated_twice, mode=self.padding_mode)  # type: ignore[arg-type]
        y: Tensor = self.array()(x)
        return y if batched else y.squeeze(0)


class _TransposedForward(_AnalogConv):
    """The forward pass of the transposed convolutions."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Read the array; ``output_size`` resolves the ambiguous size as in torch."""
        x = input
        n = len(self.kernel_size)
        if output_size is not None:
            padding = tuple(
                self._output_padding(  # type: ignore[operator]
                    x, output_size, self.stride, self.padding, self.kernel_size, n, self.dilation
                )
            )
        else:
            padding = tuple(self.output_padding)  # type: ignore[arg-type]
        array = self.array()
        if padding != array.layout.output_padding:  # type: ignore[attr-defined]
            array.layout = replace(array.layout, output_padding=padding)  # type: ignore[type-var]
        x, batched = self._checked(x)
        y: Tensor = array(x)
        return y if batched else y.squeeze(0)


def _init(
    layer: Any, base: type[nn.Module], hardware: Hardware, bias_rows: int,
    args: tuple[Any, ...], names: dict[str, Any],
) -> None:  # fmt: skip
    base.__init__(layer, *args, **names)
    layer.setup(hardware, bias_rows)


class AnalogConv1d(_Forward, nn.Conv1d):
    """``nn.Conv1d`` on arrays. Arguments as in torch, ``hardware`` and ``bias_rows``."""

    def __init__(self, *args: Any, hardware: Hardware, bias_rows: int = 0, **names: Any) -> None:
        _init(self, nn.Conv1d, hardware, bias_rows, args, names)


class AnalogConv2d(_Forward, nn.Conv2d):
    """``nn.Conv2d`` on arrays. Arguments as in torch, ``hardware`` and ``bias_rows``.

    >>> import torch
    >>> layer = AnalogConv2d(3, 8, 3, padding="same", dilation=2, hardware=Hardware())
    >>> layer(torch.ones(2, 3, 16, 16)).shape
    torch.Size([2, 8, 16, 16])
    """

    def __init__(self, *args: Any, hardware: Hardware, bias_rows: int = 0, **names: Any) -> None:
        _init(self, nn.Conv2d, hardware, bias_rows, args, names)


class AnalogConv3d(_Forward, nn.Conv3d):
    """``nn.Conv3d`` on arrays. Arguments as in torch, ``hardware`` and ``bias_rows``."""

    def __init__(self, *args: Any, hardware: Hardware, bias_rows: int = 0, **names: Any) -> None:
        _init(self, nn.Conv3d, hardware, bias_rows, args, names)


class AnalogConvTranspose1d(_TransposedForward, nn.ConvTranspose1d):
    """``nn.ConvTranspose1d`` on arrays. Arguments as in torch, ``hardware`` and ``bias_rows``."""

    def __init__(self, *args: Any, hardware: Hardware, bias_rows: int = 0, **names: Any) -> None:
        _init(self, nn.ConvTranspose1d, hardware, bias_rows, args, names)


class AnalogConvTranspose2d(_TransposedForward, nn.ConvTranspose2d):
    """``nn.ConvTranspose2d`` on arrays. Arguments as in torch, ``hardware`` and ``bias_rows``."""

    def __init__(self, *args: Any, hardware: Hardware, bias_rows: int = 0, **names: Any) -> None:
        _init(self, nn.ConvTranspose2d, hardware, bias_rows, args, names)


class AnalogConvTranspose3d(_TransposedForward, nn.ConvTranspose3d):
    """``nn.ConvTranspose3d`` on arrays. Arguments as in torch, ``hardware`` and ``bias_rows``."""

    def __init__(self, *args: Any, hardware: Hardware, bias_rows: int = 0, **names: Any) -> None:
        _init(self, nn.ConvTranspose3d, hardware, bias_rows, args, names)
