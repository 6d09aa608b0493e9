"""How cells are brought to their targets: the interface, and what it gives back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from mho import random


class Cell(Protocol):
    """What programming asks of a device; every device of ``mho.devices`` has it."""

    @property
    def g_min(self) -> float:
        """Lowest programmable conductance, siemens."""

    @property
    def g_max(self) -> float:
        """Highest programmable conductance, siemens."""

    @property
    def v_read(self) -> float:
        """Read voltage, volts."""

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """Conductance after one write towards ``g_target``, siemens."""

    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        """Standard deviation of one read's conductance, siemens."""

    def verify_std(self, g: Tensor, delay: float) -> Tensor:
        """Standard deviation of a read ``delay`` seconds after a pulse, siemens."""


class Site(NamedTuple):
    """Where the cells ``[copy, group, row, column]`` lie.

    Attributes:
        rows, columns: first and last + 1 of each array.
        analog: weight of each copy in each sum of currents, ``[channel][copy]``.
        seen: conductances of one array to those that its wires let through, same shape.
    """

    rows: tuple[tuple[int, int], ...]
    columns: tuple[tuple[int, int], ...]
    analog: tuple[tuple[float, ...], ...]
    seen: Callable[[Tensor], Tensor]

    @staticmethod
    def whole(g_target: Tensor) -> Site:
        """One array with ideal wires; the current of each copy is read on its own."""
        copies = g_target.shape[0]
        each = tuple(tuple(float(i == k) for k in range(copies)) for i in range(copies))
        return Site(((0, g_target.shape[-2]),), ((0, g_target.shape[-1]),), each, lambda g: g)

    def tiles(self) -> list[tuple[slice, slice]]:
        """Rows and columns of each array."""
        return [(slice(*r), slice(*c)) for r in self.rows for c in self.columns]


@dataclass(frozen=True, eq=False)
class ProgrammingResult:
    """What programming left in each cell, and what it took; all of the shape of the targets.

    Attributes:
        g: conductance, siemens.
        pulses: number of pulses, int32.
        failed: cells that were last read outside the tolerance, bool.
        energy: joules turned into heat in the cell by its pulses, the disturbance by those of others, and
            reads; NaN where it is not modelled.
        seconds: duration of the cell's pulses and reads; NaN where it is not modelled.
    """

    g: Tensor
    pulses: Tensor
    failed: Tensor
    energy: Tensor
    seconds: Tensor


@dataclass(frozen=True)
class Summary:
    """A result in numbers.

    Attributes:
        cells: number of cells.
        histogram: number of cells that took 0, 1, 2, ... pulses.
        failures: number of cells that were last read outside the tolerance.
        energy: of all cells, joules.
        seconds: of all cells, one after the other.
        error: root mean square of ``g - g_target``, as a fraction of ``g_max``.
    """

    cells: int
    histogram: tuple[int, ...]
    failures: int
    energy: float
    seconds: float
    error: float

    @property
    def pulses(self) -> int:
        """Number of pulses on all cells."""
        return sum(k * count for k, count in enumerate(self.histogram))


class Programming(ABC):
    """A way to bring cells to their targets."""

    def check(self, device: Cell) -> None:
        """Raise ``ValueError`` unless the device can be programmed in this way."""
        return

    @abstractmethod
    def write(
        self, device: Cell, g_target: Tensor, seed: int, path: str = "", site: Site | None = None
    ) -> ProgrammingResult:
        """Program cells, from the state in which they leave the factory.

        Args:
            device: the cells.
            g_target: wanted conductances, siemens, ``[copy, group, row, column]``.
            seed: the chip; names all draws, together with ``path``.
            path: which array, usually the path of its layer.
            site: the arrays that the cells lie in; one array with ideal wires by default.
        """

    def summary(self, result: ProgrammingResult, g_target: Tensor, g_max: float) -> Summary | None:
        """The result in numbers; None for a way that has none to tell."""
        error = (result.g - g_target).double().square().mean().sqrt() / g_max
        return Summary(
            cells=g_target.numel(),
            histogram=tuple(torch.bincount(result.pulses.flatten()).tolist()),
            failures=int(result.failed.sum()),
            energy=float(result.energy.sum(dtype=torch.float64)),
            seconds=float(result.seconds.sum(dtype=torch.float64)),
            error=float(error),
        )


def drawn_cells(device: Cell, g_target: Tensor, seed: int, path: str) -> Cell:
    """The cells of one chip: the device, or its cells with their own parameters where these differ."""
    return cells_of(device, lambda name: random.normal(g_target.shape, seed, path, name).to(g_target))


def cells_of(device: Cell, draw: Callable[[str], Tensor]) -> Cell:
    """The device, or its cells with their own parameters where these differ.

    Args:
        device: what is programmed.
        draw: standard normal draws in the shape of the cells, by the name of a stream.
    """
    drawn = getattr(device, "drawn", None)
    made: Cell = device if drawn is None else drawn(draw)
    return made


def shared(device: Cell) -> Cell:
    """The device with the parameters that all its cells share, which a programming is checked against."""
    made: Cell = getattr(device, "shared", device)
    return made


def part(cells: Cell, pick: Callable[[Tensor], Tensor]) -> Cell:
    """Some of the cells: ``pick`` takes theirs from a tensor of all."""
    chosen = getattr(cells, "part", None)
    made: Cell = cells if chosen is None else chosen(pick)
    return made


def kept(cells: Cell, g: Tensor) -> Tensor:
    """Conductances, kept between the bounds of the cells."""
    own = getattr(cells, "kept", None)
    if own is None:
        return g.clamp(cells.g_min, cells.g_max)
    between: Tensor = own(g)
    return between


def check_targets(g_target: Tensor) -> None:
    """Raise unless targets are float conductances, ``[copy, group, row, column]``, without NaN."""
    if not g_target.is_floating_point() or g_target.dim() != 4:
        raise ValueError(
            f"g_target is {g_target.dtype} of shape {tuple(g_target.shape)}: give siemens, float32 or "
            "float64, [copy, group, row, column]; g.reshape(1, 1, rows, columns) for a plain matrix"
        )
    if g_target.numel() >= 2**32:
        raise ValueError(f"g_target has {g_target.numel()} cells: program at most 2^32 - 1 at once")
    bad = int((~torch.isfinite(g_target)).sum())
    if bad:
        raise ValueError(f"g_target: {bad} of {g_target.numel()} conductances are NaN or infinite")
