import pytest
import torch

from mho.errors import ConfigError
from mho.experiments.models import WideResNet


def weights(network):
    return sum(p.numel() for p in network.parameters())


def counted(depth, k, classes):
    """Weights by table 1 of the paper: 3x3 convolutions, two normalisations per block, 1x1 between stages."""
    n = (depth - 4) // 6
    total = 3 * 9 * 16
    before = 16
    for wide in (16 * k, 32 * k, 64 * k):
        total += 9 * before * wide + 9 * wide * wide + 2 * before + 2 * wide  # the first block
        total += before * wide if before != wide else 0
        total += (n - 1) * (2 * 9 * wide * wide + 4 * wide)
        before = wide
    return total + 2 * before + before * classes + classes


# Zagoruyko and Komodakis, tables 4 and 5 (CIFAR-10): millions as printed.
@pytest.mark.parametrize(
    ("depth", "width", "millions", "digits"),
    [(40, 1, 0.6, 1), (40, 2, 2.2, 1), (40, 4, 8.9, 1), (16, 8, 11.0, 1), (28, 10, 36.5, 1)],
)
def test_the_number_of_weights_is_the_published_one(depth, width, millions, digits):
    with torch.device("meta"):
        built = WideResNet(depth=depth, width=width).build(3, 32, 10)
    assert round(weights(built) / 1e6, digits) == millions
    assert weights(built) == counted(depth, width, 10)


def test_wrn_16_4_has_2_75_million_weights():
    assert weights(WideResNet().build(3, 32, 10)) == counted(16, 4, 10) == 2_748_890
    assert weights(WideResNet().build(3, 32, 100)) == counted(16, 4, 100) == 2_772_020


def test_the_stages_are_those_of_the_paper_and_the_depth_counts_the_layers():
    built = WideResNet(depth=16, width=2).build(3, 32, 100).eval()
    sizes = {}
    for name, module in built.named_children():
        module.register_forward_hook(lambda _, __, y, name=name: sizes.__setitem__(name, tuple(y.shape[1:])))
    with torch.no_grad():
        assert built(torch.zeros(1, 3, 32, 32)).shape == (1, 100)
    assert [sizes[f"stage{k}_2"] for k in (1, 2, 3)] == [(32, 32, 32), (64, 16, 16), (128, 8, 8)]
    # The depth counts the convolutions; the paper leaves the classifier out and takes the three 1x1 in.
    assert sum(isinstance(m, torch.nn.Conv2d) for m in built.modules()) == 16
    assert sum(isinstance(m, torch.nn.Linear) for m in built.modules()) == 1


def test_a_block_is_the_pre_activated_one_of_the_paper():
    """Against the same block written out, on the weights of the first two blocks."""
    built = WideResNet(width=1).build(3, 8, 10).eval()
    for module in built.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5, generator=torch.Generator().manual_seed(1))
    f = torch.nn.functional

    def norm(layer, x):
        return torch.relu(f.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias))

    for name, inputs, stride in (("stage1_1", 16, 1), ("stage2_1", 16, 2)):
        block = getattr(built, name)
        x = torch.randn(2, inputs, 8, 8, generator=torch.Generator().manual_seed(0))
        a = norm(block.first_norm, x)
        y = f.conv2d(a, block.first.weight, stride=stride, padding=1)
        y = f.conv2d(norm(block.second_norm, y), block.second.weight, padding=1)
        y = y + (x if stride == 1 else f.conv2d(a, block.shortcut.weight, stride=stride))
        torch.testing.assert_close(block(x), y)


def test_gradients_reach_every_weight():
    built = WideResNet(depth=10, width=1, dropout=0.3).build(1, 8, 10)
    built(torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in built.parameters())


@pytest.mark.parametrize("depth", [4, 9, 15, 18])
def test_an_impossible_depth_is_refused(depth):
    with pytest.raises(ConfigError, match=f"depth = {depth}: it is 6 n \\+ 4"):
        WideResNet(depth=depth)


def test_full_dropout_and_small_images_are_refused():
    with pytest.raises(ConfigError, match="dropout = 1"):
        WideResNet(dropout=1.0)
    with pytest.raises(ValueError, match="size = 2: WideResNet needs images of at least 4x4"):
        WideResNet().build(3, 2, 10)
