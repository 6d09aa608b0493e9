"""What all rules of learning share: what they hold for an array, what they are given, and their interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from mho.training.on_chip.weights import PulsedWeights

Reading = Callable[[PulsedWeights, Tensor, torch.Generator], Tensor]
"""What a read of some rows of an array gives, ``[group, read, column]``."""


def exactly(array: PulsedWeights, rows: Tensor, generator: torch.Generator) -> Tensor:
    """A read without noise."""
    return array.weights().index_select(1, rows)


@dataclass
class Held:
    """What a rule holds for one logical array.

    All weights are in units of states of the cells.

    Attributes:
        tiles: the arrays that the layer is read from, those of falling factors one after the other.
        factors: of each tile in the weight.
        hidden: arrays that only the rule sees, by name.
        memory: digital memory, by name.
        counters: numbers, by name.
        reading: what a read of single rows of an array gives instead of its weights.
    """

    tiles: list[PulsedWeights]
    factors: list[float]
    hidden: dict[str, PulsedWeights] = field(default_factory=dict)
    memory: dict[str, Tensor] = field(default_factory=dict)
    counters: dict[str, float] = field(default_factory=dict)
    reading: Reading = exactly

    @property
    def weights(self) -> PulsedWeights:
        """The tile of the largest factor."""
        return self.tiles[0]

    def zeros(self) -> Tensor:
        """A number for each weight, all zero, ``[group, row, column]``."""
        return torch.zeros_like(self.weights.weights())

    def arrays(self) -> list[PulsedWeights]:
        """All arrays, those that only the rule sees too."""
        return [*self.tiles, *self.hidden.values()]


class Work(NamedTuple):
    """One batch of vectors for one array.

    Attributes:
        held: what the rule holds for it.
        x: what was on the rows, ``[vector, group, row]``.
        d: the error of the columns, in units of states, ``[vector, group, column]``.
        lr: learning rate.
    """

    held: Held
    x: Tensor
    d: Tensor
    lr: float

    def rates(self, lr: float) -> Tensor:
        """A learning rate for each vector."""
        return torch.full((len(self.x),), lr, dtype=self.d.dtype, device=self.d.device)


class Rule(ABC):
    """A way to learn by pulses. A description; what it holds for an array is a :class:`Held`."""

    tiles: tuple[int, float] = (1, 1)
    """Fewest and most tiles of falling factors that a weight may have."""

    def begin(self, held: Held, hidden: Callable[[str], PulsedWeights]) -> None:
        """Make what the rule holds for an array.

        Args:
            held: the tiles, to be completed.
            hidden: makes an array of cells of the same kind, at their symmetry points, by name.
        """
        return

    @abstractmethod
    def update(self, works: Sequence[Work], generator: torch.Generator) -> None:
        """Send what follows from one batch, to all arrays; their cells may lie in one bank."""
