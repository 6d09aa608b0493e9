"""The names of the document for TensorFlow: Keras models, on ``mho.keras``."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from mho.compat.rram import _board
from mho.compat.rram._effects import RRAMEffects
from mho.compat.rram._layer import checked_bits, fresh_seed
from mho.compat.rram._results import rates
from mho.errors import NotProgrammedError
from mho.nn import crossbars


def mho_keras() -> Any:
    """``mho.keras``; ``ImportError`` that names the extra where Keras or its backend is missing."""
    try:
        import mho.keras as analog
    except ImportError as error:
        raise ImportError(
            f"'tensorflow' needs Keras 3 and a backend ({error}): pip install 'mho[keras]' tensorflow"
        ) from error
    return analog


@functools.cache
def layer_class() -> Any:
    """``TensorFlowRRAMLayer``, which exists where Keras does."""
    analog = mho_keras()
    import keras

    class TensorFlowRRAMLayer(analog.AnalogDense):  # type: ignore[misc, name-defined]
        """``keras.layers.Dense`` with its kernel in RRAM cells.

        Once :meth:`program_rram_weights` programmed them it multiplies by its cells, in training too,
        with the gradient straight through. A graph of Keras cannot see that weights changed: program the
        layer again after steps of an optimizer, as ``train_with_rram_simulation`` does after each.

        Args:
            units, activation, use_bias, ...: as in ``keras.layers.Dense``.
            quantization_bits, enable_stochastic, effects, rram_interface, seed: as in ``TorchRRAMLinear``.
        """

        def __init__(
            self, units: int, *, quantization_bits: int | None = 4, enable_stochastic: bool = True,
            effects: RRAMEffects | None = None, rram_interface: Any = None, seed: int | None = None,
            **names: Any,
        ) -> None:  # fmt: skip
            bits, described = checked_bits(quantization_bits), RRAMEffects() if effects is None else effects
            names.setdefault("hardware", described.of_layer(bits, enable_stochastic, rram_interface))
            super().__init__(units, **names)
            self.quantization_bits, self.rram_interface = bits, rram_interface
            self.seed = fresh_seed() if seed is None else int(seed)

        def get_config(self) -> dict[str, Any]:
            """The configuration; a board is no part of it, and the effects are those of the hardware."""
            own = {"quantization_bits": self.quantization_bits, "seed": self.seed}
            return {**super().get_config(), **own}

        def program_rram_weights(self) -> None:
            """Write the present weights, quantised, into the cells."""
            programmed(self, self.seed, self.rram_interface)

        def update_weights_from_rram(self) -> None:
            """Read the board again; without one, the cells are in the layer already."""
            if self.rram_interface is not None:
                with analog.torch_model(self) as bridge:
                    for array in crossbars(bridge).values():
                        _board.refresh(array, self.rram_interface)

    return keras.saving.register_keras_serializable(package="mho.compat.rram")(TensorFlowRRAMLayer)


def programmed(model: Any, seed: int, interface: Any = None) -> None:
    """Program the arrays of a model: simulated cells, or those of a board, one array after the other."""
    analog = mho_keras()
    _program(model, seed, interface)
    analog.train_on_chip(model)


def _program(model: Any, seed: int, interface: Any = None) -> None:
    analog = mho_keras()
    if interface is None:
        analog.program(model, seed)
        return
    with analog.torch_model(model) as bridge:
        for array in crossbars(bridge).values():
            _board.program(array, interface, seed, None)


def converted(
    model: Any, bits: int | None, effects: RRAMEffects, stochastic: bool, interface: Any, seed: int
) -> Any:
    """A copy of a Keras model with its weights in cells, programmed."""
    if interface is not None:
        _board.check_interface(interface)
    analog = mho_keras()
    made = analog.convert(model, effects.of_layer(bits, stochastic, interface))
    programmed(made, seed, interface)
    return made


def trained(
    model: Any, loader: Iterable[Any], epochs: int, rate: float, loss: Callable[..., Any] | None
) -> dict[str, list[float]]:
    """Adam on the cells, which are programmed again after each step."""
    mho_keras()
    import keras

    batches = [tuple(np.asarray(part) for part in batch) for batch in loader]
    criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if loss is None else loss
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=criterion)
    seed, losses = fresh_seed(), []
    programmed(model, seed)
    for _ in range(epochs):
        each = []
        for x, y in batches:
            each.append(float(model.train_on_batch(x, y)))
            _program(model, seed)
        losses.append(float(np.mean(each)))
    return {"loss": losses}


def benchmarked(model: Any, batches: list[Any], technology: Any) -> dict[str, Any]:
    """Accuracy, speed, cells and energy, beside the digital model."""
    from mho.analysis.cost import cost

    analog = mho_keras()
    plain = [tuple(np.asarray(part) for part in batch) for batch in batches]
    try:
        cells = analog.conductances(model)
    except NotProgrammedError:
        programmed(model, fresh_seed())
        cells = analog.conductances(model)
    found, digital = _measured(model, plain), _measured(analog.revert(model), plain)
    with analog.torch_model(model) as bridge:
        priced = all(array.hardware.dac is not None for array in crossbars(bridge).values())
        inputs = [torch.as_tensor(x) for x, _ in plain]
        report = cost(bridge, inputs, technology) if priced else None
    found["cells"] = sum(g.size for g in cells.values())
    found["energy"] = None if report is None else report.joules
    found["chip_latency"] = None if report is None else report.seconds
    digital["energy"] = None if report is None else report.twin
    return {**found, "digital": digital}


def _measured(model: Any, batches: list[Any]) -> dict[str, Any]:
    right = count = 0
    if batches:
        model.predict_on_batch(batches[0][0])  # what is compiled once is no part of the latency
    start = time.perf_counter()
    for x, target in batches:
        right += int((model.predict_on_batch(x).argmax(-1) == target).sum())
        count += len(target)
    return rates(right, count, time.perf_counter() - start)
