"""Steps that were measured."""

from __future__ import annotations

import torch
from torch import Tensor

from mho.config import NonNegative, config
from mho.devices.pulsed.base import Parameters, PulsedCell


@config
class TableSteps(PulsedCell):
    """A cell whose steps are interpolated between measured ones, evenly spaced from ``w_min`` to ``w_max``.

    Attributes:
        up, down: size of a step at each node, in units of ``dw_min``; two or more nodes, as many for both.

    >>> import torch
    >>> cell = TableSteps(dw_min=0.1, up=(1.0, 0.5), down=(0.5, 1.0), w_max=1.0, w_min=-1.0)
    >>> [round(step.item(), 4) for step in cell.steps(torch.tensor(0.5), cell.nominal(torch.zeros(())))]
    [0.0625, 0.0875]
    """

    up: tuple[NonNegative, ...] = (1.0, 1.0)
    down: tuple[NonNegative, ...] = (1.0, 1.0)

    def validate(self) -> None:
        """Two nodes at least, as many up as down."""
        super().validate()
        if len(self.up) != len(self.down) or len(self.up) < 2:
            raise ValueError(
                f"up has {len(self.up)} steps and down {len(self.down)}: give as many, two or more, from "
                "w_min to w_max"
            )

    def steps(self, w: Tensor, cells: Parameters) -> tuple[Tensor, Tensor]:
        """Straight lines between the nodes."""
        last = len(self.up) - 1
        low, high = cells["w_min"], cells["w_max"]
        place = ((w - low) / (high - low) * last).clamp(0, last)
        node = place.floor().clamp(max=last - 1).long()
        part = place - node
        nodes = (torch.tensor(table, dtype=w.dtype, device=w.device) for table in (self.up, self.down))
        up, down = (torch.lerp(table[node], table[node + 1], part) for table in nodes)
        return cells["up"] * up, cells["down"] * down

    @property
    def granularity(self) -> float:
        """The step up at the middle node."""
        return self.dw_min * self.up[len(self.up) // 2]
