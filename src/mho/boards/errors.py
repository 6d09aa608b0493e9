"""What a bench says when something is wrong."""

from __future__ import annotations


class BoardError(ValueError, RuntimeError):
    """A board answered what no array of cells can be, did not answer, or was asked what it must not do.

    Attributes:
        verb: what was asked of the board; empty where nothing was.
        address: which cells or vectors, in words.
        attempts: how often it was asked.

    Example:
        >>> print(BoardError("no answer", verb="read", address="row 3, column 7", attempts=5))
        read of row 3, column 7, attempt 5: no answer
    """

    def __init__(self, message: str, verb: str = "", address: str = "", attempts: int = 0) -> None:
        self.message, self.verb, self.address, self.attempts = message, verb, address, attempts
        where = f"{verb} of {address}" if address else verb
        super().__init__(f"{where}, attempt {attempts}: {message}" if verb else message)


class LostReply(BoardError):
    """No answer came in time: what was asked may have been done all the same."""


class BadAnswer(BoardError):
    """An answer came and is no measurement: no number, beyond the range, at compliance, or an old one.

    Attributes:
        kind: ``"NaN"``, ``"overflow"``, ``"compliance"`` or ``"stale"``.
    """

    def __init__(
        self, message: str, verb: str = "", address: str = "", attempts: int = 0, kind: str = ""
    ) -> None:
        super().__init__(message, verb, address, attempts)
        self.kind = kind


class PowerCut(BoardError):
    """The board is without power; its cells keep what they hold."""
