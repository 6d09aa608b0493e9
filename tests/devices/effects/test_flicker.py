"""Noise of 1/f kind: a single read as without it, reads close in time alike, reads far apart not."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import nn

import mho
from mho.devices import PCM, FlickerNoise, Generic, Proportional, ThermalNoise
from mho.devices.effects.base import Effect, around

YEAR = 31_536_000.0
STEADY = Generic(read=Proportional(sigma=0.02))
NOISE = FlickerNoise(device=STEADY)
CELLS = 200_000


def drawn(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return NOISE.own_state(torch.randn(NOISE.draws, CELLS, generator=generator, dtype=torch.float64))


G = torch.full((CELLS,), 10e-6, dtype=torch.float64)
SIGMA = 0.02 * 10e-6


def mean_read(device: Effect, own: torch.Tensor, seconds: float) -> torch.Tensor:
    """What the reads of a session have in common."""
    cells = torch.cat([own, torch.zeros(1, CELLS, dtype=own.dtype)])  # the exponents of the device inside
    return device.read_moments(G, cells, G, seconds)[0]


def spread(device: Effect, own: torch.Tensor, seconds: float) -> torch.Tensor:
    """What differs from read to read."""
    return device.read_moments(G, torch.cat([own, torch.zeros(1, CELLS, dtype=own.dtype)]), G, seconds)[1]


@pytest.mark.parametrize("seconds", [3.0, 100.0, 86_400.0, YEAR])
def test_the_deviation_is_normal_over_cells(seconds: float) -> None:
    share = NOISE.slow_share(seconds)
    z = (mean_read(NOISE, drawn(), seconds) - G) / (SIGMA * math.sqrt(share))
    assert stats.kstest(z.numpy(), "norm").pvalue > 1e-3


@pytest.mark.parametrize("seconds", [0.0, 0.5, 3.0, 86_400.0, YEAR])
def test_one_read_has_the_variance_that_it_had(seconds: float) -> None:
    own = drawn()
    fast = spread(NOISE, own, seconds)
    slow = float((mean_read(NOISE, own, seconds) - G).square().mean())
    assert slow + float(fast.square().mean()) == pytest.approx(SIGMA**2, rel=0.02, abs=0)
    assert (slow == 0) == (seconds <= 1)


def test_the_share_is_that_of_the_decades() -> None:
    """From 1/t to 1/(2 t_read) each decade has as much: from 1/t to 1/fastest, those of the slow part."""
    for decades in range(1, 9):
        share = FlickerNoise(device=STEADY, t_read=0.5e-7).slow_share(10.0**decades)
        assert share == pytest.approx(decades / (decades + 7))
    assert NOISE.slow_share(1e9) == NOISE.slow_share(1e12)  # slower than the slowest is left out


def test_ages_close_together_are_alike_and_far_apart_are_not() -> None:
    own = drawn()
    at = {t: (mean_read(NOISE, own, t) - G).numpy() for t in (86_400.0, 86_401.0, 96_000.0, YEAR)}
    near, later, last = (stats.pearsonr(at[86_400.0], at[t])[0] for t in (86_401.0, 96_000.0, YEAR))
    assert near > 0.75  # all but the fastest components
    assert near > later > 0.2
    assert abs(last) < 0.5


def test_averaging_reads_leaves_what_is_slow() -> None:
    """A hundred reads of a noisy chip cut the error ten times; of this one, to its slow part."""
    torch.manual_seed(0)
    network = nn.Linear(256, 64, bias=False)
    x = torch.randn(64, 256)
    left = {}
    for name, device in (("white", PCM()), ("slow", FlickerNoise(device=PCM()))):
        quiet = {"program_scale": 0.0, "drift_scale": 0.0}
        inside = PCM(**quiet)
        analog = mho.convert(
            network, mho.Hardware(device=inside if name == "white" else around(device, inside))
        )
        mho.program(analog.eval(), seed=1)
        mho.age(analog, "1d")
        with torch.no_grad():
            wanted = analog.digital_forward(x)
            reads = torch.stack([analog(x) for _ in range(100)]) - wanted
        left[name] = float(reads.mean(0).square().mean()) / float(reads.square().mean())
    share = FlickerNoise(device=PCM()).slow_share(86_400.0)
    assert left["white"] == pytest.approx(0.01, rel=0.2, abs=0)
    assert left["slow"] == pytest.approx(share + (1 - share) / 100, rel=0.1, abs=0)


def test_what_is_white_stays_white() -> None:
    """Around the effect: nothing of it is slow."""
    both = ThermalNoise(bandwidth=1e9, device=FlickerNoise(device=STEADY))
    own = drawn()
    torch.testing.assert_close(
        mean_read(both, own, 86_400.0), mean_read(NOISE, own, 86_400.0), rtol=1e-12, atol=0
    )
    assert bool((spread(both, own, 86_400.0) > spread(NOISE, own, 86_400.0)).all())


def test_times_out_of_order() -> None:
    for wrong in ({"fastest": 1e9}, {"t_read": 1.0}, {"slowest": 0.1}):
        with pytest.raises(ValueError, match="the fastest time, and that is shorter than the slowest"):
            FlickerNoise(**wrong)
