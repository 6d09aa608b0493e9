"""One array of a Keras layer: its variables, its chip, and the product by it."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
import torch
from keras import ops

from mho.chip.state import is_tiled, readout
from mho.devices.effects.currents import without_current_noise
from mho.errors import NotCalibratedError, NotMappableError, NotProgrammedError
from mho.hardware import Hardware
from mho.keras.converters import held
from mho.keras.geometry import Geometry
from mho.keras.internals import is_symbolic
from mho.keras.products import Products
from mho.keras.random import Counted, InLoop, Stream
from mho.keras.reading import Limits, Matrix, read
from mho.keras.recipes import modified
from mho.keras.suited import check_hardware, fluctuates, reference_weight, without_chip
from mho.keras.twin import Twin
from mho.nn.crossbar import Crossbar
from mho.training import Recipe

Tensor = Any  # of the backend
_RANGES = {"input_range": "dac", "output_range": "adc"}


class _Hidden(NamedTuple):
    """What Keras is not to track."""

    twin: Twin


class CrossbarArray(keras.layers.Layer):
    """One array of an analog Keras layer, which owns it and the weights on it.

    What a product needs of the chip lies in non-trainable variables, float32 whatever the policy of the
    model. The chip itself is on the torch side (:attr:`twin`), and is saved with the layer.

    Args:
        hardware: the description.
        recipe: what training does to the weights; None for nothing.
        seed: of fresh noise; None for Keras' choice.
    """

    def __init__(
        self, hardware: Hardware, recipe: Recipe | None = None, seed: int | None = None, **names: Any
    ) -> None:
        super().__init__(dtype="float32", **names)
        self.hardware, self.recipe, self.on_chip = hardware, recipe, False
        self.stream = keras.random.SeedGenerator(seed)
        self._hidden: _Hidden | None = None
        self._begun: tuple[Matrix, Tensor] | None = None
        self._step: Tensor = 0
        self.through_torch = False

    def lay_out(self, geometry: Geometry, bias: bool) -> None:
        """Make the array of a layer that knows its shapes; ``bias``: whether a digital one is added to it."""
        check_hardware(self.hardware)
        self._geometry, self._bias = geometry, bias
        self.build(())

    def build(self, input_shape: Any) -> None:
        """The torch side, and the variables."""
        geometry = self._geometry
        whole = (*geometry.taps, geometry.inputs, geometry.outputs)
        self._hidden = _Hidden(Twin(geometry, self.hardware, whole, self._bias))
        self.hardware = self.crossbar.hardware  # a table has no DAC to convert with
        self.products = Products.of(geometry, self.crossbar.layout.rows)
        self._tiles, self._channels = len(self.crossbar.layout.rows), len(readout(self.hardware).digital)
        self._make_variables()
        self.pull()

    def _make_variables(self) -> None:
        """A variable for each part that a read of a chip of this description can have."""
        wanted = {**self._parts_of(self.hardware), **self._range_shapes()}
        self.parts = {
            name: self._variable(name, shape) for name, shape in wanted.items() if shape is not None
        }
        self.training_step = self._variable("training_step", (), "int32")

    def _parts_of(self, hardware: Hardware) -> dict[str, tuple[int, ...] | None]:
        """The shapes of all parts that a chip can have; None for one that this hardware never has."""
        geometry, tiled, dac = self._geometry, is_tiled(hardware), hardware.dac
        whole = (*geometry.taps, geometry.inputs, geometry.outputs)
        _, shot, thermal = without_current_noise(hardware.device)
        lines = (geometry.outputs + geometry.groups * readout(hardware).unit_column) * self._channels
        kernel = (self.products.tiles, *whole[:-2], self.products.size, lines) if tiled else whole
        currents = (self.products.tiles, lines) if tiled else (geometry.outputs,)
        return {
            "kernel": kernel,
            "variance": kernel if fluctuates(hardware.device) else None,
            "shot": kernel if shot else None,
            "thermal": currents if thermal else None,
            "constant": currents if tiled and dac is not None and dac.offset else None,
            "out": (geometry.outputs,) if tiled else None,
            "shift": (geometry.outputs,),
            "programmed": (),
        }

    def missing(self, hardware: Hardware) -> list[str]:
        """The parts that chips of another description have, and this array has no variable for."""
        wanted = self._parts_of(hardware).items()
        return [name for name, shape in wanted if shape is not None and name not in self.parts]

    def _range_shapes(self) -> dict[str, tuple[int, ...] | None]:
        dac, adc = self.hardware.dac, self.hardware.adc
        return {
            "input_range": None if dac is None else dac.range.shape(self._tiles, None),
            "output_range": None if adc is None else adc.range.shape(self._tiles, self._channels),
        }

    def _variable(self, name: str, shape: tuple[int, ...], dtype: str = "float32") -> Any:
        return self.add_weight(
            name=name, shape=shape, dtype=dtype, initializer="zeros", trainable=False, autocast=False
        )

    @property
    def twin(self) -> Twin:
        """The torch side."""
        if self._hidden is None:
            raise ValueError(f"the layer of {self.name!r} is not built yet: call the model once, or build it")
        return self._hidden.twin

    @property
    def crossbar(self) -> Crossbar:
        """The torch side's array, with the chip."""
        return self.twin.array()

    @property
    def programmed(self) -> bool:
        """Whether there is a chip."""
        return self.crossbar.is_programmed

    # --- the product ------------------------------------------------------------------------------

    def read(self, x: Tensor, kernel: Tensor, bias: Tensor | None, training: bool) -> Tensor:
        """The product with the bias, float32.

        Args:
            x: the layer's input.
            kernel: the layer's kernel, canonical (see :mod:`mho.keras.geometry`).
            bias: digital bias ``[group * column]``, or None.
            training: whether clean weights and the recipe are read, or the chip.
        """
        if self.through_torch:
            return self._by_torch(x)
        if self._begun is None:
            matrix, stream = self._matrix(kernel, training), self._counted()
        else:
            matrix, stream = self._begun[0], InLoop(self._begun[1], self._step)
        x = ops.cast(x, "int32" if self._geometry.one_hot else "float32")
        y = read(self.hardware, self.products, matrix, x, self._limits(training), stream)
        return y if bias is None else y + ops.cast(bias, "float32")

    def begin(self, kernel: Tensor, training: bool) -> None:
        """Make ready what all steps of a loop read; nothing is drawn or counted until :meth:`end`."""
        if not self.through_torch:
            self._begun = (self._matrix(kernel, training), self.stream.next())

    def at(self, step: Tensor) -> None:
        """The step of the loop that is read next."""
        self._step = step

    def end(self) -> None:
        """The loop is over."""
        self._begun, self._step = None, 0

    def _counted(self) -> Stream:
        return Counted(self.stream)

    def _limits(self, training: bool) -> Limits:
        """Full scales; in evaluation there must be some."""
        for name, converter in _RANGES.items():
            if name in self.parts and getattr(self.crossbar, name) is None and not training:
                self._not_calibrated(name, converter)
        kept = (self.parts.get(name) for name in _RANGES)
        return Limits(*(None if limit is None else limit.value for limit in kept))

    def _not_calibrated(self, name: str, converter: str) -> None:
        if not getattr(self.hardware, converter).ideal and not is_symbolic():
            raise NotCalibratedError(
                f"{name} of {self.crossbar.path or self.name!r} was left to calibration and none was made: "
                "call mho.keras.calibrate(model, batches), or give the converter a Fixed or Dynamic range"
            )

    def _matrix(self, kernel: Tensor, training: bool) -> Matrix:
        """What this forward multiplies by."""
        kernel = ops.cast(kernel, "float32")
        if not training or self.on_chip:
            return self._chip(kernel, training)
        why = without_chip(self.hardware)
        if why is not None:
            raise NotMappableError(
                f"training = True: {why}. Train without it, or on a chip: mho.keras.train_on_chip(model)"
            )
        if self.recipe is None or not self.recipe.modifiers:
            return self._clean(kernel, kernel)
        used = modified(self.recipe, kernel, self.training_step.value, self._counted())
        self.training_step.assign_add(1)
        return self._clean(held(used, kernel), kernel)

    def _clean(self, used: Tensor, kernel: Tensor) -> Matrix:
        """Weights, with the reference weight of the kernel."""
        if not is_tiled(self.hardware):
            return Matrix(used)
        scale = reference_weight(self.hardware, kernel)
        return Matrix(self.products.apart(used / (scale * readout(self.hardware).digital[0])), out=scale)

    def _chip(self, kernel: Tensor, training: bool) -> Matrix:
        """The packed matrix of the chip, with the gradient straight through; without one, the clean weights.

        A graph that was made before the chip was looks at a variable to know whether there is one.
        """
        parts = {name: self.parts[name].value for name in Matrix._fields if name in self.parts}
        if self.programmed:
            return self._with_gradient(Matrix(**parts), kernel)
        why = "training on a chip" if training else without_chip(self.hardware)
        if why is not None:
            self._needs_chip(why)
            return Matrix(**parts)  # of which only the shapes count
        if not is_symbolic():
            self.crossbar.notice.evaluated(self.crossbar.path, self.hardware)
        clean, there = self._clean(kernel, kernel), self.parts["programmed"].value
        parts["kernel"] = ops.where(there > 0, parts["kernel"], ops.stop_gradient(clean.kernel))
        if clean.out is not None:
            parts["out"] = ops.where(there > 0, parts["out"], clean.out)
        return self._with_gradient(Matrix(**parts, noise=there), kernel)

    def _needs_chip(self, why: str) -> None:
        if not is_symbolic():
            raise NotProgrammedError(
                f"{self.crossbar.path or self.name!r} holds no chip, and it needs one ({why}): call "
                "mho.keras.program(model, seed=0) first"
            )

    def _with_gradient(self, matrix: Matrix, kernel: Tensor) -> Matrix:
        """The same values, with the gradient of the product straight through to the weights."""
        if matrix.out is None:
            return matrix._replace(kernel=held(matrix.kernel, kernel))
        out = ops.where(matrix.out == 0, 1.0, matrix.out)
        ideal = self.products.apart(self._as_channels(kernel / out))
        return matrix._replace(kernel=held(matrix.kernel, ideal))

    def _as_channels(self, kernel: Tensor) -> Tensor:
        """Normalised weights shared out to channels, ``[..., group * channel * column]``."""
        how, groups = readout(self.hardware), self._geometry.groups
        if len(how.digital) == 1 and not how.unit_column:
            return kernel / how.digital[0]
        norm = sum(f * f for f in how.digital)
        shares = np.array([[f / norm] for f in how.digital], "float32")
        apart = ops.reshape(kernel, (*kernel.shape[:-1], groups, 1, -1)) * ops.convert_to_tensor(shares)
        if how.unit_column:
            apart = ops.pad(apart, ((0, 0),) * (len(apart.shape) - 1) + ((0, 1),))
        return ops.reshape(apart, (*kernel.shape[:-1], -1))

    def _by_torch(self, x: Tensor) -> Tensor:
        """The product by torch, for verbs that listen to it."""
        x = x if self._geometry.one_hot else ops.cast(x, "float32")  # numpy knows no bfloat16
        given, told = self._geometry.input_to_torch(ops.convert_to_numpy(x))
        crossbar = self.crossbar
        self._geometry.place(crossbar, told)
        values = torch.from_numpy(np.array(given))
        with torch.no_grad():
            y = crossbar(values)
        return ops.convert_to_tensor(self._geometry.output_to_keras(y.numpy(), told), dtype="float32")

    # --- between the two sides --------------------------------------------------------------------

    def push(self, kernel: Any, bias: Any) -> None:
        """Give the weights, numpy, to the torch side."""
        self.twin.take(kernel, bias)

    def pull(self) -> None:
        """Take from the torch side what a product needs."""
        crossbar = self.crossbar
        self.hardware = crossbar.hardware
        for name in _RANGES:
            limit = getattr(crossbar, name)
            if name in self.parts:
                self.parts[name].assign(np.zeros(self.parts[name].shape) if limit is None else limit.numpy())
        if crossbar.is_programmed:
            self._take_chip(crossbar)

    def _take_chip(self, crossbar: Crossbar) -> None:
        """The packed parts of a chip, in Keras' order."""
        packed = crossbar.packed().changed(steps=None, inputs=None)
        for name, value in packed.entries().items():
            if name != "ones" and name not in self.parts:
                raise NotMappableError(
                    f"{name}: the chip of {crossbar.path!r} needs it, and Keras' layers do not have it"
                )
            if name != "ones":
                self.parts[name].assign(np.ascontiguousarray(self._in_order(name, value)))
        for name in ("variance", "shot"):
            if name in self.parts and getattr(packed, name) is None:
                self.parts[name].assign(np.zeros(self.parts[name].shape))
        self.parts["programmed"].assign(1.0)

    def _in_order(self, name: str, value: torch.Tensor) -> Any:
        """A packed tensor as the graph takes it."""
        geometry = self._geometry
        if name in ("out", "shift"):
            return geometry.columns_to_keras(value.numpy())
        if name in ("kernel", "variance", "shot"):
            if is_tiled(self.hardware):
                return geometry.packed(value, self.products.tiles, self._channels)
            return geometry.to_keras(value.numpy())
        if is_tiled(self.hardware):
            return geometry.currents(value, self.products.tiles)
        return geometry.columns_to_keras(value.numpy())

    # --- saving -----------------------------------------------------------------------------------

    def save_own_variables(self, store: Any) -> None:
        """The chip (format 1 of ``mho.nn.crossbar``), the full scales, the place in the stream of noise."""
        for name, value in self.crossbar.state_dict().items():
            store[name] = value.numpy()
        store["stream"] = ops.convert_to_numpy(self.stream.state)
        store["training_step"] = ops.convert_to_numpy(self.training_step)

    def load_own_variables(self, store: Any) -> None:
        """What :meth:`save_own_variables` wrote; ``DamagedChipError`` if it is no chip of this array."""
        found = {name: np.array(store[name]) for name in store.keys()}  # noqa: SIM118 (Keras' stores are no dicts)
        if not found:  # a file of a digital model: the chip stays, and is stale
            return
        self.stream.state.assign(found.pop("stream"))
        self.training_step.assign(found.pop("training_step"))
        self.crossbar.load_state_dict({name: torch.from_numpy(value) for name, value in found.items()})
        self.pull()
