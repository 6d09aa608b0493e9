"""A board with the rules of the bench around it: what everything else works with."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Self

from mho.boards.base import Answer, Board, Capabilities, Cells, Pulses
from mho.boards.calibrated import Calibration
from mho.boards.checks import check_pulses, check_volts, judged
from mho.boards.errors import BadAnswer, BoardError, LostReply
from mho.boards.limits import disturb_voltage
from mho.boards.log import Log, packed_answer
from mho.boards.replay import (
    RESUMED,
    SENT,
    Replay,
    product_arguments,
    pulse_arguments,
    read_arguments,
    set_arguments,
)
from mho.boards.resumed import reopened
from mho.devices import Device


class Bench:
    """A board, and the rules by which it is asked.

    - A pulse cannot be repeated: after a lost reply its cells must be read before they get another one, and
      the bench refuses what does not.
    - Reads and products change nothing: they are asked again, up to ``attempts`` times.
    - A read stays below the voltage that moves the cells, as the model of the device has it.
    - NaN, 9.9e37, limited currents and old values are errors that name verb, address and attempts.
    - The lines are grounded (:meth:`Board.safe`) at the end, on every error and on Ctrl-C.
    - Each transaction is a line of the log; what moves cells is on the disk before it is sent.

    Args:
        board: what is asked.
        device: what the cells are thought to be; gives the read voltage and its limit.
        log: a file, to be made; None keeps the log in memory.
        resume: go on with the file where it stopped: what it holds is not asked again.
        attempts: how often a read, a product or a target is asked for.
        v_read: read voltage, volts; that of the device if None.
        read_seconds: time of all reads of a run together, at which the limit is taken.
        calibration: of the columns.

    Attributes:
        log: the log.
        v_read: read voltage, volts.
        v_limit: the highest one allowed, volts.

    Raises:
        ValueError: the read voltage is above the limit, or the file of the log is there already.

    Example:
        >>> from mho.boards import SimulatedBoard
        >>> from mho.devices import Switching
        >>> from mho.devices.dynamics import LinearStep
        >>> device = Switching(model=LinearStep())
        >>> with Bench(SimulatedBoard(device, 2, 3), device) as bench:
        ...     bench.conductances().tolist()
        [[1e-06, 1e-06, 1e-06], [1e-06, 1e-06, 1e-06]]
    """

    def __init__(
        self,
        board: Board,
        device: Device | None = None,
        *,
        log: str | Path | None = None,
        resume: bool = False,
        attempts: int = 5,
        v_read: float | None = None,
        read_seconds: float = 1e-3,
        calibration: Calibration | None = None,
    ) -> None:
        self.device, self.attempts, self.calibration = device, attempts, calibration
        self.capabilities: Capabilities = board.capabilities
        self.log, self._past = _opened(board, log, resume)
        self.board = board if self._past is None else self._past
        self.v_limit = self.capabilities.v_read
        if device is not None:
            self.v_limit = min(self.v_limit, disturb_voltage(device, read_seconds))
        given = v_read if v_read is not None else None if device is None else float(device.v_read)
        self.v_read = self.v_limit if given is None else given
        check_volts(self.v_read, self.v_limit)
        self._unsure = torch.zeros(self.capabilities.shape, dtype=torch.bool)
        self._stamp = -math.inf
        if self._past is None:
            with self.guarded():
                self.log.begin(board.identify(), self.capabilities)
        else:
            self.log.write(verb=RESUMED)  # what had failed before is asked anew after it

    # --- reads -----------------------------------------------------------------------------------

    def read(self, cells: Cells | None = None, volts: float | None = None) -> Tensor:
        """The currents of cells, amperes ``[cell]``, calibrated.

        Args:
            cells: which; all of them, row by row, if None.
            volts: the read voltage, 0 too; that of the bench if None.

        Raises:
            BadAnswer: no measurement came, ``attempts`` times.
            LostReply: no answer came, ``attempts`` times.
            ValueError: the voltage is above :attr:`v_limit`.
        """
        cells = Cells.all(self.capabilities.shape) if cells is None else cells
        volts = self.v_read if volts is None else float(volts)
        check_volts(volts, self.v_limit)
        found = [self._read(cells.take(some), volts) for some in cells.portions(self.capabilities.at_once)]
        amperes = torch.cat(found) if found else torch.zeros(0, dtype=torch.float64)
        return amperes if self.calibration is None else self.calibration.applied(amperes, cells.columns)

    def _read(self, cells: Cells, volts: float) -> Tensor:
        def address(place: int) -> str:
            return cells.take(slice(place, place + 1)).words()

        def ask() -> Answer:
            return self.board.read(cells, volts)

        found = self._measured("read", read_arguments(cells, volts), ask, cells.words(), address)
        self._unsure[cells.rows, cells.columns] = False
        return found

    def conductances(self, cells: Cells | None = None) -> Tensor:
        """What a read at :attr:`v_read` says: siemens ``[cell]``, or ``[row, column]`` of all cells."""
        g = self.read(cells) / self.v_read
        return g.view(self.capabilities.shape) if cells is None else g

    def multiply(self, x: Tensor, columns: Tensor | None = None, steps: int = 255) -> Tensor:
        """The currents of the columns for inputs at a part of the read voltage.

        Where the rows have no voltages of their own, the inputs are rounded to ``steps``, driven bit by
        bit, positive ones and negative ones apart, and the currents added.

        Args:
            x: ``[vector, row]``, from -1 to 1.
            columns: which columns are measured, int64; all if None.
            steps: from 0 to full scale, where inputs are driven bit by bit.

        Returns:
            Amperes, float64, ``[vector, column]``, calibrated.
        """
        x = x.detach().double()
        rows = self.capabilities.rows
        if x.dim() != 2 or x.shape[1] != rows or bool((x.abs() > 1 + 1e-9).any()):
            raise ValueError(
                f"x has shape {tuple(x.shape)} and values up to "
                f"{float(x.abs().max()) if x.numel() else 0.0:g}: give "
                f"[vector, {rows}] from -1 to 1, of full scale"
            )
        columns = torch.arange(self.capabilities.columns) if columns is None else columns
        if self.capabilities.row_levels:
            return self._products(x * self.v_read, columns)
        return self._bit_by_bit((x * steps).round().to(torch.int64), columns) / steps

    def _bit_by_bit(self, codes: Tensor, columns: Tensor) -> Tensor:
        """Products of whole numbers."""
        total = torch.zeros(len(codes), len(columns), dtype=torch.float64)
        for sign in (1, -1):
            left = (codes * sign).clamp(min=0)
            for bit in range(int(left.max()).bit_length() if left.numel() else 0):
                on = (left.bitwise_right_shift(bit) & 1).bool()
                used = on.any(1).nonzero().squeeze(1)
                if used.numel():
                    found = self._products(on[used].double() * self.v_read, columns)
                    total[used] += sign * 2.0**bit * found
        return total

    def _products(self, volts: Tensor, columns: Tensor) -> Tensor:
        """Products of a few vectors at a time, as many as one transaction takes."""
        size = max(1, self.capabilities.at_once // max(1, len(columns)))
        parts = [self._product(part, columns) for part in volts.split(size)]
        found = torch.cat(parts) if parts else volts.new_zeros(0, len(columns))
        return found if self.calibration is None else self.calibration.applied(found, columns)

    def _product(self, volts: Tensor, columns: Tensor) -> Tensor:
        def address(place: int) -> str:
            return f"vector {place // len(columns)}, column {int(columns[place % len(columns)])}"

        def ask() -> Answer:
            return self.board.multiply(volts, columns)

        arguments = product_arguments(volts, columns)
        return self._measured("multiply", arguments, ask, f"{len(volts)} vectors", address)

    def _measured(
        self,
        verb: str,
        arguments: dict[str, Any],
        ask: Callable[[], Answer],
        words: str,
        address: Callable[[int], str],
    ) -> Tensor:
        """Ask until an answer is a measurement."""
        error: BoardError = LostReply("no answer")
        with self.guarded():
            for attempt in range(1, self.attempts + 1):
                try:
                    answer: Answer = self._exchange(verb, arguments, ask, attempt)
                except LostReply as lost:
                    error = LostReply(lost.message, verb, words, attempt)
                    continue
                bad = judged(answer, self._stamp)
                if bad is None:
                    if answer.stamp is not None and answer.stamp.numel():
                        self._stamp = float(answer.stamp.max())
                    return answer.amperes.double()
                error = BadAnswer(bad.words, verb, address(bad.place), attempt, bad.kind)
            raise error

    # --- writes ----------------------------------------------------------------------------------

    def pulse(self, pulses: Pulses) -> Tensor:
        """Send pulses, once.

        Returns:
            Whether the answer came, bool ``[cell]``. Cells without one may have had their pulse: they must be
            read before the next one, and :meth:`settle` be told.

        Raises:
            BoardError: a cell whose last pulse is not known to have been sent was not read since.
            ValueError: a voltage or a length is beyond what the board gives.
        """
        with self.guarded():
            check_pulses(pulses, self.capabilities)
            unread = self._unsure[pulses.cells.rows, pulses.cells.columns]
            if bool(unread.any()):
                raise BoardError(
                    "its last pulse was not answered and may have been sent: read the cell before another "
                    "one",
                    "pulse",
                    pulses.cells.take(unread).words(),
                    1,
                )
            answered = torch.ones(pulses.cells.number, dtype=torch.bool)
            for some in pulses.cells.portions(self.capabilities.at_once):
                answered[some] = self._pulse(pulses.take(some))
        return answered

    def _pulse(self, pulses: Pulses) -> bool:
        try:
            self._exchange("pulse", pulse_arguments(pulses), lambda: self.board.pulse(pulses), 1)
        except LostReply:
            self._unsure[pulses.cells.rows, pulses.cells.columns] = True
            return False
        return True

    def settle(self, pulses: Pulses, happened: Tensor) -> None:
        """Keep in the log which of some unanswered pulses were sent, as reads have shown."""
        if self._writes():
            self.log.write(verb="verdict", arguments=pulse_arguments(pulses), happened=happened.tolist())

    def set(self, cells: Cells, siemens: Tensor) -> None:
        """Bring cells to conductances ``[cell]`` as the board does it; asked again after a lost reply."""
        with self.guarded():
            for some in cells.portions(self.capabilities.at_once):
                self._set(cells.take(some), siemens[some])

    def _set(self, cells: Cells, siemens: Tensor, attempt: int = 1) -> None:
        arguments = set_arguments(cells, siemens)
        try:
            self._exchange("set", arguments, lambda: self.board.set(cells, siemens), attempt)
        except LostReply as lost:
            if attempt == self.attempts:
                raise LostReply(lost.message, "set", cells.words(), attempt) from None
            self._set(cells, siemens, attempt + 1)

    # --- one transaction -------------------------------------------------------------------------

    def _exchange(self, verb: str, arguments: dict[str, Any], ask: Callable[[], Any], attempt: int) -> Any:
        """Ask once, and write down what was asked and what came."""
        writes, moves = self._writes(), verb in ("pulse", "set")
        if writes and self._past is not None and not self._past.live:
            self._stamp = -math.inf  # the clock of the board may have begun anew
        said: dict[str, Any] = {"verb": verb, "attempt": attempt, "arguments": arguments}
        if moves and writes:
            said = {"verb": verb, "of": self.log.write(synced=True, **said, stage=SENT)}
        try:
            answer = ask()
        except BoardError as error:
            if writes:
                self.log.write(**said, error={"type": type(error).__name__, "message": error.message})
            raise
        if writes:
            self.log.write(**said, answer={} if answer is None else packed_answer(answer))
        return answer

    def _writes(self) -> bool:
        """Whether what comes now is new: not in the log that this run goes on with."""
        return self._past is None or self._past.recorded == 0

    # --- safety ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Ground the lines on whatever error inside, Ctrl-C among them, and pass it on."""
        try:
            yield
        except BaseException:
            self._secure()
            raise

    def _secure(self) -> None:
        """Ground the lines while another error is on its way, which must not be lost."""
        try:
            self.safe()
        except BoardError as wrong:
            warnings.warn(str(wrong), stacklevel=3)

    def safe(self) -> None:
        """Ground all lines and switch the sources off.

        Raises:
            BoardError: the board did not answer; see to it by hand.
        """
        error = "grounded"
        try:
            self.board.safe()
        except BoardError as wrong:
            error = wrong.message
            raise BoardError(f"{wrong.message}; see that the lines are grounded", "safe", "", 1) from wrong
        finally:
            if self._writes():
                self.log.write(verb="safe", answer={"said": error})

    def close(self) -> None:
        """Ground all lines and give the connection back."""
        try:
            self.safe()
        finally:
            self.board.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._secure()
            self.board.close()


def _opened(board: Board, log: str | Path | None, resume: bool) -> tuple[Log, Replay | None]:
    """The log to write, and what it holds already."""
    if resume:
        if log is None:
            raise ValueError("resume = True: give the file of the log to go on with, log=...")
        entries = reopened(Path(log))
        return Log(Path(log), entries), Replay(Log(None, entries), then=board)
    path = None if log is None else Path(log)
    if path is not None and path.exists():
        raise ValueError(
            f"log = {str(log)!r} is there already: give resume=True to go on with it, or another name"
        )
    return Log(path), None
