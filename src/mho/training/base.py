"""What training may do to a layer: the interface of all modifiers."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mho.nn import Crossbar
from mho.nn.computed_weights import is_computed, with_own_class
from mho.nn.sharded import is_sharded, keep, to_change

Steps = Annotated[int, Field(ge=0)]
Reference = Literal["tensor", "column", "range"]
"""Relative to what: the largest weight of the tensor or of each column, or the layer's weight range."""


class Modifier(ABC):
    """One thing that happens to a layer in training mode.

    The clean Parameter is what the optimizer sees; a modifier changes what one forward pass uses. Its
    gradient reaches the Parameter straight through, unless the modifier says otherwise. Strengths that
    change in training are tensors made from ``layer.training_step``: nothing is compiled again.
    """

    def begin(self, layer: Crossbar) -> None:
        """The recipe was attached. State of a modifier is a buffer of the layer, ``training_...``.

        Raises:
            ValueError: the modifier cannot act on this layer.
        """

    def end(self, layer: Crossbar) -> None:
        """The recipe is detached: take away what :meth:`begin` added, but for learned parametrisations."""

    def constrain(self, layer: Crossbar) -> None:
        """Change the Parameter itself, before each training forward and on entering evaluation."""

    def modify(self, weight: Tensor, layer: Crossbar) -> Tensor:
        """The weights this forward uses.

        Args:
            weight: in the shape of the Parameter, differentiable. ``layer.matrix`` gives it as
                ``[group, row, column]``, ``layer.from_matrix`` turns that back.
            layer: the layer; ``layer.training_step`` counts its training forwards.
        """
        return weight

    def modify_input(self, x: Tensor, layer: Crossbar) -> Tensor:
        """The input this forward uses; an embedding has none."""
        return x

    def modify_output(self, y: Tensor, x: Tensor, layer: Crossbar) -> Tensor:
        """The output this forward gives for the input ``x``."""
        return y

    def conversion(self, layer: Crossbar) -> Tensor | None:
        """How much of the converters this forward has, 0 to 1; None for all of them. A chip has all."""
        return None


def ramp(layer: Crossbar, steps: int) -> Tensor | float:
    """A factor that rises from 0 to 1 over the first ``steps`` training forwards; 1 without a ramp."""
    if steps == 0 or layer.training_step is None:
        return 1.0
    return torch.clamp(layer.training_step.to(torch.float32) / steps, max=1.0)


def holder(layer: Crossbar) -> tuple[nn.Module, str]:
    """The module and the name of the Parameter that holds a layer's weights."""
    return layer.owner, layer.weight_name


def trained_weight(layer: Crossbar, purpose: str) -> Tensor:
    """The Parameter that the optimizer changes (of an array of several, its part), to write into.

    Args:
        layer: the layer.
        purpose: who asks, for the message.

    Raises:
        TypeError: the weight is computed by a parametrisation that no recipe made, or by pruning.
    """
    module, name = holder(layer)
    if not is_computed(module, name):
        return layer.weight  # type: ignore[no-any-return]
    chain = module.parametrizations[name] if parametrize.is_parametrized(module, name) else ()  # type: ignore[index]
    if not chain or not all(isinstance(step, LearnedWeight) for step in chain):
        raise TypeError(
            f"{purpose} changes the Parameter itself, and the weight of {layer.path or 'the layer'!r} is "
            "computed (parametrised or pruned): clip in the parametrisation, or leave this layer out"
        )
    return _own(layer, chain.original)  # type: ignore[union-attr]


def _own(layer: Crossbar, whole: Tensor) -> Tensor:
    """What a layer has of a tensor in the shape of its Parameter."""
    part = layer.part
    return whole if part is None or whole.shape[0] == 1 else whole[part[0] : part[1]]


def change(layer: Crossbar, purpose: str, to: Callable[[Tensor], Tensor]) -> None:
    """Change the Parameter itself, of an array of several its part.

    Args:
        layer: the layer.
        purpose: who asks, for the message.
        to: the new weights for the present ones, both ``[group, row, column]``.

    Raises:
        TypeError: as :func:`trained_weight`.
    """
    trained_weight(layer, purpose)
    module, name = holder(layer)
    tables: Any = getattr(module, "parametrizations", {})
    parameter = tables[name].original if name in tables else getattr(module, name)
    with torch.no_grad():
        values = to_change(parameter)
        own = _own(layer, values)
        own.copy_(layer.from_matrix(to(layer.matrix(own))))
        keep(parameter, values)


class LearnedWeight(nn.Module):
    """A parametrisation that a recipe put on a weight, and takes off again.

    Its forward computes with a copy of the Parameter, which a modifier may change in place meanwhile.
    """

    order: tuple[str, ...] = ()  # of the Parameters of the module before

    def factor(self) -> Tensor | float:
        """What it multiplies the weight by, to broadcast over the Parameter."""
        return 1.0


def learned(layer: Crossbar, kind: type[LearnedWeight]) -> LearnedWeight | None:
    """The parametrisation of that kind on a layer's weight."""
    module, name = holder(layer)
    if not parametrize.is_parametrized(module, name):
        return None
    return next((step for step in module.parametrizations[name] if isinstance(step, kind)), None)  # type: ignore[index]


def learn(layer: Crossbar, step: LearnedWeight) -> None:
    """Put a parametrisation on a layer's weight."""
    module, name = holder(layer)
    if is_sharded(getattr(module, name)):
        raise ValueError(
            f"the weight of {layer.path or 'the layer'!r} is sharded already, and {type(step).__name__} adds "
            "a Parameter: attach the recipe first, then call fully_shard"
        )
    step.order = tuple(module._parameters)
    parametrize.register_parametrization(module, name, step, unsafe=True)


def unlearn(layer: Crossbar) -> None:
    """Take the parametrisations of a recipe off a layer's weight; the Parameter then has what they gave."""
    module, name = holder(layer)
    step = learned(layer, LearnedWeight)
    if step is None:
        return
    trained_weight(layer, "detach")
    if is_sharded(module.parametrizations[name].original):  # type: ignore[index,union-attr]
        raise ValueError(
            f"the weight of {layer.path or 'the layer'!r} is sharded: learned scales and clips cannot be "
            "folded into it; load the whole state_dict into a model that is not sharded and detach there"
        )
    with_own_class(module)
    parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    for other in step.order:
        if other in module._parameters:
            module._parameters[other] = module._parameters.pop(other)


def reference(weight: Tensor, layer: Crossbar, relative_to: Reference) -> Tensor:
    """What a strength is relative to: broadcasts over ``weight``, which has the Parameter's shape."""
    if relative_to == "tensor":
        return weight.abs().amax()
    matrix = layer.matrix(weight)
    if relative_to == "column":
        return layer.from_matrix(matrix.abs().amax(dim=1, keepdim=True).expand_as(matrix))
    span, (module, name) = layer.from_matrix(weight_range(layer).expand_as(matrix)), holder(layer)
    if not parametrize.is_parametrized(module, name):
        return span
    for step in module.parametrizations[name]:  # type: ignore[index]
        factor = step.factor() if isinstance(step, LearnedWeight) else 1.0
        span = span * (_own(layer, factor.detach()) if isinstance(factor, Tensor) else factor)
    return span


def weight_range(layer: Crossbar) -> Tensor:
    """The range that ``WeightRange`` gave the weights: ``[1, 1, 1]`` or ``[group, 1, column]``.

    Raises:
        ValueError: the recipe has no ``WeightRange``.
    """
    span = layer._buffers.get("training_range")
    if span is None:
        raise ValueError(
            "relative_to = 'range' needs a weight range: put WeightRange() before it in the recipe, or "
            "choose 'tensor' or 'column'"
        )
    return span


def input_scale(layer: Crossbar, x: Tensor) -> Tensor:
    """Full scale of the inputs of each tile of rows, ``[tile]`` or ``[]``.

    That of the DAC; without one, or before its calibration, the largest input of this forward.
    """
    limit = layer.limits()[0]
    if limit is None:
        return layer.layout.input_peak(x.detach(), arranged=False).amax()
    return torch.as_tensor(limit, device=x.device).detach()
