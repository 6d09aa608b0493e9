"""Batch normalisations folded into the layers before them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import mho

LAYERS = {
    "linear": (lambda **k: nn.Linear(6, 8, **k), nn.BatchNorm1d, (5, 6)),
    "conv1d": (lambda **k: nn.Conv1d(6, 8, 3, **k), nn.BatchNorm1d, (5, 6, 9)),
    "conv2d": (lambda **k: nn.Conv2d(6, 8, 3, padding=1, **k), nn.BatchNorm2d, (5, 6, 7, 7)),
    "conv2d, groups": (lambda **k: nn.Conv2d(6, 8, 3, groups=2, **k), nn.BatchNorm2d, (5, 6, 7, 7)),
    "conv3d": (lambda **k: nn.Conv3d(6, 8, 2, **k), nn.BatchNorm3d, (2, 6, 4, 4, 4)),
    "transposed 1d": (lambda **k: nn.ConvTranspose1d(6, 8, 3, **k), nn.BatchNorm1d, (5, 6, 9)),
    "transposed 2d, groups": (
        lambda **k: nn.ConvTranspose2d(6, 8, 3, groups=2, stride=2, **k),
        nn.BatchNorm2d,
        (5, 6, 4, 4),
    ),
    "transposed 3d": (lambda **k: nn.ConvTranspose3d(6, 8, 2, **k), nn.BatchNorm3d, (2, 6, 3, 3, 3)),
}


def lived(model: nn.Module) -> nn.Module:
    """Statistics, scales and shifts as of a trained network."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            if module.running_mean is not None:
                module.running_mean.normal_()
                module.running_var.uniform_(0.2, 3.0)
            if module.affine:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
    return model


def same(model: nn.Module, x: Tensor) -> nn.Module:
    """The folded copy, after comparing it with the model; the model itself is untouched."""
    before = copy.deepcopy(model.state_dict())
    folded = mho.fold_batch_norm(model)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert [m.training for m in folded.modules()] == [m.training for m in model.modules()]
    model.eval(), folded.eval()
    wanted = model(x)
    assert (folded(x) - wanted).abs().max() <= 1e-12 * wanted.abs().max()
    return folded


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_exact_for_each_layer(name: str, bias: bool, affine: bool) -> None:
    build, norm, shape = LAYERS[name]
    model = lived(nn.Sequential(build(bias=bias), norm(8, affine=affine, eps=1e-3), nn.Tanh())).double()
    folded = same(model, torch.randn(shape, dtype=torch.float64))
    assert folded.folding.folded == {"1": "0"} and folded.folding.left == {}
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in folded.modules())
    assert type(folded[0]) is type(model[0]) and folded[0].bias is not None
    analog = mho.convert(folded, mho.Hardware()).eval()
    x = torch.randn(shape, dtype=torch.float64)
    assert torch.allclose(analog(x), model(x), atol=1e-10)


class Block(nn.Module):
    """A residual block: each convolution is followed by its normalisation, in code."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.first = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return torch.relu(x + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))


def test_a_residual_network() -> None:
    model = lived(nn.Sequential(Block(4), Block(4), nn.Flatten(), nn.Linear(64, 3))).double()
    folded = same(model, torch.randn(2, 4, 4, 4, dtype=torch.float64))
    assert folded.folding.folded == {f"{k}.bn{n}": f"{k}.conv{n}" for k in (0, 1) for n in (1, 2)}
    assert folded.folding.left == {
        f"{k}.first": "its input is not the output of a linear layer or a convolution" for k in (0, 1)
    }


class Untraceable(nn.Module):
    """Control flow on values: no graph of the whole, one of each block."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.conv, self.bn = Block(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2 if x.sum() > 0 else 3):
            x = self.block(x)
        return self.bn(self.conv(x))


def test_what_has_no_graph_is_left_and_named() -> None:
    folded = same(lived(Untraceable()).double(), torch.randn(2, 4, 4, 4, dtype=torch.float64))
    assert folded.folding.folded == {"block.bn1": "block.conv1", "block.bn2": "block.conv2"}
    assert folded.folding.left["bn"] == "the forward of the module around it cannot be traced"


class Uses(nn.Module):
    """The output of the layer, or its weight, goes elsewhere too."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.line, self.bn, self.how = nn.Linear(4, 4), nn.BatchNorm1d(4), how

    def forward(self, x: Tensor) -> Tensor:
        y = self.line(x)
        if self.how == "output":
            return self.bn(y) + y
        if self.how == "weight":
            return self.bn(y) @ self.line.weight
        if self.how == "layer twice":
            return self.line(self.bn(y))
        if self.how == "norm twice":
            return self.bn(torch.relu(self.bn(y)))
        return self.bn(torch.relu(y))


LEFT = {
    "output": "the output of 'line' goes elsewhere too",
    "weight": "the weights of 'line' are used elsewhere too",
    "layer twice": "it or the layer before it is called more than once",
    "norm twice": "called more than once|its input is not",
    "activation": "its input is not the output of a linear layer",
}


@pytest.mark.parametrize("how", LEFT)
def test_left_where_it_would_change_the_result(how: str) -> None:
    folded = same(lived(Uses(how)).double(), torch.randn(5, 4, dtype=torch.float64))
    assert folded.folding.folded == {}
    with pytest.raises(ValueError, match=LEFT[how]):
        raise ValueError(folded.folding.left["bn"])


def hooked(model: nn.Module) -> nn.Module:
    model[0].register_forward_hook(lambda m, i, y: 2 * y)
    return model


def tied(model: nn.Module) -> nn.Module:
    model.append(nn.Linear(4, 4))
    model[2].weight = model[0].weight
    return model


def shared(model: nn.Module) -> nn.Module:
    return nn.Sequential(model, nn.Linear(4, 4), model[1])


def parametrised(model: nn.Module) -> nn.Module:
    parametrizations.weight_norm(model[0])
    return model


def own_forward(model: nn.Module) -> nn.Module:
    class Doubled(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    model[0] = Doubled(4, 4)
    return model


CASES = {
    "hooks": (hooked, "has hooks"),
    "a tie": (tied, "shared or tied"),
    "a shared normalisation": (shared, "shared or tied|not the output|more than once"),
    "parametrised": (parametrised, "computed"),
    "an own forward": (own_forward, "forward of its own|not the output"),
    "no statistics": (
        lambda m: nn.Sequential(m[0], nn.BatchNorm1d(4, track_running_stats=False)),
        "keeps no running statistics",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_left_alone(name: str) -> None:
    change, reason = CASES[name]
    model = change(lived(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)))).double()
    folded = same(model, torch.randn(5, 4, dtype=torch.float64))
    assert folded.folding.folded == {} and len(folded.folding.left) == 1
    with pytest.raises(ValueError, match=reason):
        raise ValueError(*folded.folding.left.values())


def test_a_linear_layer_with_more_axes_is_refused_when_it_runs() -> None:
    """There the normalisation is of axis 1, and not of the outputs: never a silently other result."""
    model = lived(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))).eval()
    folded = mho.fold_batch_norm(model)
    x = torch.randn(5, 8, 4)
    assert model(x).shape == (5, 8, 8)
    with pytest.raises(ValueError, match=r"x has 3 axes.*leave this model unfolded"):
        folded(x)
    other = mho.fold_batch_norm(lived(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(6))))
    assert "normalises 6 channels, and the layer before it gives 8" in other.folding.left["1"]


def test_frozen_parameters_stay_frozen_and_gradients_flow() -> None:
    model = lived(nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3)))
    model[0].weight.requires_grad_(False)
    folded = mho.fold_batch_norm(model)
    assert not folded[0].weight.requires_grad and not folded[0].bias.requires_grad
    trained = mho.fold_batch_norm(lived(nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3))))
    trained(torch.randn(2, 2, 5, 5)).sum().backward()
    assert trained[0].bias.grad is not None and trained[0].weight.grad is not None


def test_copies_and_state_dict() -> None:
    folded = mho.fold_batch_norm(lived(nn.Sequential(Block(4))))
    twin = copy.deepcopy(folded)
    assert twin.folding == folded.folding
    assert not any("bn" in name for name in folded.state_dict())
    twin.load_state_dict(folded.state_dict())


def test_wrong_models_are_named() -> None:
    with pytest.raises(TypeError, match=r"model is a str: give a torch\.nn\.Module"):
        mho.fold_batch_norm("model")
    with pytest.raises(ValueError, match=r"call fold_batch_norm first, then mho\.convert"):
        mho.fold_batch_norm(mho.convert(nn.Linear(2, 2), mho.Hardware()))
    alone = mho.fold_batch_norm(nn.BatchNorm1d(3))
    assert alone.folding.folded == {} and list(alone.folding.left) == [""]
