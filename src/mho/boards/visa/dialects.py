"""What instruments are told: two channels of a source-measure unit and a switch matrix, as SCPI or as TSP.

The matrix has three buses. A drives rows: channel 1 of the source. B measures a column: channel 2, at 0 V. C
is ground. A line lies on one bus at a time: it is opened before it is closed elsewhere, and at rest it lies
on C. Since channel 2 holds its column at ground, no current goes through other cells.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from mho.boards.errors import LostReply
from mho.config import Count, config

Measured = tuple[float, bool, float]
_PRINT = 'print(table.concat(r,";"))'
_NUMBER = r"[-+0-9.eEnaNIifyt]+"


@config
class Dialect(ABC):
    """How an instrument is told what to do. Statements of one message are joined by semicolons.

    Attributes:
        crosspoint: name of the relay of a bus (A, B or C) and a line, as Python formats it; lines count from
            1, the rows first, then the columns.
    """

    crosspoint: str = "1{bus}{line:03d}"

    #: Statement to its meaning, with groups in the order of the verb's arguments, for :class:`Loopback`.
    patterns: ClassVar[dict[str, str]] = {}
    question: ClassVar[str] = "*IDN?"

    def relay(self, bus: str, line: int) -> str:
        """Name of a relay; ``line`` from 0."""
        return self.crosspoint.format(bus=bus, line=line + 1)

    @abstractmethod
    def setup(self, compliance: float) -> list[str]:
        """Statements before anything else: reset, limits, what a measurement tells."""

    @abstractmethod
    def opened(self, relays: Sequence[str]) -> str:
        """Open relays."""

    @abstractmethod
    def closed(self, relays: Sequence[str]) -> str:
        """Close relays."""

    @abstractmethod
    def source(self, volts: float) -> str:
        """Channel 1 to a voltage."""

    @abstractmethod
    def measure(self) -> str:
        """Current, limit and time of channel 2: one answer."""

    @abstractmethod
    def pulse(self, volts: float, seconds: float) -> list[str]:
        """One pulse of channel 1, from 0 V."""

    @abstractmethod
    def off(self) -> list[str]:
        """Channel 1 to 0 V and off."""

    @abstractmethod
    def message(self, statements: Sequence[str]) -> str:
        """One line; its answer ends with the error of the instrument."""

    @abstractmethod
    def statements(self, message: str) -> list[str]:
        """What :meth:`message` was made of, and what it added that asks for something."""

    @abstractmethod
    def parsed(self, answer: str) -> Measured:
        """Amperes into the line, whether they were limited, and the time, of one answer.

        Raises:
            LostReply: it is no such answer.
        """

    @abstractmethod
    def fault(self, answer: str) -> str | None:
        """What the instrument has to say of an error; None for no error.

        Raises:
            LostReply: it is no such answer.
        """

    @abstractmethod
    def answered(self, amperes: float, limited: bool, stamp: float) -> str:
        """The answer that :meth:`parsed` reads: what an instrument writes."""

    @abstractmethod
    def faulty(self, text: str | None) -> str:
        """The last answer of a message: an error, or none."""


def _floats(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise LostReply(f"{text!r} is no number: another reply came in its place") from None


@config
class SCPI(Dialect):
    """SCPI of a two-channel source-measure unit (Keysight B2900 series), with the relays of a mainframe.

    The names of your instrument may differ: derive a dialect, and test it with :class:`Loopback` before the
    first pulse.

    Attributes:
        limited_bit: bit of the status word of a measurement that says that the current was limited.

    Example:
        >>> SCPI().message(["SOUR1:VOLT 0.2"])
        'SOUR1:VOLT 0.2;:SYST:ERR?'
    """

    limited_bit: Count = 3

    patterns: ClassVar[dict[str, str]] = {
        "open": r"ROUT:OPEN \(@([^)]*)\)",
        "close": r"ROUT:CLOS \(@([^)]*)\)",
        "source": rf"SOUR1:VOLT ({_NUMBER})",
        "measure": r"MEAS\? \(@2\)",
        "volts": rf"SOUR1:VOLT:TRIG ({_NUMBER})",
        "width": rf"SOUR1:PULS:WIDT ({_NUMBER})",
        "fire": r"INIT \(@1\)",
        "error": r"SYST:ERR\?",
    }

    def setup(self, compliance: float) -> list[str]:
        """See :meth:`Dialect.setup`."""
        return ["*CLS", "FORM:ELEM:SENS CURR,STAT,TIME", "SOUR2:VOLT 0", f"SENS2:CURR:PROT {compliance!r}",
                "OUTP1 ON", "OUTP2 ON"]  # fmt: skip

    def opened(self, relays: Sequence[str]) -> str:
        """See :meth:`Dialect.opened`."""
        return f"ROUT:OPEN (@{','.join(relays)})"

    def closed(self, relays: Sequence[str]) -> str:
        """See :meth:`Dialect.closed`."""
        return f"ROUT:CLOS (@{','.join(relays)})"

    def source(self, volts: float) -> str:
        """See :meth:`Dialect.source`."""
        return f"SOUR1:VOLT {volts!r}"

    def measure(self) -> str:
        """See :meth:`Dialect.measure`."""
        return "MEAS? (@2)"

    def pulse(self, volts: float, seconds: float) -> list[str]:
        """See :meth:`Dialect.pulse`."""
        return [f"SOUR1:PULS:WIDT {seconds!r}", f"SOUR1:VOLT:TRIG {volts!r}", "INIT (@1)"]

    def off(self) -> list[str]:
        """See :meth:`Dialect.off`."""
        return ["SOUR1:VOLT 0.0", "OUTP1 OFF", "OUTP2 OFF"]

    def message(self, statements: Sequence[str]) -> str:
        """See :meth:`Dialect.message`; the colon leads back to the root of the commands."""
        return ";".join(
            s if k == 0 or s[0] in "*:" else f":{s}" for k, s in enumerate((*statements, "SYST:ERR?"))
        )

    def statements(self, message: str) -> list[str]:
        """See :meth:`Dialect.statements`."""
        return [s.lstrip(":") for s in message.split(";")]

    def parsed(self, answer: str) -> Measured:
        """``CURR,STAT,TIME``; the current comes out of the line, into channel 2."""
        parts = answer.split(",")
        if len(parts) != 3:
            raise LostReply(f"{answer!r} is no current, status and time")
        amperes, status, stamp = map(_floats, parts)
        return -amperes, bool(int(status) >> self.limited_bit & 1), stamp

    def fault(self, answer: str) -> str | None:
        """``0,"No error"`` is none."""
        found = re.match(r'([-+]?\d+),"', answer)
        if found is None:
            raise LostReply(f"{answer!r} is no status: another reply came in its place")
        return None if int(found.group(1)) == 0 else answer

    def answered(self, amperes: float, limited: bool, stamp: float) -> str:
        """See :meth:`Dialect.answered`."""
        return f"{-amperes!r},{int(limited) << self.limited_bit},{stamp!r}"

    def faulty(self, text: str | None) -> str:
        """See :meth:`Dialect.faulty`."""
        return '0,"No error"' if text is None else f'-200,"{text}"'


@config
class TSP(Dialect):
    """The Lua of Keithley's 2600 series, with the relays of a 3706A or 707B on the same TSP-Link.

    The answers of a message are gathered in a table and printed as one line. The length of a pulse is that of
    ``delay``: above some ten microseconds.

    Example:
        >>> TSP().message(["smua.source.levelv=0.2"])
        'r={};smua.source.levelv=0.2;r[#r+1]=errorqueue.count;print(table.concat(r,";"))'
    """

    patterns: ClassVar[dict[str, str]] = {
        "open": r'channel\.open\("([^"]*)"\)',
        "close": r'channel\.close\("([^"]*)"\)',
        "source": rf"smua\.source\.levelv=({_NUMBER})",
        "measure": r'r\[#r\+1\]=smub\.measure\.i\(\)\.\.","\.\.tostring\(smub\.source\.compliance\)'
        r'\.\.","\.\.timer\.measure\.t\(\)',
        "width": rf"delay\(({_NUMBER})\)",
        "error": r"r\[#r\+1\]=errorqueue\.count",
    }

    def setup(self, compliance: float) -> list[str]:
        """See :meth:`Dialect.setup`."""
        on = ["smua.source.output=1", "smub.source.output=1"]
        limit = f"smub.source.limiti={compliance!r}"
        return ["errorqueue.clear()", "timer.reset()", "smub.source.levelv=0", limit, *on]

    def opened(self, relays: Sequence[str]) -> str:
        """See :meth:`Dialect.opened`."""
        return f'channel.open("{",".join(relays)}")'

    def closed(self, relays: Sequence[str]) -> str:
        """See :meth:`Dialect.closed`."""
        return f'channel.close("{",".join(relays)}")'

    def source(self, volts: float) -> str:
        """See :meth:`Dialect.source`."""
        return f"smua.source.levelv={volts!r}"

    def measure(self) -> str:
        """See :meth:`Dialect.measure`."""
        return 'r[#r+1]=smub.measure.i()..","..tostring(smub.source.compliance)..","..timer.measure.t()'

    def pulse(self, volts: float, seconds: float) -> list[str]:
        """See :meth:`Dialect.pulse`."""
        return [self.source(volts), f"delay({seconds!r})", self.source(0.0)]

    def off(self) -> list[str]:
        """See :meth:`Dialect.off`."""
        return ["smua.source.levelv=0.0", "smua.source.output=0", "smub.source.output=0"]

    def message(self, statements: Sequence[str]) -> str:
        """See :meth:`Dialect.message`."""
        return ";".join(("r={}", *statements, "r[#r+1]=errorqueue.count", _PRINT))

    def statements(self, message: str) -> list[str]:
        """See :meth:`Dialect.statements`."""
        return message.removeprefix("r={};").removesuffix(f";{_PRINT}").split(";")

    def parsed(self, answer: str) -> Measured:
        """Current, ``true`` or ``false``, time; the current comes out of the line, into channel 2."""
        parts = answer.split(",")
        if len(parts) != 3 or parts[1] not in ("true", "false"):
            raise LostReply(f"{answer!r} is no current, compliance and time")
        return -_floats(parts[0]), parts[1] == "true", _floats(parts[2])

    def fault(self, answer: str) -> str | None:
        """The number of errors in the queue."""
        if _floats(answer) == 0:
            return None
        return f"{answer} errors in the queue: print(errorqueue.next()) tells them"

    def answered(self, amperes: float, limited: bool, stamp: float) -> str:
        """See :meth:`Dialect.answered`."""
        return f"{-amperes!r},{'true' if limited else 'false'},{stamp!r}"

    def faulty(self, text: str | None) -> str:
        """See :meth:`Dialect.faulty`."""
        return "0" if text is None else "1"
