"""Which rows and columns of a table are the pulses of which cell, up and down, and of which cycle."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np

from mho.devices.fitting.heads import Head
from mho.devices.fitting.pulse_law import Sweep
from mho.devices.fitting.siemens import cell_column, check_alike
from mho.devices.fitting.tables import CELL, CELLS_OR_NONE, Array, MeasuredTable, Quantity

PULSE = Quantity(("pulse", "pulses", "n"), "")
UP, DOWN = Quantity(("up", "ltp", "potentiation"), "S"), Quantity(("down", "ltd", "depression"), "S")
_TURN = 0.15  # of the range of the conductances: a change back that noise does not explain
_WAVE = 0.5  # of the range: a change back after which the train goes on
_CYCLE = re.compile(r"(?:.*\b)?(?:cycle|train|sweep|run|loop|round|repeat|repetition) ?\d+\b.*|\d+")
_CELL = re.compile(r"(?:c|d|cell|dev|device|chip|sample)? ?\d+")


def cells_of(table: MeasuredTable) -> list[MeasuredTable]:
    """The rows of each cell, where a column names the cells; the columns of each, where each has one."""
    if not table.has(CELL):
        return _by_column(table)
    names = table.texts(CELL)
    return [
        replace(table, rows=tuple(row for row, of in zip(table.rows, names, strict=True) if of == name))
        for name in dict.fromkeys(names)
    ]


def _by_column(table: MeasuredTable) -> list[MeasuredTable]:
    """The table with one column of trains each, where there are several of different cells."""
    columns = train_columns(table)
    if len(columns) < 2 or all(_CYCLE.fullmatch(table.heads[k].name) for k in columns):
        return [table]
    return [_alone(table, k, columns) for k in columns]


def _alone(table: MeasuredTable, column: int, of: list[int]) -> MeasuredTable:
    """The table without the other columns of trains."""
    kept = [k for k in range(len(table.columns)) if k == column or k not in of]
    heads = tuple(table.columns[k] for k in kept)
    said = tuple((kept.index(k), head) for k, head in enumerate(table.heads) if k in kept)
    rows = tuple((n, tuple(cells[k] if k < len(cells) else "" for k in kept)) for n, cells in table.rows)
    return replace(table, columns=heads, rows=rows, said=said)


def train_columns(table: MeasuredTable) -> list[int]:
    """The columns of conductances that are no named ones: each a train of its own."""
    if not table.headed or two_columns(table) is not None or cell_column(table, UP, DOWN) is not None:
        return []
    counter = table.place(PULSE)
    found = [k for k, head in enumerate(table.heads) if k != counter and _is_train(head)]
    if found:
        check_alike(table, found)
    return found


def _is_train(head: Head) -> bool:
    if head.kind not in CELLS_OR_NONE:
        return False
    return bool(head.unit or _CYCLE.fullmatch(head.name) or _CELL.fullmatch(head.name))


# --- up and down ---------------------------------------------------------------------------------


def two_ways(g: Array) -> tuple[str, str, int] | None:
    """How a train that clearly goes both ways goes, and where it turns; None if it goes one way."""
    smooth, least = _smoothed(g)
    if len(smooth) < 3:
        return None
    for sign, words in ((1.0, ("rises", "falls")), (-1.0, ("falls", "rises"))):
        peak = int(np.argmax(sign * smooth))
        there, back = (abs(float(smooth[peak] - smooth[end])) for end in (0, -1))
        if min(there, back) > least or (there > least and _back(sign * smooth) > _WAVE * np.ptp(smooth)):
            return (*words, peak + (len(g) - len(smooth)) // 2 + 1)
    return None


def _back(smooth: Array) -> float:
    """The largest fall of a train below what it had reached."""
    return float((np.maximum.accumulate(smooth) - smooth).max())


def turns(name: str, g: Array, up: int | None, down: int | None) -> list[tuple[int, int, int]]:
    """The cycles of a column: where each begins, where it turns and where it ends.

    Args:
        name: of the table, for messages.
        g: conductances, siemens, in order of time.
        up: so many points of each cycle rise; None: all go one way.
        down: so many fall; None: all the others, or as many as rise where they rise again.

    Raises:
        ValueError: points that go both ways, where they should not.
    """
    if up is None:
        both = two_ways(g)
        if both is None:
            return [(0, len(g) if g[-1] >= g[0] else 0, len(g))]
        raise ValueError(
            f"{name}: the conductance {both[0]} for about {both[2]} points and then {both[1]}; say which "
            "pulses go up: up = how many of the first points (down = how many then fall, where it rises "
            "again), a column voltage_V with the sign of each pulse, or two columns up and down"
        )
    again = down is None and len(g) > up and _rises(g[up:])
    if again and not _alternates(g, up):
        raise ValueError(
            f"{name}: up = {up}, but the other {len(g) - up} points do not only fall; say how many "
            f"fall before the conductance rises again: down = {up}, for example"
        )
    period = up + (down or (up if again else max(len(g) - up, 1)))
    starts = range(0, len(g), period)
    return [(first, min(first + up, len(g)), min(first + period, len(g))) for first in starts]


def _rises(g: Array) -> bool:
    """Whether a train clearly rises somewhere."""
    smooth, least = _smoothed(g)
    return len(smooth) > 2 and _back(-smooth) > least


def _smoothed(g: Array) -> tuple[Array, float]:
    """Means of neighbouring points, and the least change of them that noise does not explain."""
    width = max(1, len(g) // 20)
    smooth, noise = np.convolve(g, np.ones(width) / width, mode="valid"), 0.0
    if len(g) > 4:
        noise = float(np.median(np.abs(np.diff(g, 2)))) / 0.6745 / math.sqrt(6 * width)
    return np.asarray(smooth, dtype=np.float64), max(_TURN * float(np.ptp(smooth)), 6 * noise)


def _alternates(g: Array, up: int) -> bool:
    """Whether as many points rise as fall, again and again."""
    if len(g) % (2 * up) or up < 2:
        return False
    halves = g.reshape(-1, up)
    change = halves[:, -1] - halves[:, 0]
    return bool((change[::2] > 0).all() and (change[1::2] < 0).all())


def joined(sweeps: list[Sweep]) -> Sweep:
    """Trains of one direction, one after the other."""

    def each(values: list[Array | None]) -> Array | None:
        known = [v for v in values if v is not None]
        return np.concatenate(known) if known else None

    pulse, g, *others = zip(*sweeps, strict=True)
    return Sweep(np.concatenate(pulse), np.concatenate(g), *(each(list(other)) for other in others))


def two_columns(table: MeasuredTable) -> tuple[int, int] | None:
    """Places of the columns up and down."""
    up, down = table.place(UP), table.place(DOWN)
    if up is not None and down is not None:
        return up, down
    if not table.headed and len(table.columns) == 2:
        return 0, 1
    if (up is None) != (down is None) and cell_column(table, UP, DOWN) is None:
        missing = UP if up is None else DOWN
        raise ValueError(
            f"{table.name}: no column {missing.wanted!r} beside the other direction; it has "
            f"{', '.join(map(repr, table.columns))}. A train of one direction is a column 'conductance_S'"
        )
    return None


def counted(g: Array) -> Sweep:
    """The points of a column, without its empty cells."""
    keep = np.flatnonzero(~np.isnan(g))
    return from_zero(keep.astype(np.float64), g[keep])


def from_zero(pulse: Array, g: Array) -> Sweep:
    """A train whose pulses count from 0."""
    return Sweep(pulse - pulse[0] if len(pulse) else pulse, g)


def by_sign(pulse: Array | None, g: Array, voltage: Array, width: Array | None) -> tuple[Sweep, Sweep]:
    """Runs of pulses of one sign; each run counts its pulses from 0."""
    runs = np.split(np.arange(len(g)), np.flatnonzero(np.diff(np.sign(voltage))) + 1)
    rising = [np.sign(np.median(g[r][-1] - g[r][0])) * np.sign(voltage[r[0]]) for r in runs if len(r) > 1]
    set_sign = 1.0 if sum(rising) >= 0 else -1.0  # which polarity raises the conductance
    count = np.concatenate(
        [np.arange(len(r), dtype=np.float64) if pulse is None else pulse[r] - pulse[r][0] for r in runs]
    )
    made = []
    for sign in (set_sign, -set_sign):
        k = np.sign(voltage) == sign
        made.append(Sweep(count[k], g[k], voltage[k], None if width is None else width[k]))
    return made[0], made[1]
