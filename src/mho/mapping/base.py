"""From weights to conductances and back: the interface of all mappings.

A mapping is linear in the conductances. With the normalised weight ``w = weight / w_ref`` in
[-1, 1], the ``copies`` cells of one weight have the target conductances ``targets(w)``, and

    w = sum_c digital[c] * ( sum_k analog[c][k] * g_k / g_max  -  reference ) - offset

where ``k`` runs over the cells of the weight, ``c`` over the channels that are converted to codes
one by one (a differential pair has one, four bit slices have four), ``reference`` is the same sum
for a unit column (0 without one) and ``offset`` is subtracted digitally, times the sum of inputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from pydantic import InstanceOf
from torch import Tensor

from mho.mapping.scale import Maximum, Scale


class Readout(NamedTuple):
    """How the cells of a weight are read, as plain numbers.

    Attributes:
        analog: coefficient of each cell in each channel, ``[channel][cell]``.
        digital: factor of each channel after conversion, ``[channel]``.
        offset: normalised weight that all-``g / g_max`` sums exceed the true one by.
        unit_column: whether a reference column is read with the others and subtracted.
    """

    analog: tuple[tuple[float, ...], ...]
    digital: tuple[float, ...]
    offset: float = 0.0
    unit_column: bool = False


class Mapping(ABC):
    """Weights to conductances and back.

    Attributes:
        scale: how the reference weight ``w_ref`` is chosen; a mapping of your own has it as a field if it
            is to be set.
    """

    scale: InstanceOf[Scale] = Maximum(per_column=True)

    @property
    def smooth(self) -> bool:
        """Whether the targets change continuously with the weight: no levels, no digits."""
        return True

    @property
    @abstractmethod
    def copies(self) -> int:
        """Number of cells that hold one weight."""

    @abstractmethod
    def targets(self, w: Tensor, g_min: float, g_max: float) -> Tensor:
        """Target conductances.

        Args:
            w: normalised weights in [-1, 1], ``w[..., row, column]``.
            g_min, g_max: programmable bounds, siemens.

        Returns:
            ``g_target[copy, ..., row, column]``, siemens. With a unit column, one column more.
        """

    @abstractmethod
    def readout(self, g_min: float, g_max: float) -> Readout:
        """The constants of the formula above for cells with these bounds."""
