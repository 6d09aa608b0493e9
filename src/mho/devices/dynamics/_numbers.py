"""Small helpers for parameters that are one number, or one number for each cell (a tensor)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

Number = float | Tensor
Negative = Annotated[float, Field(lt=0, allow_inf_nan=False)]


def exp(value: Number) -> Number:
    """Exponential of a number or a tensor."""
    return value.exp() if isinstance(value, Tensor) else math.exp(value)


def log(value: Number) -> Number:
    """Natural logarithm of a number or a tensor."""
    return value.log() if isinstance(value, Tensor) else math.log(value)


def log1p(value: Number) -> Number:
    """``log(1 + value)`` of a number or a tensor."""
    return value.log1p() if isinstance(value, Tensor) else math.log1p(value)


def sqrt(value: Number) -> Number:
    """Square root of a number or a tensor."""
    return value.sqrt() if isinstance(value, Tensor) else math.sqrt(value)


def sinh(value: Number) -> Number:
    """Hyperbolic sine of a number or a tensor."""
    return value.sinh() if isinstance(value, Tensor) else math.sinh(value)


def tensor(value: Number, like: Tensor) -> Tensor:
    """``value`` in the dtype and on the device of ``like``."""
    return torch.as_tensor(value, dtype=like.dtype, device=like.device)


def clip(x: Tensor, low: Number, high: Number) -> Tensor:
    """``x`` kept between bounds that are numbers or tensors."""
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        return torch.minimum(torch.maximum(x, tensor(low, x)), tensor(high, x))
    return x.clamp(low, high)


def either(mask: Tensor, yes: Number, no: Number, like: Tensor) -> Tensor:
    """``yes`` where the mask is true, else ``no``, in the dtype of ``like``."""
    return no + (yes - no) * mask.to(like.dtype)


def somewhere(mask: Tensor) -> bool:
    """Whether a mask is true somewhere; of a symbol, whose value is not known, it may be."""
    return getattr(mask, "symbolic", False) or bool(mask.any())


def everywhere(mask: Tensor) -> bool:
    """Whether a mask is known to be true everywhere."""
    return not getattr(mask, "symbolic", False) and bool(mask.all())


def polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    """``c[0] + c[1] x + c[2] x^2 + ...``."""
    value = torch.zeros_like(x)
    for c in reversed(coefficients):
        value = value * x + c
    return value


def pick(value: Number, index: Tensor, shape: Sequence[int]) -> Number:
    """The entries of ``value``, broadcast to ``shape`` and flattened, at ``index``; a number stays one."""
    if not isinstance(value, Tensor):
        return value
    if value.numel() == 1:
        return value.reshape(())
    return value.expand(tuple(shape)).reshape(-1)[index]


def joint_shape(*shapes: Sequence[int]) -> torch.Size:
    """The shape that all ``shapes`` broadcast to."""
    several = [tuple(shape) for shape in shapes if len(shape)]
    if len(set(several)) < 2:  # torch's own function loads sympy first
        return torch.Size(several[0] if several else ())
    return torch.Size(torch.broadcast_shapes(*several))
