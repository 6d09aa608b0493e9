"""What cannot be the state of a chip: values that no cell, clock or correction has, and wrong shapes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from mho.config import digest
from mho.converters import Circuit, Learned, OnData
from mho.cut import Cut
from mho.devices import Device, Effect, Varied
from mho.devices.base import FARTHEST
from mho.devices.effects.varied import programmable
from mho.errors import DamagedChipError
from mho.hardware import Hardware
from mho.state import TileState, readout

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


def damage(hardware: Hardware, cut: Cut, size: Size, chip: Mapping[str, Tensor | None]) -> str | None:
    """The first entry that can be that of no chip of this description, in words; None for a sound chip.

    Values on the meta device are not looked at.

    Args:
        hardware: the description of the layer.
        cut: its cut into tiles.
        size: groups, rows and columns of its array, bias rows included.
        chip: entries of a :class:`~mho.state.TileState` by name; those left out are not looked at.
    """
    entries = dict(_entries(hardware, cut, size))
    for name, value in chip.items():
        if name not in entries and value is not None:
            return f"chip_{name}: converters of this hardware have no draws of their own; drop the key"
        found = _wrong(f"chip_{name}", value, entries[name]) if name in entries else None
        if found is not None:
            return found
    return _inconsistent(hardware, chip)


def _inconsistent(hardware: Hardware, chip: Mapping[str, Tensor | None]) -> str | None:
    """What only the description, the time or other entries tell to be wrong, in words."""
    known = {name: value for name, value in chip.items() if value is not None and not value.is_meta}
    if "hardware" in known and int(known["hardware"]) != digest(hardware):
        return (
            "chip_hardware: this chip was programmed with another hardware description; convert the model "
            "with that description, or drop the 'chip_' keys and program again"
        )
    if "seconds" in known:
        try:
            hardware.device.check_time(float(known["seconds"]))
        except ValueError as error:
            return f"chip_seconds: {error}"
    if "g" in known and "cells" in known:
        low, high = written_span(hardware.device, known["g"], known["cells"])
        slack = _ROUNDING * hardware.device.g_max
        shape = tuple(known["g"].shape)
        allowed = Allowed((shape,), _held(hardware.device), low - slack, high + slack)
        return _wrong("chip_g", known["g"], allowed)
    return None


def chip_entries(hardware: Hardware) -> list[str]:
    """Names of the buffers that a chip of this description has, its fingerprint of the weights left out."""
    dac, without = hardware.dac, set()
    if not isinstance(hardware.adc, Circuit):
        without.add("converters")
    if dac is None or not dac.mismatched:
        without.add("drivers")
    return [f"chip_{name}" for name in TileState._fields if name not in without]


def range_damage(hardware: Hardware, cut: Cut, name: str, value: Tensor) -> str | None:
    """What is wrong with the full scale of a converter, in words; None for a sound one.

    Args:
        hardware: the description of the layer.
        cut: its cut into tiles.
        name: ``"input_range"`` or ``"output_range"``.
        value: the full scale.
    """
    converter = hardware.dac if name == "input_range" else hardware.adc
    how = None if converter is None else converter.range
    if not isinstance(how, (OnData, Learned)):
        return None
    shape: tuple[int, ...] = ()
    slices, tiles = len(readout(hardware).digital), len(cut.rows)
    if isinstance(how, OnData) and how.per_tile:
        shape = (tiles,) if name == "input_range" else (slices, tiles, 1)
    elif isinstance(how, OnData) and how.per_slice:
        shape = (slices, 1, 1)
    least = torch.finfo(torch.float32).tiny
    return _wrong(name, value, Allowed((shape,), "full scales are finite and above 0", least))


def _entries(hardware: Hardware, cut: Cut, size: Size) -> Iterator[tuple[str, Allowed]]:
    """What each entry may be; the conductances of a device need the other entries and come later."""
    groups, rows, columns = size
    how, device, adc, dac = readout(hardware), hardware.device, hardware.adc, hardware.dac
    with torch.no_grad():
        line = hardware.mapping.targets(torch.zeros(1, 1, columns), device.g_min, device.g_max)
    g = (line.shape[0], groups, rows, line.shape[-1])
    channels, each = len(how.digital), (groups * columns,)
    yield "g", Allowed((g,), "conductances are finite and not negative", 0.0)
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
    if isinstance(adc, Circuit):
        draws = adc.own_draws + adc.array_draws
        yield "converters", Allowed(((groups, len(cut.rows), channels, g[-1], draws),), "draws are finite")
    if dac is not None and dac.mismatched:
        places = (len(cut.columns), channels, groups, rows - cut.bias_rows, 2)
        yield "drivers", Allowed((places,), "draws are finite")


def _parameters(device: Device) -> int:
    """Numbers that a chip keeps of each cell."""
    count = 0
    while isinstance(device, Effect):
        count += device.parameters
        device = device.device
    return count + device.drift_state(torch.full((1,), device.g_max), torch.zeros(1)).shape[0]


def written_span(device: Device, g: Tensor, cells: Tensor) -> tuple[float | Tensor, float | Tensor]:
    """Lowest and highest conductance that writing can have left in cells, siemens.

    The bounds of the device, and what its programming error adds to them; effects act on what was written,
    and change nothing in it. Where cells differ (``Varied``), those of each cell.

    Args:
        device: the device, perhaps with effects around it.
        g: conductance after programming, ``[copy, group, row, column]``.
        cells: parameters of each cell, ``[n, copy, group, row, column]``.
    """
    base = programmable(device)
    if not isinstance(base, Varied):
        return base.written_span()
    first = cells.shape[0] - _parameters(base)
    own = base.of_cells(cells[first : first + base.parameters])
    both = own.bounds_of(cells[first + base.parameters :])
    low, high = (torch.full_like(g, b) for b in (base.g_min, base.g_max)) if both is None else both
    span = [low, high]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        target = low + share * (high - low)
        for eps in (-FARTHEST, FARTHEST):
            span.append(own.programmed(target, torch.full_like(g, eps)))
    return torch.stack(span).amin(0), torch.stack(span).amax(0)


def _held(device: Device) -> str:
    """What cells hold, in words."""
    base = programmable(device)
    kind = type(base.device if isinstance(base, Varied) else base).__name__
    return (
        f"cells of {kind} hold g_min = {device.g_min:g} S to g_max = {device.g_max:g} S, and what its "
        "programming error adds"
    )


_REMEDY = "load the chip from a file that is whole, or program it again with mho.program(model, seed=...)"


def _wrong(name: str, value: Tensor | None, allowed: Allowed) -> str | None:
    """What is wrong with one entry, in words."""
    if value is None:
        return f"{name} is missing: this hardware has one; {_REMEDY}"
    kinds = (torch.int64,) if allowed.whole else (torch.float32, torch.float64)
    if value.dtype not in kinds:
        wanted = " or ".join(str(kind).removeprefix("torch.") for kind in kinds)
        return f"{name} is {value.dtype}: it must be {wanted}; {_REMEDY}"
    if tuple(value.shape) not in allowed.shapes:
        shapes = " or ".join(map(str, sorted(allowed.shapes)))
        return f"{name} has shape {tuple(value.shape)}: this layer's is {shapes}; {_REMEDY}"
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
