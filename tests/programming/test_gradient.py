"""Gradient-descent programming: the error of products, against write-verify with the same noise."""

from __future__ import annotations

import pytest
import torch

from mho.devices import PCM, Generic, Ideal, Independent, Switching
from mho.errors import ConfigError
from mho.hardware import Hardware
from mho.mapping import DifferentialPair
from mho.programming import (
    Correction,
    GradientProgramming,
    ProgrammingResult,
    Site,
    Train,
    VoltagePulses,
    WriteVerify,
)

NOISY = Generic(program=Independent(sigma=0.05), read=Independent(sigma=0.05))
PAIR = ((1.0, -1.0),)
VOLTS = VoltagePulses(up=Train(voltage=-0.3, width=1e-11), down=Train(voltage=0.1, width=1e-9))


def targets(device=NOISY, rows: int = 48, columns: int = 20) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    w = torch.randn(1, rows, columns, generator=generator, dtype=torch.float64)
    return DifferentialPair().targets(w / w.abs().max(), device.g_min, device.g_max)


def site(g: torch.Tensor, seen=lambda g: g) -> Site:
    return Site(((0, g.shape[-2]),), ((0, g.shape[-1]),), PAIR, seen)


def error(g: torch.Tensor, target: torch.Tensor) -> float:
    """Of the products with new inputs: relative, root mean square."""
    generator = torch.Generator().manual_seed(9)
    x = torch.rand(500, g.shape[-2], generator=generator, dtype=g.dtype) * 2 - 1
    wanted = x @ (target[0] - target[1])
    return float((x @ (g[0] - g[1]) - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("read_noise", [0.0, 0.03])
def test_products_are_better_than_after_write_verify_with_the_same_noise(read_noise: float) -> None:
    g = targets()
    verify = WriteVerify(read_noise=read_noise).write(NOISY, g, 0, "", site(g))
    few = WriteVerify(read_noise=read_noise, max_pulses=5)
    gradient = GradientProgramming(first=few, rounds=100).write(NOISY, g, 0, "", site(g))
    assert error(gradient.g, g) < 0.4 * error(verify.g, g)
    assert not gradient.failed.any() and bool((gradient.g >= 0).all())


def test_more_rounds_average_more_noise() -> None:
    g = targets()
    errors = [error(GradientProgramming(rounds=n).write(NOISY, g, 0, "", site(g)).g, g) for n in (3, 30, 300)]
    assert errors[0] > 1.5 * errors[1] > 2.25 * errors[2]


def test_without_noise_the_error_goes_away() -> None:
    quiet = Generic(program=Independent(sigma=0.05))
    g = targets(quiet)
    first = WriteVerify(max_pulses=1)
    done = GradientProgramming(first=first, rounds=200).write(quiet, g, 0, "", site(g))
    assert error(first.write(quiet, g, 0).g, g) > 0.1
    assert error(done.g, g) < 5e-3


def test_it_sees_what_wires_do() -> None:
    """A loss along the rows, as of wires: single cells are right after write-verify, products are not."""
    device = Ideal()
    g = targets(device) * 0.7
    loss = torch.linspace(1.0, 0.8, g.shape[-2], dtype=g.dtype)[:, None]

    def through(x: torch.Tensor) -> torch.Tensor:
        return x * loss

    verify = WriteVerify().write(device, g, 0, "", site(g, through))
    gradient = GradientProgramming(rounds=300).write(device, g, 0, "", site(g, through))
    assert error(through(verify.g), g) > 0.08
    assert error(through(gradient.g), g) < 0.01


def test_it_moves_switching_models_too() -> None:
    device = Switching(read=Independent(sigma=0.02))
    g = targets(device)
    verify = WriteVerify(pulse=VOLTS, max_pulses=20)
    gradient = GradientProgramming(first=verify, rounds=300).write(device, g, 0, "", site(g))
    assert error(gradient.g, g) < 0.7 * error(verify.write(device, g, 0, "", site(g)).g, g)
    assert bool((gradient.energy > 0).all())


def test_small_steps_are_left_out() -> None:
    g = targets()
    all_, few = (
        GradientProgramming(rounds=20, threshold=t).write(NOISY, g, 0, "", site(g)) for t in (0.0, 0.01)
    )
    none = GradientProgramming(rounds=20, threshold=1.0).write(NOISY, g, 0, "", site(g))
    assert none.pulses.sum() < few.pulses.sum() < all_.pulses.sum()
    before = WriteVerify(max_pulses=5).write(NOISY, g, 0, "", site(g))
    assert int(none.pulses.max()) <= 5 and not torch.equal(before.g, all_.g)


def test_cells_at_the_lowest_target_are_left_to_their_partners() -> None:
    g = targets()
    first = WriteVerify(max_pulses=1)
    done = GradientProgramming(first=first, rounds=10).write(NOISY, g, 0, "", site(g))
    before = first.write(NOISY, g, 0, "", site(g))
    idle = g == NOISY.g_min
    assert torch.equal(done.g[idle], before.g[idle])
    assert float((done.g != before.g)[~idle].double().mean()) > 0.95


def test_seeds_name_the_draws_bit_for_bit() -> None:
    g, way = targets(), GradientProgramming(rounds=5)

    def write(seed: int, path: str) -> ProgrammingResult:
        return way.write(NOISY, g, seed, path, site(g))

    assert all(
        torch.equal(a, b)
        for a, b in zip(vars(write(1, "a")).values(), vars(write(1, "a")).values(), strict=True)
    )
    assert not torch.equal(write(1, "a").g, write(2, "a").g)
    assert not torch.equal(write(1, "a").g, write(1, "b").g)


def test_tiles_have_their_own_products() -> None:
    """Two tiles of rows, each with outputs of its own, and groups side by side."""
    g = targets().expand(2, 3, 48, 20).contiguous()
    cut = Site(((0, 30), (30, 48)), ((0, 20),), PAIR, lambda g: g)
    done = GradientProgramming(rounds=50).write(NOISY, g, 0, "", cut)
    for group in range(3):
        for rows in (slice(0, 30), slice(30, 48)):
            assert error(done.g[:, group, rows], g[:, group, rows]) < 0.1


@pytest.mark.parametrize("shape", [(1, 1, 1, 7), (2, 1, 5, 1), (2, 1, 1, 1)])
def test_edges_of_shape(shape: tuple[int, ...]) -> None:
    g = torch.full(shape, 10e-6)
    done = GradientProgramming(rounds=3).write(NOISY, g, 0)
    assert all(v.shape == shape and v.isfinite().all() for v in vars(done).values())


def test_bad_descriptions() -> None:
    for values in ({"rounds": 0}, {"batch": 0}, {"threshold": -1.0}, {"first": Correction()}):
        with pytest.raises(ConfigError, match=next(iter(values))):
            GradientProgramming(**values)
    with pytest.raises(ConfigError, match="Switching"):
        Hardware(device=PCM(), programming=GradientProgramming(first=WriteVerify(pulse=VOLTS)))
