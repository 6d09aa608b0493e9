"""Gradients that torch does not know: straight-through rounding, learned clipping, frozen values."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, overload

import torch
from torch import Tensor
from torch.autograd import forward_ad

F = TypeVar("F", bound=Callable[..., Any])


def _inside(z: Tensor, low: float, high: float) -> Tensor:
    """Where ``low <= z <= high``, in one byte each.

    Inductor stores a bool vector byte by byte, 15 times slower than the arithmetic around it; a number
    that becomes an int8 is stored whole.
    """
    if torch.compiler.is_compiling():
        one = torch.ones((), dtype=z.dtype, device=z.device)
        return torch.where(z.clamp(low, high) == z, one, torch.zeros_like(one)).to(torch.int8)
    return (z >= low) & (z <= high)


def in_transform() -> bool:
    """Whether a transform of ``torch.func`` is at work, such as ``vmap``, or forward-mode differentiation."""
    return torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0


def forward_mode() -> bool:
    """Whether derivatives go forward (``jvp``, ``jacfwd``, ``forward_ad``), without gradients too."""
    return not torch.compiler.is_compiling() and forward_ad._current_level >= 0


def learns(*values: Tensor) -> bool:
    """Whether one of these may want a gradient; what ``vmap`` stacks does not say whether it does."""
    if not torch.is_grad_enabled():
        return forward_mode()
    if any(value.requires_grad for value in values):
        return True
    return not torch.compiler.is_compiling() and in_transform()


def _signed(kind: F) -> F:
    """A ``Function`` class that knows its signature: torch asks for it anew in each call."""
    kind.forward.__signature__ = inspect.signature(kind.forward)  # type: ignore[attr-defined]
    return kind


@_signed
class _RoundClip(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor, low: float, high: float) -> Tensor:
        return z.round().clamp(low, high)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(_inside(*inputs))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (inside,) = ctx.saved_tensors
        return grad * inside, None, None


class _RoundClipForward(_RoundClip):
    """Forward too: the compiler takes no ``Function`` with a ``jvp``, and differentiates nothing forward."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        inside = _inside(*inputs)
        ctx.save_for_backward(inside)
        ctx.save_for_forward(inside)

    @staticmethod
    def jvp(ctx: Any, z: Tensor, low: None, high: None) -> Tensor:
        (inside,) = ctx.saved_tensors
        moved: Tensor = z * inside
        return moved


def round_clip(z: Tensor, low: float, high: float) -> Tensor:
    """``clip(round(z), low, high)``, half to even; ``low`` and ``high`` are whole numbers.

    The gradient is 1 for ``low <= z <= high`` (straight through the rounding, exact through the
    clip) and 0 elsewhere.
    """
    if learns(z):
        kind = _RoundClipForward if forward_mode() else _RoundClip
        return kind.apply(z, low, high)  # type: ignore[no-untyped-call, no-any-return]
    return z.round().clamp(low, high)


def may_overwrite() -> bool:
    """Whether a fresh intermediate may be changed in place: no gradient, no transform, no compiler."""
    if torch.compiler.is_compiling() or torch.is_grad_enabled():
        return False
    return not in_transform()


def exporting() -> bool:
    """Whether ``torch.export`` is at work, also for ONNX: graphs of torch's own operators."""
    return torch.compiler.is_compiling() and _is_exporting()


_is_exporting: Callable[[], bool] = getattr(torch.compiler, "is_exporting", lambda: False)  # not in torch 2.5

_library = torch.library.Library("mho", "FRAGMENT")
_library.define("materialise(Tensor x) -> Tensor")
_library.impl("materialise", torch.clone, "CompositeExplicitAutograd")
torch.library.register_fake("mho::materialise", torch.empty_like, lib=_library)


@overload
def materialise(x: Tensor) -> Tensor: ...
@overload
def materialise(x: Tensor | float) -> Tensor | float: ...
def materialise(x: Tensor | float) -> Tensor | float:
    """``x`` itself; inside ``torch.compile`` a value computed once, not once for each element.

    Inductor writes the arithmetic of a scalar factor into the loop that uses it: a division for each
    vector of elements costs more than the elements. Graphs for other runtimes have no such operator.

    Args:
        x: a factor that needs no gradient.
    """
    if isinstance(x, Tensor) and torch.compiler.is_compiling() and not exporting():
        return torch.ops.mho.materialise(x)  # type: ignore[no-any-return]
    return x


def constant_in_graphs(function: F) -> F:
    """A function whose result ``torch.compile`` takes as a constant of the graph.

    What ``torch.compiler.assume_constant_result`` does; calling that would import the compiler with mho.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


@_signed
class _ClipLearned(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, limit: Tensor, decay: float, inside: float) -> Tensor:
        return torch.clamp(x, -limit, limit)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, limit, ctx.decay, ctx.inside = inputs
        ctx.save_for_backward(x, limit)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, limit = ctx.saved_tensors
        zero = torch.zeros((), dtype=grad.dtype, device=grad.device)
        up = torch.where(x >= limit, grad.clamp(max=0), zero).sum()
        down = torch.where(x <= -limit, grad.clamp(min=0), zero).sum()
        fraction = (x.abs() < limit).to(grad.dtype).mean()
        pull = torch.where(fraction > ctx.inside, ctx.decay * limit, torch.zeros_like(limit))
        grad_limit = ((up - down) * limit + pull).to(limit.dtype)
        return torch.where(x.abs() <= limit, grad, zero), grad_limit.reshape(limit.shape), None, None


class _ClipLearnedForward(_ClipLearned):
    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _ClipLearned.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*inputs[:2])

    @staticmethod
    def jvp(ctx: Any, x: Tensor | None, limit: Tensor | None, decay: None, inside: None) -> Tensor:
        """Of the clip itself; what the limit learns by is no derivative."""
        value, bound = ctx.saved_tensors
        zero = torch.zeros_like(value)
        change = zero if x is None else torch.where(value.abs() <= bound, x, zero)
        if limit is None:
            return change
        beyond = torch.where(value.abs() > bound, value.sign(), zero)
        return change + beyond * limit


def clip_learned(x: Tensor, limit: Tensor, decay: float, inside: float) -> Tensor:
    """``clip(x, -limit, limit)`` with the gradient of a learned range.

    The gradient to ``limit`` is ``limit * (sum_{x >= limit} min(g, 0) - sum_{x <= -limit} max(g, 0))``,
    plus ``decay * limit`` while more than ``inside`` of the values are within range; the gradient to
    ``x`` is exact. Forward-mode derivatives are those of the clip, for the limit too.

    Args:
        x: any shape.
        limit: one positive number, shape [].
        decay: weight of the pull towards zero.
        inside: fraction of unclipped values above which it pulls.

    Source: M. J. Rasch et al., Nat. Commun. 14, 5282 (2023), input range learning, as in aihwkit.
    """
    kind = _ClipLearnedForward if forward_mode() else _ClipLearned
    return kind.apply(x, limit, decay, inside)  # type: ignore[no-untyped-call, no-any-return]


@_signed
class _StraightThrough(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(ideal: Tensor, used: Tensor) -> Tensor:
        return used.view_as(used)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


@_signed
class _StraightThroughForward(_StraightThrough):
    @staticmethod
    def forward(ideal: Tensor, used: Tensor) -> Tensor:
        return used.clone()  # the tangent of a view would be that of ``used``

    @staticmethod
    def jvp(ctx: Any, ideal: Tensor | None, used: Tensor | None) -> Tensor | None:
        if ideal is None:
            return None if used is None else torch.zeros_like(used)
        return ideal.view_as(ideal)


def straight_through(ideal: Tensor, used: Tensor) -> Tensor:
    """The value ``used`` with the gradient of ``ideal``: d/d ideal is the identity.

    Args:
        ideal: what is trained.
        used: what the array holds, same shape.
    """
    kind = _StraightThroughForward if forward_mode() else _StraightThrough
    return kind.apply(ideal, used)  # type: ignore[no-untyped-call, no-any-return]
