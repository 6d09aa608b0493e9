"""The kernels that round otherwise do what the tests that run with them rely on."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .kernels import other_kernels


def draws(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


CALLS = {
    "mm": lambda x: x @ draws(60, 40),
    "linear": lambda x: F.linear(x, draws(40, 60), draws(40)),
    "bmm": lambda x: torch.bmm(x.view(2, 4, 60), draws(2, 60, 9)),
    "baddbmm": lambda x: torch.baddbmm(draws(2, 4, 9), x.view(2, 4, 60), draws(2, 60, 9)),
    "mv": lambda x: x @ draws(60),
    "einsum": lambda x: torch.einsum("ck,k...->c...", draws(3, 8), x),
    "conv2d": lambda x: F.conv2d(x.view(1, 8, 6, 10), draws(5, 8, 3, 3)),
    "conv transpose": lambda x: F.conv_transpose1d(x.view(1, 8, 60), draws(8, 5, 3)),
    "sum": lambda x: x.sum(0),
    "mean": lambda x: x.mean((0, 1)),
    "softmax": lambda x: x.softmax(-1),
    "attention": lambda x: F.scaled_dot_product_attention(*[x.view(1, 2, 4, 60)] * 3),
    "gradient": lambda x: torch.autograd.grad((x.requires_grad_() @ draws(60, 40)).square().sum(), x)[0],
}


@pytest.mark.parametrize("name", CALLS)
def test_they_round_otherwise_and_the_same_call_alike(name: str) -> None:
    call = CALLS[name]
    x = draws(8, 60)
    own = call(x.clone())
    found = []
    for number in range(2, 8):  # an output of few numbers may be the same on two of them
        with other_kernels(number):
            found.append(call(x.clone()))
            assert torch.equal(call(x.clone()), found[-1])
    assert all((other - own).abs().max() <= 2e-6 * own.abs().max() for other in found)
    assert any(not torch.equal(other, found[0]) for other in found)
    assert torch.equal(call(x.clone()), own)  # nothing is left behind


def test_rounding_depends_on_shape_layout_and_place() -> None:
    x, w = draws(8, 60), draws(60, 40)
    with other_kernels(2):
        y = x @ w
        assert not torch.equal(x[:4] @ w, y[:4])
        assert not torch.equal(x @ w.t().contiguous().t(), y)
        assert not torch.equal(x.roll(1, 0) @ w, y.roll(1, 0))
        with other_kernels(3):  # as where the whole session has them
            z = x @ w
        assert torch.equal(x @ w, y)
    torch.testing.assert_close(z, y, rtol=1e-5, atol=1e-5)


def test_what_needs_no_rounding_is_exact() -> None:
    whole = torch.arange(-200.0, 200.0).view(8, 50)
    with other_kernels(2):
        assert torch.equal(whole @ whole.t(), (whole.double() @ whole.double().t()).float())
        assert torch.equal(whole.sum(1), whole.double().sum(1).float())
        assert not bool((draws(3, 5) @ torch.zeros(5, 4)).any())


def test_networks_train_and_vmap() -> None:
    net = nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4))
    with other_kernels(2):
        net(draws(5, 2, 6)).square().sum().backward()
        assert all(bool(p.grad.any()) for p in net.parameters())
        x, w = draws(3, 5), draws(7, 5, 4)
        together = torch.func.vmap(lambda one: x @ one)(w)
    torch.testing.assert_close(together, x @ w)
