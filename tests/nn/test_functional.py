"""torch.compile, torch.func and the fresh noise in them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import mho
from mho.converters import Fixed, Learned
from mho.training import ProgrammingNoise, Recipe, WeightClip, WeightNoise, attach

RANGES = {"dac": mho.DAC(bits=8, range=Fixed(limit=3.0)), "adc": mho.ADC(bits=8, range=Fixed(limit=4.0))}


def network() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(6, 3, 2, stride=2),
        nn.Flatten(),
        nn.Linear(3 * 64, 5),
    )


def analog(read_scale: float = 0.0, **converters: object) -> nn.Module:
    hardware = mho.Hardware(
        device=mho.devices.PCM(read_scale=read_scale),
        tile=mho.Tile(rows=20, columns=8),
        **(converters or RANGES),
    )
    return mho.convert(network(), hardware)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(3, 2, 4, 4)


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch._dynamo.reset()


def test_compiled_evaluation(x: torch.Tensor) -> None:
    model = analog().eval()
    mho.program(model, seed=0)
    mho.age(model, 3600)
    compiled = torch.compile(model, fullgraph=True)
    with torch.no_grad():
        # a code on the edge between two steps may fall either way: one ADC step, no more
        difference = (compiled(x) - model(x)).abs()
        assert float(difference.median()) < 1e-5 and float(difference.max()) < 0.2
        mho.age(model, 31_536_000)
        assert float((compiled(x) - model(x)).abs().median()) < 1e-5
    assert compiled(x).requires_grad


def test_compiled_training(x: torch.Tensor) -> None:
    learned = {"dac": mho.DAC(bits=8, range=Learned()), "adc": mho.ADC(bits=8, range=Fixed(limit=4.0))}
    model = analog(**learned)
    attach(
        model,
        Recipe(modifiers=(WeightClip(sigmas=2.0), WeightNoise(std=0.1, ramp_steps=4), ProgrammingNoise())),
    )
    compiled = torch.compile(model.train(), fullgraph=True, backend="aot_eager")  # the next test has code
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    before = model[4].weight.detach().clone()
    for _ in range(2):
        optimizer.zero_grad()
        compiled(x).square().sum().backward()
        optimizer.step()
    assert not torch.equal(before, model[4].weight)
    assert int(model[4].training_step) == 2
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in model.parameters())


def test_compiled_training_uses_one_noise_for_forward_and_backward() -> None:
    layer = mho.convert(nn.Linear(6, 4, bias=False), mho.Hardware())
    attach(layer, Recipe(modifiers=(WeightNoise(std=0.5),)))
    compiled = torch.compile(layer.train(), fullgraph=True)
    x = torch.eye(6, requires_grad=True)
    y = compiled(x)
    used = y.detach().T
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert torch.allclose(grad, used.sum(0).expand(6, 6), atol=1e-5)
    assert not torch.equal(compiled(x), y)


def test_compiled_noise_is_fresh_in_each_layer_and_call() -> None:
    """Two layers of one shape in one graph must not share their draw."""
    layer = nn.Linear(8, 8, bias=False)
    pair = mho.convert(nn.ModuleList([layer, copy.deepcopy(layer)]), mho.Hardware(device=mho.devices.PCM()))
    mho.program(pair, seed=0)
    pair[1].load_state_dict(pair[0].state_dict())
    pair.eval()

    @torch.compile(fullgraph=True)
    def both(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return pair[0](x), pair[1](x)

    x = torch.randn(4, 8)
    with torch.no_grad():
        a, b = both(x)
        c, _ = both(x)
    assert not torch.equal(a, b) and not torch.equal(a, c)
    assert bool((a - b).std() > 0)


@pytest.mark.parametrize("read_scale", [0.0, 1.0])
def test_vmap_over_chips(x: torch.Tensor, read_scale: float) -> None:
    chips = []
    for seed in range(3):
        model = analog(read_scale).eval()
        mho.program(model, seed=seed)
        mho.age(model, 3600.0 * (seed + 1))
        chips.append(model)
    parameters, buffers = torch.func.stack_module_state(chips)
    skeleton = copy.deepcopy(chips[0])

    def run(p: dict, b: dict, v: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(skeleton, (p, b), (v,))

    randomness = "error" if read_scale == 0 else "different"
    with torch.no_grad():
        together = torch.func.vmap(run, in_dims=(0, 0, None), randomness=randomness)(parameters, buffers, x)
        apart = torch.stack([chip(x) for chip in chips])
    tolerance = 0.1 if read_scale == 0 else 1.0
    assert together.shape == apart.shape and float((together - apart).abs().max()) < tolerance
    if read_scale == 0:
        assert float((together - apart).abs().median()) < 1e-5
    assert not torch.allclose(together[0], together[1], atol=1e-3)


def test_functional_call_with_another_chip_runs_that_chip(x: torch.Tensor) -> None:
    """Also when only the saved entries are given, not the packed ones."""
    here, there = analog().eval(), analog().eval()
    mho.program(here, seed=0)
    mho.program(there, seed=1)
    with torch.no_grad():
        got = torch.func.functional_call(here, there.state_dict(), (x,))
        assert torch.equal(got, there(x)) and not torch.equal(got, here(x))


def test_gradient_of_the_learned_range_reaches_the_optimizer() -> None:
    layer = mho.convert(nn.Linear(6, 4), mho.Hardware(dac=mho.DAC(range=Learned(initial=1.0, decay=0.0))))
    assert isinstance(layer.input_range, nn.Parameter)
    x = 3 * torch.randn(20, 6)
    y = layer.train()(x)
    weigh = torch.randn_like(y)
    (y * weigh).sum().backward()
    dx = weigh @ layer.weight.detach()
    wanted = dx.clamp(max=0)[x >= 1].sum() - dx.clamp(min=0)[x <= -1].sum()
    torch.testing.assert_close(layer.input_range.grad, wanted, rtol=1e-4, atol=1e-4)
