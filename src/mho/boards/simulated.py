"""A board that is none: cells of any device of mho behind the interface of all boards."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from mho import random
from mho.boards.base import Answer, Board, Capabilities, Cells, Pulses
from mho.boards.errors import BoardError
from mho.boards.wiring import Wiring
from mho.chip import tile
from mho.config import NonNegative
from mho.devices import Device
from mho.devices.effects.base import Tiles, innermost
from mho.devices.effects.varied import programmable
from mho.programming.base import cells_of, part

_AT_ONCE = 64  # vectors of a product, for memory


class SimulatedBoard(Board):
    """An array of simulated cells, one chip, with wiring as good or bad as is ordered.

    Cells of a switching model (``devices.Switching``) or of a table of jumps (``devices.JumpCell``) are moved
    by pulses. Statistical cells, such as ``devices.PCM``, have no pulses: they are set to targets, with the
    error of their device. Effects around the device (``devices.StuckAt``, noise...) act on what is read.

    A draw belongs to a cell and to how many pulses or reads that cell had before: a seed and a list of
    transactions give the same currents, bit for bit, whatever else was asked.

    Args:
        device: the cells.
        rows, columns: of the array.
        seed: of the chip.
        wiring: what is wrong between the array and the instrument.
        capabilities: what the board can do, if not everything; its rows, columns, ``pulses`` and ``targets``
            follow from the rest.

    Attributes:
        seconds: age of the cells, as devices drift with it; set it to let them drift.
        counts: pulses that each cell got, int64, ``[row, column]``.

    Example:
        >>> from mho.devices import Switching
        >>> board = SimulatedBoard(Switching(), 4, 4)
        >>> board.read(Cells.all((4, 4)), 0.01).amperes.shape
        torch.Size([16])
    """

    def __init__(
        self,
        device: Device,
        rows: int,
        columns: int,
        seed: int = 0,
        wiring: Wiring | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        self.device, self.seed = device, seed
        self.wiring = Wiring() if wiring is None else wiring
        inside = innermost(device)
        moves = hasattr(inside, "model") or hasattr(inside, "jumped")
        given = {} if capabilities is None else dict(vars(capabilities))
        own = {"rows": rows, "columns": columns, "pulses": moves, "targets": not moves}
        self._capabilities = Capabilities(**{**given, **own})
        shape = self._capabilities.shape
        like = torch.full((1, 1, *shape), float(inside.g_min), dtype=torch.float64)

        def draw(name: str) -> Tensor:
            return random.normal(like.shape, seed, "board", name).to(like)

        tiles = Tiles(((0, rows),), ((0, columns),))
        self._own = tile.cell_state(device, like, draw, tiles)
        self._cells: Any = cells_of(programmable(device), lambda name: draw(name).reshape(-1))
        self._g = like.clone()
        if hasattr(self._cells, "model"):
            initial = torch.as_tensor(self._cells.model.initial, dtype=like.dtype)
            self._state = initial.expand(like.numel()).clone()
            self._off = torch.zeros_like(self._state)
            self._settle(torch.arange(like.numel()))
        self.seconds: NonNegative = 0.0
        self.counts = torch.zeros(shape, dtype=torch.int64)
        self._reads = torch.zeros(like.numel(), dtype=torch.int64)
        self._measured = 0

    @property
    def capabilities(self) -> Capabilities:
        """See :attr:`Board.capabilities`."""
        return self._capabilities

    def identify(self) -> str:
        """See :meth:`Board.identify`."""
        rows, columns = self._capabilities.shape
        return f"mho,simulated {type(innermost(self.device)).__name__} {rows}x{columns},{self.seed},1"

    def conductances(self) -> Tensor:
        """What the cells hold now, siemens, ``[row, column]``: the truth, which no instrument knows."""
        return self._now()[0, 0]

    # --- reads -----------------------------------------------------------------------------------

    def read(self, cells: Cells, volts: float) -> Answer:
        """See :meth:`Board.read`."""
        places = self._places(self.wiring.cells(cells, self._capabilities.shape))
        amperes = self.wiring.through(volts * self._noisy(places)[0], cells, volts)
        return self._answer(self.wiring.measured(amperes, cells.columns))

    def multiply(self, volts: Tensor, columns: Tensor) -> Answer:
        """See :meth:`Board.multiply`; the noise of the cells is drawn anew for each vector."""
        if not self._capabilities.multiplies:
            return super().multiply(volts, columns)
        shape = self._capabilities.shape
        every = Cells.all(shape)
        places = self._places(self.wiring.cells(every, shape))
        found = []
        for some in volts.double().split(_AT_ONCE):
            driven = some[:, every.rows]
            through = self.wiring.through(driven * self._noisy(places, len(some)), every, driven)
            found.append(through.view(-1, *shape).sum(1))
        return self._answer(self.wiring.measured(torch.cat(found)[:, columns], columns))

    def _noisy(self, places: Tensor, times: int = 1) -> Tensor:
        """Some reads of some cells, siemens, ``[time, cell]``."""
        now, device = self._now(), self.device
        if not device.noisy:
            return now.reshape(1, -1)[:, places]
        size = now.numel()
        number = self._reads[places] + torch.arange(times)[:, None]
        self._reads[places] += times
        eps = torch.zeros(times, size, dtype=now.dtype)
        eps[:, places] = random.normal_at(places + size * number, self.seed, "board", "read").double()
        shape = (times, *now.shape[1:])
        own = self._own.expand(self._own.shape[0], *shape)
        read = device.one_read(self._g.expand(shape), own, now.expand(shape), self.seconds, eps.view(shape))
        return read.reshape(times, -1)[:, places]

    def _now(self) -> Tensor:
        return self.device.aged(self._g, self._own, self.seconds)

    def _answer(self, amperes: Tensor) -> Answer:
        """Limited, and stamped with the number of the measurement."""
        top = self._capabilities.compliance
        limited = (amperes.abs() > top) & (amperes.abs() < 1e37)
        amperes = torch.where(limited, amperes.sign() * top, amperes)
        stamp = self._measured + torch.arange(amperes.numel(), dtype=torch.float64).view_as(amperes)
        if not self.wiring.stale:
            self._measured += amperes.numel()
            self._last = amperes
        elif self._measured:
            amperes = self._last if self._last.shape == amperes.shape else amperes
            stamp = torch.zeros_like(stamp)
        else:
            self._measured, self._last = 1, amperes
            stamp = torch.zeros_like(stamp)
        return Answer(amperes, limited, stamp)

    # --- writes ----------------------------------------------------------------------------------

    def pulse(self, pulses: Pulses) -> None:
        """See :meth:`Board.pulse`."""
        if not self._capabilities.pulses:
            return super().pulse(pulses)
        step = self._capabilities.v_step
        volts = (pulses.volts / step).round() * step if step else pulses.volts
        places = self._places(self.wiring.cells(pulses.cells, self._capabilities.shape))
        volts = self.wiring.driven(volts, pulses.cells)
        eps = self._draws(places)
        cells = part(self._cells, lambda values: values.reshape(-1)[places] if values.dim() else values)
        if hasattr(self._cells, "model"):
            self._move(places, volts, pulses.seconds, eps)
        else:
            before = self._g.reshape(-1)[places]
            after = cast("Any", cells).jumped(before, volts.sign(), eps)
            self._g.reshape(-1)[places] = after
        self.counts.reshape(-1)[places] += 1
        return None

    def _move(self, places: Tensor, volts: Tensor, seconds: Tensor, eps: Tensor) -> None:
        """Pulses on a switching model, with what they scatter."""
        model = self._cells.model.take(places, self._state.shape)
        state, off = self._state[places], self._off[places]
        scattered = model.scatter(state, volts, seconds)
        if scattered is not None and self.device.program_scale > 0:
            self._off[places] = scattered[0] * off + self.device.program_scale * scattered[1] * eps
        self._state[places] = model.step(state, volts, seconds)
        self._settle(places)

    def _settle(self, places: Tensor) -> None:
        """The conductances of the states."""
        model = self._cells.model.take(places, self._state.shape)
        state, off = self._state[places], self._off[places]
        seen = model.deviated(state, off) if bool(off.any()) else state
        self._g.reshape(-1)[places] = model.conductance(seen).double()

    def set(self, cells: Cells, siemens: Tensor) -> None:
        """See :meth:`Board.set`."""
        if not self._capabilities.targets:
            return super().set(cells, siemens)
        places = self._places(self.wiring.cells(cells, self._capabilities.shape))
        inside = innermost(self.device)
        self._g.reshape(-1)[places] = inside.programmed(siemens.double(), self._draws(places))
        self.counts.reshape(-1)[places] += 1
        return None

    def _draws(self, places: Tensor) -> Tensor:
        """Of the next pulse of each cell."""
        number = self.counts.reshape(-1)[places]
        at = places + self.counts.numel() * number
        return random.normal_at(at, self.seed, "board", "pulse").double()

    def _places(self, cells: Cells) -> Tensor:
        rows, columns = self._capabilities.shape
        if cells.number and (int(cells.rows.max()) >= rows or int(cells.columns.max()) >= columns):
            raise BoardError(f"there are {rows} rows and {columns} columns", "address", cells.words(), 1)
        return cells.rows * columns + cells.columns

    def safe(self) -> None:
        """Nothing is driven between two verbs."""
