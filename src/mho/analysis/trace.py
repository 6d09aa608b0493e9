"""What happened in the arrays of a model while it ran: the stream of events, added up."""

from __future__ import annotations

import contextlib
import math
import numbers
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from mho.analysis.programming_report import ProgrammingReport
from mho.chip import tile
from mho.chip.events import Counter
from mho.config import python_number
from mho.converters import DAC, ColumnConverter
from mho.nn import crossbars
from mho.nn.tapping import counter, tapped
from mho.programming import Summary

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Events:
    """What happened in one array.

    Attributes:
        vectors: input vectors that were driven: rows of a batch, positions of a convolution, steps of a
            recurrence, look-ups.
        products: multiply-accumulates that the digital layer would have done for them.
        driven: times that a DAC drove a row: each vector drives its rows in every array that holds a part of
            the columns or a slice, once for each group of bits. None are driven where there is no DAC, or one
            without codes, or where rows are looked up.
        conversions: of column currents by ADCs. None where there is no ADC, or one without codes.
        cells: reads of a cell, those of cells that hold zero too; of a look-up, the cells of its row.
        additions: digital sums of what was converted: over tiles, slices and groups of bits, and the
            difference to a unit column.
        scalings: digital multiplications of an output by its scale.
        mean_squares: mean square of the voltage of each row, ``[group, row]``, in units of the read voltage
            (without a DAC, in units of the inputs), bias rows last; None if no voltages were looked at.
        clipped: share of the conversions that were beyond full scale, by tile of rows, ``[tile]``; of
            look-ups over all tiles, ``[1]``; None if no conversions were looked at.
        every: about each how manieth vector was looked at; 1 for all of them, 0 for none.
        written: what each programming with pulses took.
    """

    vectors: int
    products: int
    driven: int
    conversions: int
    cells: int
    additions: int
    scalings: int
    mean_squares: Tensor | None
    clipped: Tensor | None
    every: int
    written: tuple[Summary, ...]

    @property
    def pulses(self) -> int:
        """Programming pulses on all cells."""
        return sum(one.pulses for one in self.written)


COUNTS = tuple(field.name for field in fields(Events) if field.type == "int" and field.name != "every")


class EventTrace:
    """What happened in the arrays of a model; made by :func:`trace`.

    It can be asked while the model runs: it says what happened so far.
    """

    def __init__(self, counters: dict[str, Counter]) -> None:
        self._counters = counters

    @property
    def layers(self) -> dict[str, Events]:
        """The events of each array, by path as in ``mho.conductances``."""
        return {path: events_of(heard) for path, heard in self._counters.items()}

    @property
    def total(self) -> dict[str, int]:
        """The counts of all arrays together, by name."""
        layers = self.layers.values()
        names = (*COUNTS, "pulses")
        return {name: sum(getattr(events, name) for events in layers) for name in names}

    @property
    def programming(self) -> ProgrammingReport:
        """What the last programming took, of the arrays that were programmed with pulses meanwhile."""
        return ProgrammingReport({path: c.written[-1] for path, c in self._counters.items() if c.written})

    def rows(self) -> list[dict[str, Any]]:
        """One row for each array, for a table of your own."""
        return [{"layer": path, **_row(events)} for path, events in self.layers.items()]

    def to_frame(self) -> pandas.DataFrame:
        """The rows as a table of pandas, which ``pip install mho[study]`` brings."""
        import pandas

        frame: pandas.DataFrame = pandas.DataFrame(self.rows())
        return frame

    def __str__(self) -> str:
        """One line for each array that anything happened in."""
        lines = []
        for path, e in self.layers.items():
            if not (e.vectors or e.pulses):
                lines.append(f"{path or '(model)'}: nothing")
                continue
            parts = [f"{getattr(e, name):,} {name}" for name in COUNTS]
            if e.clipped is not None:
                parts.append(f"{100 * float(e.clipped.mean()):.2g} % of the conversions clipped")
            if e.pulses:
                parts.append(f"{e.pulses:,} pulses")
            lines.append(f"{path or '(model)'}: {', '.join(parts)}")
        return "\n".join(lines)


def _row(events: Events) -> dict[str, Any]:
    squares, clipped = events.mean_squares, events.clipped
    return {
        **{name: getattr(events, name) for name in COUNTS},
        "mean square voltage": math.nan if squares is None else float(squares.mean()),
        "clipped": math.nan if clipped is None else float(clipped.mean()),
        "pulses": events.pulses,
    }


@contextlib.contextmanager
def trace(model: nn.Module, share: float = 0.0) -> Iterator[EventTrace]:
    """Listen to all arrays of a model while it runs.

    Counts follow from shapes and are exact. Voltages and clipped conversions are looked at in a share of the
    vectors; where a forward has few, in some forwards for the others (a compiled model looks in each). A
    trace changes no result and draws no random number of torch, and a compiled model stays one graph (it is
    compiled again for the first trace). Training forwards, which do not multiply by the chip, and calibration
    do not count. While another trace of the model is at work inside this one, that one alone listens.

    Args:
        model: what ``mho.convert`` made.
        share: of the vectors (images of a convolution) whose voltages and conversions are looked at: 0 for
            none, 1 for all; else one over a whole number, such as 1/8.

    Raises:
        ValueError: no analog layer, or ``share`` is no such number.

    >>> import mho, torch
    >>> hardware = mho.Hardware(tile=mho.Tile(rows=4), dac=mho.DAC(bits=8), adc=mho.ADC(bits=8))
    >>> analog = mho.convert(torch.nn.Linear(8, 3), hardware).eval()
    >>> mho.calibrate(analog, [torch.ones(2, 8)])
    >>> mho.program(analog, seed=0)
    >>> with mho.trace(analog) as seen:
    ...     _ = analog(torch.ones(5, 8))
    >>> seen.layers[""].conversions, seen.layers[""].driven, seen.layers[""].additions
    (30, 40, 15)
    """
    every = share_of(share)
    arrays = crossbars(model)
    counters = {path: counter(array, every) for path, array in arrays.items()}
    with tapped(arrays, counters):
        yield EventTrace(counters)


def share_of(share: float) -> int:
    """Each how manieth vector is looked at."""
    share = python_number(share)
    given = isinstance(share, numbers.Real) and not isinstance(share, bool)
    if not given or not (share == 0 or 0 < share <= 1):
        raise ValueError(
            f"share = {share!r}: give 0 for counts alone, 1 for all vectors, or one in n, as 1/8"
        )
    every = round(1 / float(share)) if share else 0
    if every and not math.isclose(every * float(share), 1, rel_tol=1e-9):
        raise ValueError(f"share = {share!r}: give one over a whole number, such as 1/{every}")
    return every


def events_of(heard: Counter) -> Events:
    """What a counter heard, in the units of the field."""
    hardware, layout, vectors = heard.hardware, heard.layout, heard.vectors
    how, groups, columns = tile.readout(hardware), heard.groups, heard.columns
    rows, channels = layout.rows[-1][1], len(how.digital)
    driven = vectors * _groups_of_bits(hardware.dac)
    each = driven if tile.streams(hardware) else vectors
    tiles = 1 if layout.one_hot else len(layout.rows)  # a look-up reads the one with its row
    wide, outputs = columns + how.unit_column, vectors * groups * columns
    converted = each * groups * wide * channels * tiles
    inputs = 1 if layout.one_hot else rows
    drives = 0 if layout.one_hot else driven * groups * (rows - layout.bias_rows) * channels
    return Events(
        vectors=vectors,
        products=heard.products,
        driven=drives * len(layout.columns) if _has_codes(hardware.dac) else 0,
        conversions=converted if _has_codes(hardware.adc) else 0,
        cells=driven * groups * inputs * wide * hardware.mapping.copies,
        additions=converted - vectors * groups * wide + (outputs if how.unit_column else 0),
        scalings=outputs,
        mean_squares=heard.mean_squares,
        clipped=heard.clipped,
        every=heard.every,
        written=tuple(heard.written),
    )


def _has_codes(converter: DAC | ColumnConverter | None) -> bool:
    return converter is not None and not converter.ideal


def _groups_of_bits(dac: DAC | None) -> int:
    """How often an input is driven: once, or once for each group of its bits."""
    return 1 if dac is None or dac.stream is None else dac.stream.count(dac.peak)
