import copy

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from mho import random
from mho.experiments.data import Digits
from mho.experiments.fitting import Schedule, accuracy, fit, limited_threads, seeded
from mho.experiments.progress import Progress


def separable(n=300):
    x = torch.randn(n, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    return TensorDataset(x, (x.sum((1, 2, 3)) > 0).long())


def network():
    with seeded(0, "network"):
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))


def train(model, schedule, data, seed=0):
    with Progress().stage("t", schedule.epochs) as step:
        fit(model, data, Digits(), schedule, random.fork(seed, "batches"), step)
    return model


def test_it_learns_what_can_be_learned():
    data = separable()
    model = train(network(), Schedule(epochs=20, learning_rate=0.5, batch=32), data)
    assert accuracy(model, data) > 0.98
    assert not model.training


def test_the_same_stream_gives_the_same_weights():
    schedule, data = Schedule(epochs=2, learning_rate=0.1), separable()
    first, second, other = (train(network(), schedule, data, seed) for seed in (0, 0, 1))
    assert torch.equal(first[1].weight, second[1].weight)
    assert not torch.equal(first[1].weight, other[1].weight)


def test_divergence_says_what_to_do():
    with pytest.raises(ValueError, match="learning_rate = 1e.30: the training diverged in epoch 1"):
        train(network(), Schedule(epochs=3, learning_rate=1e30), separable())


def test_the_rate_rises_then_falls():
    schedule = Schedule(epochs=1, learning_rate=0.3)
    rates = [schedule.rate(i, 100) for i in range(100)]
    peak = rates.index(max(rates))
    assert 8 <= peak <= 11
    assert max(rates) == pytest.approx(0.3, rel=0.03)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 1e-3 * 0.3
    assert schedule.rate(0, 1) > 0


def test_steps_count_the_last_small_batch():
    assert Schedule(epochs=3, learning_rate=0.1, batch=64).steps(1000) == 48
    assert Schedule(epochs=1, learning_rate=0.1, batch=64).steps(1) == 1


def test_accuracy_over_several_batches(monkeypatch):
    monkeypatch.setattr("mho.experiments.fitting.PIXELS_AT_ONCE", 40)
    sizes = []

    class FirstPixels(nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, images):
            sizes.append(len(images))
            return images[:, 0, 0]

    n = 37
    third = torch.arange(n) % 3 == 0
    images = torch.stack([third, ~third], 1).float()[:, None, None, :].expand(n, 1, 2, 2)
    assert accuracy(FirstPixels(), TensorDataset(images, torch.zeros(n, dtype=torch.int64))) == 13 / 37
    assert sizes == [10, 10, 10, 7]


def test_seeded_gives_the_caller_its_stream_back():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(1, "a"):
        first = torch.rand(2)
    assert torch.equal(torch.rand(3), expected)
    with seeded(1, "a"):
        assert torch.equal(torch.rand(2), first)
    with seeded(1, "b"):
        assert not torch.equal(torch.rand(2), first)


def test_the_data_are_not_changed():
    data = separable()
    before = copy.deepcopy(data.tensors)
    train(network(), Schedule(epochs=1, learning_rate=0.1), data)
    assert all(torch.equal(a, b) for a, b in zip(before, data.tensors, strict=True))


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with limited_threads(before + 1):
        inside = torch.get_num_threads()
    assert (inside, torch.get_num_threads()) == (before + 1, before)
    with pytest.raises(ValueError, match="threads = 0"), limited_threads(0):
        pass
