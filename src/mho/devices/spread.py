"""The spread of a quantity over cells: any continuous distribution of torch, truncated."""

from __future__ import annotations

import functools
import inspect
import math
from typing import Annotated, Any, cast

import torch
from pydantic import AfterValidator
from torch import Tensor
from torch.distributions import Distribution

from mho.config import Finite, NonNegative, config

Bound = Tensor | float | None

_LEAST = 1e-6  # of a distribution that must lie between the bounds
_ULP = 2.0**-52
_NODES = 1 << 16  # of the integral over a density
_TOTAL = 1e-4  # how far that may be from 1
_KNOTS = 1 << 14  # of the table that inverts a distribution without an icdf
_REACH = 8.25  # standard deviations of a normal number; 1 - 2^-52 lies at 8.13


@config
class TorchDistribution:
    """A distribution of ``torch.distributions`` by its name and parameters: hashable, and plain in JSON.

    ``Spread(distribution=...)`` makes it of torch's own object.

    Attributes:
        name: the class in ``torch.distributions``.
        parameters: name and value of each of its arguments.

    >>> from torch.distributions import LogNormal
    >>> Spread(distribution=LogNormal(7.0, 0.2)).distribution
    TorchDistribution(name='LogNormal', parameters=(('loc', 7.0), ('scale', 0.2)))
    """

    name: str
    parameters: tuple[tuple[str, Finite], ...]

    def validate(self) -> None:
        """One continuous number, whose probabilities torch knows."""
        kind = getattr(torch.distributions, self.name, None)
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise ValueError(f"name = {self.name!r}: torch.distributions has no such distribution")
        try:
            law = self._made(check=True)
        except (TypeError, RuntimeError) as error:
            raise ValueError(f"parameters = {self.parameters!r}: {self.name} says: {error}") from None
        if law.batch_shape + law.event_shape:
            raise ValueError(f"{self.name} is no distribution of single numbers")
        if law.support.is_discrete:  # type: ignore[union-attr]
            raise ValueError(
                f"{self.name} is discrete: a parameter of a cell takes a continuous distribution"
            )
        total = self._total()
        if not abs(total - 1) < _TOTAL:
            raise ValueError(
                f"torch knows neither icdf nor cdf of {self.name}, and its density sums to {total:g}: take a "
                "distribution such as Normal, LogNormal, Uniform, Gamma, Beta, StudentT, Weibull or Cauchy"
            )

    def cdf(self, x: Tensor) -> Tensor:
        """Probability of less than ``x``, any number."""
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
        support = self._made().support
        return float(getattr(support, "lower_bound", -math.inf)), float(
            getattr(support, "upper_bound", math.inf)
        )

    def _total(self) -> float:
        """The chance of any value, where it follows from the density; else 1."""
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


def _described(value: Any) -> TorchDistribution | None:
    """A distribution of torch as a description."""
    if value is None or isinstance(value, TorchDistribution):
        return value
    if not isinstance(value, Distribution):
        raise ValueError("give one of torch.distributions, such as LogNormal(7.0, 0.2)")
    name = type(value).__name__
    if getattr(torch.distributions, name, None) is not type(value):
        raise ValueError(
            f"{name} is none of torch.distributions: a description names it there, to be saved; a Spread "
            "takes those only"
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


@config
class Spread:
    """The distribution of a quantity over cells, truncated to what lies between two bounds.

    Give ``mean`` and ``std`` for a normal distribution, or ``distribution`` for another continuous one of
    ``torch.distributions``. What lies outside the bounds is left out: the density inside keeps its form and
    nothing piles up at a bound, as if draws outside were drawn again.

    Attributes:
        mean: of the normal distribution before it is truncated, in the unit of the quantity.
        std: likewise.
        low, high: bounds; None for none. Quantities of a cell are positive if not said otherwise.
        distribution: such as ``LogNormal(7.0, 0.2)``, with numbers for parameters.
        clamped: move what lies outside to the nearer bound instead of leaving it out.

    Raises:
        ConfigError: a discrete distribution, one whose probabilities torch does not know, or bounds that
            hold less than a millionth of it.

    Example:
        >>> from torch.distributions import LogNormal
        >>> r_off = Spread(distribution=LogNormal(11.5, 0.3), low=5e4)
        >>> round(r_off.median)
        99150
        >>> Spread(mean=5e4, std=1e4).of(torch.tensor([-1.0, 0.0, 2.0])).round().tolist()
        [40000.0, 50000.0, 70000.0]
    """

    mean: Finite | None = None
    std: NonNegative | None = None
    low: Finite | None = 0.0
    high: Finite | None = None
    distribution: Annotated[Any, AfterValidator(_described)] = None
    clamped: bool = False

    def validate(self) -> None:
        """One form, and bounds that hold some of the distribution."""
        given = self.mean is not None, self.std is not None
        if any(given) == (self.distribution is not None) or any(given) != all(given):
            raise ValueError("give mean and std for a normal distribution, or a distribution of torch alone")
        first, last = self._bounds
        if last <= first:
            raise ValueError(f"low = {self.low!r} must be below high = {self.high!r}")
        if self.clamped:
            return
        if self.std == 0 and not (first <= (self.mean or 0.0) <= last):
            raise ValueError(f"mean = {self.mean!r} with std = 0: it lies outside low and high")
        if self.std != 0 and self.share(first, last) < _LEAST:
            law = self.distribution or f"mean = {self.mean!r}, std = {self.std!r}"
            raise ValueError(
                f"{law}: less than a millionth of the distribution lies between low = {self.low!r} and "
                f"high = {self.high!r}"
            )

    @property
    def median(self) -> float:
        """Half of the cells have less."""
        return self.quantile(0.5)

    def quantile(self, share: float) -> float:
        """The value that this share of the cells, above 0 and below 1, lies below."""
        p = torch.tensor(share, dtype=torch.float64)
        return float(self.of(torch.special.ndtri(p)))

    def share(self, low: float, high: float) -> float:
        """How much of the distribution, before it is truncated, lies between two values."""
        below, up_to = self._cdf(torch.tensor([low, high], dtype=torch.float64)).tolist()
        return float(up_to - below)

    def of(self, eps: Tensor, low: Bound = None, high: Bound = None) -> Tensor:
        """Values of cells from standard normal draws, rising with them.

        Args:
            eps: draws, any shape.
            low, high: bounds of each cell besides those of the spread, numbers or tensors.

        Returns:
            In the shape and dtype of ``eps``.
        """
        ends = (low, -math.inf), (high, math.inf)
        own = [
            torch.as_tensor(e if x is None else x, dtype=torch.float64, device=eps.device) for x, e in ends
        ]
        limits = [torch.tensor(x, dtype=torch.float64, device=eps.device) for x in self._bounds]
        u = (0.5 * torch.erfc(-eps.double() / math.sqrt(2))).clamp(_ULP, 1 - _ULP)
        first, last = torch.maximum(limits[0], own[0]), torch.minimum(limits[1], own[1])
        if self.clamped:  # what lies beyond a bound of the spread is there, at the bound
            cut = (
                torch.where(first > limits[0], first, -math.inf),
                torch.where(last < limits[1], last, math.inf),
            )
        else:
            cut = first, last
        below, up_to = (self._cdf(x) for x in cut)
        value = self._icdf((below + (up_to - below) * u).clamp(_ULP, 1 - _ULP))
        return torch.minimum(torch.maximum(value, first), last).to(eps.dtype)

    @property
    def _bounds(self) -> tuple[float, float]:
        return -math.inf if self.low is None else self.low, math.inf if self.high is None else self.high

    def _cdf(self, x: Tensor) -> Tensor:
        if self.mean is None or self.std is None:
            return cast("TorchDistribution", self.distribution).cdf(x)
        if self.std == 0:
            return (x >= self.mean).to(x.dtype)
        return 0.5 * torch.erfc((self.mean - x) / (self.std * math.sqrt(2)))

    def _icdf(self, p: Tensor) -> Tensor:
        if self.mean is None or self.std is None:
            return cast("TorchDistribution", self.distribution).icdf(p)
        value: Tensor = self.mean + self.std * torch.special.ndtri(p)
        return value
