"""Gradient-descent programming: whole arrays are read, and the error of their products is lowered."""

from __future__ import annotations

import operator

import torch
from torch import Tensor

from mho import random
from mho.config import Count, Fraction, config
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
from mho.programming.write_verify import DrawSource, WriteVerify, Written, empty, pulse_draws, put


@config
class GradientProgramming(Programming):
    """Gradient-descent programming (Buechel et al., IEDM 2022; arXiv:2305.16647).

    Cells are first written with a few rounds of write-verify. Then the array is driven with batches of
    random inputs in [-1, 1], and its outputs, with the noise of all cells, are compared with those of the
    target matrix; the gradient of the squared error says how far each cell should move, and pulses move
    it. It needs no precise read of a single cell, and it sees what the products see: wires, and the sum
    over copies, in which the error of one cell can make up for that of its partner.

    ::

        error = outputs(g, x) - outputs(g_target, x)
        slope = x^T error / sum(x^2)
        step  = -slope * rate

    The rate stays in the first half of the rounds, and falls in the second, ``rate / (1 + rate n)``, which
    averages the noise over these. A cell whose target is ``g_min`` is left to its
    partners, unless all of them have that target.

    The numbers of rounds and inputs, the distribution of the inputs and the falling rate are choices of
    this model, not of the paper.

    Attributes:
        first: the rounds of write-verify before, with the pulses and the noise of reads; its read noise is
            that of each output here, in the same unit (a single cell's ``g_max``).
        rounds: number of batches.
        batch: inputs in each.
        threshold: steps below this fraction of ``g_max`` are left out.
    """

    first: WriteVerify = WriteVerify(max_pulses=5)
    rounds: Count = 200
    batch: Count = 256
    threshold: Fraction = 0.0

    def check(self, device: Cell) -> None:
        """The pulses fit the device."""
        self.first.check(device)

    def write(
        self, device: Cell, g_target: Tensor, seed: int, path: str = "", site: Site | None = None
    ) -> ProgrammingResult:
        """See :meth:`Programming.write`. No cell fails: cells are not judged one by one."""
        self.check(shared(device))
        check_targets(g_target)
        site = site or Site.whole(g_target)
        eps = random.normal(g_target.shape, seed, path, "program").to(g_target)
        places = torch.arange(g_target.numel(), device=g_target.device).view_as(g_target)
        result = empty(g_target)
        cells = drawn_cells(device, g_target, seed, path)
        for number, (r, c) in enumerate(site.tiles()):
            block = (..., r, c)
            some = part(cells, operator.itemgetter(block))
            source = DrawSource(seed, path, places[block], g_target.dtype)
            written = self.first.together(some, g_target[block], eps[block], source)
            written = self._descend(some, g_target[block], written, source, site, str(number))
            g = self.first.pulse.conductance(some, written.memory)
            put(result, block, ProgrammingResult(g, *written[1:]))
        return result

    def _descend(
        self, device: Cell, g_target: Tensor, written: Written, source: DrawSource, site: Site, tile: str
    ) -> Written:
        """All rounds on one array ``[copy, group, row, column]``."""
        pulse = self.first.pulse
        memory, pulses, failed, energy, seconds = written
        analog = torch.tensor(site.analog).to(g_target)
        shares = _shares(analog, g_target, device)
        wanted = torch.einsum("ck,k...->c...", analog, g_target)
        rate = 1 / (1 + g_target.shape[-2] / self.batch)
        for number in range(self.rounds):
            g = pulse.conductance(device, memory)
            x = self._inputs(g_target, source, tile, number)
            y = self._outputs(device, g, x, analog, site, source, tile, number)
            slope = x.T @ (y - x @ wanted) / x.square().sum(0)[:, None]
            falling = rate / (1 + rate * max(0, number - self.rounds // 2))
            step = -falling * torch.einsum("ck...,c...->k...", shares, slope)
            step = torch.where(step.abs() > self.threshold * device.g_max, step, 0.0)
            turn = number + self.first.max_pulses
            draw = pulse_draws(source, turn)
            memory, heat, time = pulse.apply(device, memory, g_target, step, turn, draw)
            reading = x.square().sum(0)[:, None] * self.first.read_energy(device, g)
            energy = energy + heat + reading
            seconds = seconds + time + self.batch * self.first.read_time / g.numel()
            pulses = pulses + (step != 0)
        return Written(memory, pulses, torch.zeros_like(failed), energy, seconds)

    def _inputs(self, g: Tensor, source: DrawSource, tile: str, number: int) -> Tensor:
        """``[batch, row]``, in units of a full-scale input."""
        shape = (self.batch, g.shape[-2])
        drawn = random.uniform(shape, source.seed, source.path, "inputs", tile, str(number))
        return 2 * drawn.to(g) - 1

    def _outputs(
        self,
        device: Cell,
        g: Tensor,
        x: Tensor,
        analog: Tensor,
        site: Site,
        source: DrawSource,
        tile: str,
        number: int,
    ) -> Tensor:
        """One noisy read of the array for each input, ``[channel, group, batch, column]``, siemens."""
        seen = site.seen(g)
        y = x @ torch.einsum("ck,k...->c...", analog, seen)
        spread = device.read_std(g, g, 0.0) ** 2
        variance = x**2 @ torch.einsum("ck,k...->c...", analog**2, spread)
        variance = variance + (self.first.read_noise * device.g_max) ** 2
        if not bool((variance > 0).any()):
            return y
        noise = random.normal(y.shape, source.seed, source.path, "outputs", tile, str(number)).to(y)
        return y + variance.sqrt() * noise


def _shares(analog: Tensor, g_target: Tensor, device: Cell) -> Tensor:
    """How far each copy moves for a step of one in each channel's sum, ``[channel, copy, ...]``."""
    free = g_target > device.g_min + 1e-6 * (device.g_max - device.g_min)
    weight = analog.view(*analog.shape, *(1 for _ in g_target.shape[1:]))
    moves = weight * free
    stuck = (moves == 0).all(dim=1, keepdim=True)
    moves = torch.where(stuck, weight.expand_as(moves), moves)
    return moves / moves.square().sum(dim=1, keepdim=True)
