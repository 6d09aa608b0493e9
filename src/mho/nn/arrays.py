"""Layers with several weight matrices: one array for each, the Parameters where torch has them.

A recurrent layer keeps ``weight_ih_l0``, ``weight_hh_l0``... under torch's own names; its submodule
``arrays`` holds one :class:`Array` for each of them. An array has no Parameter of its own (but for
learned converter ranges): it looks the weight up in its owner, so that optimizers, ``state_dict`` of
the plain layer, ties and ``functional_call`` meet the Parameters they know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mho.config import unknown_key
from mho.cut import Read
from mho.hardware import Hardware
from mho.nn.base import AnalogLayer
from mho.nn.computed import buffers_of, compute, parameters_of
from mho.nn.linear import LinearCut, linear_cut
from mho.nn.loading import carry_over

Part = tuple[int, int] | None


class Array(AnalogLayer):
    """One array of a layer that has several.

    Args:
        owner: the layer whose Parameter the array holds.
        weight: name of that Parameter.
        bias: name of the Parameter that is the bias of this array's outputs; None for none.
        part: first and last + 1 of the entries of the weight, along its first axis, that lie on this
            array; None for all.
        bias_part: the same for the bias.
    """

    _owner: nn.Module

    def __init__(
        self,
        owner: nn.Module,
        weight: str,
        bias: str | None = None,
        part: Part = None,
        bias_part: Part = None,
    ) -> None:
        super().__init__()
        self.__dict__["_owner"] = owner  # not a submodule: the owner holds the array
        self._weight, self._bias, self._part, self._bias_part = weight, bias, part, bias_part

    def stored_weight(self) -> Tensor:
        """The owner's Parameter; its present value where that is computed."""
        stored = self._owner._parameters.get(self._weight)
        return compute(self._owner, self._weight) if stored is None else stored

    def _sources(self) -> list[nn.Parameter]:
        """The owner's Parameters that make what lies on the array."""
        return parameters_of(self._owner, self.parameter_names() if self.bias_rows else (self._weight,))

    def _masks(self) -> list[Tensor]:
        """The buffers of the owner that the weights are computed with."""
        return buffers_of(self._owner, self.parameter_names() if self.bias_rows else (self._weight,))

    def present_weight(self) -> Tensor:
        """The weights as they are now."""
        return _of(compute(self._owner, self._weight), self._part)

    def stored_bias(self) -> Tensor | None:
        """The owner's Parameter that holds the bias; its present value where that is computed."""
        if self._bias is None:
            return None
        stored = self._owner._parameters.get(self._bias)
        return compute(self._owner, self._bias) if stored is None else stored

    def present_bias(self) -> Tensor | None:
        """The bias as it is now."""
        return None if self._bias is None else _of(compute(self._owner, self._bias), self._bias_part)

    @property
    def weight(self) -> Tensor:
        """What this array holds of the owner's Parameter."""
        return _of(getattr(self._owner, self._weight), self._part)

    @property
    def bias(self) -> Tensor | None:
        """The bias of this array's columns, a Parameter of the owner."""
        if self._bias is None:
            return None
        bias = getattr(self._owner, self._bias)
        return None if bias is None else _of(bias, self._bias_part)

    def parameter_names(self) -> list[str]:
        """Names of the owner's Parameters that the array uses."""
        return [name for name in (self._weight, self._bias) if name is not None]

    def put_back(self, weight: Tensor, shift: Tensor | None, bias: Tensor | None = None) -> None:
        """Write what the array holds into the owner's Parameters.

        Args:
            weight: effective weights.
            shift: of the outputs.
            bias: effective bias of the bias rows; None for a digital bias, which stays.

        Raises:
            ValueError: there is a shift and no bias to take it.
        """
        self.weight.data.copy_(weight)
        if bias is not None and self.bias is not None:
            self.bias.data.copy_(bias)
        if shift is None or not bool(shift.any()):
            return
        if self.bias is None:
            raise ValueError(
                f"the outputs of {self.path!r} were shifted by a correction, and it has no bias to hold the "
                "shift: revert before mho.compensate(model, Affine()), or give the layer a bias"
            )
        self.bias.data.add_(shift.to(self.bias))

    def extra_repr(self) -> str:
        """Rows and columns, and the state of the chip."""
        groups, rows, columns = self.matrix(self.weight).shape
        size = f"{rows} x {columns}" if groups == 1 else f"{groups} x {rows} x {columns}"
        return size + super().extra_repr()


def _of(value: Tensor, part: Part) -> Tensor:
    return value if part is None else value[part[0] : part[1]]


class MatrixArray(Array):
    """The array of a weight ``[output, input]``."""

    def make_cut(self) -> LinearCut:
        """Tiles of the input x output matrix."""
        outputs, inputs = self.weight.shape
        return self.matrix_cut(inputs, outputs)

    def matrix_cut(self, inputs: int, outputs: int) -> LinearCut:
        """Tiles of a matrix of that size."""
        return linear_cut(self, inputs, outputs)

    def matrix(self, weight: Tensor) -> Tensor:
        """``weight[out, in]`` as ``[1, in, out]``."""
        return weight.t().unsqueeze(0)

    def from_matrix(self, matrix: Tensor) -> Tensor:
        """``[1, in, out]`` as ``[out, in]``."""
        return matrix[0].t()

    def digital_forward(self, x: Tensor, read: Read | None = None) -> Tensor:
        """``x W^T + b``."""
        return F.linear(x, self.weight, self.bias)

    def forward(self, x: Tensor, read: Read | None = None) -> Tensor:
        """Read the array with the vectors ``x[..., in]``.

        Args:
            x: inputs.
            read: what :meth:`read` gave at the beginning of this forward, for an array that is read step
                by step; then call :meth:`count_step` once at its end. None for a single read.
        """
        inputs = self.cut.rows[-1][1] - self.bias_rows
        if x.shape[-1] != inputs:
            raise ValueError(
                f"x has shape {tuple(x.shape)}: its last size must be {inputs}, the rows of "
                f"{self.path or type(self).__name__!r}"
            )
        if read is None or self._observer is not None:
            return self.analog(x)
        return self.product(read, x)


class SeveralArrays(nn.Module):
    """Mixin of layers with arrays in a submodule ``arrays``; comes before the torch layer in the bases.

    Attributes:
        hardware: the description of the arrays.
        bias_rows: rows of each array that hold its bias; 0 for digital biases (see ``AnalogLayer``).
        arrays: the arrays by name; the chip's random streams are named by it.
        path: the layer's path in its model, for messages.
    """

    ARRAY_ATTRIBUTES = ("hardware", "bias_rows", "_path")

    hardware: Hardware
    bias_rows: int = 0
    arrays: nn.ModuleDict

    def make_arrays(self) -> dict[str, Array]:
        """The arrays of this layer, by name, without hardware yet."""
        raise NotImplementedError

    def setup(
        self, hardware: Hardware, bias_rows: int = 0, each: Mapping[str, Hardware] | None = None
    ) -> None:
        """Give a layer that has its Parameters its arrays, not programmed yet.

        Args:
            hardware: the description of the arrays.
            bias_rows: rows of each array that hold its bias.
            each: the description of single arrays, by name, instead.
        """
        self.hardware = hardware
        self.arrays = nn.ModuleDict(self.make_arrays())
        each = {} if each is None else each
        for name in each:
            if name not in self.arrays:
                raise ValueError(unknown_key(name, list(self.arrays), f"{type(self).__name__}.arrays"))
        for name, array in zip(self.arrays, self.each(), strict=True):
            array.setup(each.get(name, hardware), bias_rows)
        self.bias_rows = max((array.bias_rows for array in self.each()), default=0)
        self.path = ""
        self.arrays.train(self.training)

    @property
    def path(self) -> str:
        """The layer's path in its model."""
        return self._path

    @path.setter
    def path(self, path: str) -> None:
        self._path = path
        for name, array in zip(self.arrays, self.each(), strict=True):
            array.path = f"{path}.arrays.{name}" if path else f"arrays.{name}"

    def array_state(self) -> set[str]:
        """Names of what the arrays add to the torch layer."""
        return {"arrays"}

    def array(self, name: str) -> Array:
        """The array of that name."""
        return self.arrays[name]  # type: ignore[return-value]

    def each(self) -> list[Array]:
        """The arrays."""
        return list(self.arrays.values())  # type: ignore[arg-type]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Moves of the Parameters do not make a chip stale."""
        fresh = [a for a in self.each() if a.chip_g is not None and not a.is_stale()]
        known = [a for a in self.each() if a._seen == a._sight()]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for array in known:
            array._seen = array._sight()
        for array in fresh:
            array._mark_fresh()
        return self

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: Any, *rest: Any
    ) -> None:
        """The arrays are loaded after their owner, from a dict that speaks of the owner's weights."""
        for name, array in zip(self.arrays, self.each(), strict=True):
            array.refuse_state(state_dict, f"{prefix}arrays.{name}.")
        if not local_metadata.get("assign_to_params_buffers", False):
            layers = zip(self.arrays, self.each(), strict=True)
            carry_over(self, state_dict, prefix, {f"{prefix}arrays.{name}.": a for name, a in layers})
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)
