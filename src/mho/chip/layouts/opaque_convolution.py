"""A convolution that ``torch.compile`` leaves as it is.

Inductor turns a CPU convolution and its neighbours to channels-last memory. In a training step the
masks of the straight-through gradient are then transposed byte by byte, which costs more than the
convolution itself; behind an opaque operator everything stays in the layout of the input.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Written out: what torch makes of annotations differs between its versions.
_REST = "int[] stride, int[] padding, int[] dilation, bool transposed, int[] output_padding, int groups"


@torch.library.custom_op(
    "mho::convolution", mutates_args=(), schema=f"(Tensor x, Tensor weight, {_REST}) -> Tensor"
)
def _convolution(
    x: Tensor, weight: Tensor, stride: list[int], padding: list[int], dilation: list[int],
    transposed: bool, output_padding: list[int], groups: int,
) -> Tensor:  # fmt: skip
    y: Tensor = torch.ops.aten.convolution(
        x, weight, None, stride, padding, dilation, transposed, output_padding, groups
    )
    return y.contiguous()


@_convolution.register_fake
def _(x: Tensor, weight: Tensor, *rest: Any) -> Tensor:
    stride, padding, dilation, transposed, output_padding, groups = rest
    y = torch.ops.aten.convolution(
        x, weight, None, stride, padding, dilation, transposed, output_padding, groups
    )
    return torch.empty(y.shape, dtype=y.dtype, device=y.device)


@torch.library.custom_op(
    "mho::convolution_backward",
    mutates_args=(),
    schema=f"(Tensor grad, Tensor x, Tensor weight, {_REST}, bool need_x) -> (Tensor, Tensor)",
)
def _backward(
    grad: Tensor, x: Tensor, weight: Tensor, stride: list[int], padding: list[int], dilation: list[int],
    transposed: bool, output_padding: list[int], groups: int, need_x: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
        grad, x, weight, None, stride, padding, dilation, transposed, output_padding, groups,
        (need_x, True, False),
    )  # fmt: skip
    return x.new_empty(0) if grad_x is None else grad_x.contiguous(), grad_weight.contiguous()


@_backward.register_fake
def _(grad: Tensor, x: Tensor, weight: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    need_x = rest[-1]
    grad_x = torch.empty(x.shape if need_x else (0,), dtype=x.dtype, device=x.device)
    return grad_x, torch.empty(weight.shape, dtype=weight.dtype, device=weight.device)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, *rest = inputs
    ctx.save_for_backward(x, weight)
    ctx.rest = rest


def _gradient(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    need_x = ctx.needs_input_grad[0]
    grad_x, grad_weight = _backward(grad, x, weight, *ctx.rest, need_x)
    return grad_x if need_x else None, grad_weight, None, None, None, None, None, None


_convolution.register_autograd(_gradient, setup_context=_setup)


def convolution(
    x: Tensor, weight: Tensor, stride: tuple[int, ...], padding: tuple[int, ...], dilation: tuple[int, ...],
    transposed: bool, output_padding: tuple[int, ...], groups: int,
) -> Tensor:  # fmt: skip
    """``aten.convolution`` without bias, opaque to the compiler; arguments as there.

    Args:
        x: ``[batch, channel, *space]``.
        weight: as torch's convolutions hold it.
        stride, padding, dilation, output_padding: one number for each space axis.
        transposed: whether it is a transposed convolution.
        groups: number of groups.
    """
    none = tuple(0 for _ in stride)
    return _convolution(  # type: ignore[no-any-return]
        x,
        weight,
        list(stride),
        list(padding),
        list(dilation),
        transposed,
        list(output_padding or none),
        groups,
    )
