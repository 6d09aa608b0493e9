"""The verbs on whole Keras models: program, age, degrade, compensate, calibrate, read out.

Each is the torch verb of the same name, on the torch side of the model (:func:`torch_model`); what a
product needs of the chip is then assigned to the model's variables.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from keras import ops
from torch import Tensor

import mho.calibration
import mho.lifecycle
from mho.array import Array
from mho.devices import Effect, Ideal
from mho.devices.effects.base import around
from mho.errors import NotMappableError
from mho.keras.array import CrossbarArray
from mho.keras.layer import AnalogLayer, OnArray
from mho.keras.suited import check_hardware
from mho.keras.twin import Bridge, share_notice
from mho.keras.walk import arrays, places
from mho.periphery import Compensation
from mho.training import Recipe


@contextlib.contextmanager
def torch_model(model: Any) -> Iterator[Bridge]:
    """A Keras model as mho's torch verbs see it, for as long as the context lasts.

    Its arrays lie under their paths and hold the same chips; its forward is the Keras model's, run eagerly in
    evaluation, with each array read by torch. So whatever mho does with a torch model, it does with this one:
    ``mho.cost``, ``mho.profile``, ``mho.programming_report``. At the end the Keras model takes the chips.

    Args:
        model: a Keras model with analog layers, built.

    Raises:
        TypeError: not a Keras model.
        ValueError: no analog layer, or one that is not built yet.

    >>> import keras, mho, mho.keras
    >>> model = keras.Sequential([keras.Input((4,)), mho.keras.AnalogDense(3, hardware=mho.Hardware())])
    >>> with mho.keras.torch_model(model) as torch_side:
    ...     mho.program(torch_side, seed=0)
    """
    held = arrays(model)
    if not held:
        raise ValueError(
            "the model has no analog layer: call mho.keras.convert(model, hardware), or build it of some"
        )
    for on_array in held.values():
        on_array.array.push(*on_array.values())
    bridge = Bridge({path: on_array.array.twin for path, on_array in held.items()}, _runner(model, held))
    for path, on_array in held.items():
        on_array.array.twin.path = path
    share_notice([on_array.array.twin for on_array in held.values()])
    try:
        yield bridge
    finally:
        for on_array in held.values():
            on_array.array.pull()


def _runner(model: Any, held: Mapping[str, OnArray]) -> Callable[..., Tensor]:
    """The Keras model for torch tensors, its arrays read by torch."""

    def run(*given: Any, **named: Any) -> Tensor:
        inputs = {name: value.numpy() for name, value in named.items()} if named else given[0].numpy()
        for on_array in held.values():
            on_array.array.through_torch = True
        try:
            found = model(inputs, training=False)
        finally:
            for on_array in held.values():
                on_array.array.through_torch = False
        first = found[0] if isinstance(found, (list, tuple)) else found
        return torch.from_numpy(np.array(ops.convert_to_numpy(first), "float32"))

    return run


def program(model: Any, seed: int) -> None:
    """Program one chip: every array of the model, from the present weights.

    One hardware and one seed give the conductances of the torch model with the same weights and paths, bit
    for bit (:mod:`mho.keras.walk` says how a path is made).

    Args:
        model: a Keras model with analog layers, built.
        seed: names the chip.

    Raises:
        TypeError: ``seed`` is no integer, or no Keras model.
        ValueError: no analog layer, or a weight is NaN or infinite.
    """
    with torch_model(model) as bridge:
        mho.lifecycle.program(bridge, seed)


def age(
    model: Any, seconds: float | str, kelvin: float | Sequence[tuple[float | str, float]] | None = None
) -> None:
    """Let the chip drift to ``seconds`` after programming; arguments and errors as ``mho.age``.

    Args:
        model: a programmed Keras model.
        seconds: time since the end of programming, in seconds or as people write it: ``"30d"``, ``"1y"``.
        kelvin: temperature at which the chip was kept and is read, or what it went through,
            ``[("1000h", 398.0), ("9y", 328.0)]``; it goes into the hardware of the layers and is saved with
            them. None leaves what that says.

    Raises:
        NotProgrammedError: no chip.
        TypeError: no time, or no temperature.
        ValueError: a negative time, or one at which the device is not known; a temperature for a device that
            says nothing of heat. Then the model is as it was.
    """
    with torch_model(model) as bridge:
        mho.lifecycle.age(bridge, seconds, kelvin)


def degrade(
    model: Any, *effects: Effect | Array, seed: int, select: Callable[[str], bool] | None = None
) -> None:
    """Let effects befall the cells; arguments and errors as ``mho.degrade``.

    Raises:
        NotMappableError: an effect that the layers cannot show, such as noise on cells without it; then the
            model is as it was.
    """
    for path, on_array in arrays(model).items():
        if select is None or select(path):
            _check_degrade(path, on_array.array, effects)
    with torch_model(model) as bridge:
        mho.lifecycle.degrade(bridge, *effects, seed=seed, select=select)


def _check_degrade(path: str, array: CrossbarArray, effects: Sequence[Any]) -> None:
    """``NotMappableError`` for effects that an array has no variables to show; mho looks at the rest."""
    hardware = array.hardware
    for effect in effects:
        if isinstance(effect, Array):
            hardware = replace(hardware, array=effect)
        elif isinstance(effect, Effect) and effect.device == Ideal():
            hardware = replace(hardware, device=around(effect, hardware.device))
        check_hardware(hardware)
        missing = array.missing(hardware)
        if missing:
            raise NotMappableError(
                f"{type(effect).__name__}(...) makes each read of {path!r} differ ({', '.join(missing)}), "
                "and its layer was made for chips that do not: convert with the effect in hardware"
            )


def compensate(model: Any, method: Compensation | None = None, data: Iterable[Any] | None = None) -> None:
    """Correct the chip's drift from reads of its arrays; arguments and errors as ``mho.compensate``.

    The model runs eagerly on ``data``, which are batches as for :func:`calibrate`.
    """
    with torch_model(model) as bridge:
        mho.lifecycle.compensate(bridge, method, None if data is None else _batches(data))


def calibrate(model: Any, data: Iterable[Any]) -> None:
    """Set the calibrated ranges of all converters from data, as ``mho.calibrate`` does.

    Args:
        model: a Keras model with analog layers, programmed or not.
        data: batches: an array, a tuple or list whose first item is the input, or a dict of inputs by name;
            also a ``tf.data.Dataset`` or a ``keras.utils.PyDataset``. ``[x]`` for a single one.

    Raises:
        ValueError: no batch came, or an input is not finite; then no range is changed.
    """
    with torch_model(model) as bridge:
        mho.calibration.calibrate(bridge, _batches(data))


class _Batches:
    """Batches with torch tensors in them, as often as they are asked for."""

    def __init__(self, data: Iterable[Any]) -> None:
        self._data = data

    def __iter__(self) -> Iterator[Any]:
        given: Any = self._data
        if hasattr(given, "num_batches") and hasattr(given, "__getitem__"):  # a PyDataset, which has no end
            return (_batch(given[k]) for k in range(given.num_batches))
        return (_batch(batch) for batch in given)


def _batches(data: Iterable[Any]) -> Iterable[Any]:
    """Batches with torch tensors in them."""
    if hasattr(data, "shape") or isinstance(data, Mapping):
        raise TypeError(f"data is a {type(data).__name__}: give batches; [x] for a single one")
    iter(data)  # a TypeError for what is none
    return _Batches(data)


def _batch(batch: Any) -> Any:
    if isinstance(batch, Mapping):
        return {name: _tensor(value) for name, value in batch.items()}
    if isinstance(batch, (tuple, list)) and batch:
        batch = batch[0]
        return _batch(batch) if isinstance(batch, Mapping) else _tensor(batch)
    return _tensor(batch)


def _tensor(value: Any) -> Any:
    if isinstance(value, (str, bytes)) or value is None:
        return value  # torch's verb says what a batch is
    return torch.from_numpy(np.array(ops.convert_to_numpy(value)))


def conductances(model: Any) -> dict[str, Any]:
    """Conductances of every array at its present age, numpy, siemens, ``[copy, group, row, column]`` by path.

    Rows and columns are those of the torch layer: taps vary fastest along the rows of a convolution, gates
    stand in torch's order.
    """
    with torch_model(model) as bridge:
        return {path: g.numpy() for path, g in mho.lifecycle.conductances(bridge).items()}


def torch_paths(model: Any) -> dict[str, AnalogLayer]:
    """The paths of all arrays, in order, with the layers that hold them: what names the streams of a chip.

    Raises:
        TypeError: no Keras model.
        ValueError: a layer is not built yet.
    """
    holders = [place.layer for place in places(model) if isinstance(place.layer, AnalogLayer)]
    owner = {id(on.array): layer for layer in holders for on in layer.on_arrays().values()}
    return {path: owner[id(on_array.array)] for path, on_array in arrays(model).items()}


def effective_weights(model: Any) -> dict[str, Any]:
    """The kernels that every array holds now, numpy, in the shape of Keras' kernel, by path.

    Programming error, drift and the gain of a compensation are in; read noise never.
    """
    with torch_model(model) as bridge:
        weights = mho.lifecycle.effective_weights(bridge)
    return {path: stored(on_array, weights[path]) for path, on_array in arrays(model).items()}


def stored(on_array: OnArray, weight: Tensor) -> Any:
    """A weight of the torch side as Keras stores the kernel."""
    kernel = on_array.stored(on_array.array.twin.geometry.to_keras(weight.numpy()))
    return np.ascontiguousarray(kernel.reshape(on_array.kernel.shape))


def train_on_chip(model: Any, on: bool = True) -> None:
    """Let training multiply by the chip: in-the-loop training, the gradient straight through to the weights.

    Functions that the model has compiled are made anew.

    Raises:
        NotProgrammedError: no chip.
    """
    for on_array in arrays(model).values():
        if on:
            on_array.array.crossbar.require_chip("train_on_chip")
        on_array.array.on_chip = on
    forget(model)


def attach(model: Any, recipe: Recipe | None) -> None:
    """Let a recipe act on all analog layers in training; None takes it away. It is saved with the model.

    Functions that the model has compiled are made anew.

    Raises:
        TypeError: not a recipe.
        ValueError: no analog layer, or something in the recipe that ``mho.keras`` does not have, by name.

    >>> import keras, mho, mho.keras
    >>> model = keras.Sequential([keras.Input((4,)), mho.keras.AnalogDense(3, hardware=mho.Hardware())])
    >>> mho.keras.attach(model, mho.training.Recipe(modifiers=(mho.training.WeightNoise(std=0.05),)))
    """
    layers = [place.layer for place in places(model) if isinstance(place.layer, AnalogLayer)]
    if not layers:
        raise ValueError("the model has no analog layer: call mho.keras.convert(model, hardware) first")
    for layer in layers:
        layer.recipe = recipe
    forget(model)


def forget(model: Any) -> None:
    """Drop the functions that a model has compiled: they follow what the layers were when they were made."""
    for name in ("train_function", "test_function", "predict_function"):
        if hasattr(model, name):
            setattr(model, name, None)
