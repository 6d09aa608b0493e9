"""Spreads: truncated distributions of torch by inverse transform."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import distributions as D

import mho
from mho.config import digest
from mho.devices import OwnBounds, Spread, Stochastic
from mho.errors import ConfigError

EPS = mho.random.normal((20_000,), 0, "spread").double()
LAWS = {
    "normal": (D.Normal(100.0, 40.0), stats.norm(100, 40)),
    "lognormal": (D.LogNormal(7.0, 0.2), stats.lognorm(0.2, scale=math.exp(7))),
    "uniform": (D.Uniform(-3.0, 5.0), stats.uniform(-3, 8)),
    "laplace": (D.Laplace(1.0, 2.0), stats.laplace(1, 2)),
    "cauchy": (D.Cauchy(1000.0, 2.0), stats.cauchy(1000, 2)),
    "exponential": (D.Exponential(3.0), stats.expon(scale=1 / 3)),
    "gumbel": (D.Gumbel(1.0, 2.0), stats.gumbel_r(1, 2)),
    "weibull": (D.Weibull(2.0, 1.5), stats.weibull_min(1.5, scale=2)),
    "pareto": (D.Pareto(2.0, 3.0), stats.pareto(3, scale=2)),
    "half normal": (D.HalfNormal(2.0), stats.halfnorm(scale=2)),
    "kumaraswamy": (D.Kumaraswamy(1.0, 3.0), stats.beta(1, 3)),
    # torch knows no icdf of these
    "gamma": (D.Gamma(2.5, 1e5), stats.gamma(2.5, scale=1e-5)),
    "steep gamma": (D.Gamma(0.3, 2.0), stats.gamma(0.3, scale=0.5)),
    "chi2": (D.Chi2(4.0), stats.chi2(4)),
    "inverse gamma": (D.InverseGamma(3.0, 2.0), stats.invgamma(3, scale=2)),
    # and of these neither icdf nor cdf
    "beta": (D.Beta(2.0, 5.0), stats.beta(2, 5)),
    "steep beta": (D.Beta(0.5, 0.5), stats.beta(0.5, 0.5)),
    "student": (D.StudentT(3.0, 5.0, 0.5), stats.t(3, 5, 0.5)),
    "far student": (D.StudentT(30.0, 1000.0, 2.0), stats.t(30, 1000, 2)),
    "f": (D.FisherSnedecor(5.0, 7.0), stats.f(5, 7)),
    "von mises": (D.VonMises(0.5, 2.0), stats.vonmises(2, 0.5)),
}
DISCRETE = {
    "poisson": (D.Poisson(7.0), stats.poisson(7)),
    "binomial": (D.Binomial(10, 0.3), stats.binom(10, 0.3)),
    "bernoulli": (D.Bernoulli(0.3), stats.bernoulli(0.3)),
    "geometric": (D.Geometric(0.2), stats.geom(0.2, loc=-1)),
    "negative binomial": (D.NegativeBinomial(5.0, 0.3), stats.nbinom(5, 0.7)),
}
ALL = LAWS | DISCRETE


@pytest.mark.parametrize("law", LAWS)
def test_whole_and_truncated(law: str) -> None:
    """The values follow the law, and the law given that they lie between two bounds."""
    torch_law, scipy_law = LAWS[law]
    whole = Spread(distribution=torch_law, low=None).of(EPS).numpy()
    assert stats.kstest(whole, scipy_law.cdf).pvalue > 1e-4
    low, high = (float(scipy_law.ppf(p)) for p in (0.2, 0.7))
    part = Spread(distribution=torch_law, low=low, high=high)
    values = part.of(EPS).numpy()
    assert values.min() > low and values.max() < high  # nothing piles up
    a, b = scipy_law.cdf([low, high])
    assert stats.kstest(values, lambda x: (scipy_law.cdf(x) - a) / (b - a)).pvalue > 1e-4
    assert part.quantile(0.3) == pytest.approx(scipy_law.ppf(0.35), rel=2e-6)
    assert part.median == pytest.approx(scipy_law.ppf(0.45), rel=2e-6)


@pytest.mark.parametrize("law", DISCRETE)
def test_discrete(law: str) -> None:
    """Whole, truncated with both bounds in it, and clamped."""
    torch_law, scipy_law = DISCRETE[law]
    middle = float(scipy_law.mean())
    k = math.floor(middle)
    for low, high in ((-math.inf, math.inf), (k, k + 1), (k - 0.5, k + 1.5), (k + 1, math.inf)):
        bounds = (None if math.isinf(low) else low), (None if math.isinf(high) else high)
        values = Stochastic(torch_law, *bounds).of(EPS)
        inside = [n for n in range(200) if low <= n <= high]
        chance = torch.as_tensor(scipy_law.pmf(inside))
        found = torch.stack([(values == n).double().mean() for n in inside])
        assert float(found.sum()) == 1.0
        torch.testing.assert_close(found, chance / chance.sum(), rtol=0, atol=0.015)
        assert bool((values.diff()[EPS.diff() > 0] >= 0).all())
    clamped = Stochastic(torch_law, low=middle, clamped=True)
    assert float((clamped.of(EPS) == clamped.low).double().mean()) == pytest.approx(
        scipy_law.cdf(middle), abs=0.015
    )


def test_the_short_constructor() -> None:
    law = D.LogNormal(7.0, 0.2)
    assert Stochastic(law) == Spread(distribution=law, low=None)
    assert Stochastic(law, 900.0, 1200.0, True) == Spread(
        distribution=law, low=900.0, high=1200.0, clamped=True
    )
    assert Stochastic(law).ends == (0.0, math.inf) and Stochastic(law, -1.0, 2e3).ends == (0.0, 2e3)
    assert Spread(mean=1.0, std=1.0).ends == (0.0, math.inf)
    OwnBounds(r_off=Stochastic(D.LogNormal(13.0, 0.3)), device=mho.devices.Ideal(g_min=1e-6))


def test_a_law_in_place_of_a_number_says_where_it_goes() -> None:
    law = Stochastic(D.Normal(25e-6, 1e-6))
    with pytest.raises(ConfigError, match=r"Varied\(device=PCM\(\.\.\.\), spreads=\{'g_max': \.\.\.\}\)"):
        mho.devices.PCM(g_max=law)  # type: ignore[arg-type]
    with pytest.raises(
        ConfigError, match=r"Varied\(device=Switching\(model=VTEAM\(\.\.\.\)\), spreads=\{'r_off'"
    ):
        mho.devices.dynamics.VTEAM(r_off=law)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"give a number; devices\.Varied"):
        mho.Tile(rows=law)  # type: ignore[arg-type]


def test_short_form_of_the_normal_law() -> None:
    short = Spread(mean=100.0, std=40.0, low=60.0, high=170.0)
    long = Spread(distribution=D.Normal(100.0, 40.0), low=60.0, high=170.0)
    torch.testing.assert_close(short.of(EPS), long.of(EPS))
    law = stats.truncnorm((60 - 100) / 40, (170 - 100) / 40, loc=100, scale=40)
    assert stats.kstest(short.of(EPS).numpy(), law.cdf).pvalue > 1e-4
    torch.testing.assert_close(Spread(mean=-3.0, std=2.0, low=None).of(EPS), -3 + 2 * EPS)


@pytest.mark.parametrize("law", ["normal", "gamma"])
def test_bounds_of_each_cell(law: str) -> None:
    """Where each cell has bounds of its own, each has the law truncated to those."""
    torch_law, scipy_law = LAWS[law]
    u = torch.rand(len(EPS), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    low = torch.as_tensor(scipy_law.ppf(0.5 * u.numpy() + 0.1))
    high = float(scipy_law.ppf(0.9))
    values = Spread(distribution=torch_law).of(EPS, low=low, high=high)
    assert bool(((values > low) & (values < high)).all())
    below = scipy_law.cdf(low.numpy())
    assert stats.kstest((scipy_law.cdf(values.numpy()) - below) / (0.9 - below), "uniform").pvalue > 1e-4


def test_clamped_on_request() -> None:
    spread = Spread(mean=1.0, std=1.0, low=0.0, high=3.0, clamped=True)
    torch.testing.assert_close(spread.of(EPS), (1 + EPS).clamp(0.0, 3.0))
    above = spread.of(EPS, low=-1.0)  # says nothing new
    assert torch.equal(above, spread.of(EPS))
    assert bool((spread.of(EPS, low=0.5) > 0.5).all())
    assert float((spread.of(EPS, low=2.5) == 3.0).double().mean()) == pytest.approx(
        stats.norm.sf(2) / stats.norm.sf(1.5), abs=0.02
    )


def test_no_spread() -> None:
    assert Spread(mean=5.0, std=0.0).of(EPS).unique().tolist() == [5.0]
    assert Spread(mean=5.0, std=0.0, low=None).median == 5.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_draws_are_finite(dtype: torch.dtype) -> None:
    far = torch.tensor([-40.0, -9.0, 9.0, 40.0], dtype=dtype)
    for law, _ in ALL.values():
        values = Spread(distribution=law, low=None).of(far)
        assert values.dtype == dtype and bool(values.isfinite().all())


@pytest.mark.parametrize("law", ALL)
def test_description(law: str) -> None:
    """Through JSON, hashable, and equal for equal laws."""
    spread = Stochastic(ALL[law][0])
    hardware = mho.Hardware(device=OwnBounds(r_off=Spread(distribution=D.LogNormal(13.0, 0.3))))
    assert mho.Hardware.from_json(hardware.to_json()) == hardware
    again = mho.config.from_json(mho.config.to_json(spread))
    assert again == spread and hash(again) == hash(spread) and digest(again) == digest(spread)
    assert torch.equal(again.of(EPS), spread.of(EPS))


def test_single_precision_leaves_no_trace() -> None:
    spread = Spread(distribution=D.Normal(25e-6, 1e-6))
    assert spread.distribution.parameters == (("loc", 25e-6), ("scale", 1e-6))
    assert spread == Spread(
        distribution=D.Normal(torch.tensor(25e-6), torch.tensor(1e-6, dtype=torch.float64))
    )


def test_compiles() -> None:
    for spread in (Spread(mean=1.0, std=0.5), Stochastic(D.LogNormal(0.0, 1.0))):
        compiled = torch.compile(spread.of, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(EPS), spread.of(EPS))


class Own(D.Normal):
    pass


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"mean": 1.0, "std": 1.0, "low": 2.0, "high": 1.0}, "must be below high"),
        ({"mean": 1.0, "std": 0.1, "low": 2.0}, "less than a millionth"),
        ({"mean": 1.0, "std": 0.0, "low": 2.0}, "outside low and high"),
        ({"distribution": D.LogNormal(0.0, 1.0), "high": 1e-6}, "LogNormal.*less than a millionth"),
        ({"mean": 1.0}, "give mean and std"),
        ({}, "give mean and std"),
        ({"mean": 1.0, "std": 1.0, "distribution": D.Normal(0.0, 1.0)}, "give mean and std"),
        ({"distribution": D.RelaxedBernoulli(torch.tensor(1.0), 0.5)}, "neither icdf nor cdf of Relaxed"),
        ({"distribution": D.Poisson(3.0), "low": 3.2, "high": 3.8}, "less than a millionth"),
        ({"distribution": D.Normal(torch.zeros(2), 1.0)}, "loc of Normal is no single number"),
        ({"distribution": D.Dirichlet(torch.ones(3))}, "no single number"),
        ({"distribution": Own(0.0, 1.0)}, "none of torch.distributions"),
        ({"distribution": D.Normal}, "give one of torch.distributions"),
        ({"distribution": "Normal"}, "give one of torch.distributions"),
    ],
)
def test_refusals(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Spread(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "Nomal", "parameters": (("loc", 0.0),)}, "has no such distribution"),
        ({"name": "Normal", "parameters": (("loc", 0.0), ("scale", -1.0))}, "Normal says|scale"),
        ({"name": "Normal", "parameters": (("place", 0.0),)}, "Normal says"),
    ],
)
def test_refusals_by_name(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        mho.devices.TorchDistribution(**fields)  # type: ignore[arg-type]
