"""Window functions: how the motion of a boundary slows down near the ends of the film.

``x`` is the normalised state in [0, 1]; ``direction`` has the sign of its motion.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from mho.config import Count, Finite, Positive, config


class Window(ABC):
    """A factor on the velocity of a normalised state.

    A window that vanishes at a wall holds a state that reaches it for ever (the terminal state problem,
    Biolek et al., Radioengineering 18, 210, 2009); ``margin`` keeps the state that far from the walls.
    """

    @abstractmethod
    def __call__(self, x: Tensor, direction: Tensor) -> Tensor:
        """The factor.

        Args:
            x: normalised state, 0 to 1.
            direction: any tensor with the sign of the motion, broadcast to ``x``.
        """

    @property
    def margin(self) -> float:
        """Distance that the state keeps from 0 and 1."""
        return 0.0


@config
class Rectangular(Window):
    """No slowing down: 1 everywhere."""

    def __call__(self, x: Tensor, direction: Tensor) -> Tensor:
        """See :meth:`Window.__call__`."""
        return x.new_ones(())


@config
class Joglekar(Window):
    """``1 - (2x - 1)^(2p)`` (Joglekar and Wolf, Eur. J. Phys. 30, 661, 2009).

    Attributes:
        p: the larger, the flatter in the middle.
    """

    p: Count = 1

    def __call__(self, x: Tensor, direction: Tensor) -> Tensor:
        """See :meth:`Window.__call__`."""
        return 1 - (2 * x - 1) ** (2 * self.p)

    @property
    def margin(self) -> float:
        """Distance that the state keeps from 0 and 1."""
        return 1e-6


@config
class Biolek(Window):
    """``1 - (x - step(-direction))^(2p)`` (Biolek et al., Radioengineering 18, 210, 2009).

    It vanishes only at the wall ahead, so a state at a wall can turn back.
    """

    p: Count = 1

    def __call__(self, x: Tensor, direction: Tensor) -> Tensor:
        """See :meth:`Window.__call__`."""
        behind = torch.where(direction > 0, x, x - 1)
        return 1 - behind ** (2 * self.p)


@config
class Prodromakis(Window):
    """``j (1 - ((x - 1/2)^2 + 3/4)^p)`` (Prodromakis et al., IEEE Trans. Electron Devices 58, 3099, 2011).

    Attributes:
        p: control parameter, any positive number.
        j: scale of the window.
    """

    p: Positive = 1.0
    j: Positive = 1.0

    def __call__(self, x: Tensor, direction: Tensor) -> Tensor:
        """See :meth:`Window.__call__`."""
        return self.j * (1 - ((x - 0.5) ** 2 + 0.75) ** self.p)

    @property
    def margin(self) -> float:
        """Distance that the state keeps from 0 and 1."""
        return 1e-6


@config
class Kvatinsky(Window):
    """Double exponential towards the wall ahead (Kvatinsky et al., IEEE TCAS-I 60, 211, 2013).

    ``exp(-exp((x - a_rise) / w_c))`` for a rising and ``exp(-exp((a_fall - x) / w_c))`` for a falling
    state, in units of the span. The defaults are typical values, not verified against the paper.

    Attributes:
        a_rise: where a rising state slows down (``a_off`` of the paper).
        a_fall: where a falling state slows down (``a_on`` of the paper).
        w_c: width of the transition.
    """

    a_rise: Finite = 0.95
    a_fall: Finite = 0.05
    w_c: Positive = 0.025

    def __call__(self, x: Tensor, direction: Tensor) -> Tensor:
        """See :meth:`Window.__call__`."""
        beyond = torch.where(direction > 0, x - self.a_rise, self.a_fall - x) / self.w_c
        return torch.exp(-torch.exp(beyond.clamp(max=50.0)))
