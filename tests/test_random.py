"""One seed, one chip: named streams that do not know of each other, and fresh noise for reads."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import mho
from mho import random
from mho.devices import PCM

N = 200_000


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(np.corrcoef(a.flatten(), b.flatten())[0, 1])


def test_a_stream_is_its_name() -> None:
    a = random.normal((4, 5), 3, "fc", "program")
    assert torch.equal(a, random.normal((4, 5), 3, "fc", "program"))
    assert torch.equal(a.flatten(), random.normal((20,), 3, "fc", "program"))  # whatever the shape
    torch.manual_seed(99)
    assert torch.equal(a, random.normal((4, 5), np.int64(3), "fc", "program"))
    for other in (
        (4, "fc", "program"),
        (3, "fc", "drift"),
        (3, "f", "cprogram"),
        (3, "fc"),
        (3, "", "fc", "program"),
    ):
        assert not torch.equal(a, random.normal((4, 5), *other))
    assert a.dtype == torch.float32 and a.device.type == "cpu"


def test_streams_do_not_touch_the_callers_numbers() -> None:
    analog = mho.convert(nn.Linear(3, 2), mho.Hardware(device=PCM()))
    before = torch.get_rng_state()
    random.normal((10,), 0, "a")
    random.uniform((10,), 0, "a")
    mho.program(analog, seed=0)
    mho.age(analog, 10)
    assert torch.equal(torch.get_rng_state(), before)


def test_streams_are_the_same_in_another_process() -> None:
    code = "from mho.random import normal; print(normal((3,), -5, 'fc', 'program').tolist())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(random.normal((3,), -5, "fc", "program").tolist())


def test_the_laws_of_the_streams() -> None:
    assert stats.kstest(random.normal((N,), 1, "x").numpy(), "norm").pvalue > 1e-3
    uniform = random.uniform((N,), 1, "x")
    assert stats.kstest(uniform.numpy(), "uniform").pvalue > 1e-3
    assert float(uniform.min()) >= 0 and float(uniform.max()) < 1


def test_streams_of_near_names_and_seeds_are_independent() -> None:
    names = [
        (s, path, what) for s in (0, 1, 2) for path in ("0", "1", "0.1") for what in ("program", "drift")
    ]
    draws = torch.stack([random.normal((20_000,), *name) for name in names])
    off = torch.corrcoef(draws) - torch.eye(len(names))
    assert float(off.abs().max()) < 5 / 20_000**0.5


def test_draws_of_a_chip_are_independent_between_cells_and_mechanisms() -> None:
    """Errors of the cells of a pair, of layers and of chips, and exponents: standard normal, uncorrelated."""
    model = nn.Sequential(nn.Linear(150, 150, bias=False), nn.Linear(150, 150, bias=False))
    model[1].weight.data = model[0].weight.data.clone()
    two_sided = mho.mapping.DifferentialPair(two_sided=True)
    analog = mho.convert(model, mho.Hardware(device=PCM(), mapping=two_sided))
    middle = (
        model[0].weight.T / model[0].weight.abs().max()
    ).abs() < 0.6  # targets far from the clip at zero
    draws = {}
    for seed in (0, 1):
        mho.program(analog, seed=seed)
        for path in "01":
            layer = analog.get_submodule(path)
            w = (layer.weight / layer.weight.abs().max()).T.detach().unsqueeze(0)
            target = two_sided.targets(w, 0.0, 25e-6)
            program = (layer.chip_g - target) / PCM().program_std(target)
            mean, std = PCM().nu.moments(target, 25e-6)
            drift = (layer.chip_cells[0] - mean) / std
            for cell in (0, 1):
                draws[seed, path, cell, "program"] = program[cell, 0][middle]
                draws[seed, path, cell, "drift"] = drift[cell, 0][middle]
    for name, draw in draws.items():
        if "program" in name:
            assert stats.kstest(draw.numpy(), "norm").pvalue > 1e-3, name
    together = torch.stack(list(draws.values()))
    off = torch.corrcoef(together) - torch.eye(len(draws))
    assert float(off.abs().max()) < 5 / together.shape[1] ** 0.5
    # nor between neighbours in a row or a column
    error = ((analog[0].chip_g - target) / PCM().program_std(target))[0, 0]
    assert abs(correlation(error[:-1], error[1:])) < 5 / 150
    assert abs(correlation(error[:, :-1], error[:, 1:])) < 5 / 150


@pytest.mark.parametrize("seed", [1.0, "1", None, False, torch.tensor(1)], ids=repr)
def test_wrong_seeds_are_named(seed: object) -> None:
    with pytest.raises(TypeError, match=r"seed = .*: a chip's seed is an integer, such as 0"):
        random.fork(seed, "x")


LAYOUTS = {
    "dense": torch.empty(300, 200),
    "transposed": torch.empty(300, 200).t(),
    "channels last": torch.empty(10, 20, 15, 20).to(memory_format=torch.channels_last),
    "a slice": torch.empty(300, 400)[:, ::2],
    "expanded": torch.empty(1, 200).expand(300, 200),
    "double": torch.empty(300, 200, dtype=torch.float64),
    "half": torch.empty(300, 200, dtype=torch.bfloat16),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_fresh_noise(name: str) -> None:
    """Standard normal in every layout, new at each call, from torch's stream."""
    like = LAYOUTS[name]
    a, b = random.fresh_normal_like(like), random.fresh_normal_like(like)
    assert a.shape == like.shape and a.dtype == like.dtype and not a.requires_grad
    assert not torch.equal(a, b)
    torch.manual_seed(5)
    first = random.fresh_normal_like(like)
    torch.manual_seed(5)
    assert torch.equal(random.fresh_normal_like(like), first)
    sample = a.double().flatten().numpy()
    assert abs(correlation(a.double(), b.double())) < 5 / sample.size**0.5
    if name != "half":  # its 8 bits show
        assert stats.kstest(sample, "norm").pvalue > 1e-3
    assert len(np.unique(sample)) > (300 if name == "half" else 0.99 * sample.size)


def test_hashed_noise_of_compiled_graphs() -> None:
    """A function of place and seed alone: normal, and no trace of the place or of a near seed."""
    like = torch.empty(400, 500)
    seeds = list(torch.randint(-(2**31), 2**31 - 1, (5, 3), dtype=torch.int32))
    draws = [random.hashed_normal_like(like, seed) for seed in seeds]
    assert torch.equal(draws[0], random.hashed_normal_like(like, seeds[0]))
    for draw in draws:
        assert stats.kstest(draw.flatten().numpy(), "norm").pvalue > 1e-4
        rows = torch.stack([draw[:-1], draw[1:]]).flatten(1)
        columns = torch.stack([draw[:, :-1], draw[:, 1:]]).flatten(1)
        halves = draw.flatten().view(2, -1)  # the two of one hash
        for near in (rows, columns, halves, rows.square(), columns.square(), halves.square()):
            assert abs(float(torch.corrcoef(near)[0, 1])) < 5 / draw.numel() ** 0.5
        # bands of rows and columns have the mean and spread of independent draws
        assert stats.kstest((draw.mean(0) * 400**0.5).numpy(), "norm").pvalue > 1e-4
        assert stats.kstest((draw.mean(1) * 500**0.5).numpy(), "norm").pvalue > 1e-4
    off = torch.corrcoef(torch.stack(draws).flatten(1)) - torch.eye(len(draws))
    assert float(off.abs().max()) < 5 / like.numel() ** 0.5


def test_fresh_noise_under_vmap() -> None:
    def noisy(x: torch.Tensor) -> torch.Tensor:
        return random.fresh_normal_like(x)

    y = torch.func.vmap(noisy, randomness="different")(torch.empty(4, 1_000))
    assert y.shape == (4, 1_000)
    assert float((torch.corrcoef(y) - torch.eye(4)).abs().max()) < 5 / 1_000**0.5


def test_no_noise_like_nothing() -> None:
    assert random.fresh_normal_like(torch.empty(0, 3)).shape == (0, 3)
    assert random.fresh_normal_like(torch.empty(())).shape == ()


def test_draws_of_single_places() -> None:
    at = torch.arange(100_000).reshape(2, -1)
    draws = random.normal_at(at, 0, "fc", "pulse")
    assert draws.shape == at.shape and draws.dtype == torch.float32
    assert torch.equal(draws[1, 5:9], random.normal_at(at[1, 5:9], 0, "fc", "pulse"))
    far = random.normal_at(torch.tensor([2**32 - 1, 2**31]), 0, "fc", "pulse")
    assert bool(far.isfinite().all()) and far[0] != far[1]


def test_draws_of_single_places_are_normal_and_independent() -> None:
    """Over many seeds: means and variances scatter as they must, streams do not know of each other."""
    n, seeds = 50_000, 100
    at = torch.arange(n)
    draws = torch.stack([random.normal_at(at, seed, "fc") for seed in range(seeds)]).double()
    means, variances = draws.mean(1) * n**0.5, (draws.square().mean(1) - 1) * (n / 2) ** 0.5
    products = (draws[1:] * draws[:-1]).mean(1) * n**0.5
    neighbours = (draws[:, 1:] * draws[:, :-1]).mean(1) * n**0.5
    for z in (means, variances, products, neighbours):
        assert stats.kstest(z.numpy(), "norm").pvalue > 1e-3
        assert float(z.abs().max()) < 4.5
    assert stats.kstest(draws[0].numpy(), "norm").pvalue > 1e-3
