"""A connection that loses replies, and a board that loses its power: faults to order."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from mho.boards.base import Answer, Board, Capabilities, Cells, Pulses
from mho.boards.errors import LostReply, PowerCut
from mho.config import NonNegative, config

_Every = Annotated[int, Field(ge=0)]


@config
class LineFaults:
    """What goes wrong between a computer and a board. 0 is never.

    Attributes:
        lost_every: of so many replies one is lost; what was asked was done.
        dropped_every: of so many questions one is lost, and nothing is done.
        unanswered_every: of so many transactions of pulses one is done and not answered.
        late_every: of so many replies one comes too late, and after the next question (over a connection
            alone).
        late_seconds: how much too late.
        power_cut: the transaction, counted from 1, in the middle of which the power goes: half of its cells
            are pulsed, and nothing answers any more.
    """

    lost_every: _Every = 0
    dropped_every: _Every = 0
    unanswered_every: _Every = 0
    late_every: _Every = 0
    late_seconds: NonNegative = 0.1
    power_cut: _Every = 0


class Unreliable(Board):
    """A board behind a bad line.

    Args:
        board: what is behind.
        faults: what goes wrong.

    Attributes:
        transactions: reads, pulses, targets and products so far.
        on: whether there is power; set it to True when it is back.

    Example:
        >>> from mho.boards import Bench, SimulatedBoard
        >>> from mho.devices import Switching
        >>> device = Switching()
        >>> board = Unreliable(SimulatedBoard(device, 2, 2), LineFaults(lost_every=2))
        >>> with Bench(board, device, v_read=0.01) as bench:
        ...     _ = bench.read(), bench.read()  # the second one is asked twice
        >>> board.transactions
        3
    """

    def __init__(self, board: Board, faults: LineFaults) -> None:
        self.board, self.faults, self.on = board, faults, True
        self.transactions = self._pulsed = 0

    @property
    def capabilities(self) -> Capabilities:
        """Those of the board behind."""
        return self.board.capabilities

    def identify(self) -> str:
        """The name of the board behind."""
        self._check_power()
        return self.board.identify()

    def read(self, cells: Cells, volts: float) -> Answer:
        """See :meth:`Board.read`."""
        self._begin()
        answer = self.board.read(cells, volts)
        self._end()
        return answer

    def multiply(self, volts: Tensor, columns: Tensor) -> Answer:
        """See :meth:`Board.multiply`."""
        self._begin()
        answer = self.board.multiply(volts, columns)
        self._end()
        return answer

    def set(self, cells: Cells, siemens: Tensor) -> None:
        """See :meth:`Board.set`."""
        self._begin()
        self.board.set(cells, siemens)
        self._end()

    def pulse(self, pulses: Pulses) -> None:
        """See :meth:`Board.pulse`."""
        try:
            self._begin()
        except PowerCut:
            if self.transactions == self.faults.power_cut:
                self.board.pulse(pulses.take(slice(0, pulses.cells.number // 2)))
            raise
        self.board.pulse(pulses)
        self._pulsed += 1
        self._end()
        if _due(self._pulsed, self.faults.unanswered_every):
            raise LostReply("no answer in time")

    def safe(self) -> None:
        """Without power nothing is driven."""
        if self.on:
            self.board.safe()

    def close(self) -> None:
        """Of the board behind."""
        self.board.close()

    def _begin(self) -> None:
        self._check_power()
        self.transactions += 1
        if self.transactions == self.faults.power_cut:
            self.on = False
        self._check_power()
        if _due(self.transactions, self.faults.dropped_every):
            raise LostReply("no answer in time")

    def _end(self) -> None:
        if _due(self.transactions, self.faults.lost_every):
            raise LostReply("no answer in time")

    def _check_power(self) -> None:
        if not self.on:
            raise PowerCut("the board does not answer: it has no power")


def _due(number: int, every: int) -> bool:
    return every > 0 and number % every == 0
