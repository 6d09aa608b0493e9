"""The cells of a chip: brought to their targets, with what is frozen in each; drawn again from the seed.

A lean chip keeps no conductances. :class:`Drawn` makes them again from the weights and the seed whenever they
are needed: the very functions that programming calls, on the very draws. Where each cell is on its own, they
are made some rows at a time, and never lie in memory together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import torch
from torch import Tensor

from mho import random
from mho.autograd import in_transform
from mho.blocks import by_blocks
from mho.chip.layout import Layout
from mho.chip.state import TileState, is_plain, readout, tile_columns
from mho.devices import Device, Effect
from mho.devices.effects.base import Tiles, effects
from mho.devices.effects.varied import programmable
from mho.hardware import Hardware
from mho.mapping import DifferentialPair
from mho.programming import ProgrammingResult, SingleShot, Site

AT_ONCE = 1 << 17
"""Cells that are drawn together."""
_KEPT = 1 << 23  # cells: those of no larger array are kept while it is programmed or packed
_FULL_VECTORS = 64  # columns: no vector instruction is left with part of a row, where powers round otherwise


def is_cell_by_cell(hardware: Hardware) -> bool:
    """Whether programming, ageing and packing go cell by cell, without products and solvers."""
    return type(hardware.programming) is SingleShot and is_plain(hardware)


Block = tuple[slice, Tensor, Tensor]


class Drawn:
    """The cells of one chip, made from its seed.

    Args:
        hardware: the description.
        weight: what was programmed, ``weight[group, row, column]``, bias rows included.
        scale: reference weight of the chip.
        layout: how the layer's matrix lies in tiles.
        seed, path: name the draws.
    """

    def __init__(
        self, hardware: Hardware, weight: Tensor, scale: Tensor, layout: Layout, seed: int, path: str
    ) -> None:
        self.hardware, self.weight, self.scale, self.layout = hardware, weight.detach(), scale, layout
        self.seed, self.path = seed, path
        self._blocks: Iterator[Block] | None = None
        self._made: list[Block] = []
        self._whole: tuple[ProgrammingResult, Tensor, Tensor] | None = None

    @property
    def in_blocks(self) -> bool:
        """Whether rows can be made alone, bit for bit as they are made together."""
        hardware, columns = self.hardware, self.weight.shape[-1]
        device = hardware.device
        own = isinstance(device, Effect) or getattr(device, "drawn", None) is not None
        alone = is_cell_by_cell(hardware) and not own
        pairs = type(hardware.mapping) is DifferentialPair and columns % _FULL_VECTORS == 0
        return alone and pairs and not in_transform() and random.draws_rows()

    def whole(self) -> tuple[ProgrammingResult, Tensor, Tensor]:
        """What programming left in all cells, their frozen parameters, and their targets."""
        if self._whole is None:
            target = self._targets(slice(None))
            written = write_cells(self.hardware, target, self.layout, self.seed, self.path)
            tiles = tiles_of(self.layout, target)
            cells = cell_state(self.hardware.device, target, lambda name: self._normal(name, target), tiles)
            self._whole = written, cells, target
        return self._whole

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of the conductances and of the frozen parameters."""
        if not self.in_blocks:
            written, cells, _ = self.whole()
            return tuple(written.g.shape), tuple(cells.shape)
        device, g = self.hardware.device, (2, *self.weight.shape)
        one = self.weight.new_full((1,), device.g_max)
        return g, (len(device.drift_state(one, torch.zeros_like(one))), *g)

    def like(self) -> Tensor:
        """A tensor as the conductances are: shape, type, place, order in memory; its values are not set."""
        if not self.in_blocks:
            return self.whole()[0].g
        return self.weight.new_empty((2, *self.weight.shape))

    def draws(self, name: str) -> Tensor | random.NormalRows:
        """Standard normal draws in the shape of the cells, for :meth:`by_blocks`, by the name of a stream."""
        if self.in_blocks:
            return random.NormalRows((2, *self.weight.shape), self.seed, self.path, name)
        return self.normal(name)

    def normal(self, name: str) -> Tensor:
        """All of :meth:`draws` together."""
        return self._normal(name, self.whole()[2])

    def blocks(self) -> Iterator[Block]:
        """Conductances as programmed and frozen parameters, some rows after the other."""
        if not self.in_blocks:
            written, cells, _ = self.whole()
            yield slice(None), written.g, cells
        elif 2 * self.weight.numel() > _KEPT:
            yield from self._drawn_blocks()
        else:
            self._blocks = self._drawn_blocks() if self._blocks is None else self._blocks
            yield from self._made
            for block in self._blocks:
                self._made.append(block)
                yield block

    def _drawn_blocks(self) -> Iterator[Block]:
        device, rows = self.hardware.device, self.weight.shape[-2]
        program, drift = self.draws("program"), self.draws("drift")
        step = max(1, rows * AT_ONCE // (2 * self.weight.numel()))
        for first in range(0, rows, step):
            some = slice(first, min(first + step, rows))
            target = self._targets(some)
            g = device.programmed(target, of_rows(program, some, target))
            yield some, g, device.drift_state(target, of_rows(drift, some, target))

    def by_blocks(self, function: Callable[..., Tensor], *more: Tensor | random.NormalRows) -> Tensor:
        """A function of single cells, of their conductances, frozen parameters and more, as ``by_blocks``."""
        if not self.in_blocks:
            written, cells, _ = self.whole()
            return by_blocks(function, written.g, cells, *cast("tuple[Tensor, ...]", more))
        result: Tensor | None = None
        rows = self.weight.shape[-2]
        for some, g, cells in self.blocks():
            part = function(g, cells, *(of_rows(draws, some, g) for draws in more))
            if part.shape[-2] == rows:
                return part
            if result is None:
                result = part.new_empty((*part.shape[:-2], rows, part.shape[-1]))
            result[..., some, :] = part
        assert result is not None
        return result

    def _targets(self, rows: slice) -> Tensor:
        """Wanted conductances, ``[copy, group, row, column]``."""
        device = self.hardware.device
        w = self.weight[..., rows, :] / self.scale
        return self.hardware.mapping.targets(w, device.g_min, device.g_max)

    def _normal(self, name: str, like: Tensor) -> Tensor:
        return random.normal(like.shape, self.seed, self.path, name).to(like)


def over_cells(state: TileState, drawn: Drawn | None) -> Callable[..., Tensor]:
    """``by_blocks`` over the conductances and the frozen parameters of a chip, held or drawn."""
    if drawn is not None:
        return drawn.by_blocks
    return lambda function, *more: by_blocks(function, state.g, state.cells, *more)


def of_rows(draws: Tensor | random.NormalRows, some: slice, like: Tensor) -> Tensor:
    """Draws of some rows, in the type and the place of ``like``."""
    if isinstance(draws, random.NormalRows):
        return draws.next(some.stop - some.start).to(like)
    return draws[..., some, :]


def write_cells(
    hardware: Hardware, g_target: Tensor, layout: Layout, seed: int, path: str
) -> ProgrammingResult:
    """Bring the cells ``[copy, group, row, column]`` to their targets, as ``hardware.programming`` does.

    Effects around the device act on the programmed cells; programming does not see them, only parameters
    that differ from cell to cell (``Varied``).
    """
    analog = readout(hardware).analog

    def seen(g: Tensor) -> Tensor:
        return hardware.array.effective_copies(g, analog)

    site = Site(*tiles_of(layout, g_target), analog, seen)
    return hardware.programming.write(programmable(hardware.device), g_target, seed, path, site)


def tiles_of(layout: Layout, g: Tensor) -> Tiles:
    """Where the tiles lie of the cells ``g[copy, group, row, column]``."""
    return Tiles(layout.rows, tile_columns(layout, g))


def cell_state(device: Device, g_target: Tensor, draw: Callable[[str], Tensor], tiles: Tiles) -> Tensor:
    """The frozen parameters of each cell, ``[n, copy, group, row, column]``.

    Args:
        device: the device, perhaps with effects around it.
        g_target: wanted conductances, ``[copy, group, row, column]``.
        draw: standard normal draws in the shape of ``g_target``, by the name of a stream.
        tiles: where the tiles lie.
    """
    own: list[Tensor] = []
    differ, inside_it = False, device
    for _ in effects(device):
        effect = cast("Effect", inside_it)  # of these cells
        own.append(effect_state(effect, g_target, draw, tiles))
        inside_it = effect.of_cells(own[-1])
        differ = differ or inside_it is not effect.device
    device, eps = inside_it, draw("drift")
    inside = device.drift_state(g_target, eps) if differ else by_blocks(device.drift_state, g_target, eps)
    return torch.cat([*own, inside]) if own else inside


def effect_state(effect: Effect, g: Tensor, draw: Callable[[str], Tensor], tiles: Tiles) -> Tensor:
    """The frozen parameters of one effect, ``[n, copy, group, row, column]``."""
    names = effect.streams
    eps = torch.stack([draw(name) for name in names]) if names else g.new_empty((0, *g.shape))
    return effect.own_state(eps, tiles)
