"""What a run did, from its log alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mho.boards.base import Cells, Pulses
from mho.boards.log import Entry, Log, answer_of, capabilities_of, cells_of, read_log, tensor
from mho.boards.replay import SENT


@dataclass(frozen=True, eq=False)
class LogReport:
    """A run in numbers; tensors are ``[row, column]``.

    Attributes:
        board: who it was.
        transactions: reads, products, pulses and targets, each attempt counted.
        lost: how many had no answer.
        refused: answers that were no measurement, and errors of the board.
        seconds: from the first line to the last.
        pulses: that each cell got, int64; those known from reads to have been sent among them.
        energy: joules of the pulses of each cell, ``V^2 (g_before + g_after) / 2 width``.
        read_noise: standard deviation of reads of a cell that nothing moved in between, siemens; NaN where a
            cell was not read twice so.
        drift: change of a cell's conductance between the first and the last of these reads, siemens.
        unknown: pulses that were sent, never answered, and not looked at since: cells to read before anything
            else.
        last: what each cell was last read as, siemens; NaN where it was not.
    """

    board: str
    transactions: int
    lost: int
    refused: int
    seconds: float
    pulses: Tensor
    energy: Tensor
    read_noise: Tensor
    drift: Tensor
    unknown: Cells
    last: Tensor

    def __str__(self) -> str:
        noise = self.read_noise[self.read_noise.isfinite()]
        told = f"{float(noise.square().mean().sqrt()):.3g} S" if noise.numel() else "not known"
        return (
            f"{self.board}: {self.transactions} transactions in {self.seconds:.3g} s, {self.lost} without "
            f"an answer, {self.refused} refused; {int(self.pulses.sum())} pulses, "
            f"{float(self.energy.sum()):.3g} J; read noise {told}; {self.unknown.number} cells whose "
            "last pulse is not known"
        )


def log_report(source: str | Path | Log) -> LogReport:
    """What a run did.

    Args:
        source: the log of a :class:`mho.boards.Bench`, or its file.

    Raises:
        DamagedFileError: it is no log, or not as it was written.

    Example:
        >>> from mho.boards import Bench, SimulatedBoard
        >>> from mho.devices import Switching
        >>> with Bench(SimulatedBoard(Switching(), 2, 2), Switching(), v_read=0.01) as bench:
        ...     _ = bench.read(), bench.read()
        >>> log_report(bench.log).transactions
        2
    """
    entries = read_log(source)
    account = _Account(capabilities_of(entries).shape)
    for entry in entries:
        account.take(entry)
    return account.report(entries)


def last_read(source: str | Path | Log) -> Tensor:
    """What each cell was last read as, siemens ``[row, column]``; NaN where it was not."""
    return log_report(source).last


class _Account:
    """Goes through a log line by line."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.transactions = self.lost = self.refused = 0
        zero = torch.zeros(shape, dtype=torch.float64)
        self.pulses, self.energy = zero.long(), zero.clone()
        self.last = torch.full_like(zero, float("nan"))
        self._half = zero.clone()  # V^2 width / 2 of pulses after which the cell was not read yet
        self._before = zero.clone()
        self._open, self._unread = (
            zero.bool(),
            zero.bool(),
        )  # pulses without an answer; and without a read since
        self._sent: Pulses | None = None
        # of reads of cells that nothing moved in between
        self._count, self._mean, self._squares = zero.clone(), zero.clone(), zero.clone()
        self._first, self._newest = self.last.clone(), self.last.clone()

    def take(self, entry: Entry) -> None:
        """The next line."""
        verb = entry["verb"]
        if verb == "verdict":
            self._verdict(_pulses(entry["arguments"]), torch.tensor(entry["happened"], dtype=torch.bool))
        elif verb in ("read", "multiply", "pulse", "set"):
            if entry.get("stage") == SENT:
                self._begin(entry)
            else:
                self._end(entry)

    def _begin(self, entry: Entry) -> None:
        """Something that moves cells is sent."""
        self.transactions += 1
        cells = cells_of(entry["arguments"])
        at = (cells.rows, cells.columns)
        self._count[at] = self._mean[at] = self._squares[at] = 0.0
        self._first[at] = float("nan")
        if entry["verb"] == "pulse":
            self._sent = _pulses(entry["arguments"])
            self._open[at] = self._unread[at] = True
            self._before[at] = self.last[at]

    def _end(self, entry: Entry) -> None:
        """An answer, an error, or both lines of a read in one."""
        self.transactions += "of" not in entry
        error = entry.get("error")
        if error is not None:
            self.lost += error["type"] == "LostReply"
            self.refused += error["type"] != "LostReply"
        elif entry["verb"] == "read":
            self._read(entry)
        elif entry["verb"] == "pulse" and self._sent is not None:
            at = (self._sent.cells.rows, self._sent.cells.columns)
            self.pulses[at] += 1
            self._half[at] = _half(self._sent)
            self._open[at] = self._unread[at] = False
        self._sent = None

    def _verdict(self, pulses: Pulses, happened: Tensor) -> None:
        """What reads said of pulses without an answer; a run that went on may say it a second time."""
        at = (pulses.cells.rows, pulses.cells.columns)
        sent = happened & self._open[at]
        self.pulses[at] += sent.long()
        self.energy[at] += torch.where(sent, _half(pulses) * (self._before[at] + self.last[at]), 0.0)
        self._open[at] = False

    def _read(self, entry: Entry) -> None:
        volts = float(entry["arguments"]["volts"])
        answer = answer_of(entry["answer"])
        if volts == 0 or not bool(answer.amperes.isfinite().all()):
            return
        cells = cells_of(entry["arguments"])
        at, g = (cells.rows, cells.columns), answer.amperes / volts
        self.energy[at] += self._half[at] * (self._before[at] + g)
        self._half[at] = 0.0
        self.last[at], self._unread[at] = g, False
        self._count[at] += 1
        off = g - self._mean[at]
        self._mean[at] += off / self._count[at]
        self._squares[at] += off * (g - self._mean[at])
        self._first[at] = torch.where(self._first[at].isnan(), g, self._first[at])
        self._newest[at] = g

    def report(self, entries: list[Entry]) -> LogReport:
        return LogReport(
            board=str(entries[0]["board"]),
            transactions=self.transactions,
            lost=self.lost,
            refused=self.refused,
            seconds=float(entries[-1]["t"] - entries[0]["t"]),
            pulses=self.pulses,
            energy=self.energy,
            read_noise=torch.where(self._count > 1, (self._squares / (self._count - 1)).sqrt(), float("nan")),
            drift=self._newest - self._first,
            unknown=Cells.of(self._unread),
            last=self.last,
        )


def _pulses(arguments: dict[str, Any]) -> Pulses:
    return Pulses(cells_of(arguments), tensor(arguments["volts"]), tensor(arguments["seconds"]))


def _half(pulses: Pulses) -> Tensor:
    return 0.5 * pulses.volts.square() * pulses.seconds
