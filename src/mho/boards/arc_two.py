"""ArC TWO: 64 channels, a header map and a command buffer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mho.boards.base import Answer, Board, Capabilities, Cells, Pulses
from mho.boards.errors import BoardError, LostReply

CHANNELS = 64
_NANOSECOND = 1e-9
_SHORTEST = 40e-9
"""Shortest pulse, seconds; a setting to be compared with the manual of your board."""


class ArcTwo(Board):
    """An ArC TWO with an array in its socket.

    Channels are not rows: the header map says which channel each row and each column is on. Columns are the
    low channels, which sink the current; rows are the high ones. Commands that give nothing back lie in the
    buffer of the instrument until ``execute()``, after which ``wait()`` comes.

    Instruments are those of pyarc2 (0.6.0; its documentation is the source of the verbs used here:
    ``read_slice_masked``, ``pulse_slice_masked``, ``ground_all``, ``execute``, ``wait``)::

        from pyarc2 import Instrument, find_ids
        board = ArcTwo(Instrument(find_ids()[0], "arc2fw.bin"), rows=range(16), columns=range(16, 32))

    A pulse that pyarc2 counts in whole nanoseconds is sent with the nearest number of them. The adapter was
    not run on an instrument: it is tested against a stand-in that behaves as the documentation says.

    Args:
        instrument: of pyarc2.
        rows, columns: channel of each.
        sign: of the currents as the instrument gives them; -1 if :func:`mho.boards.self_test` finds the wrong
            one.
        capabilities: of the instrument, where they are others than the defaults.

    Raises:
        ValueError: a channel that there is not, or one that is used twice.
    """

    def __init__(
        self,
        instrument: Any,
        rows: Iterable[int],
        columns: Iterable[int],
        capabilities: Capabilities | None = None,
        sign: float = 1.0,
    ) -> None:
        self.instrument, self.sign = instrument, sign
        self._row, self._column = [int(k) for k in rows], [int(k) for k in columns]
        used = [*self._row, *self._column]
        if len(set(used)) < len(used) or not all(0 <= k < CHANNELS for k in used):
            raise ValueError(
                f"rows = {self._row}, columns = {self._column}: give each line a channel of its own, 0 to "
                f"{CHANNELS - 1}"
            )
        apart = [(r, c) for r in self._row for c in self._column if r not in _across(c)]
        if apart:
            raise ValueError(
                f"rows, columns: channels {apart[0][0]} and {apart[0][1]} lie on the same side; rows go on "
                "0-15 and 32-47, columns on 16-31 and 48-63, or the other way round"
            )
        given = capabilities or Capabilities(
            rows=1, columns=1, v_write=(-10.0, 10.0), width=(_SHORTEST, 1.0), at_once=1024
        )
        self._capabilities = replace(
            given,
            rows=len(self._row),
            columns=len(self._column),
            pulses=True,
            targets=False,
            multiplies=False,
        )

    @property
    def capabilities(self) -> Capabilities:
        """See :meth:`Board.capabilities`."""
        return self._capabilities

    def identify(self) -> str:
        """See :meth:`Board.identify`."""
        rows, columns = self._capabilities.shape
        return f"ArC Instruments,ArC TWO {rows}x{columns},{type(self.instrument).__name__},pyarc2"

    def read(self, cells: Cells, volts: float) -> Answer:
        """Column after column; channels that were not asked for come as NaN and are left out."""
        amperes = torch.full((cells.number,), float("nan"), dtype=torch.float64)
        for column, places in _by_column(cells):
            highs = [self._row[int(r)] for r in cells.rows[places]]
            low = self._column[column]
            found = self._ask("read", partial(self._slice, low, highs, volts))
            amperes[places] = self.sign * torch.as_tensor(found, dtype=torch.float64)
        return Answer(amperes)

    def _slice(self, low: int, highs: list[int], volts: float) -> np.ndarray[Any, Any]:
        """The currents of some high channels; the answer has one for each of the channels across."""
        currents = np.asarray(self.instrument.read_slice_masked(low, np.array(highs, dtype=np.uint64), volts))
        across = _across(low)
        return currents[[across.index(high) for high in highs]]

    def pulse(self, pulses: Pulses) -> None:
        """Pulses of one column, voltage and length go together, in the order of the columns."""
        nanos = (pulses.seconds / _NANOSECOND).round().to(torch.int64)
        for column, places in _by_column(pulses.cells):
            kinds: dict[tuple[float, int], list[int]] = {}
            for place in places.tolist():
                kind = (float(pulses.volts[place]), int(nanos[place]))
                kinds.setdefault(kind, []).append(self._row[int(pulses.cells.rows[place])])
            for (volts, length), highs in kinds.items():
                mask = np.array(highs, dtype=np.uint64)
                self.instrument.pulse_slice_masked(self._column[column], volts, length, mask)
        self._ask("pulse", self._execute)

    def _execute(self) -> None:
        self.instrument.execute()
        self.instrument.wait()

    def safe(self) -> None:
        """Ground all channels, now."""
        self.instrument.ground_all()
        self._ask("safe", self._execute)

    def _ask(self, verb: str, ask: Callable[[], Any]) -> Any:
        """What the instrument gives; its own errors as those of a board."""
        try:
            return ask()
        except TimeoutError as error:
            raise LostReply("no answer in time", verb) from error
        except (RuntimeError, OSError) as error:
            raise BoardError(f"the instrument says {error}", verb, "", 1) from error


def _by_column(cells: Cells) -> list[tuple[int, Tensor]]:
    """Places of the cells of each column, in the order in which the columns come."""
    columns = list(dict.fromkeys(cells.columns.tolist()))
    return [(c, (cells.columns == c).nonzero().squeeze(1)) for c in columns]


def _across(low: int) -> list[int]:
    """The channels that a slice of ``low`` has, in the order of its answer."""
    one, other = [*range(16), *range(32, 48)], [*range(16, 32), *range(48, 64)]
    return other if low in one else one
