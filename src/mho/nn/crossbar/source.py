"""What lies on an array: the weights of a layer, and the bias where it has rows of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mho.chip.layout import Layout
from mho.chip.layouts import ArraySize, MatrixLayout
from mho.chip.weight_changes import sight
from mho.nn.computed_weights import buffers_of, compute, parameters_of
from mho.nn.fingerprint import fingerprint

Part = tuple[int, int] | None
MakeLayout = Callable[[tuple[int, ...], ArraySize], Layout]


class WeightSource(nn.Module):
    """The weights of one array, looked up in the layer that owns them.

    The array has no Parameter of its own for them, so that optimizers, ``state_dict`` of the plain layer,
    ties and ``functional_call`` meet the Parameters they know. Arguments are those of ``mho.nn.Crossbar``.

    Attributes:
        weight_name, bias_name, part, bias_part, make_layout: these arguments.
        called: type of the layer, for messages.
    """

    _owner: nn.Module
    layout: Layout
    bias_rows: int = 0
    path: str = ""
    shape: tuple[int, ...]  # of what the array holds of the Parameter, and of its bias
    bias_shape: tuple[int, ...] | None

    def __init__(
        self,
        owner: nn.Module,
        weight: str = "weight",
        bias: str | None = None,
        part: Part = None,
        bias_part: Part = None,
        *,
        layout: MakeLayout = MatrixLayout.of,
    ) -> None:
        super().__init__()
        self.__dict__["_owner"] = owner  # not a submodule: the owner holds the array
        self.weight_name, self.bias_name = weight, bias
        self.part, self.bias_part, self.make_layout = part, bias_part, layout
        self.called = type(owner).__name__

    @property
    def owner(self) -> nn.Module:
        """The layer that holds the Parameters, and this array."""
        return self._owner

    @property
    def key(self) -> str:
        """What its entries begin with in a ``state_dict`` of the model."""
        single = self._owner._modules.get("crossbar") is self
        return ".".join(part for part in (self.path, "crossbar" if single else "") if part)

    # --- the Parameters --------------------------------------------------------------------------

    @property
    def weight(self) -> Any:
        """What this array holds of the owner's Parameter."""
        return _of(getattr(self._owner, self.weight_name), self.part)

    @property
    def bias(self) -> Any:
        """The bias of this array's columns, a Parameter of the owner; None without one."""
        if self.bias_name is None:
            return None
        bias = getattr(self._owner, self.bias_name)
        return None if bias is None else _of(bias, self.bias_part)

    def parameter_names(self) -> list[str]:
        """Names of the owner's Parameters that the array uses."""
        return [name for name in (self.weight_name, self.bias_name) if name is not None]

    def stored_weight(self) -> Tensor:
        """The owner's Parameter; its present value where that is computed."""
        stored = self._owner._parameters.get(self.weight_name)
        return compute(self._owner, self.weight_name) if stored is None else stored

    def stored_bias(self) -> Tensor | None:
        """The owner's Parameter that holds the bias; its present value where that is computed."""
        if self.bias_name is None:
            return None
        stored = self._owner._parameters.get(self.bias_name)
        return self._computed_bias() if stored is None else stored

    def present_weight(self) -> Tensor:
        """The weights as they are now, computed anew where they are computed, without gradient."""
        return _of(compute(self._owner, self.weight_name), self.part)

    def present_bias(self) -> Tensor | None:
        """The bias as it is now."""
        bias = self._computed_bias()
        return None if bias is None else _of(bias, self.bias_part)

    def _computed_bias(self) -> Tensor | None:
        if self.bias_name is None or getattr(self._owner, self.bias_name) is None:
            return None
        return compute(self._owner, self.bias_name)

    @property
    def digital_bias(self) -> Tensor | None:
        """The bias where it is digital; None if there is none or it lies on the array."""
        bias = None if self.bias_rows else self.bias
        if bias is not None and bias.shape != self.bias_shape:
            raise ValueError(other_shape(self.bias_name, bias, self.bias_shape, self.path or self.called))
        return bias

    # --- the matrix ------------------------------------------------------------------------------

    def matrix(self, weight: Tensor) -> Tensor:
        """``weight`` (the Parameter's shape) as ``[group, row, column]``."""
        return self.layout.matrix(weight)

    def from_matrix(self, matrix: Tensor) -> Tensor:
        """``[group, row, column]`` in the shape of the Parameter."""
        return self.layout.from_matrix(matrix)

    def logical(self, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """What lies on the array: ``weight`` and the bias rows as ``[group, row, column]``.

        Args:
            weight: in the shape of the Parameter.
            bias: the bias of the columns; None for the layer's own.
        """
        if weight.shape != self.shape:
            raise ValueError(other_shape(self.weight_name, weight, self.shape, self.path or self.called))
        matrix = self.layout.matrix(weight)
        if not self.bias_rows:
            return matrix
        groups, _, columns = matrix.shape
        share = (self.bias if bias is None else bias).to(matrix.dtype) / self.bias_rows
        return torch.cat([matrix, share.view(groups, 1, columns).expand(-1, self.bias_rows, -1)], dim=1)

    def wide_weight(self) -> Tensor:
        """The weights, at least in float32."""
        return wide(self.weight)

    def present(self) -> Tensor:
        """What lies on the array once it is programmed, ``[group, row, column]``."""
        bias = self.present_bias() if self.bias_rows else None
        return self.logical(wide(self.present_weight()), bias)

    # --- what may change it ----------------------------------------------------------------------

    def sources(self) -> list[nn.Parameter]:
        """The Parameters that make what lies on the array."""
        return parameters_of(self._owner, self._names())

    def _names(self) -> list[str]:
        return self.parameter_names() if self.bias_rows else [self.weight_name]

    def sight(self) -> tuple[tuple[int, ...], ...]:
        """What can be known of them without reading them; it changes when they may have changed."""
        masks = buffers_of(self._owner, self._names())
        return tuple(map(sight, (*self.sources(), *masks)))

    def fingerprint(self) -> Tensor:
        """Of the weights, and of the bias where it lies on the array."""
        found = fingerprint(self.present_weight())
        bias = self.present_bias() if self.bias_rows else None
        return found if bias is None else fingerprint(torch.stack([found, fingerprint(bias)]))


def other_shape(name: str | None, value: Tensor, shape: tuple[int, ...] | None, where: str) -> str:
    """The sentence for a Parameter that has another shape than the array was made for."""
    return (
        f"{name} has shape {tuple(value.shape)}: the array of {where!r} was made for {shape}; give the layer "
        f"a {name} of that shape, or make the network anew and call mho.convert"
    )


def _of(value: Tensor, part: Part) -> Tensor:
    return value if part is None else value[part[0] : part[1]]


def wide(weight: Tensor) -> Tensor:
    """A tensor of weights, at least in float32."""
    return weight if weight.dtype in (torch.float32, torch.float64) else weight.float()
