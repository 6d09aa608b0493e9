"""The full scale with the least squared error, against every full scale tried on the data itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from torch import Tensor

import mho
from mho.converters import SAR, Calibrated, Histogram, LeastSquares
from mho.converters.least_squares import least_squares_limit, squared_error
from mho.converters.ranges import related_by_powers_of_two

from ..compositions.covering import covering

SAMPLES = 40_000
LAWS = {
    "normal": scipy.stats.norm(),
    "Laplace": scipy.stats.laplace(),
    "uniform": scipy.stats.uniform(-1, 2),
    "heavy tail": scipy.stats.t(3),
    "half normal": scipy.stats.halfnorm(),
}


def drawn(name: str) -> Tensor:
    return torch.from_numpy(LAWS[name].rvs(SAMPLES, random_state=1)).float()


def seen(x: Tensor) -> Histogram:
    histogram = Histogram()
    for part in x.split(7_000):
        histogram.add(part)
    return histogram


def error(converter: Any, x: Tensor, limit: float) -> float:
    return float((converter.quantise(x, limit) - x).double().square().mean())


@pytest.mark.parametrize(
    ("name", "bits", "kind"),
    covering([list(LAWS), [2, 4, 6, 8], ["with zero", "without zero", "SAR", "unsigned"]]),
)
def test_no_full_scale_is_better(name: str, bits: int, kind: str) -> None:
    converter = {
        "with zero": mho.ADC(bits=bits),
        "without zero": mho.ADC(bits=bits, zero=False),
        "SAR": SAR(bits=bits),
        "unsigned": mho.ADC(bits=bits, signed=False),
    }[kind]
    x = drawn(name)
    found = LeastSquares().choose(seen(x), converter.quantise)
    peak = float(x.abs().max())
    best = min(error(converter, x, float(limit)) for limit in np.linspace(peak / 150, peak, 150))
    assert 0 < found <= peak
    assert error(converter, x, found) <= 1.01 * best


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_normal_values_against_the_integral(bits: int) -> None:
    """Rounding error of the inside and clipping error of the tails, integrated over the density."""
    law, levels = LAWS["normal"], 2 ** (bits - 1) - 1

    def expected(limit: float) -> float:
        step = limit / levels
        x = np.linspace(0, limit, 200 * levels + 1)
        inside = scipy.integrate.trapezoid((x - step * np.round(x / step)) ** 2 * law.pdf(x), x)
        tail = scipy.integrate.quad(lambda v: (v - limit) ** 2 * law.pdf(v), limit, 12)[0]
        return float(2 * (inside + tail))

    limits = np.linspace(1.5, 5.5, 161)
    wanted = limits[np.argmin([expected(float(v)) for v in limits])]
    x = torch.from_numpy(law.ppf((np.arange(400_000) + 0.5) / 400_000)).float()
    histogram = seen(x)
    found = least_squares_limit(histogram, mho.ADC(bits=bits).quantise)
    assert found == pytest.approx(wanted, rel=0.04)  # the minimum is flat
    assert expected(found) <= 1.003 * expected(wanted)
    assert squared_error(histogram, mho.ADC(bits=bits).quantise, found) == pytest.approx(
        expected(found), rel=0.01
    )


def test_nothing_to_round() -> None:
    assert least_squares_limit(seen(torch.zeros(5)), mho.ADC(bits=4).quantise) == 0
    x = torch.randn(1_000)
    assert least_squares_limit(seen(x), mho.ADC(bits=None).quantise) == pytest.approx(float(x.abs().max()))
    levels = torch.arange(-7.0, 8.0)
    assert least_squares_limit(seen(levels), mho.ADC(bits=4).quantise) == pytest.approx(7.0, rel=1e-3)
    with pytest.raises(ValueError, match="no data was seen"):
        Calibrated().choose(Histogram(), mho.ADC().quantise)


def test_related_by_powers_of_two() -> None:
    limits = torch.rand(4, 9) * 2.0 ** torch.randint(-8, 8, (4, 9))
    wide = related_by_powers_of_two(limits)
    octaves = torch.log2(limits.max() / wide)
    assert torch.equal(octaves, octaves.round()) and float(wide.max()) == float(limits.max())
    assert bool((wide >= limits).all()) and bool((wide < 2 * limits).all())
    exact = torch.tensor([0.3 * 2.0**-k for k in range(20)])
    assert torch.equal(related_by_powers_of_two(exact), exact)
    assert torch.equal(related_by_powers_of_two(torch.zeros(3)), torch.zeros(3))
