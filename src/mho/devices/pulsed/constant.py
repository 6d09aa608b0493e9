"""Steps of the same size everywhere."""

from __future__ import annotations

import torch
from torch import Tensor

from mho.config import config
from mho.devices.pulsed.base import Parameters
from mho.devices.pulsed.linear import StraightSteps


@config
class ConstantSteps(StraightSteps):
    """A cell whose step does not depend on its state: ``up`` and ``down`` of the cell.

    >>> cell = ConstantSteps(dw_min=0.25, w_max=1.0, w_min=-1.0)
    >>> import torch
    >>> w = torch.tensor([0.0, 0.9])
    >>> cell.pulsed(w, torch.tensor([-1.0, 1.0]), cell.nominal(w), torch.zeros(2)).tolist()
    [-0.25, 1.0]
    """

    def slopes(self, cells: Parameters) -> tuple[Tensor, Tensor]:
        """None."""
        return torch.zeros_like(cells["up"]), torch.zeros_like(cells["down"])
