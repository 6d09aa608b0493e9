"""Before the first pulse: are the lines where they should be?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mho import random
from mho.boards.bench import Bench
from mho.boards.errors import BadAnswer

_DARK = 0.02  # of the middle expected conductance: below is no contact
_ALIKE = 0.05  # of their mean, that the cells of a stuck line differ by
_BETTER = 0.3  # of correlation, by which another line must fit better than its own
_FITS = 0.8  # correlation of an array with what it should hold


class Finding(NamedTuple):
    """Something that is wrong.

    Attributes:
        fault: ``"NaN"``, ``"overflow"``, ``"compliance"``, ``"stale"``, ``"sign"``, ``"transposed"``,
            ``"swapped"``, ``"open"``, ``"stuck"``, ``"gain"`` or ``"unknown"``.
        where: which lines or cells, in words.
        what: a sentence, with what to do.
    """

    fault: str
    where: str
    what: str


@dataclass(frozen=True, eq=False)
class SelfTest:
    """What a self-test found.

    Attributes:
        findings: what is wrong; nothing if all is well.
        measured: siemens ``[row, column]``; None where no read was a measurement.
    """

    findings: tuple[Finding, ...]
    measured: Tensor | None

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __str__(self) -> str:
        return (
            "\n".join(f"{f.fault}: {f.where}: {f.what}" for f in self.findings)
            or "all lines as they should be"
        )


def pattern(shape: tuple[int, int], low: float, high: float) -> Tensor:
    """Conductances by which each line knows itself: a checkerboard with chance in it.

    All cells of a plain checkerboard have a neighbour alike two lines on, so that two swapped lines may look
    right. Here all rows differ and all columns differ, each holds both values, and rows are no columns.

    Args:
        shape: rows and columns, at least 4 each.
        low, high: the two values, siemens.

    Raises:
        ValueError: the array is too small for that.

    Example:
        >>> pattern((4, 4), 0.25, 0.75).unique().tolist()
        [0.25, 0.75]
    """
    if min(shape) < 4:
        raise ValueError(f"shape = {shape!r}: give at least 4 rows and 4 columns")
    board = (torch.arange(shape[0])[:, None] + torch.arange(shape[1])) % 2 == 0
    for seed in range(1000):
        on = board ^ (random.uniform(shape, seed, "pattern") < 0.5)
        square = on[: min(shape), : min(shape)]
        if _own(on) and _own(on.t()) and not torch.equal(square, square.t()):
            return low + (high - low) * on.double()
    raise ValueError(f"shape = {shape!r}: no pattern was found whose lines all differ")


def _own(on: Tensor) -> bool:
    """Whether all rows differ, none as the negative of another, and each holds both values."""
    codes = (2.0 * on - 1).double()
    overlap = (codes @ codes.t()).abs() - on.shape[1] * torch.eye(len(on), dtype=torch.float64)
    return float(overlap.max()) < on.shape[1] and bool((on.any(1) & (~on).any(1)).all())


def self_test(bench: Bench, expected: Tensor, tolerance: float = 0.2) -> SelfTest:
    """Read an array that holds something known, at two voltages, and name what is wrong. No pulse is sent.

    What it holds may be a :func:`pattern` that an earlier run left, the last read of an earlier log
    (:func:`mho.boards.last_read`), or an array of resistors in the socket.

    Args:
        bench: the board.
        expected: siemens ``[row, column]``, of which all lines differ.
        tolerance: largest error of a gain.

    Example:
        >>> from mho.boards import Cells, SimulatedBoard, Wiring
        >>> from mho.devices import Ideal
        >>> held = pattern((8, 8), 2e-6, 20e-6)
        >>> board = SimulatedBoard(Ideal(), 8, 8)
        >>> board.set(Cells.all((8, 8)), held.flatten())
        >>> print(self_test(Bench(board, Ideal()), held))
        all lines as they should be
        >>> board.wiring = Wiring(swapped_rows=(1, 2))
        >>> print(self_test(Bench(board, Ideal()), held))
        swapped: rows 1 and 2: each reads as the other should; mend the header map
    """
    shape = bench.capabilities.shape
    if tuple(expected.shape) != shape:
        raise ValueError(f"expected has shape {tuple(expected.shape)}: the board has {shape}")
    try:
        full, half = (bench.read(volts=share * bench.v_read).view(shape) for share in (1.0, 0.5))
    except BadAnswer as error:
        return SelfTest((Finding(error.kind, error.address, error.message),), None)
    if bool((full == half).double().mean() > 0.5):
        what = "half the voltage gives the very same currents: old values; empty the buffer of the instrument"
        return SelfTest((Finding("stale", "all cells", what),), None)
    measured, held = full / bench.v_read, expected.double()
    return SelfTest(tuple(_found(measured, held, tolerance)), measured)


def _found(g: Tensor, held: Tensor, tolerance: float) -> list[Finding]:
    found: list[Finding] = []
    if float((g * held).sum()) < 0:
        found.append(
            Finding("sign", "all columns", "currents come with the wrong sign; turn the ammeter, or its sign")
        )
        g = -g
    if _is_transposed(g, held):
        what = "rows read as columns and columns as rows; swap the connectors, or the header map"
        return [*found, Finding("transposed", "the array", what)]
    dark = g.abs() < _DARK * float(held.median())
    rows, columns = dark.all(1), dark.all(0)
    found += [_open("row", int(k)) for k in rows.nonzero()] + [
        _open("column", int(k)) for k in columns.nonzero()
    ]
    for name, lines, truth, others in (("row", g, held, columns), ("column", g.t(), held.t(), rows)):
        own = ~(rows if name == "row" else columns)
        stuck = _stuck(lines[:, ~others], truth[:, ~others]) & own
        found += [_stuck_line(name, int(k), lines) for k in stuck.nonzero()]
        if name == "row":
            rows = rows | stuck
        else:
            columns = columns | stuck
    swapped = _swapped(g, held, rows, columns)
    found += swapped
    if not any(f.fault == "swapped" for f in swapped):
        found += _gains(g[~rows], held[~rows], columns, tolerance)
    if not found and _alike(g, held) < _FITS:
        what = "it does not hold what was expected, and no single line is to blame; look at what it held last"
        found.append(Finding("unknown", "the array", what))
    return found


def _alike(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack((a.flatten(), b.flatten())))[0, 1])


def _is_transposed(g: Tensor, held: Tensor) -> bool:
    size = min(g.shape)
    mine, other = g[:size, :size], held[:size, :size].t()
    return _alike(mine, other) > max(_FITS, _alike(mine, other.t()) + _BETTER)


def _open(name: str, line: int) -> Finding:
    return Finding("open", f"{name} {line}", "no current from any of its cells; look at the contact")


def _stuck(lines: Tensor, truth: Tensor) -> Tensor:
    """Lines whose cells are alike and should not be."""
    alike = lines.std(1) < _ALIKE * lines.abs().mean(1)
    return alike & (truth.std(1) > 4 * _ALIKE * truth.mean(1))


def _stuck_line(name: str, line: int, lines: Tensor) -> Finding:
    mean = float(lines[line].mean())
    return Finding(
        "stuck", f"{name} {line}", f"all its cells read {mean:.3g} S, whatever they hold; leave it out"
    )


def _swapped(g: Tensor, held: Tensor, rows: Tensor, columns: Tensor) -> list[Finding]:
    """Lines that read as others should; those that are open or stuck are left out.

    Swapped rows make columns look odd, and the other way round: the explanation with fewer lines is taken.
    """
    found = []
    for turned in (False, True):
        a, b, bad, aside = (g.t(), held.t(), columns, rows) if turned else (g, held, rows, columns)
        first, put_right = _pairs(a, b, bad, aside)
        second, _ = _pairs(put_right.t(), b.t(), aside, bad)
        names = ("column", "row") if turned else ("row", "column")
        found.append([(names[0], *pair) for pair in first] + [(names[1], *pair) for pair in second])
    what = "each reads as the other should; mend the header map"
    return [Finding("swapped", f"{name}s {a} and {b}", what) for name, a, b in min(found, key=len)]


def _pairs(g: Tensor, held: Tensor, bad: Tensor, aside: Tensor) -> tuple[list[tuple[int, int]], Tensor]:
    """Rows that read as others should, in pairs, and what was read with them put right."""
    good = (~bad).nonzero().squeeze(1)
    mine, other = (v[good][:, ~aside] for v in (g, held))
    fits = torch.corrcoef(torch.cat((mine, other)))[: len(good), len(good) :]
    better = fits.max(1).values > fits.diagonal() + _BETTER
    best = torch.where(better, fits.argmax(1), torch.arange(len(good)))
    pairs = {
        (min(a, b), max(a, b)) for a, b in zip(good.tolist(), good[best].tolist(), strict=True) if a != b
    }
    right = g.clone()
    right[good[best]] = g[good]
    return sorted(pairs), right


def _gains(g: Tensor, held: Tensor, columns: Tensor, tolerance: float) -> list[Finding]:
    gain = (g * held).sum(0) / held.square().sum(0)
    wrong = ((gain - 1).abs() > tolerance) & ~columns
    what = "times the current that there should be; calibrate the channels"
    if bool(wrong[~columns].all()) and int(wrong.sum()) > 1:
        return [Finding("gain", "all columns", f"{float(gain[~columns].median()):.3g} {what}")]
    return [Finding("gain", f"column {int(k)}", f"{float(gain[k]):.3g} {what}") for k in wrong.nonzero()]
