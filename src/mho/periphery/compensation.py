"""What is measured and corrected when a chip has drifted."""

from __future__ import annotations

import math
from abc import ABC
from typing import ClassVar, Protocol

import torch
from torch import Tensor
from typing_extensions import Self

from mho.config import NonNegative, Positive, config
from mho.periphery.affine import AffineFit

_WAYS = ("from_reference", "from_outputs", "from_age")
FLOOR = 1e-4  # of the reference weight: an array that reads nothing gets no infinite gain


class CorrectionFit(Protocol):
    """What a correction makes of the outputs of a layer, batch by batch."""

    def add(self, measured: Tensor, wanted: Tensor) -> None:
        """Take outputs ``[sample, column]`` of the array and of the digital layer, float64."""

    def solve(self) -> tuple[Tensor, Tensor]:
        """Gain and shift of each column, ``[column]``: ``wanted = gain * measured + shift``."""


class Compensation(ABC):
    """A correction of the digital outputs: a gain and a shift for each column.

    It is estimated from a reference read of the arrays or from the outputs on data, or follows from the age
    of the chip. A correction of your own writes one of :meth:`from_reference`, :meth:`from_outputs` and
    :meth:`from_age`.
    """

    idealised: ClassVar[bool] = False
    """Whether it knows what no circuit can measure; reports say so."""

    def __new__(cls, *given: object, **named: object) -> Self:
        """Raise ``TypeError`` for a correction that corrects nothing."""
        base = Compensation
        if not any(getattr(cls, name) is not getattr(base, name) for name in _WAYS):
            raise TypeError(
                f"{cls.__name__} is abstract: a correction writes {', '.join(_WAYS[:-1])} or {_WAYS[-1]} "
                "(see mho.periphery.Compensation)"
            )
        return super().__new__(cls)

    @property
    def needs_data(self) -> bool:
        """Whether it is estimated on input data rather than on a reference read."""
        return type(self).from_outputs is not Compensation.from_outputs

    @property
    def needs_age(self) -> bool:
        """Whether it follows from the age of the chip alone."""
        return type(self).from_age is not Compensation.from_age

    def from_age(self, seconds: float) -> float:
        """The gain of all columns of a chip of this age.

        Args:
            seconds: since the end of programming.
        """
        raise TypeError(f"{self!r} is measured")

    def from_reference(self, before: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        """Gain and shift from the reference read; they replace those that there are.

        Args:
            before: mean magnitude of the read just after programming, in units of the reference weight,
                ``[column]``.
            now: that of one noisy read at the chip's present age, likewise.

        Returns:
            Gain ``[column]`` and shift ``[column]``, the latter in output units.
        """
        raise TypeError(f"{self!r} is estimated on data")

    def from_outputs(self, owner: str) -> CorrectionFit:
        """What collects the outputs of one layer; its gain and shift come on top of those that there are.

        Args:
            owner: which layer, for messages.
        """
        raise TypeError(f"{self!r} takes no data")


@config
class GlobalDrift(Compensation):
    """One gain for each layer: mean magnitude of a reference read after programming, over that now.

    Source: V. Joshi et al., Nat. Commun. 11, 2473 (2020); S. Ambrogio et al., IEDM 2019.
    """

    def from_reference(self, before: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        """The ratio of the means."""
        gain = before.mean().clamp(min=FLOOR) / now.mean().clamp(min=FLOOR)
        return gain.expand_as(before).clone(), torch.zeros_like(before)


@config
class ColumnDrift(Compensation):
    """One gain for each output column, from the same reference read."""

    def from_reference(self, before: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        """The ratio of each column."""
        return before.clamp(min=FLOOR) / now.clamp(min=FLOOR), torch.zeros_like(before)


@config
class Affine(Compensation):
    """Gain and shift of each column, by least squares between the array and the digital layer on data.

    Attributes:
        per_column: each column has its own; else one gain and one shift for each layer.
    """

    per_column: bool = True

    def from_outputs(self, owner: str) -> AffineFit:
        """Running sums of a straight line."""
        return AffineFit(together=not self.per_column, owner=owner)


@config
class KnownDrift(Compensation):
    """The exact inverse of a drift that all cells share: outputs times ``(t / t0)^nu``.

    Idealised: no cell drifts by the exponent of the others, and no circuit knows it. It undoes
    :class:`~mho.devices.ConstantDrift` without a trace; on cells with exponents of their own it leaves their
    spread, and their mean too where ``nu`` is another one. :class:`GlobalDrift` measures what this one takes
    for granted.

    Attributes:
        nu: drift exponent of all cells.
        t0: time at which cells have their programmed conductance, seconds.
        counts_from_t0: whether the device's ``seconds`` count from t0, as those of :class:`~mho.devices.PCM`
            and :class:`~mho.devices.Drifting` do: t is ``seconds + t0``. Else t is ``seconds``, from t0 on.

    >>> round(KnownDrift(nu=0.06).from_age(10_000.0), 6)
    1.737801
    """

    nu: NonNegative
    t0: Positive = 1.0
    counts_from_t0: bool = False

    idealised: ClassVar[bool] = True

    def from_age(self, seconds: float) -> float:
        """``(t / t0)^nu``."""
        t = seconds + self.t0 if self.counts_from_t0 else max(seconds, self.t0)
        return math.pow(t / self.t0, self.nu)
