"""A year of drift in every training step: each forward meets the chip at a time of its own."""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from mho.autograd import constant_in_graphs
from mho.chip import tile
from mho.config import NonNegative, Positive, config
from mho.devices.effects.base import Tiles, as_programmed
from mho.devices.effects.varied import programmable
from mho.hardware import Hardware
from mho.nn import Crossbar
from mho.programming.base import cells_of
from mho.random import fresh_normal_like
from mho.training.base import Modifier, Steps, ramp


@config
class DriftNoise(Modifier):
    """What programming and drift leave of the weights after global drift compensation.

    Each forward draws a time, uniform in its logarithm. The weights are mapped to the layer's own
    device, programmed and aged to that time with new draws; one gain for the layer, the ratio of mean
    magnitudes after programming and now, takes the mean decay out. The programming error and the spread
    of the drift are left, as on a chip that was compensated, and so is what effects around the device make of
    the cells. Each cell is programmed in one shot. Read noise is not in.

    Attributes:
        first, last: the span of times, seconds after programming.
        strength: factor on the error.
        ramp_steps: training forwards over which the error rises from 0.

    Source: the compensation, V. Joshi et al., Nat. Commun. 11, 2473 (2020).
    """

    first: Positive = 1.0
    last: Positive = 31_536_000.0
    strength: NonNegative = 1.0
    ramp_steps: Steps = 0

    def validate(self) -> None:
        """The span runs forward."""
        if self.first > self.last:
            raise ValueError(f"first = {self.first!r} s must not be later than last = {self.last!r} s")

    def begin(self, layer: Crossbar) -> None:
        """The device must be known over the whole span."""
        for seconds in (self.first, self.last):
            layer.hardware.device.check_time(seconds)

    def modify(self, weight: Tensor, layer: Crossbar) -> Tensor:
        """``weight + strength * (compensated weight at a random time - mapped weight)``."""
        hardware, clean = layer.hardware, layer.matrix(weight.detach())
        scale = hardware.mapping.scale.reference(layer.logical(weight.detach()).detach())
        rows, columns = ([a for a, _ in spans] for spans in (layer.layout.rows, layer.layout.columns))
        span = (self.first, self.last)
        if torch.compiler.is_compiling():
            error = torch.ops.mho.drift_error(clean, scale, _written(hardware), rows, columns, *span)
        else:
            error = drift_error(hardware, clean, scale, rows, columns, *span)
        return weight + layer.from_matrix(error) * (self.strength * ramp(layer, self.ramp_steps))


def drift_error(
    hardware: Hardware,
    weight: Tensor,
    scale: Tensor,
    rows: list[int],
    columns: list[int],
    first: float,
    last: float,
) -> Tensor:
    """Compensated weights at a random time minus mapped ones, with draws from torch's global stream.

    Args:
        hardware: the description.
        weight: ``weight[group, row, column]``.
        scale: the reference weight, ``[1, 1, 1]`` or ``[group, 1, column]``.
        rows, columns: the first line of each tile.
        first, last: the span of times, seconds; the time is uniform in its logarithm.
    """
    seconds = first * (last / first) ** float(torch.rand(()))
    device, how = hardware.device, tile.readout(hardware)
    target = hardware.mapping.targets(weight / scale, device.g_min, device.g_max)
    drawn: dict[str, Tensor] = {}

    def draw(name: str) -> Tensor:
        if name not in drawn:
            drawn[name] = fresh_normal_like(target)
        return drawn[name]

    cells = tile.cell_state(device, target, draw, _tiles(rows, columns, target))
    written = cells_of(programmable(device), draw).programmed(target, draw("program"))
    at_first = as_programmed(device)
    before = written if at_first is device else at_first.aged(written, cells, 0.0)
    wanted, programmed, now = (
        tile.normalised(tile.combine(g / device.g_max, how), how)
        for g in (target, before, device.aged(written, cells, min(max(seconds, first), last)))
    )
    floor = 1e-4  # of the reference weight, as in the compensation of a chip
    gain = programmed.abs().mean().clamp(min=floor) / now.abs().mean().clamp(min=floor)
    return (now * gain - wanted) * scale


def _tiles(rows: list[int], columns: list[int], g: Tensor) -> Tiles:
    """Tiles by their first lines; bias rows, which ``g`` is without, are left out."""

    def spans(starts: list[int], end: int) -> tuple[tuple[int, int], ...]:
        return tuple((min(a, end), min(b, end)) for a, b in itertools.pairwise([*starts, end]) if a < end)

    return Tiles(spans(rows, g.shape[-2]), spans(columns, g.shape[-1]))


# The compiler takes the draw of a time, a number that device models take, as one opaque operation.
_library = torch.library.Library("mho", "FRAGMENT")
_library.define(
    "drift_error(Tensor weight, Tensor scale, str hardware, int[] rows, int[] columns, float first, "
    "float last) -> Tensor",
    tags=(torch.Tag.nondeterministic_seeded,),
)


@lru_cache(maxsize=64)
def _read(text: str) -> Hardware:
    return Hardware.from_json(text)


def _compiled_drift_error(weight: Tensor, scale: Tensor, hardware: str, *rest: Any) -> Tensor:
    return drift_error(_read(hardware), weight, scale, *rest).contiguous()


_library.impl("drift_error", _compiled_drift_error, "CompositeExplicitAutograd")
torch.library.register_fake(
    "mho::drift_error",
    lambda weight, scale, hardware, rows, columns, first, last: weight.new_empty(weight.shape),
    lib=_library,
)


@constant_in_graphs
def _written(hardware: Hardware) -> str:
    return hardware.to_json()
