"""Recurrent layers on arrays: cells inside ``keras.layers.RNN``.

Each kernel has its own array; all gates of a kernel are columns of one array, read together, in torch's
order on the array and in Keras' in the layer. Biases, gates and states are digital. In training the recipe
acts once on each forward, not on each step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from mho.keras.array import CrossbarArray
from mho.keras.geometry import MatrixGeometry
from mho.keras.internals import loop
from mho.keras.layer import AnalogLayer, OnArray, same

Tensor = Any  # of the backend
_register = keras.saving.register_keras_serializable(package="mho")


class AnalogCell(AnalogLayer):
    """What the analog cells share: arrays ``weight_ih`` of the input and ``weight_hh`` of the state."""

    weight_ih: CrossbarArray
    weight_hh: CrossbarArray
    blocks: tuple[int, ...] = ()  # Keras' block of columns in the place of each of torch's

    def array_names(self) -> tuple[str, ...]:
        """One for each kernel, by torch's names."""
        return ("weight_ih", "weight_hh")

    def build(self, input_shape: Any) -> None:
        """The weights of the cell, and its arrays."""
        super().build(input_shape)
        layer: Any = self
        inputs, columns = (int(n) for n in layer.kernel.shape)
        hidden = self.on_arrays()["arrays.weight_hh"].bias is not None
        self.weight_ih.lay_out(MatrixGeometry(inputs, columns, blocks=self.blocks), layer.bias is not None)
        self.weight_hh.lay_out(MatrixGeometry(layer.units, columns, blocks=self.blocks), hidden)

    def on_arrays(self) -> dict[str, OnArray]:
        """Both kernels; one bias goes with the inputs."""
        layer: Any = self
        return {
            "arrays.weight_ih": OnArray(self.weight_ih, layer.kernel, same, same, layer.bias),
            "arrays.weight_hh": OnArray(self.weight_hh, layer.recurrent_kernel, same, same),
        }

    def begin(self, training: bool) -> None:
        """Make ready what all steps of a sequence read."""
        layer: Any = self
        self.weight_ih.begin(layer.kernel, training)
        self.weight_hh.begin(layer.recurrent_kernel, training)

    def call(self, inputs: Tensor, states: Any, training: bool = False) -> Any:
        """One step: the output and the next states."""
        layer: Any = self
        nested = isinstance(states, (list, tuple))
        held = list(states) if nested else [states]
        if training and 0.0 < layer.dropout < 1.0:
            inputs = inputs * layer.get_dropout_mask(inputs)
        hidden = held[0]
        if training and 0.0 < layer.recurrent_dropout < 1.0:
            hidden = hidden * layer.get_recurrent_dropout_mask(hidden)
        made = self.step(inputs, hidden, held, training)
        return made[0], (made if nested else made[0])

    def step(self, inputs: Tensor, hidden: Tensor, states: list[Tensor], training: bool) -> list[Tensor]:
        """The next states.

        Args:
            inputs: of this step, ``[batch, input]``.
            hidden: the hidden state as the array gets it, ``[batch, units]``.
            states: as they are.
            training: whether clean weights are read.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no step: write step(inputs, hidden, states, training)"
        )

    def of_inputs(self, x: Tensor, training: bool, bias: Any) -> Tensor:
        """The columns of the input's array."""
        layer: Any = self
        return ops.cast(self.weight_ih.read(x, layer.kernel, bias, training), layer.compute_dtype)

    def of_hidden(self, h: Tensor, training: bool, bias: Any = None) -> Tensor:
        """The columns of the hidden state's array."""
        layer: Any = self
        return ops.cast(self.weight_hh.read(h, layer.recurrent_kernel, bias, training), layer.compute_dtype)


@_register
class AnalogSimpleRNNCell(AnalogCell, keras.layers.SimpleRNNCell):
    """``keras.layers.SimpleRNNCell`` on two arrays. Arguments as there, and ``hardware``."""

    def step(self, inputs: Tensor, hidden: Tensor, states: list[Tensor], training: bool) -> list[Tensor]:
        """``h' = activation(W x + U h + b)``."""
        total = self.of_inputs(inputs, training, self.bias) + self.of_hidden(hidden, training)
        return [total if self.activation is None else self.activation(total)]


@_register
class AnalogLSTMCell(AnalogCell, keras.layers.LSTMCell):
    """``keras.layers.LSTMCell`` on two arrays; gates i, f, c, o. Arguments as there, and ``hardware``."""

    def step(self, inputs: Tensor, hidden: Tensor, states: list[Tensor], training: bool) -> list[Tensor]:
        """``c' = f c + i g``, ``h' = o activation(c')``."""
        total = self.of_inputs(inputs, training, self.bias) + self.of_hidden(hidden, training)
        i, f, g, o = ops.split(total, 4, axis=-1)
        gate = self.recurrent_activation
        c = gate(f) * states[1] + gate(i) * self.activation(g)
        return [gate(o) * self.activation(c), c]


@_register
class AnalogGRUCell(AnalogCell, keras.layers.GRUCell):
    """``keras.layers.GRUCell`` on two arrays; gates z, r, h, which torch has as r, z, n.

    With ``reset_after=False`` the hidden state's array is read twice in each step: with the state, and with
    what the reset gate leaves of it. Arguments as there, and ``hardware``.
    """

    blocks = (1, 0, 2)

    def on_arrays(self) -> dict[str, OnArray]:
        """Both kernels, each with its row of the bias where there are two."""
        two = self.reset_after and self.bias is not None
        bias, row = (self.bias, 1) if two else (None, None)
        return {
            "arrays.weight_ih": OnArray(
                self.weight_ih, self.kernel, same, same, self.bias, 0 if two else None
            ),
            "arrays.weight_hh": OnArray(self.weight_hh, self.recurrent_kernel, same, same, bias, row),
        }

    def step(self, inputs: Tensor, hidden: Tensor, states: list[Tensor], training: bool) -> list[Tensor]:
        """``h' = z h + (1 - z) activation(W x + r (U h))``, or ``U (r h)`` with ``reset_after=False``."""
        of_input = of_hidden = None
        if self.bias is not None:
            of_input, of_hidden = (self.bias[0], self.bias[1]) if self.reset_after else (self.bias, None)
        xz, xr, xh = ops.split(self.of_inputs(inputs, training, of_input), 3, axis=-1)
        hz, hr, hh = ops.split(self.of_hidden(hidden, training, of_hidden), 3, axis=-1)
        z, r = self.recurrent_activation(xz + hz), self.recurrent_activation(xr + hr)
        if self.reset_after:
            hh = r * hh
        else:
            hh = ops.split(self.of_hidden(r * hidden, training), 3, axis=-1)[2]
        return [z * states[0] + (1 - z) * self.activation(xh + hh)]


def _cells(cell: Any) -> list[AnalogCell]:
    """The analog cells of a recurrent layer."""
    inside = cell.cells if isinstance(cell, keras.layers.StackedRNNCells) else [cell]
    return [one for one in inside if isinstance(one, AnalogCell)]


@_register
class AnalogRNN(keras.layers.RNN):
    """``keras.layers.RNN`` around analog cells; ``StackedRNNCells`` may hold them too.

    ``keras.layers.RNN`` itself would draw the noise of all steps with one seed, or fail where a loop may
    count nothing (JAX): put analog cells in this one. Arguments as there.

    >>> import mho, numpy
    >>> layer = AnalogRNN(AnalogLSTMCell(5, hardware=mho.Hardware()), return_sequences=True)
    >>> layer(numpy.ones((2, 7, 3), "float32")).shape == (2, 7, 5)
    True
    """

    def __init__(self, cell: Any, *args: Any, path: str | None = None, **names: Any) -> None:
        super().__init__(cell, *args, **names)
        self.chip_path = path

    def inner_loop(self, sequences: Tensor, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """The steps, each with its number, so that each has noise of its own."""
        cells = _cells(self.cell)
        arrays = [array for cell in cells for array in cell.arrays()]
        for one in cells:
            one.begin(bool(training))
        try:
            return loop(
                self._step(arrays, training), (sequences, _numbers(sequences)), initial_state,
                go_backwards=self.go_backwards, mask=mask, input_length=sequences.shape[1],
                unroll=self.unroll or any(array.through_torch for array in arrays),
                zero_output_for_mask=self.zero_output_for_mask, return_all_outputs=self.return_sequences,
            )  # fmt: skip
        finally:
            for array in arrays:
                array.end()

    def _step(self, arrays: list[Any], training: bool) -> Callable[[Any, Any], Any]:
        def step(given: Any, states: Any) -> Any:
            inputs, number = given
            for array in arrays:
                array.at(ops.max(number))
            output, made = self.cell(inputs, states, training=training)
            return output, (made if isinstance(made, (list, tuple)) else [made])

        return step

    def get_config(self) -> dict[str, Any]:
        """The configuration, plain JSON."""
        config: dict[str, Any] = super().get_config()
        return {**config, "path": self.chip_path}


def _numbers(sequences: Tensor) -> Tensor:
    """The number of each step, ``[batch, time, 1]``, int32."""
    batch, steps = ops.shape(sequences)[:2]
    number = ops.reshape(ops.arange(steps, dtype="int32"), (1, -1, 1))
    return ops.broadcast_to(number, (batch, steps, 1))


_OF_LOOP = (
    "return_sequences", "return_state", "go_backwards", "stateful", "unroll", "zero_output_for_mask",
    "name", "trainable", "dtype", "activity_regularizer", "path",
)  # fmt: skip


class _Sequence(AnalogRNN):
    """What the recurrent layers share: a cell of one kind.

    Arguments of the cell and of the loop together, as in Keras' layers.
    """

    cell_class: type[AnalogCell]

    def __init__(self, units: int, *args: Any, **names: Any) -> None:
        if names.pop("use_cudnn", "auto") is True:
            raise ValueError("use_cudnn = True: a fused kernel reads digital weights; leave it out")
        own = {name: names.pop(name) for name in _OF_LOOP if name in names}
        cell: Any = self.cell_class
        super().__init__(cell(units, *args, dtype=own.get("dtype"), **names), **own)

    def get_config(self) -> dict[str, Any]:
        """The configuration, plain JSON, of the loop and of the cell together."""
        config = super().get_config()
        config.pop("cell")
        of_cell = self.cell.get_config()
        return {**{name: value for name, value in of_cell.items() if name not in _OF_LOOP}, **config}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The layer of :meth:`get_config`, without a chip."""
        config = dict(config)
        each = config.pop("each", {})
        layer = cls(**config)
        layer.cell.describe(each)
        return layer

    @property
    def units(self) -> int:
        """Size of the states."""
        return int(self.cell.units)

    @property
    def hardware(self) -> Any:
        """The description of the arrays."""
        return self.cell.hardware


@_register
class AnalogSimpleRNN(_Sequence):
    """``keras.layers.SimpleRNN`` on two arrays.

    Arguments as there, and ``hardware``, ``recipe``, ``path``.
    """

    cell_class = AnalogSimpleRNNCell


@_register
class AnalogLSTM(_Sequence):
    """``keras.layers.LSTM`` on two arrays. Arguments as there, and ``hardware``, ``recipe``, ``path``.

    >>> import mho, numpy
    >>> layer = AnalogLSTM(5, return_sequences=True, hardware=mho.Hardware())
    >>> layer(numpy.ones((2, 7, 3), "float32")).shape == (2, 7, 5)
    True
    """

    cell_class = AnalogLSTMCell


@_register
class AnalogGRU(_Sequence):
    """``keras.layers.GRU`` on two arrays. Arguments as there, and ``hardware``, ``recipe``, ``path``."""

    cell_class = AnalogGRUCell
