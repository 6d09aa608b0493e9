"""Steps that shrink along a straight line with the state."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from mho.config import NonNegative, config
from mho.devices.pulsed.base import Parameters, PulsedCell


@config
class StraightSteps(PulsedCell):
    """Cells whose steps are ``up - slope_up w`` and ``down - slope_down w``: what those of a kind share."""

    @abstractmethod
    def slopes(self, cells: Parameters) -> tuple[Tensor, Tensor]:
        """Loss of a step up, and of one down, for each unit of the state; that of steps down is negative."""

    def steps(self, w: Tensor, cells: Parameters) -> tuple[Tensor, Tensor]:
        """Straight lines."""
        up, down = self.slopes(cells)
        return cells["up"] - up * w, cells["down"] - down * w

    def symmetry_point(self, cells: Parameters) -> Tensor:
        """Where the two lines meet; 0 where they are parallel."""
        up, down = self.slopes(cells)
        turn = up - down
        return torch.where(turn > 0, (cells["up"] - cells["down"]) / torch.where(turn > 0, turn, 1.0), 0.0)

    def lines(self, cells: Parameters) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """They are."""
        return (cells["up"], cells["down"]), self.slopes(cells)


@config
class LinearSteps(StraightSteps):
    """A cell whose steps shrink linearly towards its bounds.

    ``step_up = up (1 - gamma_up w / w_max)``, ``step_down = down (1 - gamma_down w / w_min)``.

    Attributes:
        gamma_up, gamma_down: how much of a step is lost at the bound.
        gamma_up_dtod, gamma_down_dtod: their standard deviation from cell to cell.
        mean_bound_reference: reckon from the bounds of a cell without spread, or from each cell's own.

    >>> import torch
    >>> cell = LinearSteps(dw_min=0.1, gamma_up=0.5, w_max=1.0, w_min=-1.0)
    >>> [round(step.item(), 3) for step in cell.steps(torch.tensor(0.5), cell.nominal(torch.zeros(())))]
    [0.075, 0.1]
    """

    gamma_up: NonNegative = 0.0
    gamma_down: NonNegative = 0.0
    gamma_up_dtod: NonNegative = 0.05
    gamma_down_dtod: NonNegative = 0.05
    mean_bound_reference: bool = True

    own_draws: ClassVar[tuple[str, ...]] = ("gamma_up", "gamma_down")

    def validate(self) -> None:
        """Bounds on both sides of zero, from which the losses are reckoned."""
        super().validate()
        if not self.w_min < 0 < self.w_max:
            raise ValueError(
                f"w_min = {self.w_min!r}, w_max = {self.w_max!r}: losses are reckoned from zero to the "
                "bounds; give bounds on both sides of it"
            )

    def own_parameters(self, cells: Parameters, eps: dict[str, Tensor]) -> Parameters:
        """``slope_up`` and ``slope_down`` of each cell."""
        high, low = (
            (self.w_max, self.w_min) if self.mean_bound_reference else (cells["w_max"], cells["w_min"])
        )
        up = (self.gamma_up + self.gamma_up_dtod * eps["gamma_up"]).abs()
        down = (self.gamma_down + self.gamma_down_dtod * eps["gamma_down"]).abs()
        return {"slope_up": up * cells["up"] / high, "slope_down": down * cells["down"] / low}

    def slopes(self, cells: Parameters) -> tuple[Tensor, Tensor]:
        """Each cell's own."""
        return cells["slope_up"], cells["slope_down"]


@config
class SoftBounds(StraightSteps):
    """A cell whose steps vanish at its own bounds: ``step_up = up (1 - w / w_max)``, likewise down.

    With ``reference_std``, ``subtract_symmetry_point`` and ``mult_noise=False`` this is the cell of arrays
    with a reference.

    >>> import torch
    >>> cell = SoftBounds(dw_min=0.1, w_max=1.0, w_min=-1.0)
    >>> [round(step.item(), 3) for step in cell.steps(torch.tensor(0.5), cell.nominal(torch.zeros(())))]
    [0.05, 0.15]
    """

    def validate(self) -> None:
        """A step vanishes at a bound that is not zero; one of them may be, where nothing steps down."""
        super().validate()
        if not self.w_min <= 0 < self.w_max:
            raise ValueError(
                f"w_min = {self.w_min!r}, w_max = {self.w_max!r}: give a positive w_max and a w_min of 0 "
                "or less"
            )

    def slopes(self, cells: Parameters) -> tuple[Tensor, Tensor]:
        """To the cell's own bounds."""
        return _over(cells["up"], cells["w_max"]), _over(cells["down"], cells["w_min"])


def _over(step: Tensor, bound: Tensor) -> Tensor:
    """``step / bound``; 0 at a bound of zero, where no step is lost."""
    return torch.where(bound == 0, 0.0, step / torch.where(bound == 0, 1.0, bound))
