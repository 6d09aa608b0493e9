"""The verbs on whole models: calibrate, program, age, compensate, read out.

>>> import mho, torch
>>> model = torch.nn.Sequential(torch.nn.Linear(8, 4))
>>> analog = mho.convert(model, mho.Hardware(device=mho.devices.PCM()))
>>> mho.program(analog, seed=0)
>>> mho.age(analog, 86_400)
>>> mho.compensate(analog)
>>> analog.eval()(torch.ones(1, 8)).shape
torch.Size([1, 4])
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mho import tile
from mho.converters import DAC, Calibrated, ColumnConverter, Dynamic, Histogram, Learned
from mho.nn import AnalogLayer, analog_layers
from mho.nn.base import plain
from mho.nn.observer import Observer
from mho.periphery import AffineFit, ColumnDrift, Compensation, GlobalDrift
from mho.random import fresh_normal_like


def program(model: nn.Module, seed: int) -> None:
    """Program one chip: every array of the model, from the present weights.

    The draws are frozen, saved in ``state_dict`` and repeated bit for bit by the same seed, whatever
    else is in the model. Ages and corrections of an earlier chip are gone.

    Args:
        model: what ``mho.convert`` made.
        seed: names the chip; two seeds are two chips.

    Raises:
        TypeError: ``seed`` is no integer.
        ValueError: no analog layer, or a weight is NaN or infinite (then no layer is programmed).
    """
    layers = analog_layers(model)
    for path, layer in layers.items():
        tile.check_finite(layer.present_weight(), path)
    for path, layer in layers.items():
        layer.program(seed, path)


def age(model: nn.Module, seconds: float) -> None:
    """Let the chip drift to ``seconds`` after programming.

    The time is absolute: any order of calls gives the same chip at the same time. Corrections made by
    ``compensate`` at another time are undone.

    Args:
        model: a programmed model.
        seconds: time since the end of programming.

    Raises:
        NotProgrammedError: no chip.
        ValueError: a negative time, or one at which the device is not known.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, numbers.Real):
        raise TypeError(f"seconds = {seconds!r}: give a number of seconds since programming")
    if not (0 <= seconds < math.inf):
        raise ValueError(
            f"seconds = {seconds!r}: time since programming is finite and not negative (0: just programmed)"
        )
    layers = analog_layers(model)
    for layer in layers.values():
        layer.require_chip("age")
        layer.hardware.device.check_time(float(seconds))
    for layer in layers.values():
        layer.check_chip()
        with plain():
            layer.set_chip(tile.age(layer.hardware, layer.require_chip("age"), float(seconds)))


def compensate(
    model: nn.Module, method: Compensation | None = None, data: Iterable[Any] | None = None
) -> None:
    """Correct the chip's drift from reads of its arrays, at its present age.

    Args:
        model: a programmed model.
        method: what is measured and corrected; ``mho.periphery.GlobalDrift()`` by default: one noisy
            read of each row of each array, and one gain for each layer. ``ColumnDrift()`` gives each
            column its own gain; ``Affine()`` a gain and a shift, fitted on ``data``. Where it gives
            much signal back (IR drop), later inputs grow: :func:`calibrate` again, or they clip.
        data: batches for ``Affine()``, as for :func:`calibrate`.

    Raises:
        NotProgrammedError: no chip.
        ValueError: ``Affine()`` without data.
    """
    method = GlobalDrift() if method is None else method
    if not isinstance(method, Compensation):
        raise TypeError(f"method = {method!r}: give a mho.periphery.Compensation, such as GlobalDrift()")
    if method.needs_data != (data is not None):
        state = "needs data: compensate(model, method, data=loader)" if method.needs_data else "takes no data"
        raise ValueError(f"{type(method).__name__}() {state}")
    layers = analog_layers(model)
    for layer in layers.values():
        layer.require_chip("compensate")
    for layer in layers.values():
        layer.check_chip()
    if data is not None:
        _fit_affine(model, layers, data)
        return
    for layer in layers.values():
        with plain():
            chip = layer.require_chip("compensate")
            reference = tile.reference_read(layer.hardware, chip, layer.cut, fresh_normal_like(chip.g))
            layer.set_chip(tile.compensated(chip, reference, isinstance(method, ColumnDrift)))


def _fit_affine(model: nn.Module, layers: dict[str, AnalogLayer], data: Iterable[Any]) -> None:
    """Fit each layer's columns to its own digital output, on the inputs that it gets in the model."""
    fits = {path: AffineFit() for path in layers}
    handles = []
    for path, layer in layers.items():

        def record(module: nn.Module, inputs: tuple[Any, ...], output: Tensor, path: str = path) -> None:
            wanted = layers[path].digital_forward(*inputs)
            axis = layers[path].output_axis
            fits[path].add(*(y.detach().movedim(axis, -1).flatten(0, -2) for y in (output, wanted)))

        handles.append(layer.register_forward_hook(record))
    try:
        _run_all(model, data)
    finally:
        for handle in handles:
            handle.remove()
    found = {path: fit.solve() for path, fit in fits.items() if fit.count}  # others did not run on this data
    for path, line in found.items():
        layer = layers[path]
        chip = layer.require_chip("compensate")
        with plain():
            gain, shift = (v.to(chip.gain) for v in line)
            bias = torch.zeros_like(shift) if layer.bias is None else layer.bias.detach().to(shift)
            # the fit is of whole outputs, bias included: gain * (y + bias) + shift - bias
            total = gain * (chip.shift + bias) + shift - bias
            layer.set_chip(chip._replace(gain=chip.gain * gain, shift=total))


def _run_all(model: nn.Module, data: Iterable[Any]) -> None:
    """Run all batches through the model in evaluation mode, without gradients; modes are restored."""
    if isinstance(data, (Tensor, Mapping)) or not isinstance(data, Iterable):
        raise TypeError(
            f"data is a {type(data).__name__}: give batches, such as a DataLoader; [x] for a single one"
        )
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        count = 0
        with torch.no_grad():
            for batch in data:
                run(model, batch)
                count += 1
        if count == 0:
            raise ValueError("data gave no batch: at least one is needed (an iterator runs only once)")
    finally:
        for module, mode in modes.items():
            module.training = mode


def calibrate(model: nn.Module, data: Iterable[Any]) -> None:
    """Set the calibrated and learned ranges of all converters from data.

    The data runs once through the model in evaluation mode, with the converters out of the way; each
    converter's full scale is then the quantile its range asks for. Memory does not grow with the data.
    Where inputs are streamed and an ADC converts each group of bits, the data runs a second time: what
    such an ADC sees depends on the full scale of the DAC.

    Args:
        model: what ``mho.convert`` made, programmed or not.
        data: batches: a tensor, a tuple or list whose first item is the input, or a dict of keyword
            arguments (as a Hugging Face batch).

    Raises:
        ValueError: no batch came, or an input is not finite.
    """
    layers = analog_layers(model)
    _measure(model, data, layers, streamed=False)
    if any(tile.streams(layer.hardware) for layer in layers.values()):
        _measure(model, data, layers, streamed=True)


def _measure(model: nn.Module, data: Iterable[Any], layers: dict[str, AnalogLayer], streamed: bool) -> None:
    """Set the ranges from one pass; ``streamed``: those of the ADCs that see groups of bits."""
    for layer in layers.values():
        rows, channels = len(layer.cut.rows), len(tile.readout(layer.hardware).digital)
        layer._observer = Observer(rows, channels, streamed and tile.streams(layer.hardware))
    try:
        _run_all(model, data)
        found = {path: _ranges(layer) for path, layer in layers.items() if _concerns(layer, streamed)}
    finally:
        for layer in layers.values():
            layer._observer = None
    for path, values in found.items():
        for name, value in values.items():
            layers[path].set_range(name, value)


def _concerns(layer: AnalogLayer, streamed: bool) -> bool:
    return not streamed or (layer._observer is not None and layer._observer.streamed)


def run(model: nn.Module, batch: Any) -> Any:
    """Run a model on a batch: a tensor, a tuple or list (input first), or a dict of keyword arguments."""
    place = next((p.device for p in model.parameters()), torch.device("cpu"))
    if isinstance(batch, Mapping):  # a batch of Hugging Face is no dict
        return model(**{k: v.to(place) if isinstance(v, Tensor) else v for k, v in batch.items()})
    if isinstance(batch, (tuple, list)) and batch:
        batch = batch[0]
    if not isinstance(batch, Tensor):
        raise TypeError(
            f"a batch is a {type(batch).__name__}: give a tensor, a tuple whose first item is the input, "
            "or a dict of keyword arguments"
        )
    return model(batch.to(place))


def _ranges(layer: AnalogLayer) -> dict[str, Tensor]:
    """The measured full scale of each converter of a layer that asks for one."""
    seen = layer._observer
    assert seen is not None
    found: dict[str, Tensor] = {}
    dac, adc = layer.hardware.dac, layer.hardware.adc
    if seen.inputs[0].counts.sum() == 0:
        return found  # the layer did not run on this data: its ranges stay as they are
    inputs = torch.tensor([_full_scale(h, dac) for h in seen.inputs])
    if not (dac is not None and getattr(dac.range, "per_tile", False)):
        inputs = inputs.max()
    if dac is not None and isinstance(dac.range, (Calibrated, Learned)) and not seen.streamed:
        found["input_range"] = inputs
    if adc is not None and isinstance(adc.range, (Calibrated, Learned)):
        scale = torch.ones(()) if seen.streamed else _input_scale(layer, inputs)
        currents = torch.tensor([[_full_scale(h, adc) for h in row] for row in seen.currents])
        currents = currents / scale
        per_tile = isinstance(adc.range, Calibrated) and adc.range.per_tile
        found["output_range"] = currents.unsqueeze(-1) if per_tile else currents.max()
    return found


def _full_scale(histogram: Histogram, converter: DAC | ColumnConverter | None) -> float:
    quantile = 1.0
    if converter is not None and isinstance(converter.range, Calibrated):
        quantile = converter.range.quantile
    return histogram.quantile(quantile) or 1.0


def _input_scale(layer: AnalogLayer, measured: Tensor) -> Tensor:
    """Inputs are divided by this before they become voltages: the full scale of the DAC.

    A dynamic DAC divides each vector by its own largest input; its currents were observed so.
    """
    dac = layer.hardware.dac
    if dac is None or isinstance(dac.range, Dynamic):
        return torch.ones(())
    limit = getattr(dac.range, "limit", None)
    return measured if limit is None else torch.tensor(float(limit))


def conductances(model: nn.Module) -> dict[str, Tensor]:
    """Conductances of every array at its present age, siemens, ``[copy, group, row, column]`` by path.

    Raises:
        NotProgrammedError: no chip.
    """
    with plain():
        return {
            path: tile.conductances(layer.hardware, layer.require_chip("conductances"))
            for path, layer in analog_layers(model).items()
        }


def effective_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights that every array holds now, in the shape of its ``.weight``, by path.

    Programming error, drift and the compensation gain are in; read noise never.

    Raises:
        NotProgrammedError: no chip.
    """
    return {path: layer.effective_weight() for path, layer in analog_layers(model).items()}


def train_on_chip(model: nn.Module, on: bool = True) -> None:
    """Let training mode multiply by the chip: in-the-loop training.

    The gradient goes back through the programmed, aged weights, and straight through to the Parameters.

    Raises:
        NotProgrammedError: no chip.
    """
    for layer in analog_layers(model).values():
        if on:
            layer.require_chip("train_on_chip")
        layer.on_chip = on
