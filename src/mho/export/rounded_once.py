"""Digital functions that every runtime gives alike: worked out in float64, rounded to float32 once.

Two libraries give a ``softmax`` or a mean of float32 numbers in other last bits: they add in another order
and have polynomials of their own. Worked out in float64 they differ by some 1e-16, and rounding that to
float32 gives the same number but where the true one lies within 1e-16 of the middle between two float32
numbers, which one value in some hundred million does.

What is left alone are convolutions and windows of pools that are digital: runtimes have no float64 kernels
for them. What is elementary (``+``, ``*``, ``/``, ``relu``, ``max``) is rounded once in float32 too.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

_LARGEST = 6.0  # beyond it erf is 1 in float64
_DEGREE = 26
_NAMES = (
    "softmax", "log_softmax", "logsumexp", "exp", "log", "log1p", "sigmoid", "tanh", "sin", "cos", "rsqrt",
    "pow", "mean", "sum", "var", "std", "norm", "matmul", "bmm", "mm", "addmm", "baddbmm", "einsum", "linear",
    "bilinear", "layer_norm", "rms_norm", "batch_norm", "normalize", "cosine_similarity", "silu", "softplus",
    "logsigmoid", "elu", "mish", "scaled_dot_product_attention", "multi_head_attention_forward",
    "__matmul__", "__rmatmul__", "__pow__", "__rpow__",
)  # fmt: skip
_PLACES: tuple[Any, ...] = (torch, Tensor, F, torch.special)


def _functions() -> dict[Any, Callable[..., Any]]:
    """What is worked out in float64, and by what."""
    found = {getattr(place, name): None for name in _NAMES for place in _PLACES if hasattr(place, name)}
    wide: dict[Any, Callable[..., Any]] = {function: function for function in found}
    for function in (torch.erf, Tensor.erf, torch.special.erf):
        wide[function] = erf
    wide[F.gelu] = _gelu
    wide[F.group_norm] = _group_norm
    for pool, axes in ((F.adaptive_avg_pool1d, 1), (F.adaptive_avg_pool2d, 2), (F.adaptive_avg_pool3d, 3)):
        wide[pool] = functools.partial(_pooled, pool, axes)
    return wide


class RoundedOnce(TorchFunctionMode):
    """While it lasts, functions of float32 tensors are worked out in float64 and rounded once."""

    def __init__(self) -> None:
        super().__init__()
        self._wide = _functions()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The function, or the same in float64."""
        kwargs = kwargs or {}
        wide = self._wide.get(func)
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        floating = [each for each in tensors if each.is_floating_point()]
        if wide is None or not floating or any(each.dtype != torch.float32 for each in floating):
            return func(*args, **kwargs)
        given, named = tree_map(_widened, (args, kwargs))
        return tree_map(_rounded, wide(*given, **named))


def _widened(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) and value.dtype == torch.float32 else value


def _rounded(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype == torch.float64 else value


class Forward:
    """The ``forward`` of a model with its digital functions rounded once.

    Args:
        forward: the model's own.
    """

    def __init__(self, forward: Callable[..., Any]) -> None:
        self.forward = forward

    @property
    def __signature__(self) -> inspect.Signature:
        """What the model takes."""
        return inspect.signature(self.forward)

    @property
    def __code__(self) -> Any:
        """What ``torch.export`` names in its messages."""
        return self.forward.__code__

    def __call__(self, *args: Any, **names: Any) -> Any:
        """What the model gives."""
        with RoundedOnce():
            return self.forward(*args, **names)


def round_once(model: nn.Module, on: bool) -> None:
    """Let the digital functions of a model be rounded once, or leave them to torch again."""
    own = model.__dict__.get("forward")
    if isinstance(own, Forward):
        del model.__dict__["forward"]
        if own.forward != getattr(model, "forward"):  # noqa: B009 (a class may say otherwise to a type checker)
            model.__dict__["forward"] = own.forward  # someone else had put one there
    if on:
        model.__dict__["forward"] = Forward(model.forward)


# --- functions that runtimes do not have in float64 ------------------------------------------------


def erf(x: Tensor) -> Tensor:
    """The error function of float64 numbers by elementary operations, to 1e-14 and 1e-11 of itself.

    ``erfc(x) = t exp(-x^2 + p(t))`` with ``t = 2 / (2 + x)`` for ``x >= 0``, the form of W. H. Press et al.,
    Numerical Recipes (3rd ed., 2007), eq. 6.2.21; the polynomial is fitted here to Python's ``math.erfc``.

    >>> round(float(erf(torch.tensor(0.5, dtype=torch.float64))), 12) == round(math.erf(0.5), 12)
    True
    """
    size = x.abs().clamp(max=_LARGEST)
    t = 2 / (size + 2)
    low = 2 / (2 + _LARGEST)
    z = (t - low) * (2 / (1 - low)) - 1
    total = torch.zeros_like(z)
    for coefficient in _coefficients():
        total = total * z + coefficient
    far = 1 - t * torch.exp(total - size * size)
    near = size * (1 - size * size / 3) * (2 / math.sqrt(math.pi))
    value = torch.where(size < 1e-4, near, far)
    return torch.where(x < 0, -value, value)


@functools.cache
def _coefficients() -> tuple[float, ...]:
    """Of the polynomial of :func:`erf`, highest power first."""
    low = 2 / (2 + _LARGEST)

    def wanted(z: Any) -> Any:
        t = (z + 1) * (1 - low) / 2 + low
        x = 2 / t - 2
        return np.array([math.log(math.erfc(a) / b) + a * a for a, b in zip(x, t, strict=True)])

    fitted = np.polynomial.chebyshev.chebinterpolate(wanted, _DEGREE)
    return tuple(float(c) for c in np.polynomial.chebyshev.cheb2poly(fitted)[::-1])


def _gelu(x: Tensor, approximate: str = "none") -> Tensor:
    if approximate != "none":
        return F.gelu(x, approximate=approximate)
    return x * 0.5 * (1 + erf(x * math.sqrt(0.5)))


def _group_norm(
    x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    grouped = x.unflatten(1, (num_groups, x.shape[1] // num_groups))
    axes = tuple(range(2, grouped.dim()))
    centred = grouped - grouped.mean(axes, keepdim=True)
    y = (centred / (centred.square().mean(axes, keepdim=True) + eps).sqrt()).flatten(1, 2)
    shape = (-1, *(1,) * (x.dim() - 2))
    if weight is not None:
        y = y * weight.view(shape)
    found: Tensor = y if bias is None else y + bias.view(shape)
    return found


def _pooled(pool: Callable[..., Tensor], axes: int, x: Tensor, output_size: Any) -> Tensor:
    """An adaptive mean: of the whole map in float64, of parts of it by torch in float32."""
    sizes = (output_size,) if isinstance(output_size, int) else tuple(output_size)
    if any(size != 1 for size in sizes):
        return pool(x.float(), output_size)
    return x.mean(tuple(range(-axes, 0)), keepdim=True)
