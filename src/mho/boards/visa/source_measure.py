"""A source-measure unit and a switch matrix as a board."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from mho.boards.base import Answer, Board, Capabilities, Cells, Pulses
from mho.boards.errors import BoardError, LostReply
from mho.boards.visa.dialects import SCPI, Dialect

_TRIES = 5  # to come back into step with an instrument


class Session(Protocol):
    """What is asked of a connection; message-based resources of pyvisa have it."""

    timeout: Any

    def write(self, message: str) -> Any:
        """Send a line."""

    def read(self) -> str:
        """The next line; an exception when none comes in time."""

    def close(self) -> None:
        """End the connection."""


def open_visa(address: str, timeout: float = 2.0, backend: str = "@py") -> Session:
    """A connection to an instrument by pyvisa, with lines that end in a newline.

    Args:
        address: of the instrument, such as ``"TCPIP0::192.168.0.5::5025::SOCKET"``.
        timeout: how long an answer may take, seconds.
        backend: of pyvisa; ``"@py"`` is the pure Python one.

    Raises:
        ImportError: pyvisa is not installed: ``pip install "mho[lab]"``.
        BoardError: nothing is there.
    """
    try:
        import pyvisa
    except ImportError:
        raise ImportError('instruments need pyvisa: pip install "mho[lab]"') from None
    try:
        session: Any = pyvisa.ResourceManager(backend).open_resource(
            address, read_termination="\n", write_termination="\n"
        )
    except Exception as error:  # pyvisa's backends raise their own, and those of sockets
        raise BoardError(
            f"{address}: {error}; look at the address, the cable and the power", "open", address, 1
        ) from error
    session.timeout = 1000 * timeout
    _without_delay(session)
    return session  # type: ignore[no-any-return]


def _without_delay(session: Any) -> None:
    """Let a socket send what it has: the end of a long message otherwise waits 40 ms for an acknowledgement.

    The attribute that VISA has for it (VI_ATTR_TCPIP_NODELAY) is unknown to the sockets of pyvisa-py 0.8.1.
    """
    with contextlib.suppress(AttributeError, KeyError, OSError):
        session.visalib.sessions[session.session].interface.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )


class SourceMeasureBoard(Board):
    """An array behind a switch matrix, driven and measured by a source-measure unit of two channels.

    Each read, pulse or product is one message and one answer: a round trip for up to ``at_once`` cells. Rows
    take one voltage or ground, so that products go bit by bit (:meth:`mho.boards.Bench.multiply`). After a
    lost reply, before anything else is asked, the instrument is asked who it is until it says so: an answer
    that comes late is never taken for that of the next question.

    Args:
        session: a connection, of :func:`open_visa` or any other of its kind.
        rows, columns: of the array.
        dialect: what the instruments are told.
        header: line of the matrix of each row and, after these, of each column, counted from 0; as they are
            counted if None.
        capabilities: what the instruments can do; what follows from the rest is not looked at.

    Attributes:
        round_trips: messages that were sent and wait for an answer, so far.

    Raises:
        BoardError: the instrument does not answer, or says that something is wrong.
    """

    def __init__(
        self,
        session: Session,
        rows: int,
        columns: int,
        dialect: Dialect | None = None,
        header: tuple[int, ...] | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        self.session = session
        self.dialect: Dialect = SCPI() if dialect is None else dialect
        given = Capabilities(rows=rows, columns=columns, at_once=64) if capabilities is None else capabilities
        self._capabilities = replace(
            given, rows=rows, columns=columns, pulses=True, targets=False, multiplies=True, row_levels=False
        )
        lines = tuple(range(rows + columns)) if header is None else header
        if sorted(set(lines)) != sorted(lines) or len(lines) != rows + columns:
            raise ValueError(
                f"header = {header!r}: give a line for each of {rows} rows and {columns} columns, each once"
            )
        self._row, self._column = lines[:rows], lines[rows:]
        self._names = {(b, k): self.dialect.relay(b, k) for b in "ABC" for k in lines}
        self.round_trips = 0
        self._behind, self._off, self._identity = False, True, ""
        self._identity = self.identify()

    def _setup(self) -> None:
        ground = self.dialect.closed([self._names["C", k] for k in (*self._row, *self._column)])
        try:
            self._ask([*self.dialect.setup(self._capabilities.compliance), ground], 0)
        except LostReply:
            self._off = True
            raise

    @property
    def capabilities(self) -> Capabilities:
        """See :meth:`Board.capabilities`."""
        return self._capabilities

    def identify(self) -> str:
        """See :meth:`Board.identify`."""
        if self._identity:
            return self._identity
        return self._introduced(1)

    def _introduced(self, attempt: int) -> str:
        try:
            return self._line(self.dialect.question)
        except LostReply:
            if attempt < _TRIES:
                return self._introduced(attempt + 1)
            what = "no answer; look at the address and the termination of lines"
            raise BoardError(what, "identify", "", attempt) from None

    # --- verbs -----------------------------------------------------------------------------------

    def read(self, cells: Cells, volts: float) -> Answer:
        """See :meth:`Board.read`."""
        say = self.dialect
        statements = [say.source(volts)]
        for row, column in self._lines(cells):
            rest, used = self._relays(row, column)
            statements += [
                say.opened(rest),
                say.closed(used),
                say.measure(),
                say.opened(used),
                say.closed(rest),
            ]
        return self._answer([*statements, say.source(0.0)], (cells.number,))

    def pulse(self, pulses: Pulses) -> None:
        """See :meth:`Board.pulse`."""
        say = self.dialect
        statements = [say.source(0.0)]
        sent = zip(self._lines(pulses.cells), pulses.volts.tolist(), pulses.seconds.tolist(), strict=True)
        for (row, column), volts, seconds in sent:
            rest, used = self._relays(row, column)
            statements += [say.opened(rest), say.closed(used), *say.pulse(volts, seconds)]
            statements += [say.opened(used), say.closed(rest)]
        self._ask(statements, 0)

    def multiply(self, volts: Tensor, columns: Tensor) -> Answer:
        """See :meth:`Board.multiply`; the driven rows of a vector have one voltage.

        Raises:
            BoardError: a vector has rows of several voltages.
        """
        say, statements = self.dialect, []
        measured = [self._column[int(k)] for k in columns]
        for number, vector in enumerate(volts.tolist()):
            levels = {v for v in vector if v != 0}
            if len(levels) > 1:
                raise BoardError("rows have one voltage or ground", "multiply", f"vector {number}", 1)
            driven = [row for row, v in zip(self._row, vector, strict=True) if v != 0]
            ground, drive = ([self._names[bus, k] for k in driven] for bus in "CA")
            if driven:
                statements += [say.opened(ground), say.closed(drive)]
            statements.append(say.source(levels.pop() if levels else 0.0))
            for column in measured:
                off, on = self._names["C", column], self._names["B", column]
                statements += [
                    say.opened([off]),
                    say.closed([on]),
                    say.measure(),
                    say.opened([on]),
                    say.closed([off]),
                ]
            statements.append(say.source(0.0))
            if driven:
                statements += [say.opened(drive), say.closed(ground)]
        return self._answer(statements, (len(volts), len(measured)))

    def safe(self) -> None:
        """Source off, all lines on ground; without waiting for an answer, so that nothing can hinder it."""
        say = self.dialect
        lines = (*self._row, *self._column)
        away = say.opened([self._names[bus, k] for bus in "AB" for k in lines])
        ground = say.closed([self._names["C", k] for k in lines])
        self._off = True
        self._behind = True  # whatever comes of it is no answer to what is asked next
        try:
            self._say(say.message([*say.off(), away, ground]))
        except LostReply as error:
            raise BoardError(f"the instrument was not reached: {error.message}", "safe", "", 1) from error

    def close(self) -> None:
        """End the connection."""
        self.session.close()

    # --- messages --------------------------------------------------------------------------------

    def _lines(self, cells: Cells) -> Iterator[tuple[int, int]]:
        rows, columns = cells.rows.tolist(), cells.columns.tolist()
        return ((self._row[r], self._column[c]) for r, c in zip(rows, columns, strict=True))

    def _relays(self, row: int, column: int) -> tuple[list[str], list[str]]:
        """Of a cell at rest, and of a cell in use."""
        name = self._names
        return [name["C", row], name["C", column]], [name["A", row], name["B", column]]

    def _answer(self, statements: list[str], shape: tuple[int, ...]) -> Answer:
        texts = self._ask(statements, torch.Size(shape).numel())
        with self._watched():
            found = [self.dialect.parsed(text) for text in texts]
        amperes, limited, stamps = zip(*found, strict=True) if found else ((), (), ())
        made = [torch.tensor(v, dtype=torch.float64).view(shape) for v in (amperes, stamps)]
        return Answer(made[0], torch.tensor(limited, dtype=torch.bool).view(shape), made[1])

    def _ask(self, statements: list[str], count: int) -> list[str]:
        """The answers of a message, without the last, which is the error of the instrument."""
        self._in_step()
        if self._off:
            self._off = False
            self._setup()
        with self._watched():
            parts = self._line(self.dialect.message(statements)).split(";")
            fault = self.dialect.fault(parts[-1])
            if fault is None and len(parts) != count + 1:
                raise LostReply(f"{len(parts) - 1} answers to {count} questions: another reply in its place")
        if fault is not None:
            raise BoardError(f"the instrument says {fault}")
        return parts[:-1]

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """After a lost reply others may still come."""
        try:
            yield
        except LostReply:
            self._behind = True
            raise

    def _line(self, message: str) -> str:
        """Send a message; its answer."""
        self.round_trips += 1
        with self._watched():
            self._say(message)
            return self._heard()

    def _say(self, message: str) -> None:
        """Send a line; backends have exceptions of their own for what cannot be sent."""
        try:
            self.session.write(message)
        except Exception as error:
            raise LostReply(f"nothing could be sent ({type(error).__name__})") from error

    def _heard(self) -> str:
        """The next line that comes in time; and for none."""
        try:
            return self.session.read().strip()
        except Exception as error:
            raise LostReply(f"no answer in time ({type(error).__name__})") from error

    def _in_step(self) -> None:
        """Read away what came late: until the instrument says who it is, in answer to that question."""
        tries = 0
        while self._behind:
            tries += 1
            try:
                self._say(self.dialect.question)
                while self._heard() != self._identity:
                    continue
                self._behind = False
            except LostReply:
                if tries >= _TRIES:
                    raise LostReply("the instrument does not come back into step") from None
