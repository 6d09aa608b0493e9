"""A distribution of torch as a description: hashable, saved, and inverted."""

from __future__ import annotations

import functools
import inspect
import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from mho.config import Finite, config

_ULP = 2.0**-52
_NODES = 1 << 16  # of the integral over a density
_TOTAL = 1e-4  # how far that may be from 1
_KNOTS = 1 << 14  # of the table that inverts a distribution without an icdf
_STEPS = 50  # standard deviations of a discrete distribution on each side
_REACH = 8.25  # standard deviations of a normal number; 1 - 2^-52 lies at 8.13


@config
class TorchDistribution:
    """A distribution of ``torch.distributions`` by its name and parameters: hashable, and plain in JSON.

    :func:`~mho.devices.Stochastic` makes it of torch's own object.

    Attributes:
        name: the class in ``torch.distributions``.
        parameters: name and value of each of its arguments.

    >>> from torch.distributions import LogNormal
    >>> from mho.devices import Stochastic
    >>> Stochastic(LogNormal(7.0, 0.2)).distribution
    TorchDistribution(name='LogNormal', parameters=(('loc', 7.0), ('scale', 0.2)))
    """

    name: str
    parameters: tuple[tuple[str, Finite], ...]

    def validate(self) -> None:
        """One number, whose probabilities torch knows."""
        kind = getattr(torch.distributions, self.name, None)
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise ValueError(f"name = {self.name!r}: torch.distributions has no such distribution")
        try:
            law = self._made(check=True)
        except (TypeError, RuntimeError) as error:
            raise ValueError(f"parameters = {self.parameters!r}: {self.name} says: {error}") from None
        if law.batch_shape + law.event_shape:
            raise ValueError(f"{self.name} is no distribution of single numbers")
        try:
            total = self._total()
        except RuntimeError:  # no density either, or one that torch computes in single precision only
            total = math.nan
        if not abs(total - 1) < _TOTAL:
            raise ValueError(
                f"torch knows neither icdf nor cdf of {self.name}, and its density sums to {total:g}: take a "
                "distribution such as Normal, LogNormal, Uniform, Gamma, Beta, StudentT, Weibull or Cauchy"
            )

    @property
    def discrete(self) -> bool:
        """Whether it counts."""
        return bool(self._made().support.is_discrete)  # type: ignore[union-attr]

    def below(self, x: Tensor) -> Tensor:
        """Probability of less than ``x``, any number."""
        return self.cdf(x.ceil() - 1) if self.discrete else self.cdf(x)

    def cdf(self, x: Tensor) -> Tensor:
        """Probability of at most ``x``, any number."""
        if self.discrete:
            values, chance = (v.to(x) for v in _steps(self))
            k = torch.searchsorted(values, x.contiguous(), right=True)
            return torch.where(k > 0, chance[(k - 1).clamp(min=0)], 0.0)
        law, (first, last) = self._made(), self.support
        try:
            inside = law.cdf(x.clamp(first, last))
        except NotImplementedError:
            nodes, chance = (v.to(x) for v in _integral(self))
            place = x.clamp(nodes[0], nodes[-1]).contiguous()
            k = torch.searchsorted(nodes, place).clamp(1, len(nodes) - 1)
            part = (place - nodes[k - 1]) / (nodes[k] - nodes[k - 1])
            inside = torch.lerp(chance[k - 1], chance[k], part) / chance[-1]
        return torch.where(x <= first, 0.0, torch.where(x >= last, 1.0, inside))

    def icdf(self, p: Tensor) -> Tensor:
        """The number that a draw is below with probability ``p``."""
        if self.discrete:
            values, chance = (v.to(p) for v in _steps(self))
            return values[torch.searchsorted(chance, p.contiguous()).clamp(max=len(values) - 1)]
        try:
            value: Tensor = self._made().icdf(p)
        except NotImplementedError:
            table = torch.tensor(_quantiles(self), dtype=p.dtype, device=p.device)
            place = (torch.special.ndtri(p) + _REACH) * (_KNOTS / (2 * _REACH))
            below = place.floor().clamp(0, _KNOTS - 1)
            k = below.long()
            value = torch.lerp(table[k], table[k + 1], (place - below).clamp(0, 1))
        return value.clamp(*self.support)

    @property
    def support(self) -> tuple[float, float]:
        """The values it can have; infinite where there is no bound."""
        if self.discrete:
            values = _steps(self)[0]
            return float(values[0]), float(values[-1])
        if self.name == "VonMises":  # whose density torch continues over and over
            return -math.pi, math.pi
        support = self._made().support
        return float(getattr(support, "lower_bound", -math.inf)), float(
            getattr(support, "upper_bound", math.inf)
        )

    def _total(self) -> float:
        """The chance of any value, where it follows from the density; else 1."""
        if self.discrete:
            return float(_steps(self)[1][-1])
        try:
            self._made().cdf(torch.tensor(0.5, dtype=torch.float64))
        except NotImplementedError:
            return float(_integral(self)[1][-1])
        return 1.0

    def _made(self, check: bool = False) -> Distribution:
        values = {k: torch.tensor(v, dtype=torch.float64) for k, v in self.parameters}
        made: Distribution = getattr(torch.distributions, self.name)(**values, validate_args=check)
        return made


@functools.lru_cache(maxsize=64)
def _steps(law: TorchDistribution) -> tuple[Tensor, Tensor]:
    """The values of a discrete distribution and the chance of at most each."""
    made = law._made()
    if made.has_enumerate_support:
        values = made.enumerate_support().double()
    else:
        middle, reach = float(made.mean), _STEPS * (1 + float(made.stddev))
        first = max(float(made.support.lower_bound), math.floor(middle - reach))  # type: ignore[union-attr]
        values = torch.arange(first, middle + reach, dtype=torch.float64)
    return values, torch.cumsum(made.log_prob(values).exp(), 0)


@functools.lru_cache(maxsize=64)
def _integral(law: TorchDistribution) -> tuple[Tensor, Tensor]:
    """Points and the chance of less than each, summed over the density.

    The points are those of the double exponential formula, which the singular ends of a density and its
    long tails need (H. Takahasi and M. Mori, Publ. RIMS 9, 721, 1974), around its middle.
    """
    made, (first, last) = law._made(), law.support
    t = torch.linspace(-4.0, 4.0, _NODES, dtype=torch.float64)
    z, rise = math.pi / 2 * torch.sinh(t), math.pi / 2 * torch.cosh(t)
    spread, middle = float(made.stddev), float(made.mean)
    wide = spread if 0 < spread < math.inf else float(getattr(made, "scale", 1.0))
    middle = middle if math.isfinite(middle) else float(getattr(made, "loc", 0.0))
    if math.isfinite(first) and math.isfinite(last):
        x, slope = first + (last - first) * torch.sigmoid(2 * z), 2 * (last - first) * torch.sigmoid(2 * z)
        slope = slope * torch.sigmoid(-2 * z)
    elif math.isfinite(first):
        size = max(middle - first, wide)
        x, slope = first + size * z.exp(), size * z.exp()
    else:
        x, slope = middle + wide * torch.sinh(z), wide * torch.cosh(z)
    density = (made.log_prob(x).exp() * slope * rise).nan_to_num(0.0, 0.0, 0.0)
    chance = torch.cumsum(density, 0) - density / 2
    keep = torch.cat((torch.ones(1, dtype=torch.bool), x[1:] > x[:-1]))
    step = float(t[1] - t[0])
    return x[keep], chance[keep] * step


@functools.lru_cache(maxsize=64)
def _quantiles(law: TorchDistribution) -> tuple[float, ...]:
    """The quantiles of evenly spaced normal numbers, by bisection."""
    p = 0.5 * torch.erfc(-torch.linspace(-_REACH, _REACH, _KNOTS + 1, dtype=torch.float64) / math.sqrt(2))
    first, last = law.support
    known = [abs(end) for end in (first, last) if math.isfinite(end)]
    wide = 1 + max(known, default=0.0)
    low = torch.full_like(p, first if math.isfinite(first) else -wide)
    high = torch.full_like(p, last if math.isfinite(last) else wide)
    for _ in range(1024):  # double an unbounded end until it holds the last quantile
        short, far = law.cdf(high) < p.clamp(max=1 - _ULP), law.cdf(low) > p
        if not bool(short.any() | far.any()):
            break
        high, low = torch.where(short, 2 * high, high), torch.where(far, 2 * low, low)
    for _ in range(200):
        middle = low + (high - low) / 2
        above = law.cdf(middle) < p
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return tuple(high.tolist())


def described(value: Any) -> TorchDistribution | None:
    """A distribution of torch as a description."""
    if value is None or isinstance(value, TorchDistribution):
        return value
    if not isinstance(value, Distribution):
        raise ValueError("give one of torch.distributions, such as LogNormal(7.0, 0.2)")
    name = type(value).__name__
    if getattr(torch.distributions, name, None) is not type(value):
        raise ValueError(
            f"{name} is none of torch.distributions: a description names it there, to be saved; a law takes "
            "those only"
        )
    arguments = [k for k in inspect.signature(type(value)).parameters if k not in ("validate_args", "lims")]
    if {"probs", "logits"} <= set(arguments):
        arguments.remove("logits")
    found = []
    for argument in arguments:
        number = getattr(value, argument, None)
        if not (isinstance(number, (int, float)) or (isinstance(number, Tensor) and number.dim() == 0)):
            raise ValueError(f"{argument} of {name} is no single number: a parameter of a cell is one number")
        found.append((argument, _shortest(number)))
    return TorchDistribution(name=name, parameters=tuple(found))


def _shortest(number: Tensor | float) -> float:
    """The value that was meant: 25e-6, not 2.4999999e-05, for a tensor of single precision."""
    if not isinstance(number, Tensor) or number.dtype == torch.float64:
        return float(number)
    short = (float(f"{float(number):.{digits}g}") for digits in range(1, 17))
    return next((v for v in short if torch.tensor(v, dtype=number.dtype) == number.cpu()), float(number))
