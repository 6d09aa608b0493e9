"""Rules of CrossSim that mho has no class for, put together from mho's own parts."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from mho.config import config
from mho.devices import SONOS, Device, Error
from mho.mapping import Scale


@config
class TwoTails(Scale):
    """The larger magnitude of the two tails of the weights: the ``fraction`` and ``1 - fraction`` quantiles.

    Attributes:
        fraction: of the weights; above 1, that multiple of the largest magnitude.
    """

    fraction: Annotated[float, Field(gt=0)] = 0.99

    def reference(self, weight: Tensor) -> Tensor:
        """Of all weights of a layer; 1 where it is zero."""
        flat = weight.detach().flatten().double()
        if self.fraction > 1:
            found = flat.abs().max() * self.fraction
        else:
            ends = flat.new_tensor([self.fraction, 1 - self.fraction])
            found = _quantiles(flat, ends).abs().max()
        found = torch.where(found > 0, found, torch.ones_like(found))
        return found.to(weight.dtype).view(1, 1, 1)


def _quantiles(flat: Tensor, fractions: Tensor) -> Tensor:
    """Linear between the sorted values, for any number of them."""
    order = flat.sort().values
    place = fractions * (len(order) - 1)
    low = place.floor().long()
    high = (low + 1).clamp(max=len(order) - 1)
    return torch.lerp(order[low], order[high], place - low)


@config
class ProgrammedLike(Error):
    """The programming error of a measured device, at the same conductances."""

    device: InstanceOf[Device] = SONOS()

    def std(self, g: Tensor, g_max: float) -> Tensor:
        """How far the device's conductance moves for a draw of one."""
        wide = g.double()
        return (self.device.programmed(wide, torch.ones_like(wide)) - wide).to(g.dtype)


@config
class ReadLike(Error):
    """The read noise of a measured device just after programming, at the same conductances."""

    device: InstanceOf[Device] = SONOS()

    def std(self, g: Tensor, g_max: float) -> Tensor:
        """The device's own."""
        return self.device.read_std(g, g, 0.0)
