"""What is measured and corrected when a chip has drifted."""

from __future__ import annotations

from abc import ABC
from typing import Protocol

import torch
from torch import Tensor
from typing_extensions import Self

from mho.config import config
from mho.periphery.affine import AffineFit

FLOOR = 1e-4  # of the reference weight: an array that reads nothing gets no infinite gain


class CorrectionFit(Protocol):
    """What a correction makes of the outputs of a layer, batch by batch."""

    def add(self, measured: Tensor, wanted: Tensor) -> None:
        """Take outputs ``[sample, column]`` of the array and of the digital layer, float64."""

    def solve(self) -> tuple[Tensor, Tensor]:
        """Gain and shift of each column, ``[column]``: ``wanted = gain * measured + shift``."""


class Compensation(ABC):
    """A correction of the digital outputs: a gain and a shift for each column.

    It is estimated either from a reference read of the arrays or from the outputs on data. A correction of
    your own writes one of :meth:`from_reference` and :meth:`from_outputs`.
    """

    def __new__(cls, *given: object, **named: object) -> Self:
        """Raise ``TypeError`` for a correction that corrects nothing."""
        base = Compensation
        if cls.from_reference is base.from_reference and cls.from_outputs is base.from_outputs:
            raise TypeError(
                f"{cls.__name__} is abstract: a correction writes from_reference or from_outputs (see "
                "mho.periphery.Compensation)"
            )
        return super().__new__(cls)

    @property
    def needs_data(self) -> bool:
        """Whether it is estimated on input data rather than on a reference read."""
        return type(self).from_outputs is not Compensation.from_outputs

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
