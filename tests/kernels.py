"""Kernels of another processor: products and sums that round in another way.

Which order a product or a sum adds its terms in is up to the kernel, and which kernel runs is up to the
processor, the shapes and the memory layouts of the operands. On one machine, bits may therefore agree by
luck. Here each float32 result is, place by place, that of torch's kernel or the exact one rounded once;
which of the two depends on the shapes, the strides and the alignment of all operands and on the place in
the result. The same call gives the same bits, as with a real kernel; whole numbers and other sums without
rounding are what they always are; nothing else can be relied on.
"""

from __future__ import annotations

import contextlib
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

PRODUCTS = ("mm", "bmm", "addmm", "baddbmm", "baddbmm_", "mv", "addmv", "dot", "convolution")
BACKWARD = ("convolution_backward",)
SUMS = ("sum", "sum.dim_IntList", "mean", "mean.dim", "linalg_vector_norm", "_softmax", "cumsum")
ATTENTION = ("_scaled_dot_product_flash_attention_for_cpu",)


def _layout(operand: Any) -> Any:
    """What a kernel can tell of an operand before it reads it."""
    if not isinstance(operand, Tensor):
        return operand
    strides = [
        stride if size > 1 else 0 for size, stride in zip(operand.shape, operand.stride(), strict=True)
    ]
    return tuple(operand.shape), strides, operand.storage_offset() * operand.element_size() % 64


def _mixed(ours: Any, exact: Any, key: int) -> Any:
    """Either of two results in each place."""
    if exact is None or not isinstance(ours, Tensor) or ours.dtype != torch.float32:
        return ours
    place = torch.arange(ours.numel(), dtype=torch.int64).bitwise_xor_(key).mul_(0x2545F4914F6CDD1D)
    place.bitwise_xor_(place >> 32).mul_(0x2545F4914F6CDD1D)  # a random number of the key and the place
    first = (place.bitwise_right_shift_(40).bitwise_and_(1) > 0).view(ours.shape)
    return ours.copy_(torch.where(first, ours, exact.to(torch.float32)))


def _rounding_otherwise(name: str, kernel: Any, number: int) -> Any:
    def run(keys: Any, *args: Any, **kwargs: Any) -> Any:
        operands = pytree.tree_leaves((args, kwargs))
        single = [t for t in operands if isinstance(t, Tensor) and t.dtype == torch.float32]
        if not single or any(isinstance(t, Tensor) and t.dtype == torch.float64 for t in operands):
            return kernel.call_boxed(keys, *args, **kwargs)
        key = zlib.crc32(repr((number, name, [_layout(operand) for operand in operands])).encode())
        wide = pytree.tree_map(
            lambda t: t.double() if isinstance(t, Tensor) and t.dtype == torch.float32 else t, (args, kwargs)
        )
        exact = kernel.call_boxed(keys, *wide[0], **wide[1])
        ours = kernel.call_boxed(keys, *args, **kwargs)
        if isinstance(ours, Tensor):
            return _mixed(ours, exact, key)
        return tuple(_mixed(a, b, key) for a, b in zip(ours, exact, strict=True))

    return run


@contextlib.contextmanager
def other_kernels(number: int = 1) -> Iterator[None]:
    """Products and sums on the CPU round as on no real processor, until the end of the block.

    Args:
        number: of the processor; each number has kernels of its own.
    """
    library = torch.library.Library("aten", "IMPL")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # replacing kernels is what this is for
            for name in (*PRODUCTS, *BACKWARD, *SUMS, *ATTENTION):
                kernel = torch.library.get_kernel(f"aten::{name}", "CPU")
                library.impl(name, _rounding_otherwise(name, kernel, number), "CPU", with_keyset=True)
        yield
    finally:
        library._destroy()
