"""Recurrent layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import mho
from mho import nn as layers
from mho.compat.crosssim._records import DTYPES, listener
from mho.compat.crosssim._translate import described
from mho.compat.crosssim.simulator.algorithms.dnn.torch.layer import checked, place_for
from mho.compat.crosssim.simulator.parameters import CrossSimParameters
from mho.nn import Crossbar, crossbars
from mho.nn.crossbar import check_bias_rows

_SEEDS = 2**62
_ROWS = ("bias_ih_rows", "bias_hh_rows")


class AnalogRecurrent(layers.AnalogLayer):
    """A recurrent layer of mho under CrossSim's names: an array for each matrix, with the same parameters.

    It always computes with its chip, and programs it again when its weights changed. ``params`` acts when
    it is assigned. Both directions work; tiles are cut as :class:`mho.Tile` says.
    """

    ARRAY_ATTRIBUTES = (*layers.AnalogLayer.ARRAY_ATTRIBUTES, "_params", "_rows", "_seconds")  # type: ignore[assignment]

    _numpy_to_torch_dtype_dict = DTYPES
    _params: CrossSimParameters
    _rows: int = 0
    _seconds: float = 0.0

    def __init__(self, params: CrossSimParameters, *args: Any, **names: Any) -> None:
        """``params``, torch's arguments, and ``bias_ih_rows`` and ``bias_hh_rows``, which are equal."""
        rows = [names.pop(name, 0) for name in _ROWS]
        if rows[0] != rows[1] or isinstance(rows[0], (list, tuple)):
            raise ValueError(
                f"bias_ih_rows = {rows[0]!r}, bias_hh_rows = {rows[1]!r}: all arrays of a layer have as many "
                "rows for their bias; give one number for both"
            )
        names["device"] = place_for(checked(params), names.get("device"))
        base: Any = next(kind for kind in type(self).__mro__ if kind.__module__.startswith("torch.nn"))
        base.__init__(self, *args, **names)
        self._adopt(params, rows[0])

    @property
    def params(self) -> CrossSimParameters:
        """A copy of the parameters; an assignment makes the arrays again."""
        return self._params.copy()

    @params.setter
    def params(self, value: CrossSimParameters) -> None:
        self._adopt(value, self._rows)

    def _adopt(self, params: CrossSimParameters, bias_rows: int) -> None:
        """Arrays of these parameters, programmed."""
        rows = check_bias_rows(bias_rows) if self.bias else 0
        each, seconds = {}, 0.0
        for name, weight in self.named_parameters():
            if name.startswith("weight"):
                each[name], seconds = described(checked(params), weight.shape[1] + rows)
        path = self.path if hasattr(self, "_path") else ""
        self.setup(next(iter(each.values())), rows, each)
        self.path, self._params, self._rows, self._seconds = path, params.copy(), rows, seconds
        for array in self._arrays():
            array.on_chip, array._tap = True, listener(array, params)
        self.synchronize()

    def _arrays(self) -> list[Crossbar]:
        return list(crossbars(self).values())

    def synchronize(self) -> None:
        """Program the arrays again from the weights, with new errors."""
        seed = int(torch.randint(_SEEDS, ()))
        for array in self._arrays():
            array.program(seed, array.path)
        if self._seconds:
            mho.age(self, self._seconds)

    def reinitialize(self) -> None:
        """Make the arrays again from ``params``, with new errors."""
        self._adopt(self._params, self._rows)

    def _settle(self) -> None:
        """Take in weights that changed."""
        if any(array.is_stale() for array in self._arrays()):
            self.synchronize()

    def forward(self, *args: Any, **names: Any) -> Any:
        """As of the torch layer."""
        if not torch.compiler.is_compiling():
            self._settle()
        return super().forward(*args, **names)

    @classmethod
    def taken(cls, layer: Any, params: CrossSimParameters, bias_rows: int) -> Any:
        """An analog layer of mho, itself, as one of this class."""
        layer.__class__ = cls
        layer._adopt(params, bias_rows)
        return layer


class AnalogRNN(AnalogRecurrent, layers.AnalogRNN):
    """``nn.RNN`` on arrays.

    >>> from mho.compat.crosssim import CrossSimParameters
    >>> y, h = AnalogRNN(CrossSimParameters(), 3, 4, num_layers=2)(torch.ones(5, 2, 3))
    >>> y.shape, h.shape
    (torch.Size([5, 2, 4]), torch.Size([2, 2, 4]))
    """


class AnalogLSTM(AnalogRecurrent, layers.AnalogLSTM):
    """``nn.LSTM`` on arrays."""


class AnalogGRU(AnalogRecurrent, layers.AnalogGRU):
    """``nn.GRU`` on arrays."""


class AnalogRNNCell(AnalogRecurrent, layers.AnalogRNNCell):
    """``nn.RNNCell`` on arrays."""


class AnalogLSTMCell(AnalogRecurrent, layers.AnalogLSTMCell):
    """``nn.LSTMCell`` on arrays."""


class AnalogGRUCell(AnalogRecurrent, layers.AnalogGRUCell):
    """``nn.GRUCell`` on arrays."""


RECURRENT: dict[type[nn.Module], type[AnalogRecurrent]] = {
    nn.RNN: AnalogRNN,
    nn.LSTM: AnalogLSTM,
    nn.GRU: AnalogGRU,
    nn.RNNCell: AnalogRNNCell,
    nn.LSTMCell: AnalogLSTMCell,
    nn.GRUCell: AnalogGRUCell,
}
