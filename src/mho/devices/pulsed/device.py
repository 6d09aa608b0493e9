"""A device whose cells can be trained by pulses."""

from __future__ import annotations

import math

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import config
from mho.devices.base import FARTHEST, Device
from mho.devices.effects.base import Effect, Tiles
from mho.devices.ideal import Ideal
from mho.devices.pulsed.base import Parameters, PulsedCell
from mho.devices.pulsed.linear import SoftBounds

_NAMES = ("up", "down", "w_max", "w_min", "reference", "decay", "diffusion", "reset")
_MOST_CUT = 0.01  # share of the cells whose lowest state may lie below no conductance


@config
class Pulsed(Effect):
    """Cells that pulses move as ``cell`` says, and that read and drift as ``device`` does.

    A state of -1 is ``g_min`` of the device, and 1 is ``g_max``; of one-sided cells, 0 is ``g_min`` and 2 is
    ``g_max``. Bounds of single cells may lie beyond them, but at no negative conductance. Programming sets
    states, between the bounds of each cell; ``mho.training.on_chip`` moves them by pulses.

    Attributes:
        device: what reads and drifts; its ``g_min`` leaves room for cells whose lowest state lies below -1.
        cell: how the cell answers a pulse.
        one_sided: whether cells can only be pulsed up, and weights are pairs of them.

    Example:
        >>> from mho.devices import Ideal
        >>> hardware_device = Pulsed(cell=SoftBounds(w_max=1.0, w_min=-1.0), device=Ideal(g_min=15e-6))
        >>> f"{hardware_device.unit:.1e} {hardware_device.zero:.1e}"
        '5.0e-06 2.0e-05'
    """

    device: InstanceOf[Device] = Ideal()
    cell: InstanceOf[PulsedCell] = SoftBounds(w_min_dtod=0.2)
    one_sided: bool = False

    @property
    def draws(self) -> int:  # type: ignore[override]
        """Those of the cell."""
        return len(self.cell.draws)

    @property
    def parameters(self) -> int:
        """One for each name of a parameter."""
        return len(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters of each cell, in the order in which they are kept."""
        own = self.cell.own_parameters(_ONE, {name: torch.zeros(()) for name in self.cell.own_draws})
        return (*_NAMES, *own)

    @property
    def own_bounds(self) -> bool:
        """They have."""
        return True

    @property
    def holds(self) -> bool:
        """Whether the device inside does: pulses stay within the bounds of the cells."""
        return self.device.holds

    @property
    def unit(self) -> float:
        """Siemens of one unit of state."""
        return (self.g_max - self.g_min) / 2

    @property
    def zero(self) -> float:
        """Conductance of the state 0, siemens."""
        return self.g_min if self.one_sided else (self.g_max + self.g_min) / 2

    def check_inside(self) -> None:
        """Room for the lowest states."""
        cell = self.cell
        spread = cell.w_min_dtod * abs(cell.w_min)
        lowest = cell.w_min - cell.reference_mean - 2.33 * (spread + cell.reference_std)  # 1 in 100 is below
        room = -self.zero / self.unit
        if lowest < room * (1 + 1e-9):
            needed = self.g_max * (-1 - lowest) / (1 - lowest)
            raise ValueError(
                f"g_min = {self.g_min!r} S: one in {1 / _MOST_CUT:.0f} cells has states down to "
                f"{lowest:.3g}, and {room:.3g} is no conductance at all; give the device a g_min of at least "
                f"{needed:.3g} S, or the cells less spread"
            )

    def own_state(self, eps: Tensor, tiles: Tiles | None = None) -> Tensor:
        """The parameters of each cell, ``[parameters, ..., row, column]``."""
        cells = self.cell.parameters(eps)
        cells["w_min"] = torch.clamp(cells["w_min"], min=-self.zero / self.unit + 1e-6)
        cells["w_max"] = torch.maximum(cells["w_max"], cells["w_min"])
        return torch.stack([cells[name] for name in self.names])

    def of_state(self, own: Tensor) -> Parameters:
        """The parameters of each cell by name, from what :meth:`own_state` gave."""
        return dict(zip(self.names, own, strict=True))

    def state(self, g: Tensor) -> Tensor:
        """The states of conductances, siemens."""
        return (g - self.zero) / self.unit

    def conductance(self, state: Tensor) -> Tensor:
        """The conductances of states, siemens."""
        return (self.zero + self.unit * state).clamp(min=0)

    def settled(self, g: Tensor, own: Tensor) -> Tensor:
        """The nearest conductance that the cell can show."""
        return g.clamp(*self._limits(own))

    def bounds_of(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Lowest and highest conductance that each cell can show, siemens."""
        return self._limits(self._split(cells)[0])

    def written_span(self) -> tuple[float, float]:
        """What cells hold that differ: see :meth:`written_spans`."""
        return (0.0, math.inf)

    def written_spans(self, g: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """What programming and pulses leave: up to the bounds of each cell, with its write noise."""
        inside = self.device.written_span()
        low, high = self.bounds_of(cells)
        return low.clamp(max=inside[0]), high.clamp(min=inside[1])

    def _limits(self, own: Tensor) -> tuple[Tensor, Tensor]:
        low, high = self.cell.limits(self.of_state(own))
        more = FARTHEST * self.cell.write_noise_std * self.cell.dw_min
        return self.conductance(low - more), self.conductance(high + more)


_ONE: Parameters = {name: torch.ones(()) for name in ("up", "down", "w_max", "w_min")}
