"""The spread of a quantity over cells: any distribution of torch, truncated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, cast

import torch
from pydantic import AfterValidator
from torch import Tensor
from torch.distributions import Distribution

from mho import random
from mho.config import Finite, NonNegative, config
from mho.devices.torch_distribution import TorchDistribution, described

Bound = Tensor | float | None

_LEAST = 1e-6  # of a distribution that must lie between the bounds
_ULP = 2.0**-52


@config
class Spread:
    """The distribution of a quantity over cells, truncated to what lies between two bounds.

    :func:`Stochastic` makes it of any distribution of ``torch.distributions``; ``mean`` and ``std`` are the
    short form of a normal one. What lies outside the bounds is left out: the density inside keeps its form
    and nothing piles up at a bound, as if draws outside were drawn again.

    Attributes:
        mean: of the normal distribution before it is truncated, in the unit of the quantity.
        std: likewise.
        low, high: bounds; None for none. Quantities of a cell are positive if not said otherwise.
        distribution: such as ``LogNormal(7.0, 0.2)``, with numbers for parameters.
        clamped: move what lies outside to the nearer bound instead of leaving it out.

    Raises:
        ConfigError: a distribution whose probabilities torch does not know, or bounds that hold less than a
            millionth of it.

    Example:
        >>> Spread(mean=5e4, std=1e4).of(torch.tensor([-1.0, 0.0, 2.0])).round().tolist()
        [40000.0, 50000.0, 70000.0]
    """

    mean: Finite | None = None
    std: NonNegative | None = None
    low: Finite | None = 0.0
    high: Finite | None = None
    distribution: Annotated[Any, AfterValidator(described)] = None
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

    def belongs(self, owner: type, name: str) -> str:
        """What to write instead of ``owner(name=law)``, for the message of the error."""
        from mho.devices.base import Device
        from mho.devices.dynamics.base import SwitchingModel

        if issubclass(owner, Device):
            device = f"{owner.__name__}(...)"
        elif issubclass(owner, SwitchingModel):
            device = f"Switching(model={owner.__name__}(...))"
        else:
            return "give a number; devices.Varied lets parameters of a device differ from cell to cell"
        return (
            "give a number here, and let the cells differ around it: "
            f"Varied(device={device}, spreads={{{name!r}: ...}})"
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
        first, last = torch.tensor([low, high], dtype=torch.float64)
        return float(self._cdf(last) - self._below(first))

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest value that a cell can have; infinite where there is no bound."""
        first, last = self._bounds
        if self.distribution is None:
            return first, last
        ends = self.distribution.support
        return max(first, ends[0]), min(last, ends[1])

    def draw(self, shape: Sequence[int], seed: int, *names: str) -> Tensor:
        """Values from the stream (seed, names...): the same ones whatever ran before.

        Args:
            shape: of the cells.
            seed: the chip's seed.
            names: the stream, for example the layer and the parameter.

        Returns:
            float32, on the CPU.
        """
        return self.of(random.normal(shape, seed, *names))

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
        below, up_to = self._below(cut[0]), self._cdf(cut[1])
        value = self._icdf((below + (up_to - below) * u).clamp(_ULP, 1 - _ULP))
        return torch.minimum(torch.maximum(value, first), last).to(eps.dtype)

    @property
    def _bounds(self) -> tuple[float, float]:
        return -math.inf if self.low is None else self.low, math.inf if self.high is None else self.high

    def _below(self, x: Tensor) -> Tensor:
        return self._cdf(x) if self.distribution is None else self.distribution.below(x)

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


def Stochastic(
    distribution: Distribution, low: float | None = None, high: float | None = None, clamped: bool = False
) -> Spread:
    """The law of a parameter that differs from cell to cell: any distribution of torch between two bounds.

    ``devices.Varied`` takes it for any parameter of a device, ``devices.OwnBounds`` for the resistances,
    ``devices.dynamics.vary`` and ``jitter`` for a switching model. What lies outside the bounds is left out,
    as if draws outside were drawn again.

    Args:
        distribution: of single numbers, such as ``Normal(1e3, 3e2)``; discrete ones too.
        low: lower bound, in the unit of the parameter; None for none.
        high: upper bound.
        clamped: move what lies outside to the nearer bound instead of leaving it out.

    Returns:
        Its description, which is saved with the device.

    Raises:
        ConfigError: no such distribution, or bounds that hold less than a millionth of it.

    Example:
        >>> from torch.distributions import LogNormal
        >>> r_off = Stochastic(LogNormal(11.5, 0.3), low=5e4)
        >>> round(r_off.median)
        99150
        >>> bool((r_off.draw((1000,), 0, "r_off") > 5e4).all())
        True
    """
    return Spread(distribution=distribution, low=low, high=high, clamped=clamped)
