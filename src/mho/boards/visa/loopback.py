"""Instruments that are not there: a simulated board behind a socket, which understands what a dialect says.

It lets a program for the bench run from end to end, through pyvisa and all, before anything is plugged in.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from types import TracebackType
from typing import NamedTuple

import torch
from typing_extensions import Self

from mho.boards.base import Board, Cells, Pulses
from mho.boards.errors import BoardError, LostReply, PowerCut
from mho.boards.unreliable import LineFaults, Unreliable
from mho.boards.visa.dialects import SCPI, Dialect


class _Measure(NamedTuple):
    """A measurement that was asked for: the driven rows, the column, and the voltage of the rows."""

    rows: tuple[int, ...]
    column: int
    volts: float


class Loopback:
    """A server on 127.0.0.1 in front of a board, with a source-measure unit, a switch matrix and a dialect.

    Args:
        board: what is behind the instruments.
        dialect: what they understand.
        faults: of the connection and of the power.

    Attributes:
        address: for :func:`mho.boards.visa.open_visa`.
        board: the board, with its faults.
        messages: that were answered, or should have been, so far.

    Example:
        >>> from mho.boards import SimulatedBoard
        >>> from mho.devices import Switching
        >>> with Loopback(SimulatedBoard(Switching(), 4, 4)) as bench:
        ...     bench.address.startswith("TCPIP0::127.0.0.1::")
        True
    """

    def __init__(
        self, board: Board, dialect: Dialect | None = None, faults: LineFaults | None = None
    ) -> None:
        self.faults = LineFaults() if faults is None else faults
        self.board = Unreliable(board, self.faults)
        self.dialect: Dialect = SCPI() if dialect is None else dialect
        self._instrument = _Instrument(self.board, self.dialect)
        self.messages = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Of the instrument."""
        return f"TCPIP0::127.0.0.1::{self._socket.getsockname()[1]}::SOCKET"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the server."""
        self._ended.set()
        self._socket.close()
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        """One connection after the other."""
        while not self._ended.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:  # closed
                return
            with connection:
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        connection.settimeout(0.05)
        held = b""
        while not self._ended.is_set():
            try:
                data = connection.recv(1 << 20)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data:
                return
            *lines, held = (held + data).split(b"\n")
            for line in lines:
                reply = self._reply(line.decode().strip())
                if reply is not None:
                    try:
                        connection.sendall(reply.encode() + b"\n")
                    except OSError:
                        return

    def _reply(self, message: str) -> str | None:
        """The answer to a message; None where none comes."""
        try:
            if message == self.dialect.question:
                return self.board.identify()
            self.messages += 1
            reply = self._instrument.answer(message)
        except (LostReply, PowerCut):
            return None
        every = self.faults.late_every
        if every and self.messages % every == 0:
            time.sleep(self.faults.late_seconds)
        return reply


class _Instrument:
    """What the relays and the source do."""

    def __init__(self, board: Unreliable, dialect: Dialect) -> None:
        self.board, self.dialect = board, dialect
        self.rows, self.columns = board.capabilities.shape
        lines = range(self.rows + self.columns)
        self._relays = {dialect.relay(bus, k): (bus, k) for bus in "ABC" for k in lines}
        self._patterns = [(name, re.compile(p)) for name, p in dialect.patterns.items()]
        self._setup, self._off = set(dialect.setup(board.capabilities.compliance)), set(dialect.off())
        self._buses: list[set[str]] = [set() for _ in lines]
        self._driven: set[int] = set()
        self._seen: set[int] = set()
        self._volts = self._next_volts = 0.0
        self._width, self._on = 1e-3, False
        self._begin()

    def _begin(self) -> None:
        self._asked: list[_Measure] = []
        self._sent: list[tuple[int, int, float, float]] = []
        self._error: str | None = None

    def answer(self, message: str) -> str:
        """Do what a message says, and answer it."""
        self._begin()
        for statement in self.dialect.statements(message):
            self._do(statement)
        texts = [] if self._error else [*self._measured()]
        self._pulse()
        return ";".join((*texts, self.dialect.faulty(self._error)))

    def _do(self, statement: str) -> None:
        for name, pattern in self._patterns:
            found = pattern.fullmatch(statement)
            if found is not None:
                getattr(self, f"_do_{name}")(*found.groups())
                return
        if statement in self._off:
            self._on, self._volts = False, 0.0
        elif statement in self._setup:
            self._on = True
        else:
            self._wrong(f"unknown: {statement}")

    def _wrong(self, text: str) -> None:
        self._error = text if self._error is None else self._error

    # --- statements ------------------------------------------------------------------------------

    def _do_open(self, relays: str) -> None:
        for bus, line in self._named(relays):
            self._buses[line].discard(bus)
            self._move(line)

    def _do_close(self, relays: str) -> None:
        for bus, line in self._named(relays):
            self._buses[line].add(bus)
            if len(self._buses[line]) > 1:
                self._wrong(f"line {line + 1} lies on the buses {' and '.join(sorted(self._buses[line]))}")
            self._move(line)

    def _named(self, relays: str) -> list[tuple[str, int]]:
        names = relays.split(",")
        for name in names:
            if name not in self._relays:
                self._wrong(f"no relay {name}")
        return [self._relays[name] for name in names if name in self._relays]

    def _move(self, line: int) -> None:
        """Keep which rows are driven and which columns are measured."""
        buses = self._buses[line]
        where, bus = (self._driven, "A") if line < self.rows else (self._seen, "B")
        (where.add if bus in buses else where.discard)(line)

    def _do_source(self, volts: str) -> None:
        self._volts = float(volts)

    def _do_measure(self) -> None:
        if len(self._seen) != 1 or not self._on:
            self._wrong(f"{len(self._seen)} columns to measure, output {'on' if self._on else 'off'}")
            return
        (column,) = self._seen
        self._asked.append(_Measure(tuple(sorted(self._driven)), column - self.rows, self._volts))

    def _do_volts(self, volts: str) -> None:
        self._next_volts = float(volts)

    def _do_width(self, seconds: str) -> None:
        self._width = float(seconds)
        if "fire" not in self.dialect.patterns:  # the voltage is there for as long as the delay takes
            self._next_volts = self._volts
            self._do_fire()

    def _do_fire(self) -> None:
        if len(self._driven) != 1 or len(self._seen) != 1 or not self._on:
            self._wrong("a pulse goes to one cell, with the output on")
            return
        (row,), (column,) = self._driven, self._seen
        self._sent.append((row, column - self.rows, self._next_volts, self._width))

    def _do_error(self) -> None:
        """The last answer of a message, which is made at its end."""

    # --- physics ---------------------------------------------------------------------------------

    def _measured(self) -> list[str]:
        asked = self._asked
        if not asked:
            return []
        if all(len(one.rows) == 1 for one in asked) and len({one.volts for one in asked}) == 1:
            rows, columns = (torch.tensor(v) for v in ([m.rows[0] for m in asked], [m.column for m in asked]))
            answer = self.board.read(Cells(rows, columns), asked[0].volts)
            places = torch.arange(len(asked))
        else:
            kinds = list(dict.fromkeys((one.rows, one.volts) for one in asked))
            vectors = torch.zeros(len(kinds), self.rows, dtype=torch.float64)
            for number, (driven, volts) in enumerate(kinds):
                vectors[number, list(driven)] = volts
            answer = self.board.multiply(vectors, torch.arange(self.columns))
            number_of = {kind: k for k, kind in enumerate(kinds)}
            places = torch.tensor([number_of[m.rows, m.volts] * self.columns + m.column for m in asked])
        none = torch.zeros_like(answer.amperes)
        limited = none.bool() if answer.limited is None else answer.limited
        stamp = none if answer.stamp is None else answer.stamp
        values = [v.flatten()[places].tolist() for v in (answer.amperes, limited)]
        values.append(stamp.flatten()[places].sort().values.tolist())  # one is measured after the other
        return [self.dialect.answered(*one) for one in zip(*values, strict=True)]

    def _pulse(self) -> None:
        if not self._sent or self._error:
            return
        rows, columns, volts, seconds = zip(*self._sent, strict=True)
        cells = Cells(torch.tensor(rows), torch.tensor(columns))
        times = torch.tensor(seconds, dtype=torch.float64)
        try:
            self.board.pulse(Pulses(cells, torch.tensor(volts, dtype=torch.float64), times))
        except (LostReply, PowerCut):
            raise
        except BoardError as error:
            self._wrong(error.message)
