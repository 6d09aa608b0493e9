"""Laws of a conductance error: how large it is, and how it is distributed.

The laws are the parts of :class:`mho.devices.Generic`. Write your own by deriving from :class:`Error`
and decorating it with :func:`mho.config.config`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Annotated

import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from mho.config import Finite, NonNegative, Siemens, config
from mho.devices._curves import check_table, interpolated, polynomial


class Error(ABC):
    """A random error of a conductance; normal unless a law says otherwise."""

    @abstractmethod
    def std(self, g: Tensor, g_max: float) -> Tensor:
        """Standard deviation of the error, siemens.

        Args:
            g: conductance without the error, siemens, any shape, at least 0.
            g_max: highest conductance of the device, siemens.
        """

    def perturbed(self, g: Tensor, eps: Tensor, g_max: float, scale: float) -> Tensor:
        """The conductance with its error, not clipped.

        Args:
            g: conductance without the error, siemens.
            eps: standard normal draws of g's shape, whatever the distribution of the error.
            g_max: highest conductance of the device, siemens.
            scale: factor on the error; 0 gives ``g`` back.
        """
        return g + scale * self.std(g, g_max) * eps


@config
class Independent(Error):
    """The same normal error at all conductances, ``std = sigma g_max``."""

    sigma: NonNegative

    def std(self, g: Tensor, g_max: float) -> Tensor:
        """``sigma g_max``."""
        return torch.zeros_like(g) + self.sigma * g_max


@config
class Proportional(Error):
    """A normal error in proportion to the conductance, ``std = sigma g``."""

    sigma: NonNegative

    def std(self, g: Tensor, g_max: float) -> Tensor:
        """``sigma g``."""
        return self.sigma * g


@config
class Inverse(Error):
    """A normal error in inverse proportion, ``std = sigma g_max^2 / g``, and 0 at g = 0.

    Below g = 1e-6 g_max it grows no further.
    """

    sigma: NonNegative

    def std(self, g: Tensor, g_max: float) -> Tensor:
        """``sigma g_max^2 / g``."""
        r = g / g_max
        return torch.where(r > 0, self.sigma * g_max / r.clamp_min(1e-6), 0.0)


@config
class Polynomial(Error):
    """A normal error from a fit, ``std = g_max sum_i coefficients[i] (g / g_max)^i``, at least 0."""

    coefficients: tuple[Finite, ...]

    def validate(self) -> None:
        """At least one coefficient."""
        if not self.coefficients:
            raise ValueError("coefficients = (): give at least one; (0.0,) is no error")

    def std(self, g: Tensor, g_max: float) -> Tensor:
        """The polynomial at ``g``."""
        return g_max * polynomial(g / g_max, self.coefficients).clamp_min(0)


@config
class Table(Error):
    """A normal error from measured values, interpolated linearly and constant outside.

    Attributes:
        g: conductances, siemens, increasing.
        sigma: standard deviation at each of them, siemens.
    """

    g: tuple[Siemens, ...]
    sigma: tuple[Siemens, ...]

    def validate(self) -> None:
        """One spread for each conductance."""
        check_table("g", self.g, sigma=self.sigma)

    def std(self, g: Tensor, g_max: float) -> Tensor:
        """The table at ``g``."""
        return interpolated(g, self.g, self.sigma)


@config
class Uniform(Error):
    """A uniform error, in [-width/2, width/2] around the conductance.

    Attributes:
        width: a law whose ``std`` is taken as the full width: ``Uniform(width=Proportional(sigma=0.1))``
            is within 5 % of the conductance.
    """

    width: InstanceOf[Error]

    def std(self, g: Tensor, g_max: float) -> Tensor:
        """``width / sqrt(12)``."""
        return self.width.std(g, g_max) / math.sqrt(12)

    def perturbed(self, g: Tensor, eps: Tensor, g_max: float, scale: float) -> Tensor:
        """``g + width (Phi(eps) - 1/2)``, Phi the normal distribution, so Phi(eps) is uniform."""
        return g + scale * self.width.std(g, g_max) * (0.5 * torch.erf(eps / math.sqrt(2)))


@config
class LogNormal(Error):
    """A log-normal error that keeps the mean, ``g exp(sigma xi - sigma^2 / 2)``; never negative.

    Attributes:
        sigma: standard deviation of ln g, at most 5.
    """

    sigma: Annotated[float, Field(ge=0, le=5)]

    def std(self, g: Tensor, g_max: float) -> Tensor:
        """``g sqrt(exp(sigma^2) - 1)``."""
        return math.sqrt(math.expm1(self.sigma**2)) * g

    def perturbed(self, g: Tensor, eps: Tensor, g_max: float, scale: float) -> Tensor:
        """``g exp(s eps - s^2 / 2)`` with ``s = scale sigma``."""
        s = scale * self.sigma
        return g * torch.exp(s * eps - 0.5 * s * s)
