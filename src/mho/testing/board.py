"""The contract of boards."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mho.boards import Answer, Board, BoardError, Capabilities, Cells, Pulses
from mho.config import from_json, to_json
from mho.testing.promise import demand, promises


def check_board(
    board: Board, volts: float, pulse: tuple[float, float] | None = None, noise: float = 0.02
) -> None:
    """Check that a board keeps the contract of all boards. It moves cells, if the board can.

    It must: say what it has, and who it is, in one line; read any cells in any order, as float64, near each
    other from read to read; give no current at 0 V, and currents of the sign of the voltage; keep its
    arguments as they are; stamp its measurements in rising order, if at all; work on after ``safe``, which
    may be called at any time; pulse the cells that it is told and no others; set targets; multiply as the sum
    of what its cells read; and say by a ``BoardError`` what it cannot do.

    Args:
        board: a board whose cells conduct; opened, and left open.
        volts: read voltage.
        pulse: volts and seconds of a pulse that moves a cell; None to send none.
        noise: largest difference of two reads, of the largest current.

    Raises:
        AssertionError: naming the board and the broken promise.

    Example:
        >>> from mho.boards import SimulatedBoard
        >>> from mho.devices import Switching
        >>> from mho.devices.dynamics import LinearStep
        >>> check_board(SimulatedBoard(Switching(model=LinearStep()), 4, 5), volts=0.1, pulse=(1.0, 1e-6))
    """
    must = promises(type(board).__name__)
    can = board.capabilities
    must(isinstance(can, Capabilities), "capabilities must be mho.boards.Capabilities")
    must(from_json(to_json(can)) == can, "capabilities must come back from JSON")
    name = board.identify()
    must(
        isinstance(name, str) and name.strip() != "" and "\n" not in name,
        "identify must give one line of text",
    )
    must(board.identify() == name, "identify must give the same each time")
    _check_reads(board, volts, noise)
    board.safe()
    board.safe()
    _check_reads(board, volts, noise)
    _check_pulses(board, volts, pulse, noise)
    _check_targets(board, volts, noise)
    _check_products(board, volts, noise)


def _read(board: Board, cells: Cells, volts: float) -> Tensor:
    """A read, portion by portion, with the form of its answers checked."""
    found = []
    for some in cells.portions(board.capabilities.at_once):
        part = cells.take(some)
        kept = Cells(part.rows.clone(), part.columns.clone())
        answer = board.read(part, volts)
        same = torch.equal(part.rows, kept.rows) and torch.equal(part.columns, kept.columns)
        demand(same, type(board).__name__, "read must not change its arguments")
        _check_form(board, answer, (part.number,))
        found.append(answer.amperes)
    return torch.cat(found)


def _check_form(board: Board, answer: Answer, shape: tuple[int, ...]) -> None:
    must = promises(type(board).__name__)
    must(answer.amperes.dtype == torch.float64, "currents must be float64")
    must(tuple(answer.amperes.shape) == shape, f"an answer must have shape {shape}")
    if answer.limited is not None:
        fits = answer.limited.dtype == torch.bool and tuple(answer.limited.shape) == shape
        must(fits, "limited must be bool and of the shape of the currents")
    if answer.stamp is not None:
        must(tuple(answer.stamp.shape) == shape, "stamps must have the shape of the currents")
        must(bool((answer.stamp.flatten().diff() >= 0).all()), "stamps must not go back")


def _check_reads(board: Board, volts: float, noise: float) -> None:
    must = promises(type(board).__name__)
    cells = Cells.all(board.capabilities.shape)
    first, second = _read(board, cells, volts), _read(board, cells, volts)
    size = float(first.abs().max())
    must(size > 0, "its cells must conduct for this check")
    must(
        bool((first * volts > -noise * size * abs(volts)).all()), "currents must have the sign of the voltage"
    )
    must(bool(((first - second).abs() <= noise * size).all()), "two reads of a cell must be near each other")
    must(float(_read(board, cells, 0.0).abs().max()) <= noise * size, "at 0 V there must be no current")
    order = torch.arange(cells.number).flip(0)[::2]
    some = _read(board, cells.take(order), volts)
    must(
        bool(((some - first[order]).abs() <= noise * size).all()),
        "cells must be read in the order in which they are given",
    )
    one = _read(board, cells.take(slice(1, 2)), volts)
    must(bool((one - first[1]).abs() <= noise * size), "a single cell must read as among others")


def _check_pulses(board: Board, volts: float, pulse: tuple[float, float] | None, noise: float) -> None:
    can, must = board.capabilities, promises(type(board).__name__)
    cells = Cells.all(can.shape)
    one = cells.take(slice(can.columns + 1, can.columns + 2))  # row 1, column 1
    if can.pulses and pulse is None:
        return
    amplitude, seconds = (torch.tensor([v], dtype=torch.float64) for v in pulse or (0.1, 1e-6))
    before = _read(board, cells, volts)
    sent = Pulses(one, amplitude, seconds)
    if not can.pulses:
        must(_refuses(lambda: board.pulse(sent)), "a board without pulses must raise BoardError for them")
        return
    for _ in range(3):
        board.pulse(sent)
    moved = (_read(board, cells, volts) - before).abs() > noise * float(before.abs().max())
    must(bool(moved[can.columns + 1]), "a pulse must move the cell that it is sent to")
    must(int(moved.sum()) == 1, "a pulse must leave all other cells as they are")


def _check_targets(board: Board, volts: float, noise: float) -> None:
    can, must = board.capabilities, promises(type(board).__name__)
    cells = Cells.all(can.shape)
    if not can.targets:
        refused = _refuses(
            lambda: board.set(cells.take(slice(0, 1)), torch.tensor([1e-6], dtype=torch.float64))
        )
        must(refused, "a board that sets no targets must raise BoardError for them")
        return
    held = _read(board, cells, volts) / volts
    board.set(cells, held.flip(0))
    off = (_read(board, cells, volts) / volts - held.flip(0)).abs()
    must(
        bool((off <= noise * float(held.abs().max())).all()),
        "cells must come to the targets that they are set to",
    )


def _check_products(board: Board, volts: float, noise: float) -> None:
    can, must = board.capabilities, promises(type(board).__name__)
    on = (torch.arange(can.rows) % 2 == 0).double()
    vectors, columns = volts * torch.stack((on, 1 - on)), torch.arange(can.columns).flip(0)[::2]
    if not can.multiplies:
        must(
            _refuses(lambda: board.multiply(vectors, columns)),
            "a board that cannot multiply must raise BoardError",
        )
        return
    cells = _read(board, Cells.all(can.shape), volts).view(can.shape)
    answer = board.multiply(vectors, columns)
    _check_form(board, answer, (2, len(columns)))
    wanted = (vectors / volts @ cells)[:, columns]
    near = (answer.amperes - wanted).abs() <= noise * float(wanted.abs().max())
    must(bool(near.all()), "a product must be the sum of what its cells read")


def _refuses(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except BoardError:
        return True
    return False
