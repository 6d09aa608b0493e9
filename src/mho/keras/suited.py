"""Which hardware a Keras layer can have, and which of it training can go through.

A graph of Keras multiplies by packed matrices and converts by uniform grids. Whatever else acts on a read is
refused when the layer is made, by name: nothing is ideal in silence.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from mho.chip.state import is_plain, is_tiled, readout
from mho.converters import ADC, DAC, Dynamic
from mho.converters.ranges import Range
from mho.devices import Device, Ideal
from mho.errors import NotMappableError
from mho.hardware import Hardware
from mho.mapping import Fixed, Maximum

Tensor = Any  # of the backend


def check_hardware(hardware: Hardware) -> None:
    """``NotMappableError`` naming what of the hardware a Keras layer cannot have."""
    for found in (_of_array(hardware), _of_dac(hardware.dac), _of_adc(hardware.adc)):
        if found is not None:
            raise NotMappableError(f"hardware.{found}; the torch layers of mho.nn have it")


def fluctuates(device: Device) -> bool:
    """Whether two reads of a cell may differ: of ideal cells they never do."""
    return device.noisy and type(device) is not Ideal


def _of_array(hardware: Hardware) -> str | None:
    name = type(hardware.array).__name__
    if hardware.array.voltages:
        return f"array = {name}(...): cells without Ohm's law have a matrix for each voltage; Keras' have one"
    if hardware.array.loaded and fluctuates(hardware.device):
        return (
            f"array = {name}(...), device = {type(hardware.device).__name__}(...): noise of a read "
            "behind wires goes with currents of lines, which Keras' layers do not follow; set read_scale=0"
        )
    return None


def _of_dac(dac: DAC | None) -> str | None:
    if dac is None:
        return None
    if type(dac) is not DAC:
        return f"dac = {type(dac).__name__}(...): Keras' layers have the uniform mho.DAC"
    return _of_range("dac", dac.range)


def _of_adc(adc: Any) -> str | None:
    if adc is None:
        return None
    if type(adc) is not ADC:
        return f"adc = {type(adc).__name__}(...): Keras' layers have the uniform mho.ADC"
    return _of_range("adc", adc.range)


def _of_range(name: str, given: Range) -> str | None:
    """Full scales are given, kept, or the largest magnitude of each vector."""
    start = given.start(1, None if name == "dac" else 1) if getattr(given, "limits", None) is None else None
    if start is not None and start.requires_grad:
        return (
            f"{name}.range = {type(given).__name__}(...): Keras' layers train no full scale; use Calibrated()"
        )
    measures = given.given() is None and given.shape(1, None) is None
    if measures and type(given) is not Dynamic:
        kind = type(given).__name__
        return f"{name}.range = {kind}(...): of ranges measured anew Keras' layers have Dynamic()"
    return None


def without_chip(hardware: Hardware) -> str | None:
    """Why a product by clean weights cannot be had in the graph; None if it can.

    Training needs it, and the evaluation of a model that is not programmed.
    """
    how, mapping = readout(hardware), type(hardware.mapping).__name__
    if not is_plain(hardware):
        return f"hardware.array = {type(hardware.array).__name__}(...): each step would solve its wires"
    if not is_tiled(hardware):
        return None
    if len(how.digital) > 1 or how.offset or how.unit_column:
        return f"hardware.mapping = {mapping}(...): the ADC sees currents of cells, mapped anew in each step"
    if type(hardware.mapping.scale) not in (Maximum, Fixed):
        scale = type(hardware.mapping.scale).__name__
        return f"hardware.mapping.scale = {scale}(...): the reference weight would be sought in each step"
    return None


def reference_weight(hardware: Hardware, kernel: Tensor) -> Tensor:
    """The reference weight of a canonical kernel, ``[column]`` or ``[1]``, by ``mapping.scale``."""
    scale: Any = hardware.mapping.scale
    if isinstance(scale, Fixed):
        return ops.full((1,), scale.weight, dtype="float32")
    magnitude = ops.abs(ops.stop_gradient(kernel))
    if not scale.per_column:
        return _nonzero(ops.reshape(ops.max(magnitude), (1,)))
    return _nonzero(ops.max(magnitude, axis=tuple(range(len(kernel.shape) - 1))))


def _nonzero(reference: Tensor) -> Tensor:
    """A column of zeros takes the smallest reference weight of the others; an array of zeros any."""
    others = ops.min(ops.where(reference == 0, float("inf"), reference))
    return ops.where(reference == 0, ops.where(others < float("inf"), others, 1.0), reference)
