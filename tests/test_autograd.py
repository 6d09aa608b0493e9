"""Custom gradients: in floating point, under ``vmap``, and in compiled graphs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from mho.autograd import clip_learned, round_clip, straight_through


def _clip(x: Tensor, limit: Tensor) -> Tensor:
    return clip_learned(x, limit, 0.1, 0.5)


FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "learned clip": _clip,
    "rounding": lambda x, limit: round_clip(x / limit, -3.0, 3.0),
    "straight through": straight_through,
}


def _inputs(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    x, weigh = (torch.randn(3, 8, generator=generator, dtype=dtype) for _ in range(2))
    return x, torch.tensor([0.5, 1.0, 2.0], dtype=dtype), weigh


@pytest.mark.parametrize("name", FUNCTIONS)
def test_stacked_is_one_by_one(name: str) -> None:
    """Values and gradients, with the gradient taken outside of ``vmap`` and inside."""
    f = FUNCTIONS[name]
    x, limit, weigh = _inputs()
    if name == "straight through":
        limit = limit.unsqueeze(1).expand(3, 8).contiguous()
    one = [t.clone().requires_grad_() for t in (x, limit)]
    apart = torch.stack([f(a, b) for a, b in zip(*one, strict=True)])
    (apart * weigh).sum().backward()
    two = [t.clone().requires_grad_() for t in (x, limit)]
    together = vmap(f)(*two)
    (together * weigh).sum().backward()
    inside = vmap(grad(lambda a, b, w: (f(a, b) * w).sum(), argnums=(0, 1)))(x, limit, weigh)
    assert torch.equal(apart, together) and bool(two[0].grad.any())
    for a, b, c in zip(one, two, inside, strict=True):
        wanted = torch.zeros_like(a) if a.grad is None else a.grad
        torch.testing.assert_close(torch.zeros_like(a) if b.grad is None else b.grad, wanted)
        torch.testing.assert_close(c, wanted)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_compiled_is_eager(name: str) -> None:
    torch._dynamo.reset()
    f = FUNCTIONS[name]
    x, limit, weigh = _inputs()
    second = limit[0] if name != "straight through" else x.round()
    found = []
    for g in (f, torch.compile(f, fullgraph=True)):
        a, b = x.clone().requires_grad_(), second.clone().requires_grad_()
        y = g(a, b)
        (y * weigh).sum().backward()
        found.append((y.detach(), a.grad, torch.zeros(()) if b.grad is None else b.grad))
    for eager, compiled in zip(*found, strict=True):
        torch.testing.assert_close(compiled, eager)


def test_the_gradient_to_the_input_of_a_learned_clip() -> None:
    x, limit, _ = _inputs(torch.float64)
    assert torch.autograd.gradcheck(lambda v: _clip(v, limit[1]), (x.requires_grad_(),))


def test_the_gradient_to_the_learned_limit() -> None:
    """As its formula says, term by term."""
    x, limit, weigh = _inputs(torch.float64)
    size = limit[0].clone().requires_grad_()
    (_clip(x, size) * weigh).sum().backward()
    up, down = weigh[x >= 0.5].clamp(max=0).sum(), weigh[x <= -0.5].clamp(min=0).sum()
    pull = 0.1 * 0.5 if float((x.abs() < 0.5).double().mean()) > 0.5 else 0.0
    torch.testing.assert_close(size.grad, (up - down) * 0.5 + pull)
