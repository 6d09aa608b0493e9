"""Digital functions in float64, rounded once: near to those of torch, the same in any order of sums."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mho
from mho.export import exact_sums
from mho.export.rounded_once import RoundedOnce, erf

X = torch.randn(3, 6, 4, 5, generator=torch.Generator().manual_seed(0))
FUNCTIONS = {
    "softmax": lambda x: x.softmax(-1),
    "gelu": F.gelu,
    "gelu by tanh": lambda x: F.gelu(x, approximate="tanh"),
    "erf": torch.erf,
    "layer norm": lambda x: F.layer_norm(x, (5,)),
    "group norm": lambda x: F.group_norm(x, 3, torch.arange(6.0), torch.ones(6)),
    "instance": lambda x: F.batch_norm(x, torch.zeros(6), torch.ones(6)),
    "mean": lambda x: x.mean((-1, -2)),
    "pool": lambda x: F.adaptive_avg_pool2d(x, 1),
    "pool of parts": lambda x: F.adaptive_avg_pool2d(x, 2),
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x),
    "product": lambda x: x @ x.transpose(-1, -2),
    "linear": lambda x: F.linear(x, torch.ones(2, 5), torch.ones(2)),
    "tanh": torch.tanh,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_that_of_float64_rounded_once(name: str) -> None:
    function = FUNCTIONS[name]
    with RoundedOnce():
        found = function(X)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, function(X), rtol=2e-6, atol=2e-6)
    if name not in ("group norm", "instance", "linear", "pool of parts"):  # they hold tensors of their own
        assert (found != function(X.double()).float()).sum() == 0


def test_sums_do_not_depend_on_their_order() -> None:
    many = torch.randn(1000, 4096, generator=torch.Generator().manual_seed(1))
    order = torch.randperm(4096, generator=torch.Generator().manual_seed(2))
    with RoundedOnce():
        assert torch.equal(many.mean(1), many[:, order].mean(1))
        assert torch.equal(many.softmax(1)[:, order], many[:, order].softmax(1))
    assert not torch.equal(many.mean(1), many[:, order].mean(1))


def test_erf_is_that_of_the_standard_library() -> None:
    x = torch.cat([torch.linspace(-8, 8, 2001), torch.logspace(-30, 0, 301)]).double()
    wanted = torch.tensor([math.erf(each) for each in x], dtype=torch.float64)
    assert ((erf(x) - wanted).abs() <= 1e-11 * wanted.abs()).all() and (erf(x) - wanted).abs().max() < 1e-14


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 4)

    def forward(self, x: Tensor, fail: bool = False) -> Tensor:
        if fail:
            raise RuntimeError("no")
        return self.layer(x).softmax(-1)


def test_it_lasts_for_a_forward_and_can_be_taken_back() -> None:
    torch.manual_seed(0)
    given = {"bits": 8, "range": mho.converters.Fixed(limit=2.0)}
    analog = mho.convert(Network(), mho.Hardware(dac=mho.DAC(**given), adc=mho.ADC(**given))).eval()
    mho.program(analog, seed=0)
    x, plain = torch.randn(50, 6), None
    with torch.no_grad():
        plain = analog(x)
        exact_sums(analog)
        exact_sums(analog)  # once more is once
        found = analog(x)
        assert torch.equal(found, analog.layer(x).double().softmax(-1).float())
        for other in (copy.deepcopy(analog), pickle.loads(pickle.dumps(analog))):
            assert torch.equal(other(x), found)
        with pytest.raises(RuntimeError, match="no"):
            analog(x, fail=True)
        assert torch.equal(X.softmax(-1), F.softmax(X, -1))  # nothing is left of it outside
        exact_sums(analog, on=False)
        assert "forward" not in analog.__dict__ and torch.equal(analog(x), plain)
