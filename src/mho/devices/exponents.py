"""Laws of the drift exponent: how fast the conductance of a cell falls, ``g(t) ~ t^-nu``.

Each cell draws its own exponent when it is programmed, ``nu = |mean + std * eps|`` (:class:`SignedNu`:
without the bars); a law says how mean and standard deviation depend on the conductance that the cell was
meant to have.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import Finite, NonNegative, Siemens, config
from mho.devices._curves import check_table, clipped_log, interpolated


class Exponent(ABC):
    """The distribution of the drift exponent over cells of one target conductance."""

    @abstractmethod
    def moments(self, g: Tensor, g_max: float) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the exponent, before the absolute value.

        Args:
            g: target conductance, siemens, any shape.
            g_max: highest conductance of the device, siemens.

        Returns:
            Two tensors of g's shape, no unit.
        """

    def drawn(self, g: Tensor, eps: Tensor, g_max: float) -> Tensor:
        """The exponents of cells with target ``g`` from the standard normal draws ``eps``."""
        mean, std = self.moments(g, g_max)
        return (mean + std * eps).abs()


@config
class ConstantNu(Exponent):
    """One exponent for all conductances, with a spread.

    Attributes:
        mean, std: of the exponent.
    """

    mean: Finite = 0.0
    std: NonNegative = 0.0

    def moments(self, g: Tensor, g_max: float) -> tuple[Tensor, Tensor]:
        """The two fields, for each cell."""
        return torch.zeros_like(g) + self.mean, torch.zeros_like(g) + self.std


@config
class TableNu(Exponent):
    """A measured table of exponents, interpolated linearly and constant outside.

    Attributes:
        g: conductances, siemens, increasing.
        mean, std: of the exponent at each of them.

    Example:
        >>> law = TableNu(g=(0.0, 10e-6, 25e-6), mean=(0.08, 0.05, 0.04), std=(0.02, 0.01, 0.005))
        >>> mean, std = law.moments(torch.tensor([5e-6]), g_max=25e-6)
        >>> round(float(mean), 6), round(float(std), 6)
        (0.065, 0.015)
    """

    g: tuple[Siemens, ...]
    mean: tuple[Finite, ...]
    std: tuple[NonNegative, ...]

    def validate(self) -> None:
        """One mean and one spread for each conductance."""
        check_table("g", self.g, mean=self.mean, std=self.std)

    def moments(self, g: Tensor, g_max: float) -> tuple[Tensor, Tensor]:
        """The table at ``g``."""
        return interpolated(g, self.g, self.mean), interpolated(g, self.g, self.std)


@config
class SignedNu(Exponent):
    """The exponents of another law with their sign: cells of a negative exponent rise with time.

    Attributes:
        law: mean and standard deviation of the exponent.

    Example:
        >>> law = SignedNu(law=ConstantNu(mean=0.01, std=0.02))
        >>> law.drawn(torch.full((2,), 5e-6), torch.tensor([-1.0, 1.0]), g_max=25e-6).tolist()
        [-0.009999999776482582, 0.029999999329447746]
    """

    law: InstanceOf[Exponent] = ConstantNu()

    def moments(self, g: Tensor, g_max: float) -> tuple[Tensor, Tensor]:
        """Those of the law."""
        return self.law.moments(g, g_max)

    def drawn(self, g: Tensor, eps: Tensor, g_max: float) -> Tensor:
        """``mean + std * eps``."""
        mean, std = self.moments(g, g_max)
        return mean + std * eps


@config
class JoshiNu(Exponent):
    """The exponents of mushroom-type phase-change memory: ``mean``, ``std`` fall with ln(g/g_max).

    Source: V. Joshi et al., Nat. Commun. 11, 2473 (2020), in the form of S. R. Nandakumar et al.,
    IEEE ICECS 2019: mean = clip(-0.0155 ln r + 0.0244, 0.049, 0.1) and
    std = clip(-0.0125 ln r - 0.0059, 0.008, 0.045) with r = g/g_max.
    """

    def moments(self, g: Tensor, g_max: float) -> tuple[Tensor, Tensor]:
        """The published curves at ``g``."""
        r = g / g_max
        return (
            clipped_log(r, -0.0155, 0.0244, 0.049, 0.1),
            clipped_log(r, -0.0125, -0.0059, 0.008, 0.045),
        )
