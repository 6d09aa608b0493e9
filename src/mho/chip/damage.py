"""What cannot be the state of a chip: values that no cell, clock or correction has, and wrong shapes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from mho.chip.layout import Layout
from mho.chip.state import TileState, readout
from mho.config import digest
from mho.devices import Device
from mho.devices.effects.base import effects, innermost
from mho.errors import DamagedChipError
from mho.hardware import Hardware

_ROUNDING = 1e-5  # of g_max: float32, and what is lost between two dtypes

Size = tuple[int, int, int]


class Allowed(NamedTuple):
    """What an entry of a chip may be.

    Attributes:
        shapes: every shape that it may have.
        words: what its values are.
        low, high: lowest and highest value; tensors in the shape of the entry where they differ.
        whole: int64 instead of floating-point numbers.
    """

    shapes: tuple[tuple[int, ...], ...]
    words: str = "finite numbers"
    low: float | Tensor = -math.inf
    high: float | Tensor = math.inf
    whole: bool = False


def refuse(found: str | None, path: str) -> None:
    """Raise ``DamagedChipError`` if something was found in the chip of the layer at ``path``."""
    if found is not None:
        raise DamagedChipError(f"{path}.{found}" if path else found)


class Rules(NamedTuple):
    """What the chips of one layer may be.

    Attributes:
        hardware: the description of the layer.
        entries: what each entry may be, by its name in :class:`~mho.chip.state.TileState`; and ``weights``,
            the fingerprint of the weights.
        digest: of the description.
        array: what the array holds, in words.
    """

    hardware: Hardware
    entries: dict[str, Allowed]
    digest: int
    array: str


def rules(hardware: Hardware, layout: Layout, size: Size) -> Rules:
    """What the chips of a layer may be.

    Args:
        hardware: the description of the layer.
        layout: how its matrix lies in tiles.
        size: groups, rows and columns of its array, bias rows included.
    """
    array = f"this layer's array holds {' x '.join(map(str, size))} weights"
    return Rules(hardware, dict(_entries(hardware, layout, size)), digest(hardware), array)


def damage(rules: Rules, chip: Mapping[str, Tensor | None]) -> str | None:
    """The first entry that can be that of no such chip, in words; None for a sound chip.

    Values on the meta device are not looked at.

    Args:
        rules: what chips of this layer may be.
        chip: entries by name, as in ``rules.entries``; those left out are not looked at.
    """
    first = ["hardware"] if "hardware" in chip else []  # of another description the rest is different too
    for name in (*first, *chip):
        value = chip[name]
        if name not in rules.entries and value is not None:
            return f"chip_{name}: converters of this hardware have no draws of their own; drop the key"
        if name in rules.entries:
            found = _wrong(f"chip_{name}", value, rules.entries[name], rules.array)
            if found is not None:
                return found
        if name == "hardware" and value is not None and not value.is_meta and int(value) != rules.digest:
            return (
                "chip_hardware: this chip was programmed with another hardware description; convert the "
                "model with that description, or drop the 'chip_' keys and program again. mho.degrade puts "
                "its effects into the description of each layer: convert with {path: layer.hardware for "
                "path, layer in mho.analog_modules(degraded).items()}"
            )
    known = {name: value for name, value in chip.items() if value is not None and not value.is_meta}
    device = rules.hardware.device
    if "seconds" in known:
        try:
            device.check_time(float(known["seconds"]))
        except ValueError as error:
            return f"chip_seconds: {error}"
    if "g" in known and "cells" in known:
        spans = device.written_spans(known["g"], known["cells"])
        if spans is not None:
            return _wrong("chip_g", known["g"], _held(device, tuple(known["g"].shape), *spans))
    return None


def chip_entries(hardware: Hardware) -> list[str]:
    """Names of the buffers that a chip of this description has, its fingerprint of the weights left out."""
    without = set()
    if not _converter_draws(hardware):
        without.add("converters")
    if hardware.dac is None or not hardware.dac.mismatched:
        without.add("drivers")
    return [f"chip_{name}" for name in TileState._fields if name not in without]


def range_damage(hardware: Hardware, layout: Layout, name: str, value: Tensor) -> str | None:
    """What is wrong with the full scale of a converter, in words; None for a sound one.

    Args:
        hardware: the description of the layer.
        layout: how its matrix lies in tiles.
        name: ``"input_range"`` or ``"output_range"``.
        value: the full scale.
    """
    converter = hardware.dac if name == "input_range" else hardware.adc
    channels = None if name == "input_range" else len(readout(hardware).digital)
    shape = None if converter is None else converter.range.shape(len(layout.rows), channels)
    if shape is None:
        return None
    least = torch.finfo(torch.float32).tiny
    return _wrong(name, value, Allowed((shape,), "full scales are finite and above 0", least))


def _entries(hardware: Hardware, layout: Layout, size: Size) -> Iterator[tuple[str, Allowed]]:
    """What each entry may be; of cells that differ not yet what each of them holds."""
    groups, rows, columns = size
    how, device, dac = readout(hardware), hardware.device, hardware.dac
    with torch.no_grad():
        line = hardware.mapping.targets(torch.zeros(1, 1, columns), device.g_min, device.g_max)
    g = (line.shape[0], groups, rows, line.shape[-1])
    channels, each = len(how.digital), (groups * columns,)
    yield "g", _held(device, g, *device.written_span())
    yield "cells", Allowed(((_parameters(device), *g),), "parameters of cells are finite")
    scales = tuple((a, 1, b) for a in {1, groups} for b in {1, columns})
    least = torch.finfo(torch.float32).tiny
    yield "scale", Allowed(scales, "reference weights are finite and above 0", least)
    yield "seconds", Allowed(((),), "the time since programming is finite and not negative", 0.0)
    yield "gain", Allowed((each,), "gains are finite")
    yield "shift", Allowed((each,), "shifts are finite")
    yield "baseline", Allowed((each,), "magnitudes of a read are finite and not negative", 0.0)
    yield "hardware", Allowed(((),), whole=True)
    yield "weights", Allowed(((),), whole=True)
    draws = _converter_draws(hardware)
    if draws:
        yield "converters", Allowed(((groups, len(layout.rows), channels, g[-1], draws),), "draws are finite")
    if dac is not None and dac.mismatched:
        places = (len(layout.columns), channels, groups, rows - layout.bias_rows, 2)
        yield "drivers", Allowed((places,), "draws are finite")


def _converter_draws(hardware: Hardware) -> int:
    """Frozen draws that a chip keeps of each converter."""
    return 0 if hardware.adc is None else hardware.adc.own_draws + hardware.adc.array_draws


def _parameters(device: Device) -> int:
    """Numbers that a chip keeps of each cell."""
    base = innermost(device)
    count = base.drift_state(torch.full((1,), base.g_max), torch.zeros(1)).shape[0]
    return count + sum(effect.parameters for effect in effects(device))


def _held(device: Device, shape: tuple[int, ...], low: float | Tensor, high: float | Tensor) -> Allowed:
    """What cells hold; effects act on what was written, and change nothing in it."""
    kind = type(innermost(device)).__name__
    words = (
        f"conductances are finite, and cells of {kind} hold g_min = {device.g_min:g} S to "
        f"g_max = {device.g_max:g} S and what its programming error adds"
    )
    slack = _ROUNDING * device.g_max
    return Allowed((shape,), words, low - slack, high + slack)


_REMEDY = "load the chip from a file that is whole, or program it again with mho.program(model, seed=...)"


def _wrong(name: str, value: Tensor | None, allowed: Allowed, array: str = "") -> str | None:
    """What is wrong with one entry, in words; of an array that holds ``array``."""
    if value is None:
        return f"{name} is missing: this hardware has one; {_REMEDY}"
    kinds = (torch.int64,) if allowed.whole else (torch.float32, torch.float64)
    if value.dtype not in kinds:
        wanted = " or ".join(str(kind).removeprefix("torch.") for kind in kinds)
        return f"{name} is {value.dtype}: it must be {wanted}; {_REMEDY}"
    if tuple(value.shape) not in allowed.shapes:
        shapes = " or ".join(map(str, sorted(allowed.shapes)))
        wanted = f"{array}, and the shape is then {shapes}" if array else f"this layer's is {shapes}"
        return f"{name} has shape {tuple(value.shape)}: {wanted}; {_REMEDY}"
    if allowed.whole or value.is_meta or not value.numel():
        return None
    return _beyond(name, value.detach(), allowed)


def _beyond(name: str, value: Tensor, allowed: Allowed) -> str | None:
    """The first value that is not finite or not within its bounds, in words."""
    if not (isinstance(allowed.low, Tensor) or isinstance(allowed.high, Tensor)):
        least, most = (float(v) for v in torch.aminmax(value))  # NaN goes through both
        if math.isfinite(least) and math.isfinite(most) and allowed.low <= least and most <= allowed.high:
            return None
    bad = ~(torch.isfinite(value) & (value >= allowed.low) & (value <= allowed.high))
    count = int(bad.sum())
    if not count:
        return None
    place = tuple(bad.nonzero()[0].tolist())
    where = f"{name}[{', '.join(map(str, place))}]" if place else name
    more = f" ({count:,} of {value.numel():,} values are like this)" if count > 1 else ""
    return f"{where} = {float(value[place]):g}{more}: {allowed.words}; {_REMEDY}"
