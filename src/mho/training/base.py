"""What training may do to a layer: the interface of all modifiers."""

from __future__ import annotations

from abc import ABC
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mho.nn import AnalogLayer

Steps = Annotated[int, Field(ge=0)]


class Modifier(ABC):
    """One thing that happens to the weights or outputs of a layer in training mode.

    The clean Parameter is what the optimizer sees; a modifier changes what one forward pass uses. Its
    gradient reaches the Parameter straight through, unless the modifier says otherwise.
    """

    def constrain(self, layer: AnalogLayer) -> None:
        """Change the Parameter itself, before each training forward and on entering evaluation."""

    def modify(self, weight: Tensor, layer: AnalogLayer) -> Tensor:
        """The weights this forward uses.

        Args:
            weight: in the shape of the Parameter, differentiable. ``layer.matrix`` gives it as
                ``[group, row, column]``, ``layer.from_matrix`` turns that back.
            layer: the layer; ``layer.training_step`` counts its training forwards.
        """
        return weight

    def modify_output(self, y: Tensor, layer: AnalogLayer) -> Tensor:
        """The output this forward gives."""
        return y


def ramp(layer: AnalogLayer, steps: int) -> Tensor | float:
    """A factor that rises from 0 to 1 over the first ``steps`` training forwards; 1 without a ramp."""
    if steps == 0 or layer.training_step is None:
        return 1.0
    return torch.clamp(layer.training_step.to(torch.float32) / steps, max=1.0)
