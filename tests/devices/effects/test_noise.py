"""Noise of single reads: the moments against published numbers and against samples."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

import mho
from mho.devices import (
    PCM,
    Device,
    Generic,
    Ideal,
    Independent,
    Proportional,
    RandomTelegraphNoise,
    ShotNoise,
    StuckAt,
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


LEVEL = torch.full((40_000,), 2e-5, dtype=torch.float64)


def draws(name: str, *shape: int) -> torch.Tensor:
    return mho.random.normal(shape or LEVEL.shape, 3, name)


@pytest.mark.parametrize("occupancy", [0.5, 0.07])
def test_a_read_of_a_cell_is_on_one_of_two_levels(occupancy: float) -> None:
    device = RandomTelegraphNoise(step=Proportional(sigma=0.3), occupancy=occupancy, device=Ideal(g_min=0.0))
    reads = device.one_read(LEVEL, torch.ones(1, len(LEVEL)), LEVEL, 0.0, draws("a"))
    full = reads < 1.9e-5
    torch.testing.assert_close(reads, torch.where(full, 0.7 * LEVEL, LEVEL))
    assert stats.binomtest(int(full.sum()), len(full), occupancy).pvalue > 1e-4


@pytest.mark.parametrize("outside", ["none", "heat", "second trap", "stuck"])
def test_levels_keep_the_noise_around_them(outside: str) -> None:
    """KS test against the mixture of normal distributions, one for each level."""
    inside = Generic(read=Independent(sigma=0.01))  # 0.25 uS
    device: Device = RandomTelegraphNoise(step=Proportional(sigma=0.3), occupancy=0.2, device=inside)
    cells = torch.ones(1, len(LEVEL), dtype=torch.float64)
    levels = [(0.8, 1.0, 0.25), (0.2, 0.7, 0.7 * 0.25)]  # probability, level, uS
    if outside == "heat":
        device = ThermalNoise(bandwidth=1e12, device=device)
        own = (4 * 1.380649e-23 * 300 * 1e12) ** 0.5 / 0.2 * 1e6
        levels = [(p, a, (s**2 + own**2 * a * 2e-5) ** 0.5) for p, a, s in levels]
    if outside == "second trap":
        device = RandomTelegraphNoise(step=Proportional(sigma=0.5), occupancy=0.6, device=device)
        cells = torch.ones(2, len(LEVEL), dtype=torch.float64)
        levels = [(p * q, a * b, s * b) for p, a, s in levels for q, b in ((0.4, 1.0), (0.6, 0.5))]
    if outside == "stuck":
        device = ShotNoise(bandwidth=1.0, device=StuckAt(lrs=0.0, device=device))
        cells = torch.cat([StuckAt(lrs=0.0).own_state(draws("b", 1, len(LEVEL))), cells])
    reads = device.one_read(LEVEL, cells, LEVEL, 0.0, draws(outside)) * 1e6

    def distribution(x: object) -> object:
        return sum(p * stats.norm.cdf(x, 20 * a, s) for p, a, s in levels)

    assert stats.kstest(reads.numpy(), distribution).pvalue > 1e-4
    mean, std = (float(m[0]) * 1e6 for m in device.read_moments(LEVEL, cells, LEVEL, 0.0))
    assert abs(float(reads.mean()) - mean) < 4.5 * std / len(reads) ** 0.5


def test_dwell_times_of_a_trace_are_exponential() -> None:
    """tau_full = tau / (1 - p), tau_empty = tau / p; the first dwell of each cell has no memory either."""
    device, tau, p = RandomTelegraphNoise(step=Proportional(sigma=0.3), occupancy=0.25), 2e-3, 0.25
    n, cells, dt = 900, 3000, 2e-5
    time = torch.arange(n, dtype=torch.float64) * dt
    g = torch.full((cells,), 2e-5, dtype=torch.float64)
    reads = device.trace(g, torch.ones(1, cells), time, tau, draws("t", n, cells))
    full = reads < 1.9e-5
    assert stats.binomtest(int(full[0].sum()), cells, p).pvalue > 1e-4
    assert stats.binomtest(int(full[-1].sum()), cells, p).pvalue > 1e-4
    for state, mean in ((True, tau / (1 - p)), (False, tau / p)):
        changes = (full != state).double().argmax(0)[full[0] == state]  # reads until the first change
        left = torch.exp(torch.tensor(-dt / mean, dtype=torch.float64))
        ends = changes[changes > 0]  # those that changed within the trace: a truncated geometric law
        hop = 1 - (p + (float(state) - p) * torch.exp(torch.tensor(-dt / tau, dtype=torch.float64)))
        stay = float(1 - hop) if state else float(hop)
        assert stay == pytest.approx(float(left), rel=1e-3)

        def distribution(k: object, stay: float = stay) -> object:
            return (1 - stay**k) / (1 - stay ** (n - 1))

        grid = torch.arange(1, n)
        found = torch.tensor([(ends <= k).double().mean() for k in grid])
        far = (found - torch.tensor([distribution(int(k)) for k in grid])).abs().max()
        assert float(far) < 2.2 / len(ends) ** 0.5  # a KS bound at 1.3e-4


def test_a_trace_forgets_with_its_correlation_time() -> None:
    device, tau, p = RandomTelegraphNoise(step=Proportional(sigma=0.3), occupancy=0.3), 1.0, 0.3
    time = torch.tensor([0.0, 0.1, 0.5, 2.0, 9.0], dtype=torch.float64)
    cells = 40_000
    g = torch.full((cells,), 2e-5, dtype=torch.float64)
    full = (device.trace(g, torch.ones(1, cells), time, tau, draws("t", 5, cells)) < 1.9e-5).double() - p
    for k in range(5):
        wanted = torch.exp(-time[k] / tau)
        found = (full[0] * full[k]).mean() / (p * (1 - p))
        assert abs(float(found - wanted)) < 4.5 / cells**0.5 / (p * (1 - p))


@pytest.mark.parametrize("time", [[0.0, 0.0], [1.0, 0.0], [0.0]])
def test_a_trace_refuses_times_that_do_not_rise(time: list[float]) -> None:
    device = RandomTelegraphNoise(step=Proportional(sigma=0.3))
    with pytest.raises(ValueError, match="time has shape"):
        device.trace(G, torch.ones(1, 1), torch.tensor(time), 1.0, torch.zeros(2, 1))
    with pytest.raises(ValueError, match=r"tau = 0\.0"):
        device.trace(G, torch.ones(1, 1), torch.tensor([0.0, 1.0]), 0.0, torch.zeros(2, 1))


@pytest.mark.parametrize("occupancy", [0.5, 0.1])
def test_how_far_a_sum_of_cells_is_from_the_normal_number_that_a_product_draws(occupancy: float) -> None:
    """The bound of the docstring, and that a single cell is far from it."""
    device = RandomTelegraphNoise(step=Proportional(sigma=0.3), occupancy=occupancy, device=Ideal(g_min=0.0))
    far = {}
    for n in (1, 64, 512):
        g = torch.full((n, 4000), 2e-5, dtype=torch.float64)
        reads = device.one_read(g, torch.ones(1, n, 4000), g, 0.0, draws(f"sum {n}", n, 4000)).sum(0)
        mean, std = (m[:, 0] for m in device.read_moments(g, torch.ones(1, n, 4000), g, 0.0))
        law = stats.norm(float(mean.sum()), float((std**2).sum().sqrt()))
        far[n] = stats.kstest(reads.numpy(), law.cdf).statistic
        bound = 0.48 * (occupancy**2 + (1 - occupancy) ** 2) / (n * occupancy * (1 - occupancy)) ** 0.5
        assert far[n] < bound + 2.2 / 4000**0.5
    assert far[1] > 0.3 > 0.15 > far[64] > far[512]


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
    scale = analog.chip_scale[0, 0] / 25e-6  # [column]
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
