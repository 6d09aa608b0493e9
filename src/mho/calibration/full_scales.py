"""Full scales of converters from data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from mho.calibration.batches import Progress, run_all
from mho.chip import tile
from mho.converters import DAC, ColumnConverter, Histogram
from mho.converters.ranges import joined
from mho.nn import Crossbar, crossbars
from mho.nn.observer import Observer
from mho.nn.tapping import tapped


def calibrate(model: nn.Module, data: Iterable[Any]) -> None:
    """Set the calibrated and learned ranges of all converters from data.

    The data runs once through the model in evaluation mode, with the converters out of the way; each
    converter's full scale is then what its range chooses: ``Calibrated`` a quantile of the magnitudes,
    ``LeastSquares`` the one with the least squared error, ``Learned`` starts from the largest magnitude.
    Memory does not grow with the data. A layer that the data does not reach keeps its ranges; where it has
    none, evaluating it raises ``NotCalibratedError``. Where inputs are streamed and an ADC converts each
    group of bits, the data runs a second time: what such an ADC sees depends on the full scale of the DAC.

    Args:
        model: what ``mho.convert`` made, programmed or not.
        data: batches: a tensor, a tuple or list whose first item is the input, or a dict of keyword
            arguments (as a Hugging Face batch).

    Raises:
        ValueError: no batch came, an input is not finite, or the model is on the meta device; then no range
            is changed.
    """
    layers = crossbars(model)
    _measure(model, data, layers, streamed=False)
    if any(tile.streams(layer.hardware) for layer in layers.values()):
        _measure(model, data, layers, streamed=True)


def observe(
    model: nn.Module, data: Iterable[Any], streamed: bool, progress: Progress | None = None
) -> dict[str, Observer]:
    """What every analog layer sees when the data runs through the model once; nothing is changed.

    Args:
        model: what ``mho.convert`` made.
        data: batches.
        streamed: record the currents of each group of input bits, where an ADC converts those.
        progress: called after each batch with the number of batches so far.
    """
    layers = crossbars(model)
    for path, layer in layers.items():
        tile.check_values(layer.stored_weight(), path)
    seen = {
        path: Observer(
            path,
            len(layer.layout.rows),
            len(tile.readout(layer.hardware).digital),
            streamed and tile.streams(layer.hardware),
        )
        for path, layer in layers.items()
    }
    with tapped(layers, seen):
        run_all(model, data, progress=progress)
    return seen


def _measure(model: nn.Module, data: Iterable[Any], layers: dict[str, Crossbar], streamed: bool) -> None:
    """Set the ranges from one pass; ``streamed``: those of the ADCs that see groups of bits."""
    seen = observe(model, data, streamed)
    found = {
        path: _ranges(layer, seen[path]) for path, layer in layers.items() if _concerns(seen[path], streamed)
    }
    for path, values in found.items():
        for name, value in values.items():
            layers[path].set_range(name, value)


def _concerns(seen: Observer, streamed: bool) -> bool:
    return seen.reached and (seen.streamed or not streamed)


def _ranges(layer: Crossbar, seen: Observer) -> dict[str, Tensor]:
    """The measured full scale of each converter of a layer that asks for one."""
    found: dict[str, Tensor] = {}
    adc = layer.hardware.adc
    inputs = None if seen.streamed else measured_scale(layer, seen)
    if inputs is not None:
        found["input_range"] = inputs
    if adc is not None and adc.range.shape(1, 1) is not None:
        scale = fixed_scale(layer) if inputs is None and not seen.streamed else inputs
        outputs = _full_scales(cell_currents(seen, scale), adc, len(seen.currents))
        if outputs is not None:
            found["output_range"] = outputs
    return found


def measured_scale(layer: Crossbar, seen: Observer) -> Tensor | None:
    """The full scale that data gives the DAC of a layer; None if its range asks for none."""
    dac = layer.hardware.dac
    return None if dac is None else _full_scales([seen.inputs], dac, None)


def fixed_scale(layer: Crossbar) -> Tensor | None:
    """The full scale of a DAC that no data changes.

    Inputs are divided by it before they become voltages. A dynamic DAC divides each vector by its own
    largest input; its currents were observed so.
    """
    dac = layer.hardware.dac
    given = None if dac is None else dac.range.given()
    return None if given is None else torch.tensor(given)


def cell_currents(seen: Observer, scale: Tensor | None) -> list[list[Histogram]]:
    """The currents of each slice and tile in cell currents; ``scale``: full scale of the DAC, or none."""
    if scale is None:
        return seen.currents
    factors = (1 / scale.double()).expand(len(seen.inputs)).tolist()
    return [[joined([h], [f]) for h, f in zip(row, factors, strict=True)] for row in seen.currents]


def _full_scales(
    seen: list[list[Histogram]], converter: DAC | ColumnConverter, channels: int | None
) -> Tensor | None:
    """The full scales that a layer keeps, from histograms ``[slice][tile]``; None if it keeps none."""
    how = converter.range
    shape = how.shape(len(seen[0]), channels)
    if shape is None:
        return None
    limits = how.chosen(seen, converter.quantise)
    return torch.where(limits > 0, limits, 1.0).reshape(shape)
