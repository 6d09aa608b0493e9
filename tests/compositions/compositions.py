"""Compositions of parts: a chip made of each, and the lives that chips are led through."""

from __future__ import annotations

import dataclasses
import functools
import io
import itertools
import random
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

import mho
from mho import devices
from mho.array import Array, NonlinearCells
from mho.converters import DAC, ColumnConverter, EachSlice
from mho.devices import Device, Effect
from mho.devices.effects.base import around
from mho.mapping import Mapping

from .parts import all_examples, examples, lowest

T = TypeVar("T")

T_LATE, T_EARLY = 3600.0, 60.0
# What takes the logarithm or the inverse of the lowest conductance.
ABOVE_ZERO = (devices.ReadDisturb, mho.array.Simulated, mho.array.Swept)
# Parts without a parameter that is one float and may differ from cell to cell: Varied around them is refused.
CANNOT_VARY = (
    devices.Endurance,
    devices.FiniteStates,
    devices.JumpCell,
    devices.OwnBounds,
    devices.Accelerated,
    devices.Pulsed,
    devices.RetentionFailure,
    devices.StuckAt,
    devices.Varied,
)
SEEDED = 7


class Composition(NamedTuple):
    """A device, effects around it, the first one innermost, and an array.

    Mapping, converters and which example of a part follow from the names: no other composition moves them.
    """

    device: type[Device]
    effects: tuple[type[Effect], ...]
    array: type[Array]

    def __str__(self) -> str:
        names = [e.__name__ for e in self.effects] or ["no effect"]
        return "-".join([self.device.__name__, *names, self.array.__name__])

    def choose(self, what: str, among: Sequence[T]) -> T:
        """One of several, the same one for all compositions of this device and array."""
        assert among, f"{self}: give the {what} an example in tests/compositions/parts.py"
        return random.Random(f"{self.device.__name__}/{self.array.__name__}/{what}").choice(among)

    @property
    def refused(self) -> bool:
        """Whether a parameter would have to differ where no one can."""
        inside = (self.device, *self.effects)
        return any(
            outer is devices.Varied and kind in CANNOT_VARY for kind, outer in itertools.pairwise(inside)
        )

    def bare_device(self) -> Device:
        """The device without effects."""
        made = self.choose("device", examples(self.device))(devices.Ideal())
        if made.g_min == 0 and any(kind in ABOVE_ZERO for kind in (*self.effects, self.array)):
            return dataclasses.replace(made, g_min=lowest(made))
        return made

    def bare_effects(self) -> list[Effect]:
        """The effects without a device of their own, the innermost first."""
        inside, made = self.bare_device(), []
        for k, kind in enumerate(self.effects):
            made.append(self.choose(f"{kind.__name__}/{k}", examples(kind))(inside))
            inside = around(made[-1], inside)
        return made

    def hardware(self, device: Device, **parts: Any) -> mho.Hardware:
        """The chip around a device; parts that are not given are chosen."""
        array = self.choose("array", examples(self.array))(device)
        parts.setdefault("mapping", self.choose("mapping", all_examples(Mapping))(device))
        if "dac" not in parts:
            parts["dac"] = self.choose("dac", [d for d in dacs(device) if may_drive(d, array)])
        if "adc" not in parts:
            parts["adc"] = self.choose("adc", [lambda _: None, *all_examples(ColumnConverter)])(device)
        if parts["adc"] is not None and isinstance(parts["adc"].range, EachSlice):
            channels = len(parts["mapping"].readout(device.g_min, device.g_max).digital)
            parts["adc"] = dataclasses.replace(parts["adc"], range=EachSlice(limits=(4.0,) * channels))
        parts.setdefault("tile", mho.Tile(rows=2))
        return mho.Hardware(device=device, array=array, **parts)


def dacs(device: Device) -> list[DAC | None]:
    """Without a DAC, and with each kind of one."""
    return [None, *(dac(device) for dac in all_examples(DAC))]


def may_drive(dac: DAC | None, array: Array | type[Array]) -> bool:
    """Cells without Ohm's law have a DAC, with drivers that are all alike."""
    kind = array if isinstance(array, type) else type(array)
    return not issubclass(kind, NonlinearCells) or (dac is not None and not dac.mismatched)


def with_effects(device: Device, effects: list[Effect]) -> Device:
    """Effects around a device, the first one innermost."""
    for effect in effects:
        device = around(effect, device)
    return device


def without_scales(device: Device) -> Device:
    """The device whose programming error, drift and read noise are switched off."""
    if isinstance(device, Effect):
        return around(device, without_scales(device.device))
    return dataclasses.replace(device, program_scale=0.0, drift_scale=0.0, read_scale=0.0)


def times(device: Device) -> tuple[float, float]:
    """An early and a late time at which the device is known."""
    first, last = device.times
    return tuple(min(max(t, first), last) for t in (T_EARLY, T_LATE))  # type: ignore[return-value]


@functools.cache
def weights(rows: int = 4, columns: int = 2) -> nn.Linear:
    """A layer with reproducible weights, a zero one among them; it is never changed."""
    torch.manual_seed(1)
    layer = nn.Linear(rows, columns)
    with torch.no_grad():
        layer.weight[0, 0] = 0.0
    return layer


def inputs(rows: int = 4) -> Tensor:
    """Vectors of inputs."""
    return torch.randn(6, rows, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def read(model: nn.Module, x: Tensor) -> Tensor:
    """The output with one certain noise."""
    torch.default_generator.manual_seed(SEEDED)
    y: Tensor = model.eval()(x)
    return y


def saved_and_loaded(model: nn.Module, into: nn.Module) -> nn.Module:
    """The state of one model in another one, through a file."""
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    into.load_state_dict(torch.load(file, weights_only=True))
    return into


def differences(one: nn.Module, other: nn.Module) -> list[str]:
    """Names of the parts of two chips, saved and packed ones, that are not equal bit for bit."""
    a, b = dict(one.named_buffers()), dict(other.named_buffers())
    return [name for name in sorted(a.keys() | b.keys()) if not same(a.get(name), b.get(name))]


def same(a: Tensor | None, b: Tensor | None) -> bool:
    """Whether two tensors have the same bits."""
    return a is not None and b is not None and a.dtype == b.dtype and torch.equal(a, b)
