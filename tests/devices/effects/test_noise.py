"""Noise of single reads: the moments against published numbers and against samples."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

import mho
from mho.devices import (
    PCM,
    Generic,
    Ideal,
    Independent,
    Proportional,
    RandomTelegraphNoise,
    ShotNoise,
    ThermalNoise,
)
from mho.errors import ConfigError

G = torch.tensor([25e-6], dtype=torch.float64)
NONE = torch.empty(0, 1, dtype=torch.float64)


def test_thermal_and_shot_noise_of_a_cell() -> None:
    """25 uS at 300 K in 1 MHz: 6.4358e-10 A of heat; 1.26577e-9 A of 5 uA; 70.93 dB together."""
    thermal, shot = ThermalNoise(bandwidth=1e6), ShotNoise(bandwidth=1e6)
    (_, t), (_, s) = (device.read_moments(G, NONE, G, 0.0) for device in (thermal, shot))
    assert float(t) * 0.2 == pytest.approx(6.4358e-10, rel=1e-4)
    assert float(s) * 0.2 == pytest.approx(1.26577e-9, rel=1e-4)
    mean, both = ShotNoise(bandwidth=1e6, device=thermal).read_moments(G, NONE, G, 0.0)
    assert 20 * float(torch.log10(mean / both)) == pytest.approx(70.93, abs=0.01)


def test_noise_adds_to_that_of_the_device_inside_in_any_order() -> None:
    inside = Generic(read=Proportional(sigma=1e-4))
    one = ThermalNoise(bandwidth=1e6, device=ShotNoise(bandwidth=2e6, device=inside))
    other = ShotNoise(bandwidth=2e6, device=ThermalNoise(bandwidth=1e6, device=inside))
    for a, b in zip(one.read_moments(G, NONE, G, 0.0), other.read_moments(G, NONE, G, 0.0), strict=True):
        torch.testing.assert_close(a, b)
    parts = [
        d.read_moments(G, NONE, G, 0.0)[1] ** 2
        for d in (inside, ThermalNoise(bandwidth=1e6), ShotNoise(bandwidth=2e6))
    ]
    torch.testing.assert_close(one.read_moments(G, NONE, G, 0.0)[1], sum(parts).sqrt())


def test_telegraph_moments_against_samples() -> None:
    n = 400_000
    inside = Generic(g_max=1.0, read=Independent(sigma=0.3))
    device = RandomTelegraphNoise(step=Proportional(sigma=0.4), occupancy=0.3, device=inside)
    g = torch.tensor([0.5], dtype=torch.float64)
    cells = torch.tensor([[1.5], [0.0]], dtype=torch.float64)
    normal, uniform = (mho.random.normal((n,), 0, "a"), mho.random.uniform((n,), 0, "b"))
    reads = (g + 0.3 * normal).clamp_min(0) * (1 - 0.4 * 1.5 * (uniform < 0.3))
    mean, std = device.read_moments(g, cells, g, 0.0)
    assert abs(float(reads.mean() - mean)) < 4.5 * float(std) / n**0.5
    assert abs(float(reads.std() / std) - 1) < 4.5 / n**0.5


def test_telegraph_traps_are_frozen_in_the_cells() -> None:
    device = RandomTelegraphNoise(step=Proportional(sigma=0.1), share=0.4, spread=0.7)
    eps = torch.stack([mho.random.normal((50_000,), 0, "a"), mho.random.normal((50_000,), 0, "b")])
    own = device.own_state(eps)[0]
    assert stats.binomtest(int((own > 0).sum()), len(own), 0.4).pvalue > 1e-4
    assert stats.kstest(own[own > 0].log().numpy() / 0.7, "norm").pvalue > 1e-4
    g = torch.full((50_000,), 1e-5)
    _, std = device.read_moments(g, own.unsqueeze(0), g, 0.0)
    assert torch.equal(std > 0, own > 0)


def test_telegraph_edges() -> None:
    g = torch.tensor([0.0, 1e-6, 25e-6])
    own = torch.ones(1, 3)
    for occupancy in (0.0, 1.0):
        device = RandomTelegraphNoise(step=Proportional(sigma=0.1), occupancy=occupancy)
        mean, std = device.read_moments(g, own, g, 0.0)
        torch.testing.assert_close(mean, g * (1 - 0.1 * occupancy))
        assert not std.any()
    huge = RandomTelegraphNoise(step=Independent(sigma=2.0))  # a full trap cuts the cell off
    mean, std = huge.read_moments(g, own, g, 0.0)
    torch.testing.assert_close(mean, g / 2)
    torch.testing.assert_close(std, g / 2)


def test_a_chip_reads_with_these_moments() -> None:
    """The spread of a layer's outputs is that of the sums of its cells."""
    device = RandomTelegraphNoise(step=Proportional(sigma=0.3), occupancy=0.4, device=PCM())
    torch.manual_seed(0)
    analog = mho.convert(torch.nn.Linear(30, 20, bias=False), mho.Hardware(device=device)).eval()
    mho.program(analog, seed=0)
    mho.age(analog, 1e4)
    g = mho.conductances(analog)[""]
    mean, std = device.read_moments(analog.chip_g, analog.chip_cells, g, 1e4)
    scale = analog.chip_scale[0, 0, 0] / 25e-6
    torch.manual_seed(1)
    x = torch.randn(30)
    y = torch.stack([analog(x.expand(500, 30)) for _ in range(20)]).flatten(0, 1).detach()
    wanted = ((mean[0] - mean[1]) * scale)[0].T @ x
    spread = ((std**2).sum(0)[0].T @ x**2).sqrt() * scale
    assert float(((y.mean(0) - wanted) / spread).abs().max()) < 4.5 / len(y) ** 0.5
    assert float((y.std(0) / spread - 1).abs().max()) < 4.5 / (2 * len(y)) ** 0.5


def test_no_noise_of_its_own_with_a_read_scale_of_0() -> None:
    inside = Ideal(read_scale=0.0)
    device = ThermalNoise(
        bandwidth=1e9,
        device=RandomTelegraphNoise(
            step=Proportional(sigma=0.1), device=ShotNoise(bandwidth=1e9, device=inside)
        ),
    )
    analog = mho.convert(torch.nn.Linear(4, 3), mho.Hardware(device=device))
    mho.program(analog, seed=0)
    assert analog.packed_variance is None


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (ThermalNoise, {"bandwidth": 0.0}),
        (ShotNoise, {"bandwidth": 1e6, "fano": 1.5}),
        (RandomTelegraphNoise, {"step": Independent(sigma=0.1), "occupancy": -0.1}),
        (RandomTelegraphNoise, {"step": 0.1}),
    ],
)
def test_errors(kind: type, fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=kind.__name__):
        kind(**fields)
