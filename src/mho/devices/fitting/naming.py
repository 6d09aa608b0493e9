"""Which column is what, said beside a table: ``columns={"time": "x-axis", "current_mA": 3}``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import PlainValidator

from mho.config import unknown_key
from mho.devices.fitting.heads import (
    AMPERE,
    KELVIN,
    OHM,
    OTHER,
    SECOND,
    SIEMENS,
    VOLT,
    WORD,
    Head,
    read_head,
)
from mho.devices.fitting.tables import MeasuredTable

_EXAMPLE = {SIEMENS: "uS", OHM: "kohm", AMPERE: "mA", VOLT: "mV", SECOND: "ms", KELVIN: "K"}
_HOW = 'give what a column holds, and its head or number from 1: {"time": "x-axis", "current_mA": 3}'


def _checked(value: Any) -> tuple[tuple[str, str | int], ...]:
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(pairs, (list, tuple)) or not all(_is_pair(pair) for pair in pairs):
        raise ValueError(_HOW)
    for key, _ in pairs:
        if not read_head(key).known:
            known = (
                "time, voltage, current, conductance, resistance, up, down, pulse, target, mean, std, cell"
            )
            raise ValueError(f"{key!r} is no quantity that a table may hold, such as {known}; {_HOW}")
    return tuple((str(key), head) for key, head in pairs)


def _is_pair(pair: Any) -> bool:
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        return False
    key, head = pair
    return isinstance(key, str) and isinstance(head, (str, int)) and not isinstance(head, bool)


Columns = Annotated[Mapping[str, str | int] | tuple[tuple[str, str | int], ...], PlainValidator(_checked)]
"""What columns hold, by their heads or numbers; kept as pairs."""


def named(table: MeasuredTable, columns: Columns) -> MeasuredTable:
    """The table with columns that hold what was said; a unit that is said replaces that of the head.

    Other columns of a quantity that was named are passed over.

    Args:
        table: the measured table.
        columns: pairs of what a column holds, and its head or number.

    Raises:
        ValueError: no such column, one that is named twice, or a unit of another quantity.

    Example:
        >>> from mho.devices.fitting.tables import TIME, read_table
        >>> table = read_table({"x-axis (ms)": [1.0, 2.0], "1": [3e-6, 4e-6]})
        >>> named(table, (("time", "x-axis (ms)"), ("conductance", "1"))).take(TIME).tolist()
        [0.001, 0.002]
    """
    pairs = columns.items() if isinstance(columns, Mapping) else columns
    places = {key: _place(table, key, head) for key, head in pairs}
    twice = [key for key, place in places.items() if list(places.values()).count(place) > 1]
    if twice:
        raise ValueError(f"{table.name}: columns names one column {' and '.join(map(repr, twice))}")
    said = {place: _head(table, key, place) for key, place in places.items()}
    kinds = {head.kind for head in said.values() if head.meanings}
    for k, head in enumerate(table.heads):
        if k not in said and head.kind in kinds:
            said[k] = Head(head.text, "passed over", OTHER, None)
    headed = table.headed or bool(said)
    return replace(table, headed=headed, said=tuple(sorted(said.items()))) if said else table


def _place(table: MeasuredTable, key: str, head: str | int) -> int:
    if isinstance(head, int):
        if not 1 <= head <= len(table.columns):
            raise ValueError(
                f"{table.name}: columns says {key!r} is column {head}; there are 1 to {len(table.columns)}"
            )
        return head - 1
    plain = [read_head(text).name for text in table.columns]
    for known in ([text.strip() for text in table.columns], plain):
        wanted = head.strip() if known is not plain else head.strip().lower()
        if known.count(wanted) == 1:
            return known.index(wanted)
    if head.isdigit():
        return _place(table, key, int(head))
    raise ValueError(f"{table.name}: columns: {unknown_key(head, list(table.columns), 'the table')}")


def _head(table: MeasuredTable, key: str, place: int) -> Head:
    new, old = read_head(key), table.heads[place]
    if new.unit or not old.unit:
        return new._replace(text=old.text)
    if new.meanings and old.unit not in new.meanings:
        raise ValueError(
            f"{table.name}: columns says that {old.text!r} holds {WORD[new.meanings[0]]}, its unit "
            f"{WORD[old.unit]}; say what the number 1 means there, with a unit, such as "
            f'{{"{key}_{_EXAMPLE.get(new.meanings[0], "")}": {table.columns[place]!r}}}'
        )
    return Head(old.text, new.name, old.unit, old.factor)
