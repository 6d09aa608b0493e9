"""Write-verify on a board: read, pulse, read again, with pulses that may or may not have been sent."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mho.boards.base import Cells, Pulses
from mho.boards.bench import Bench
from mho.boards.errors import BoardError
from mho.devices import Device
from mho.programming import Driven, ProgrammingResult, WriteVerify
from mho.programming.pulse import Memory

_SEEN = 4.0  # standard deviations of the difference of two reads, beyond which a cell has moved


class _Sent(NamedTuple):
    """Pulses that were not answered, of some cells by their places in the list.

    Attributes:
        places: of the cells.
        pulses: what was sent, or not.
        before: conductances before, siemens.
        memory: what the rule kept before.
    """

    places: Tensor
    pulses: Pulses
    before: Tensor
    memory: Memory


def write(
    bench: Bench,
    g_target: Tensor,
    rule: WriteVerify | None = None,
    device: Device | None = None,
    mask: Tensor | None = None,
) -> ProgrammingResult:
    """Bring the cells of a board to their targets.

    Each cell is read and pulsed in turns until it is read within the tolerance, by the rule that programs
    simulated cells. A pulse without an answer is never sent again blindly: the cell is read, and only where
    it has not moved, by more than the noise of its device, is the pulse taken as not sent. A board that sets
    targets by itself (``capabilities.targets``) is told them, and told again where a read misses the
    tolerance.

    Voltages are rounded to the step of the board, and lengths kept between its shortest and its longest.

    A run that was cut goes on with the same call on ``Bench(board, device, log=..., resume=True)``.

    Args:
        bench: the board.
        g_target: wanted conductances, siemens, ``[row, column]`` of the whole array.
        rule: tolerance, number of pulses, and which pulses; of the pulses those that a board can send:
            ``VoltagePulses``, ``VIPI``, ``JumpPulses``.
        device: what the cells are; that of the bench if None.
        mask: the cells to write, bool ``[row, column]``; all if None.

    Returns:
        Each ``[row, column]``: conductances as they were last read (NaN for cells outside of the mask),
        pulses, failures, energy (of pulses, ``V^2 (g_before + g_after) / 2 width``, and of reads) and time.

    Raises:
        BoardError: a pulse was sent ``bench.attempts`` times and moved nothing and got no answer; or a read
            failed.
        ValueError: the targets have another shape than the array, or the board can send no such pulses.

    Example:
        >>> from mho.boards import SimulatedBoard
        >>> from mho.devices import Switching
        >>> from mho.devices.dynamics import LinearStep
        >>> from mho.programming import Train, VoltagePulses
        >>> pulses = VoltagePulses(up=Train(voltage=1.0, width=1e-6), down=Train(voltage=-1.0, width=1e-6))
        >>> device = Switching(model=LinearStep())
        >>> with Bench(SimulatedBoard(device, 2, 2), device) as bench:
        ...     done = write(bench, torch.full((2, 2), 4e-6), WriteVerify(pulse=pulses, tolerance=0.01))
        >>> bool(((done.g - 4e-6).abs() <= 0.01 * device.g_max).all()), int(done.failed.sum())
        (True, 0)
    """
    device = bench.device if device is None else device
    rule = WriteVerify() if rule is None else rule
    shape = bench.capabilities.shape
    if device is None:
        raise ValueError("device = None: say what the cells are, here or as Bench(board, device)")
    if tuple(g_target.shape) != shape or not bool(g_target.isfinite().all()):
        raise ValueError(f"g_target has shape {tuple(g_target.shape)}: give finite siemens, {shape}")
    mask = torch.ones(shape, dtype=torch.bool) if mask is None else mask
    cells = Cells.of(mask)
    with bench.guarded():
        if bench.capabilities.pulses:
            found = _Writing(bench, cells, g_target.double()[mask], rule, device).run()
        else:
            found = _set(bench, cells, g_target.double()[mask], rule, device)
    return _in_array(found, mask)


def _in_array(found: ProgrammingResult, mask: Tensor) -> ProgrammingResult:
    def spread(values: Tensor, empty: float) -> Tensor:
        whole = torch.full(mask.shape, empty, dtype=values.dtype)
        whole[mask] = values
        return whole

    g = spread(found.g, float("nan"))
    pulses, failed, energy, seconds = (
        spread(v, 0) for v in (found.pulses, found.failed, found.energy, found.seconds)
    )
    return ProgrammingResult(g, pulses, failed, energy, seconds)


class _Writing:
    """One run over a list of cells."""

    def __init__(self, bench: Bench, cells: Cells, target: Tensor, rule: WriteVerify, device: Device) -> None:
        if not isinstance(rule.pulse, Driven):
            raise ValueError(
                f"pulse = {type(rule.pulse).__name__}(...): a board sends volts for seconds; give "
                "VoltagePulses, VIPI or JumpPulses"
            )
        self.bench, self.cells, self.target, self.rule, self.device = bench, cells, target, rule, device
        self.pulse: Driven = rule.pulse
        self.span = float(device.g_max) - float(device.g_min)
        self.limit = rule.limit(device, target)
        self.memory = tuple(m.clone() for m in self.pulse.begin(target))
        self.g = torch.full_like(target, float("nan"))
        self.pulses = torch.zeros_like(target, dtype=torch.int64)
        self.tries = torch.zeros_like(self.pulses)  # of the pulse that is next
        self.energy, self.seconds = torch.zeros_like(target), torch.zeros_like(target)
        self.unanswered: list[_Sent] = []

    def run(self) -> ProgrammingResult:
        left = torch.arange(self.target.numel())
        last = torch.zeros_like(
            self.target
        )  # volts^2 seconds / 2 of the pulse before, whose energy is not known yet
        failed = torch.zeros_like(self.target, dtype=torch.bool)
        while left.numel():
            before = self.g[left]
            self.g[left] = g = self._read(left)
            last = self._settled(last)
            self.energy[left] += torch.where(last[left] > 0, last[left] * (before + g), 0.0)
            last[left] = 0.0
            step = self.target[left] - g
            out = step.abs() > self.limit[left]
            spent = self.pulses[left] >= self.rule.max_pulses
            failed[left[out & spent]] = True
            left, step = left[out & ~spent], step[out & ~spent]
            if left.numel():
                self._send(left, step, last)
        return ProgrammingResult(self.g, self.pulses.to(torch.int32), failed, self.energy, self.seconds)

    def _read(self, places: Tensor) -> Tensor:
        g = self.bench.conductances(self.cells.take(places))
        self.energy[places] += self.rule.read_energy(self.device, g)
        self.seconds[places] += self.rule.read_time
        return g

    def _send(self, places: Tensor, step: Tensor, last: Tensor) -> None:
        before = tuple(m[places] for m in self.memory)
        drive = self.pulse.following(before, step, self.pulses[places], self.span)
        low, high = self.bench.capabilities.width
        smallest = self.bench.capabilities.v_step
        volts = (drive.volts / smallest).round() * smallest if smallest else drive.volts
        pulses = Pulses(self.cells.take(places), volts, drive.seconds.clamp(low, high))
        answered = self.bench.pulse(pulses)
        for kept, new in zip(self.memory, drive.memory, strict=True):
            kept[places] = new
        self.pulses[places] += 1
        self.seconds[places] += pulses.seconds
        last[places] = 0.5 * pulses.volts.square() * pulses.seconds
        self.tries[places[answered]] = 0
        if not bool(answered.all()):
            lost = ~answered
            old = tuple(m[lost] for m in before)
            self.unanswered.append(_Sent(places[lost], pulses.take(lost), self.g[places[lost]], old))

    def _settled(self, last: Tensor) -> Tensor:
        """Take back the pulses that reads show were not sent."""
        for sent in self.unanswered:
            now = self.g[sent.places]
            noise = self.device.read_std(sent.before, sent.before, 0.0)
            moved = (now - sent.before).abs() > _SEEN * 2**0.5 * noise
            self.bench.settle(sent.pulses, moved)
            idle = ~moved
            where = sent.places[idle]
            for kept, old in zip(self.memory, sent.memory, strict=True):
                kept[where] = old[idle]
            self.pulses[where] -= 1
            self.seconds[where] -= sent.pulses.seconds[idle]
            last[where] = 0.0
            self.tries[where] += 1
            self.tries[sent.places[moved]] = 0
            if bool((self.tries >= self.bench.attempts).any()):
                place = int((self.tries >= self.bench.attempts).nonzero()[0])
                address = self.cells.take(slice(place, place + 1)).words()
                raise BoardError(
                    "no answer, and the cell did not move", "pulse", address, int(self.tries[place])
                )
        self.unanswered.clear()
        return last


def _set(bench: Bench, cells: Cells, target: Tensor, rule: WriteVerify, device: Device) -> ProgrammingResult:
    """Tell a board its targets, until reads are within the tolerance."""
    g, limit = torch.full_like(target, float("nan")), rule.limit(device, target)
    writes = torch.zeros_like(target, dtype=torch.int32)
    energy, seconds = torch.full_like(target, float("nan")), torch.full_like(target, float("nan"))
    left = torch.arange(target.numel())
    for _ in range(rule.max_pulses):
        bench.set(cells.take(left), target[left])
        writes[left] += 1
        g[left] = bench.conductances(cells.take(left))
        left = left[(g[left] - target[left]).abs() > limit[left]]
        if not left.numel():
            break
    failed = torch.zeros_like(target, dtype=torch.bool)
    failed[left] = True
    return ProgrammingResult(g, writes, failed, energy, seconds)
