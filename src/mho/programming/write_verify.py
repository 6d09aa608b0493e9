"""Read, pulse, read again, until the cell is where it belongs."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho import random
from mho.config import Count, NonNegative, Positive, config, later
from mho.programming.base import (
    Cell,
    Programming,
    ProgrammingResult,
    Site,
    check_targets,
    drawn_cells,
    part,
    shared,
)
from mho.programming.correction import Correction
from mho.programming.pulse import Memory, Pulse

_CHUNK = 1 << 18  # cells that go through the pulses together


class Written(NamedTuple):
    """Cells during programming, all of one shape.

    Attributes:
        memory: what the pulses keep of them.
        pulses, failed, energy, seconds: as in :class:`ProgrammingResult`.
    """

    memory: Memory
    pulses: Tensor
    failed: Tensor
    energy: Tensor
    seconds: Tensor


class DrawSource(NamedTuple):
    """The draws of some cells of a chip.

    Attributes:
        seed: the chip.
        path: the array.
        places: of the cells in the whole logical array, flattened; any shape.
        dtype: of the draws.
    """

    seed: int
    path: str
    places: Tensor
    dtype: torch.dtype

    def draw(self, *mechanism: str) -> Tensor:
        """Standard normal numbers in the shape of the cells."""
        return random.normal_at(self.places, self.seed, self.path, *mechanism).to(self.dtype)


@config
class WriteVerify(Programming):
    """Each cell is read and pulsed in turns until it is read within the tolerance.

    A cell that is still outside after ``max_pulses`` stays as it is and counts as failed. With read
    noise a cell may be read inside the tolerance and lie outside. A cell without disturbed neighbours is
    not read again once it is inside; in an array with disturbance all cells are, round after round.

    Draws belong to the places of the cells in the logical array: without disturbance the result does not
    depend on the tile size. With it, cells share lines with those of their own tile only, each copy and
    each group in an array of its own.

    Attributes:
        pulse: what one pulse does: :class:`Correction` for statistical devices, :class:`VoltagePulses` for
            ``devices.Switching``.
        tolerance: largest accepted error, as a fraction of ``g_max``.
        relative: the tolerance is a fraction of the target instead. A target of zero then has no tolerance:
            cells of a device with ``g_min = 0`` never get there.
        max_pulses: most pulses for a cell.
        read_noise: standard deviation of a verifying read, as a fraction of ``g_max``, besides the read
            noise of the device.
        read_time: duration of a verifying read at ``v_read``, seconds; a typical value, not verified for any
            one chip.
        delay: from a pulse to the read that verifies it, seconds: phase-change noise grows with the time
            since the pulse. None reads with the noise of a chip just programmed, at the device's ``t0``.

    Example:
        >>> from mho.devices import PCM
        >>> g_target = torch.full((1, 1, 100, 100), 10e-6)
        >>> done = WriteVerify(tolerance=0.02).write(PCM(read_scale=0.0), g_target, seed=0)
        >>> bool(((done.g - g_target).abs() <= 0.02 * 25e-6).all()), int(done.failed.sum())
        (True, 0)
    """

    pulse: InstanceOf[Pulse] = Correction()
    tolerance: Positive = 0.01
    relative: bool = False
    max_pulses: Count = 50
    read_noise: NonNegative = 0.0
    read_time: NonNegative = 100e-9
    delay: NonNegative | None = later(default=None)

    def check(self, device: Cell) -> None:
        """The pulses fit the device."""
        self.pulse.check(device)

    def write(
        self, device: Cell, g_target: Tensor, seed: int, path: str = "", site: Site | None = None
    ) -> ProgrammingResult:
        """See :meth:`Programming.write`."""
        self.check(shared(device))
        check_targets(g_target)
        eps = random.normal(g_target.shape, seed, path, "program").to(g_target)
        places = torch.arange(g_target.numel(), device=g_target.device)
        cells = drawn_cells(device, g_target, seed, path)
        if not self.pulse.disturbs:
            return self._apart(cells, g_target, eps, DrawSource(seed, path, places, g_target.dtype))
        result = empty(g_target)
        places = places.view_as(g_target)
        for r, c in (site or Site.whole(g_target)).tiles():
            block = (..., r, c)
            source = DrawSource(seed, path, places[block], g_target.dtype)
            some = part(cells, operator.itemgetter(block))
            written = self.together(some, g_target[block], eps[block], source)
            g = self.pulse.conductance(some, written.memory)
            put(result, block, ProgrammingResult(g, *written[1:]))
        return result

    def _apart(self, device: Cell, g_target: Tensor, eps: Tensor, source: DrawSource) -> ProgrammingResult:
        """Cells without neighbours: chunk after chunk, and in a chunk those that are not done yet."""
        shape = g_target.shape
        result = empty(g_target.reshape(-1))
        g_target, eps = g_target.reshape(-1), eps.reshape(-1)
        for a in range(0, g_target.numel(), _CHUNK):
            few = slice(a, a + _CHUNK)
            cells = part(device, partial(_flat_part, place=few))
            some = source._replace(places=source.places[few])
            put(result, few, self._chunk(cells, g_target[few], eps[few], some))
        return ProgrammingResult(*(v.view(shape) for v in vars(result).values()))

    def _chunk(self, device: Cell, g_target: Tensor, eps: Tensor, source: DrawSource) -> ProgrammingResult:
        result = empty(g_target)
        memory, energy, seconds = self.pulse.start(device, g_target, eps)
        result.energy.copy_(energy)
        result.seconds.copy_(seconds)
        left = torch.arange(g_target.numel(), device=g_target.device)
        target = g_target
        for number in range(self.pulse.first, max(self.max_pulses, self.pulse.first) + 1):
            g = self.pulse.conductance(device, memory)
            result.energy[left] += self.read_energy(device, g)
            result.seconds[left] += self.read_time
            step = target - self.measured(device, g, source, number)
            out = step.abs() > self.limit(device, target)
            done = ~out if number < self.max_pulses else torch.ones_like(out)
            gone = left[done]
            result.g[gone], result.pulses[gone], result.failed[gone] = g[done], number, out[done]
            index = (~done).nonzero().squeeze(1)
            if not index.numel():
                break
            left, target, step = left[index], target[index], step[index]
            source = source._replace(places=source.places[index])
            device = part(device, operator.itemgetter(index))
            memory = tuple(m[index] for m in memory)
            draw = pulse_draws(source, number)
            memory, energy, seconds = self.pulse.apply(device, memory, target, step, number, draw)
            result.energy[left] += energy
            result.seconds[left] += seconds
        return result

    def together(self, device: Cell, g_target: Tensor, eps: Tensor, source: DrawSource) -> Written:
        """Cells with their neighbours, ``[..., row, column]``: all are read in every round."""
        memory, energy, seconds = self.pulse.start(device, g_target, eps)
        pulses = torch.full_like(g_target, self.pulse.first, dtype=torch.int32)
        for number in range(self.pulse.first, max(self.max_pulses, self.pulse.first) + 1):
            g = self.pulse.conductance(device, memory)
            energy = energy + self.read_energy(device, g)
            seconds = seconds + self.read_time
            step = g_target - self.measured(device, g, source, number)
            out = step.abs() > self.limit(device, g_target)
            if number >= self.max_pulses or not bool(out.any()):
                break
            step = torch.where(out, step, 0.0)
            draw = pulse_draws(source, number)
            memory, heat, time = self.pulse.apply(device, memory, g_target, step, number, draw)
            pulses, energy, seconds = pulses + out, energy + heat, seconds + time
        return Written(memory, pulses, out, energy, seconds)

    def measured(self, device: Cell, g: Tensor, source: DrawSource, number: int) -> Tensor:
        """One read of each cell, siemens; ``number`` names it."""
        own = device.read_std(g, g, 0.0) if self.delay is None else device.verify_std(g, self.delay)
        sigma = (own**2 + (self.read_noise * device.g_max) ** 2).sqrt()
        if not bool((sigma > 0).any()):
            return g
        return (g + sigma * source.draw("verify", str(number))).clamp(min=0)

    def read_energy(self, device: Cell, g: Tensor) -> Tensor:
        """Joules of one read of each cell."""
        return (device.v_read**2 * self.read_time) * g

    def limit(self, device: Cell, g_target: Tensor) -> Tensor:
        """Largest accepted error, siemens."""
        size = g_target if self.relative else torch.full_like(g_target, device.g_max)
        return self.tolerance * size


def pulse_draws(source: DrawSource, number: int) -> Callable[..., Tensor]:
    """The draws of a pulse, made when they are asked for; names lead to others."""
    return lambda *names: source.draw("pulse", str(number), *names)


def _flat_part(values: Tensor, place: slice) -> Tensor:
    return values.reshape(-1)[place]


def empty(like: Tensor) -> ProgrammingResult:
    """A result to be filled."""
    return ProgrammingResult(
        g=torch.empty_like(like),
        pulses=torch.zeros_like(like, dtype=torch.int32),
        failed=torch.zeros_like(like, dtype=torch.bool),
        energy=torch.zeros_like(like),
        seconds=torch.zeros_like(like),
    )


def put(result: ProgrammingResult, place: object, part: ProgrammingResult) -> None:
    """Write the part into its place."""
    for name, value in vars(part).items():
        getattr(result, name)[place] = value
