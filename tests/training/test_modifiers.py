"""What training does to the weights: laws, gradients, ramps, and when it stops."""

from __future__ import annotations

import copy

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import mho
from mho.errors import ConfigError
from mho.training import (
    DropConnect,
    Modifier,
    ProgrammingNoise,
    Recipe,
    WeightClip,
    WeightNoise,
    attach,
    detach,
)

LAYERS = {
    "linear": (lambda: nn.Linear(80, 60, bias=False), torch.eye(80), lambda y: y.T),
    "conv": (
        lambda: nn.Conv1d(8, 12, 5, bias=False),
        torch.eye(40).view(40, 8, 5),
        lambda y: y.squeeze(-1).T.reshape(12, 8, 5),
    ),
}


def trained(layer: nn.Module, *modifiers: Modifier, device: mho.devices.Device | None = None) -> nn.Module:
    analog = mho.convert(layer, mho.Hardware(device=device or mho.devices.Ideal()))
    attach(analog, Recipe(modifiers=modifiers))
    return analog.train()


def used(analog: nn.Module, kind: str) -> Tensor:
    """The weights of one training forward: its outputs for unit inputs."""
    _, x, shape = LAYERS[kind]
    return shape(analog(x).detach())


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("relative_to", ["tensor", "column"])
def test_weight_noise(kind: str, relative_to: str) -> None:
    """Normal, with a standard deviation relative to the largest weight, drawn anew in each forward."""
    layer = LAYERS[kind][0]()
    analog = trained(layer, WeightNoise(std=0.07, relative_to=relative_to))
    weight = layer.weight.detach()
    peak = (
        weight.abs().max()
        if relative_to == "tensor"
        else weight.abs().flatten(1).amax(1).view(-1, *[1] * (weight.dim() - 1))
    )
    draws = torch.stack([(used(analog, kind) - weight) / (0.07 * peak) for _ in range(6)])
    assert stats.kstest(draws.flatten().numpy(), "norm").pvalue > 1e-3
    off = torch.corrcoef(draws.flatten(1)) - torch.eye(6)
    assert float(off.abs().max()) < 5 / draws[0].numel() ** 0.5
    assert torch.equal(analog.weight, layer.weight)  # the Parameter stays clean
    analog.eval()
    torch.testing.assert_close(used(analog, kind), weight)


@pytest.mark.parametrize("kind", LAYERS)
def test_the_gradient_goes_straight_to_the_parameter(kind: str) -> None:
    """As if the weights of the forward were the Parameter: dW = g^T x, dx through the noisy weights."""
    layer, x = LAYERS[kind][0](), LAYERS[kind][1].clone().requires_grad_()
    analog = trained(layer, WeightNoise(std=0.5))
    y = analog(x)
    weigh = torch.randn_like(y)
    dx, dw = torch.autograd.grad((y * weigh).sum(), (x, analog.weight))
    truth = copy.deepcopy(layer)
    truth.weight.data = LAYERS[kind][2](y.detach()).contiguous()
    wanted = torch.autograd.grad((truth(x) * weigh).sum(), (x, truth.weight))
    torch.testing.assert_close((dx, dw), wanted)


@pytest.mark.filterwarnings("ignore::mho.errors.NotProgrammedWarning")  # between steps there is no chip yet
@pytest.mark.parametrize(
    "noise",
    [WeightNoise(std=0.1, ramp_steps=8), ProgrammingNoise(ramp_steps=8)],
    ids=lambda n: type(n).__name__,
)
def test_ramps_rise_with_the_training_forwards(noise: Modifier) -> None:
    layer = LAYERS["linear"][0]()
    analog = trained(layer, noise, device=mho.devices.PCM())
    weight, sizes = layer.weight.detach(), []
    for step in range(12):
        assert int(analog.training_step) == step
        sizes.append(float((used(analog, "linear") - weight).std()))
        analog.eval()(torch.eye(80))  # evaluation counts nothing
        analog.train()
    assert sizes[0] == pytest.approx(0, abs=1e-7)
    full = sum(sizes[8:]) / 4
    assert sizes[1:8] == pytest.approx([full * k / 8 for k in range(1, 8)], rel=0.1)


def test_programming_noise_is_that_of_the_device() -> None:
    """Over many forwards each weight has the mean and deviation that it has over many chips."""
    layer = nn.Linear(6, 5, bias=False)
    device = mho.devices.PCM()
    analog = trained(layer, ProgrammingNoise(), device=device)
    forwards = torch.stack([analog(torch.eye(6)).detach().T for _ in range(700)])
    chips = []
    for seed in range(700):
        mho.program(analog, seed=seed)
        chips.append(mho.effective_weights(analog)[""])
    other = torch.stack(chips)
    spread = other.std(0)
    assert bool(((forwards.mean(0) - other.mean(0)).abs() < 5 * spread * (2 / 700) ** 0.5).all())
    torch.testing.assert_close(forwards.std(0), spread, rtol=0.15, atol=0)
    for row, column in ((0, 0), (4, 5), (2, 3)):
        # a weight whose cells are both cut at zero is zero, in the forward but for rounding
        laws = [part[:, row, column].round(decimals=6) for part in (forwards, other)]
        assert stats.ks_2samp(*laws).pvalue > 1e-3
    half = trained(layer, ProgrammingNoise(strength=0.5), device=device)
    weaker = torch.stack([half(torch.eye(6)).detach().T for _ in range(700)]).std(0)
    torch.testing.assert_close(weaker, spread / 2, rtol=0.15, atol=0)


@pytest.mark.parametrize("p", [0.0, 0.1, 1.0])
def test_drop_connect(p: float) -> None:
    layer = LAYERS["linear"][0]()
    analog = trained(layer, DropConnect(p=p))
    draws = torch.stack([used(analog, "linear") for _ in range(4)])
    dropped = (draws == 0).float()
    assert float(dropped.mean()) == pytest.approx(p, abs=5 * (p * (1 - p) / draws.numel()) ** 0.5)
    assert torch.equal(draws[dropped == 0], layer.weight.detach().expand_as(draws)[dropped == 0])
    if p == 0.1:
        assert not torch.equal(dropped[0], dropped[1])
    analog(torch.eye(80)).sum().backward()
    assert bool((analog.weight.grad == 1).all())


@pytest.mark.parametrize("relative_to", ["tensor", "column"])
def test_weight_clip(relative_to: str) -> None:
    """The Parameter itself, before each training forward and on entering evaluation."""
    layer = nn.Linear(400, 30, bias=False)
    nn.init.normal_(layer.weight)
    layer.weight.data *= torch.linspace(0.1, 2, 30).view(-1, 1)
    analog = trained(layer, WeightClip(sigmas=2.0, relative_to=relative_to))
    before = layer.weight.detach()
    spread = before.std() if relative_to == "tensor" else before.std(dim=1, keepdim=True)
    wanted = torch.clamp(before, -2 * spread, 2 * spread)
    torch.testing.assert_close(used_linear(analog), wanted)
    torch.testing.assert_close(analog.weight.detach(), wanted)
    with torch.no_grad():
        analog.weight[0, 0] = 1e3  # the last step of an optimizer
    analog.eval()
    assert float(analog.weight[0, 0].detach()) < 200
    one = trained(nn.Linear(1, 1), WeightClip())
    value = one.weight.detach().clone()
    one(torch.ones(1, 1))
    assert torch.equal(one.weight, value)  # of a single weight there is no deviation


def used_linear(analog: nn.Module) -> Tensor:
    return analog(torch.eye(analog.in_features)).detach().T


def test_modifiers_act_in_their_order() -> None:
    class Add(Modifier):
        def __init__(self, value: float) -> None:
            self.value = value

        def modify(self, weight: Tensor, layer: nn.Module) -> Tensor:
            return 2 * weight + self.value

        def modify_output(self, y: Tensor, x: Tensor, layer: nn.Module) -> Tensor:
            return y + 100 * self.value

    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    analog = trained(layer, Add(1.0), Add(10.0))
    assert analog(torch.ones(1, 1)).item() == (2 * (2 * 1 + 1) + 10) + 100 + 1_000
    assert analog.eval()(torch.ones(1, 1)).item() == pytest.approx(1)


def test_a_recipe_comes_and_goes() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    analog = mho.convert(model, mho.Hardware())
    names = list(analog.state_dict())
    x = torch.randn(3, 4)
    attach(analog, Recipe(modifiers=(WeightNoise(std=1.0),)))
    for _ in range(3):
        analog.train()(x)
    saved = analog.state_dict()
    assert int(saved["0.crossbar.training_step"]) == 3
    attach(analog, Recipe(modifiers=(DropConnect(p=1.0),)))  # replaces, and counts anew
    assert torch.equal(analog(x), analog[1].bias.expand(3, 2)) and int(analog[0].training_step) == 1
    analog.load_state_dict(saved)
    assert int(analog[1].training_step) == 3
    detach(analog)
    assert torch.equal(analog(x), model(x)) and list(analog.state_dict()) == names
    analog.load_state_dict(saved)  # either side may be without one


def test_modifiers_leave_the_chip_alone() -> None:
    """Neither evaluation nor training in the loop is modified."""
    layer = LAYERS["linear"][0]()
    analog = trained(layer, WeightNoise(std=1.0), DropConnect(p=0.5), device=mho.devices.PCM(read_scale=0.0))
    mho.program(analog, seed=0)
    held = mho.effective_weights(analog)[""]
    torch.testing.assert_close(used(analog.eval(), "linear"), held)
    mho.train_on_chip(analog)
    torch.testing.assert_close(used(analog.train(), "linear"), held)


WRONG = {
    "negative noise": (
        lambda: WeightNoise(std=-1.0),
        r"WeightNoise\.std = -1\.0: .*greater than or equal to 0",
    ),
    "no such peak": (
        lambda: WeightNoise(relative_to="colum"),
        r"WeightNoise\.relative_to = 'colum': .*'tensor', 'column' or 'range'",
    ),
    "backward ramp": (lambda: ProgrammingNoise(ramp_steps=-1), r"ProgrammingNoise\.ramp_steps = -1"),
    "more than all": (lambda: DropConnect(p=1.5), r"DropConnect\.p = 1\.5: .*less than or equal to 1"),
    "no width": (lambda: WeightClip(sigmas=0.0), r"WeightClip\.sigmas = 0\.0: .*greater than 0"),
    "a list": (lambda: Recipe(modifiers=[WeightNoise()]), r"Recipe\.modifiers = .*valid tuple"),
    "no modifier": (
        lambda: Recipe(modifiers=(3,)),
        r"Recipe\.modifiers\.0 = 3: give one of .*training\.WeightNoise",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_descriptions_are_named(name: str) -> None:
    make, message = WRONG[name]
    with pytest.raises(ConfigError, match=message):
        make()


def test_wrong_recipes_are_named() -> None:
    with pytest.raises(TypeError, match=r"recipe is a WeightNoise: give a mho\.training\.Recipe"):
        attach(mho.convert(nn.Linear(2, 2), mho.Hardware()), WeightNoise())
    with pytest.raises(ValueError, match="the model has no analog layer"):
        attach(nn.Linear(2, 2), Recipe())
