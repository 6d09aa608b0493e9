"""Full scales of converters from data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from mho import tile
from mho.calibration.batches import Progress, run_all
from mho.converters import (
    DAC,
    ColumnConverter,
    Dynamic,
    Histogram,
    Learned,
    OnData,
)
from mho.converters.ranges import related_by_powers_of_two
from mho.nn import Crossbar, crossbars
from mho.nn.kept import shaped
from mho.nn.observer import Observer


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
        ValueError: no batch came, or an input is not finite; then no range is changed.
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
        rows, channels = len(layer.layout.rows), len(tile.readout(layer.hardware).digital)
        layer._observer = Observer(path, rows, channels, streamed and tile.streams(layer.hardware))
    try:
        run_all(model, data, progress=progress)
        return {path: layer._observer for path, layer in layers.items() if layer._observer is not None}
    finally:
        for layer in layers.values():
            layer._observer = None


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
    if adc is not None and isinstance(adc.range, (OnData, Learned)):
        scale = fixed_scale(layer) if inputs is None and not seen.streamed else inputs
        found["output_range"] = _full_scales(cell_currents(seen, scale), adc)
    return found


def measured_scale(layer: Crossbar, seen: Observer) -> Tensor | None:
    """The full scale that data gives the DAC of a layer; None if its range asks for none."""
    dac = layer.hardware.dac
    if dac is None or not isinstance(dac.range, (OnData, Learned)):
        return None
    return _full_scales([seen.inputs], dac)


def fixed_scale(layer: Crossbar) -> Tensor | None:
    """The full scale of a DAC that no data changes.

    Inputs are divided by it before they become voltages. A dynamic DAC divides each vector by its own
    largest input; its currents were observed so.
    """
    dac = layer.hardware.dac
    if dac is None or isinstance(dac.range, Dynamic):
        return None
    limit = getattr(dac.range, "limit", None)
    return None if limit is None else torch.tensor(float(limit))


def cell_currents(seen: Observer, scale: Tensor | None) -> list[list[Histogram]]:
    """The currents of each slice and tile in cell currents; ``scale``: full scale of the DAC, or none."""
    if scale is None:
        return seen.currents
    factors = (1 / scale.double()).expand(len(seen.inputs)).tolist()
    return [[_joined(h.what, [h], [f]) for h, f in zip(row, factors, strict=True)] for row in seen.currents]


def _joined(what: str, histograms: list[Histogram], factors: list[float] | None = None) -> Histogram:
    total = Histogram(what)
    for place, histogram in enumerate(histograms):
        total.absorb(histogram, 1.0 if factors is None else factors[place])
    return total


def _full_scales(seen: list[list[Histogram]], converter: DAC | ColumnConverter) -> Tensor:
    """The full scale of each range that a converter has, from histograms ``[slice][tile]``."""
    how = converter.range
    per_tile = isinstance(how, OnData) and how.per_tile
    per_slice = isinstance(how, OnData) and (how.per_slice or per_tile)
    if not per_tile:
        seen = [[_joined(row[0].what, row)] for row in seen]
    if not per_slice:
        seen = [[_joined(seen[0][0].what, [row[0] for row in seen])]]
    limits = torch.tensor([[_full_scale(h, converter) for h in row] for row in seen])
    if isinstance(how, OnData) and how.powers_of_two:
        limits = related_by_powers_of_two(limits)
    return shaped(converter, torch.where(limits > 0, limits, 1.0))


def _full_scale(seen: Histogram, converter: DAC | ColumnConverter) -> float:
    if seen.count and isinstance(converter.range, OnData):
        return converter.range.choose(seen, converter.quantise)
    return seen.largest
