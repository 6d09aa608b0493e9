"""What the analog layers share: parameters that can be edited, a chip that follows the weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from typing_extensions import Self

import mho
from mho import nn as layers
from mho.chip import tile
from mho.chip.layouts import ArraySize
from mho.compat.crosssim._records import DTYPES, listener
from mho.compat.crosssim._translate import cuts, described
from mho.compat.crosssim._tree import Parameters
from mho.compat.crosssim.simulator.parameters import CrossSimParameters
from mho.nn import Crossbar
from mho.nn.crossbar import check_bias_rows, plain

_SEEDS = 2**62


class _Following(Crossbar):
    """An array that is programmed again when the weights of its layer changed."""

    def check_chip(self) -> None:
        """Program again if the weights changed: the chip follows them."""
        self._seen = self.sight()
        if self.is_stale():
            owner: Any = self.owner
            owner.synchronize()


class AnalogLayer(layers.AnalogLayer):
    """An analog layer of mho under CrossSim's names. It always computes with its chip, also in training.

    The chip is programmed when the layer is made. It is programmed again, with new programming errors, when
    the weights changed (in any way: ``add_``, item assignment, an optimizer step, fused ones too, a write
    through ``.data``), when ``params`` or ``bias_rows`` is assigned, and when something inside ``params`` was
    edited: at the next use of the layer. To notice it the layer keeps a copy of the weights and compares
    them. Seeds come from torch's global generator. Inside ``torch.compile`` nothing is checked: call
    :meth:`synchronize` after each change there.

    Attributes:
        params: the layer's own copy of the parameters.
        bias_rows: rows of the array that hold the bias; 0 for a digital bias.
    """

    ARRAY_ATTRIBUTES = (  # type: ignore[assignment]
        *layers.AnalogLayer.ARRAY_ATTRIBUTES,
        "_params",
        "_built",
        "_rows",
        "_seconds",
        "_edit",
        "_kept",
        "_kept_with",
    )

    _numpy_to_torch_dtype_dict = DTYPES

    _params: CrossSimParameters
    _built: dict[str, Any] | None = None  # the parameters that the array was made with; None: not yet
    _rows: int = 0
    _seconds: float = 0.0  # after programming
    _edit: object = None  # the last edit of any parameters when they were compared with _built
    _kept: tuple[Tensor, ...] = ()  # copies of the weights when they were last compared with the chip
    _kept_with: Tensor | None = None  # and the chip's fingerprint of weights then

    # --- parameters ------------------------------------------------------------------------------

    @property
    def params(self) -> CrossSimParameters:
        """The parameters; edits are noticed at the next use, an assignment copies and acts at once."""
        return self._params

    @params.setter
    def params(self, value: CrossSimParameters) -> None:
        self._remake(checked(value).copy(), self._rows)

    @property
    def bias_rows(self) -> int:
        """Rows of the array that hold the bias; an assignment acts at once."""
        return self._rows

    @bias_rows.setter
    def bias_rows(self, value: Any) -> None:
        self._remake(self._params, value)

    def reinitialize(self) -> None:
        """Make the array again from ``params`` and program it, with new errors."""
        self._remake(self._params, self._rows)

    def synchronize(self) -> None:
        """Program the array again from the weights, with new errors."""
        array = self.array()
        array.program(int(torch.randint(_SEEDS, ())), self.path)
        if self._seconds:
            with plain():
                array.set_chip(tile.age(array.hardware, array.require_chip("synchronize"), self._seconds))

    def _remake(self, params: CrossSimParameters, bias_rows: int) -> None:
        """A new array; nothing changes if the parameters are refused."""
        rows = check_bias_rows(bias_rows) if self.bias is not None else 0
        old = self.array() if self.is_single else None
        hardware, seconds = described(params, self._inputs() + rows)
        hardware.device.check_time(seconds)
        path = self.path if old is not None else ""
        self._params, self._rows, self._seconds, self._built = params, rows, seconds, None
        self.setup(hardware, rows)
        self.path = path
        array = self.array()
        array.modifiers, array.on_chip = () if old is None else old.modifiers, True
        array._tap = listener(array, params)
        self._built = params.flat()
        self.synchronize()

    def _settle(self) -> None:
        """Take in what was edited inside ``params`` and in the weights."""
        edit = Parameters.last_edit()
        if self._edit is not edit:
            if self._params.flat() != self._built:
                self.reinitialize()
            self._edit = edit
        now = self._lying()
        array = self.array()
        seen = array._seen == array.sight() and self._kept_with is array.chip_weights
        if not seen or not self._as_kept(now):
            array.check_chip()
            self._kept, self._kept_with = tuple(t.detach().clone() for t in now), array.chip_weights

    def _lying(self) -> tuple[Tensor, ...]:
        """The tensors that hold what lies on the array."""
        array = self.array()
        bias = array.stored_bias() if self._rows else None
        return (array.stored_weight(),) if bias is None else (array.stored_weight(), bias)

    def _as_kept(self, now: tuple[Tensor, ...]) -> bool:
        """Whether they are as they were. Not every write is counted by torch: the values are compared."""
        return len(now) == len(self._kept) and all(
            a.device == b.device and a.dtype == b.dtype and torch.equal(a, b)
            for a, b in zip(now, self._kept, strict=True)
        )

    def __getstate__(self) -> dict[str, Any]:
        """Without the copies of the weights."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_kept", "_kept_with")}

    # --- the array -------------------------------------------------------------------------------

    def make_arrays(self) -> dict[str, Crossbar]:
        """The array of the matrix, cut as the parameters say."""
        return {"crossbar": _Following(self, "weight", "bias", layout=self._as_the_parameters_say)}

    def _as_the_parameters_say(self, shape: tuple[int, ...], size: ArraySize) -> Any:
        layout: Any = super().make_arrays()["crossbar"].make_layout(shape, size)
        rows, columns = cuts(self._params, layout.rows[-1][1], layout.columns[-1][1])
        return dataclasses.replace(layout, rows=rows, columns=columns)

    def _inputs(self) -> int:
        """Rows of the matrix without those of the bias."""
        shape = tuple(self.weight.shape)
        layout = super().make_arrays()["crossbar"].make_layout(shape, ArraySize(None, None))
        return layout.rows[-1][1]

    def form_matrix(self) -> Tensor:
        """The ideal matrix, ``[output, input + bias row]``; groups of a convolution lie on its diagonal."""
        return self._as_2d(self.array().present()).detach()

    def get_matrix(self) -> Tensor:
        """The matrix that the array holds, in the layout of :meth:`form_matrix`."""
        self._settle()
        array = self.array()
        with plain():
            chip = array.require_chip("get_matrix")
            return self._as_2d(tile.effective_weight(array.hardware, chip, array.layout))

    def get_core_weights(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias that the array holds, in the shapes of the torch layer; a digital bias as it is."""
        self._settle()
        bias = self.effective_bias() if self._rows else self.present_bias()
        return self.effective_weight(), bias

    def _as_2d(self, matrix: Tensor) -> Tensor:
        inputs = matrix.shape[1] - self._rows
        weight = torch.block_diag(*(group[:inputs].t() for group in matrix))
        bias = matrix[:, inputs:].transpose(1, 2).flatten(0, 1)
        return torch.cat([weight, bias], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """The product by the array."""
        if not torch.compiler.is_compiling():
            self._settle()
        y: Tensor = super().forward(x)
        return y

    # --- to and from torch -----------------------------------------------------------------------

    def _adopt(self, params: CrossSimParameters, bias_rows: int) -> None:
        """Give a layer that has its Parameters an array of these parameters."""
        place_for(params, self.weight.device)
        self._remake(checked(params).copy(), bias_rows)
        if params.simulation.useGPU:
            self.to(place_for(params, None))

    @classmethod
    def taken(cls, layer: Any, params: CrossSimParameters, bias_rows: int) -> Self:
        """An analog layer of mho, itself, as one of this class."""
        parametrized = parametrize.is_parametrized(layer)
        layer.__class__ = cls
        if parametrized:
            parametrize._inject_new_class(layer)
            for name in layer.parametrizations:
                parametrize._inject_property(layer, name)
        layer._adopt(params, bias_rows)
        taken: Self = layer
        return taken

    @classmethod
    def from_torch(cls, layer: nn.Module, params: CrossSimParameters, bias_rows: int = 0) -> Self:
        """An analog copy of a torch layer."""
        analog: Any = mho.convert(layer, mho.Hardware())
        if not issubclass(cls, type(analog)) and not parametrize.is_parametrized(analog):
            raise TypeError(f"layer is a {type(layer).__name__}: {cls.__name__} takes its own torch layer")
        analog.__dict__.pop("report", None)
        return cls.taken(analog, params, bias_rows)

    @classmethod
    def to_torch(cls, layer: AnalogLayer, physical_weights: bool = False) -> nn.Module:
        """The torch layer, with the ideal weights or with those that the array holds."""
        layer._settle()
        return mho.revert(layer, "programmed" if physical_weights else "ideal")


def checked(params: Any) -> CrossSimParameters:
    """Parameters of one layer; ``TypeError`` if they are none."""
    if isinstance(params, (list, tuple)):
        raise TypeError(
            "params is a list: all arrays of a layer have the same parameters; a list with one for each "
            "layer goes to from_torch"
        )
    if not isinstance(params, CrossSimParameters):
        raise TypeError(f"params is a {type(params).__name__}: give CrossSimParameters")
    return params


def place_for(params: CrossSimParameters, device: Any) -> torch.device:
    """Where a layer goes: ``device``, which must fit ``simulation.useGPU``, or what that says.

    Raises:
        ValueError: the two contradict each other, or there is no such device.
    """
    gpu = checked(params).simulation
    if not gpu.useGPU:
        place = torch.device("cpu" if device is None else device)
        if place.type not in ("cpu", "meta"):
            raise ValueError(f"device = {device!r}: set params.simulation.useGPU = True for a layer on a GPU")
        return place
    if not torch.cuda.is_available() or gpu.gpu_id >= torch.cuda.device_count():
        raise ValueError(
            f"simulation.useGPU = True, gpu_id = {gpu.gpu_id!r}: torch sees {torch.cuda.device_count()} "
            "GPUs; set useGPU = False, or another gpu_id"
        )
    return torch.device("cuda", gpu.gpu_id)
