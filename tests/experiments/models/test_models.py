import pytest
import torch

from mho.experiments.models import MLP, ResNet18, ResNet20, ResNet32, SmallCNN, SmallResNet


def weights(network):
    return sum(p.numel() for p in network.parameters())


# He et al., CVPR 2016, table 6: 0.27 M and 0.46 M parameters. ResNet-18 with a 3x3 stem and ten
# classes has 11,173,962 parameters (the figure that every CIFAR port of it states).
@pytest.mark.parametrize(
    ("network", "channels", "size", "classes", "millions"),
    [
        (ResNet20(), 3, 32, 10, 0.27),
        (ResNet32(), 3, 32, 10, 0.46),
        (ResNet18(), 3, 32, 10, 11.17),
        (SmallCNN(), 1, 8, 10, 0.04),
        (SmallResNet(), 1, 8, 10, 0.02),
        (SmallCNN(), 1, 28, 10, 0.41),
    ],
)
def test_size_and_shape(network, channels, size, classes, millions):
    built = network.build(channels, size, classes).eval()
    assert weights(built) / 1e6 == pytest.approx(millions, abs=0.006)
    with torch.no_grad():
        assert built(torch.zeros(2, channels, size, size)).shape == (2, classes)


def test_resnet18_has_the_published_number_of_weights():
    assert weights(ResNet18().build(3, 32, 10)) == 11_173_962


@pytest.mark.parametrize(
    ("hidden", "sizes"), [((32,), [64, 32, 10]), ((), [64, 10]), ((5, 7), [64, 5, 7, 10])]
)
def test_an_mlp_has_a_tanh_between_its_layers(hidden, sizes):
    built = MLP(hidden=hidden).build(1, 8, 10)
    linear = [m for m in built if isinstance(m, torch.nn.Linear)]
    assert [m.in_features for m in linear] + [linear[-1].out_features] == sizes
    assert sum(isinstance(m, torch.nn.Tanh) for m in built) == len(hidden)
    assert built(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize("network", [ResNet20(), ResNet32()])
def test_the_stages_are_those_of_the_paper_and_the_name_counts_the_layers(network):
    built = network.build(3, 32, 10).eval()
    sizes = {}
    for name, module in built.named_children():
        module.register_forward_hook(lambda _, __, y, name=name: sizes.__setitem__(name, tuple(y.shape[1:])))
    with torch.no_grad():
        built(torch.zeros(1, 3, 32, 32))
    stages = [shape for name, shape in sizes.items() if name.startswith("stage")]
    assert stages[0] == (16, 32, 32)
    assert stages[-1] == (64, 8, 8)
    layers = sum(isinstance(m, torch.nn.Conv2d | torch.nn.Linear) for m in built.modules())
    assert layers == int(type(network).__name__.removeprefix("ResNet"))


def test_small_images_are_refused():
    with pytest.raises(ValueError, match="size = 4: ResNet18 needs images of at least 8x8"):
        ResNet18().build(3, 4, 10)


def test_gradients_reach_every_weight():
    built = ResNet20().build(1, 8, 10)
    built(torch.randn(4, 1, 8, 8)).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in built.parameters())
