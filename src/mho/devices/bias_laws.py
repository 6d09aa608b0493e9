"""Laws of a systematic error: how far the mean of many cells lies from the target they were written to.

The laws are a part of :class:`mho.devices.Generic`. Write your own by deriving from :class:`Bias` and
decorating it with :func:`mho.config.config`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from mho.config import Finite, Siemens, config
from mho.devices._curves import check_table, interpolated, polynomial


class Bias(ABC):
    """The mean error of a write, a function of the target."""

    @abstractmethod
    def shift(self, g: Tensor, g_max: float) -> Tensor:
        """Mean programmed conductance minus the target, siemens.

        Args:
            g: target conductance, siemens, any shape.
            g_max: highest conductance of the device, siemens.
        """


@config
class Unbiased(Bias):
    """The mean of many cells is their target."""

    def shift(self, g: Tensor, g_max: float) -> Tensor:
        """0."""
        return torch.zeros_like(g)


@config
class PolynomialBias(Bias):
    """A mean error from a fit, ``g_max sum_i coefficients[i] (g / g_max)^i``.

    Example:
        >>> law = PolynomialBias(coefficients=(0.0, 0.3))  # cells end at 1.3 times their target
        >>> round(float(law.shift(torch.tensor(10e-6), g_max=25e-6)), 9)
        3e-06
    """

    coefficients: tuple[Finite, ...]

    def validate(self) -> None:
        """At least one coefficient."""
        if not self.coefficients:
            raise ValueError("coefficients = (): give at least one, or Unbiased()")

    def shift(self, g: Tensor, g_max: float) -> Tensor:
        """The polynomial at ``g``."""
        return g_max * polynomial(g / g_max, self.coefficients)


@config
class TableBias(Bias):
    """A measured table of means; the error is interpolated linearly, and constant outside.

    Attributes:
        g: targets, siemens, increasing.
        mean: mean programmed conductance at each of them, siemens.
    """

    g: tuple[Siemens, ...]
    mean: tuple[Siemens, ...]

    def validate(self) -> None:
        """One mean for each target."""
        check_table("g", self.g, mean=self.mean)

    def shift(self, g: Tensor, g_max: float) -> Tensor:
        """The table at ``g``."""
        return interpolated(g, self.g, tuple(m - x for m, x in zip(self.mean, self.g, strict=True)))
