"""What voltage pulses ask of a switching model, and of the lines of an array."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


class PulsedModel(Protocol):
    """What pulses ask of a switching model; those of ``mho.devices.dynamics`` have it."""

    @property
    def initial(self) -> float | Tensor:
        """State of a fresh cell."""

    @property
    def bounds(self) -> tuple[float | Tensor, float | Tensor]:
        """Lowest and highest state."""

    def rate(self, state: Tensor, voltage: Tensor) -> Tensor:
        """Velocity of the state, per second."""

    def current(self, voltage: Tensor, state: Tensor) -> Tensor:
        """Amperes."""

    def conductance(self, state: Tensor) -> Tensor:
        """Siemens, at the read voltage."""

    def step(self, state: Tensor, voltage: Tensor, dt: Tensor) -> Tensor:
        """State after ``dt`` seconds at a constant voltage."""

    def scatter(self, state: Tensor, voltage: Tensor, dt: Tensor) -> tuple[Tensor, Tensor] | None:
        """What a pulse keeps of a cell's deviation from the law, and the std of what it adds; None: exact."""

    def deviated(self, state: Tensor, deviation: Tensor) -> Tensor:
        """State of a cell with its deviation from the law."""

    def take(self, index: Tensor, shape: torch.Size) -> PulsedModel:
        """The model of some cells of a flattened array."""


@runtime_checkable
class Scheme(Protocol):
    """What the unselected lines of a passive array do: ``mho.array.HalfVoltage()`` and its neighbours."""

    def unselected(self, voltage: float) -> tuple[float, float] | None:
        """Voltages of unselected word lines and bit lines; None for open ones."""
