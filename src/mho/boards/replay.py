"""A board that says again what a recorded one said."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mho.boards import errors
from mho.boards.base import Answer, Board, Capabilities, Cells, Pulses
from mho.boards.checks import judged
from mho.boards.errors import BoardError, LostReply
from mho.boards.log import Entry, Log, answer_of, capabilities_of, numbers, packed_cells, read_log

SENT = "sent"
RESUMED = "resumed"
_KINDS: dict[str, type[BoardError]] = {
    kind.__name__: kind for kind in (BoardError, LostReply, errors.BadAnswer, errors.PowerCut)
}


class Replay(Board):
    """The answers of a log, one after the other, to the same questions.

    Each verb is compared with the log, arguments and all, and gets the answer or the error that came then,
    bit for bit. What was sent and never answered, where the log ends, is a lost reply. After the end of the
    log the board ``then`` is asked, which makes a run go on where it stopped.

    Args:
        log: what a :class:`~mho.boards.Bench` wrote.
        then: the board that goes on after the log; None for none.

    Attributes:
        live: whether the last answer came from ``then``.
    """

    def __init__(self, log: str | Path | Log, then: Board | None = None) -> None:
        self.entries, self.then, self.live = read_log(log), then, False
        self._capabilities = capabilities_of(self.entries)
        if then is not None and then.capabilities != self._capabilities:
            raise BoardError(
                f"the log is of {self.entries[0]['board']!r}, whose capabilities are others than those of "
                "this board; go on with the board of the log, or begin a new log"
            )
        self._left = _exchanges(self.entries)
        if then is not None:
            _without_the_end(self._left)

    @property
    def capabilities(self) -> Capabilities:
        """As the log begins."""
        return self._capabilities

    @property
    def recorded(self) -> int:
        """Transactions of the log that were not asked for yet."""
        return len(self._left)

    def identify(self) -> str:
        """As the log begins."""
        return str(self.entries[0]["board"])

    def read(self, cells: Cells, volts: float) -> Answer:
        """See :meth:`Board.read`."""
        found = self._next("read", read_arguments(cells, volts))
        return self._live().read(cells, volts) if found is None else answer_of(found)

    def pulse(self, pulses: Pulses) -> None:
        """See :meth:`Board.pulse`."""
        if self._next("pulse", pulse_arguments(pulses)) is None:
            self._live().pulse(pulses)

    def set(self, cells: Cells, siemens: Tensor) -> None:
        """See :meth:`Board.set`."""
        if self._next("set", set_arguments(cells, siemens)) is None:
            self._live().set(cells, siemens)

    def multiply(self, volts: Tensor, columns: Tensor) -> Answer:
        """See :meth:`Board.multiply`."""
        found = self._next("multiply", product_arguments(volts, columns))
        return self._live().multiply(volts, columns) if found is None else answer_of(found)

    def safe(self) -> None:
        """Of the board that goes on."""
        if self.then is not None:
            self.then.safe()

    def close(self) -> None:
        """Of the board that goes on."""
        if self.then is not None:
            self.then.close()

    def _live(self) -> Board:
        if self.then is None:
            raise BoardError(
                "the log ends here, and there is no board to go on with: Replay(log, then=board)"
            )
        self.live = True
        return self.then

    def _next(self, verb: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
        """The answer of the log; None after its end."""
        if not self._left:
            return None
        entry = self._left.pop(0)
        if entry["verb"] != verb or entry["arguments"] != arguments:
            raise BoardError(
                f"the log has {entry['verb']} {entry['n']} here, and this run asks for another {verb}: the "
                "program, its targets or its seed are others than those of the log; begin a new log"
            )
        if "error" in entry:
            error = entry["error"]
            kind = _KINDS.get(error["type"], BoardError)
            raise kind(error["message"])
        if "answer" not in entry:
            raise LostReply("the run ended before the answer came")
        answer: dict[str, Any] = entry["answer"]
        return answer


def read_arguments(cells: Cells, volts: float) -> dict[str, Any]:
    """Of a read, as the log has them."""
    return {**packed_cells(cells), "volts": float(volts)}


def product_arguments(volts: Tensor, columns: Tensor) -> dict[str, Any]:
    """Of a product."""
    return {"volts": numbers(volts), "columns": numbers(columns)}


def pulse_arguments(pulses: Pulses) -> dict[str, Any]:
    """Of pulses."""
    return {
        **packed_cells(pulses.cells),
        "volts": numbers(pulses.volts),
        "seconds": numbers(pulses.seconds),
    }


def set_arguments(cells: Cells, siemens: Tensor) -> dict[str, Any]:
    """Of targets."""
    return {**packed_cells(cells), "siemens": numbers(torch.as_tensor(siemens))}


def _exchanges(entries: list[Entry]) -> list[Entry]:
    """What was asked, with its answer or error; what was sent and not answered has neither."""
    found: list[Entry] = []
    for entry in entries:
        if entry["verb"] == RESUMED:
            _without_the_end(found)
        if entry["verb"] not in ("read", "pulse", "set", "multiply"):
            continue
        if entry.get("stage") == SENT:
            found.append(entry)
        elif "of" in entry:  # the answer of what was sent
            came: Entry = {k: entry[k] for k in ("answer", "error") if k in entry}
            found[-1] = {**found[-1], **came}
        else:
            found.append(entry)
    return found


def _without_the_end(exchanges: list[Entry]) -> None:
    """Take away the questions whose errors ended a run; whether the last pulses were sent is not known."""
    while exchanges and exchanges[-1]["verb"] != "pulse" and _failed(exchanges[-1]):
        exchanges.pop()
    if exchanges and exchanges[-1]["verb"] == "pulse":
        exchanges[-1].pop("error", None)


def _failed(entry: Entry) -> bool:
    return "answer" not in entry or (
        "amperes" in entry["answer"] and judged(answer_of(entry["answer"]), -math.inf) is not None
    )
