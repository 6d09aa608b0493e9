"""How the numbers of cells become siemens: ohms are inverted, amperes are divided by the read voltage."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mho.config import MOST_SIEMENS
from mho.devices.fitting.heads import AMPERE, CELLS, OHM, OTHER, SIEMENS, VOLT, WORD, Head, read_unit
from mho.devices.fitting.tables import CELL, CONDUCTANCE, CURRENT, RESISTANCE, Array, MeasuredTable, Quantity

USUAL = (1e-15, 1e-3)  # siemens: what is believed of numbers whose unit nobody names
V_READ = 0.2  # volts, of a device whose read voltage is not told
_LIKELY = (1e-9, 1e-3)  # siemens: units that give this are proposed
_PULSED = {"pulse", "vpulse", "set", "vset", "reset", "vreset", "write", "program", "vprog", "gate"}
_PROPOSED = ("S", "mS", "uS", "nS", "ohm", "kohm", "Mohm", "mA", "uA", "nA")


class Reading(NamedTuple):
    """What a measurement says of the numbers of its cells.

    Attributes:
        unit: of columns whose head says none: a name such as ``"kohm"``, or the siemens of the number 1.
        v_read: read voltage, volts; None: not told.
        zero: the number that means no conductance.
        steady: nothing but the read voltage is applied: any column of volts is one of it.
    """

    unit: float | str = 1.0
    v_read: float | None = None
    zero: float = 0.0
    steady: bool = False


class _Scale(NamedTuple):
    """What the numbers of a column are.

    Attributes:
        kind: ``"S"``, ``"ohm"`` or ``"A"``.
        factor: SI value of the number 1.
        named: whether the head or the measurement names the unit.
    """

    kind: str
    factor: float
    named: bool


# --- which columns -------------------------------------------------------------------------------


def named_column(table: MeasuredTable) -> int | None:
    """The column that is named conductance, or else resistance, or else current.

    Raises:
        ValueError: it is one letter, among others that may be the names of cells.
    """
    places = (table.place(quantity) for quantity in (CONDUCTANCE, RESISTANCE, CURRENT))
    named = next((place for place in places if place is not None), None)
    letters = [head.text for head in table.heads if len(head.text) == 1 and not head.kind]
    if named is not None and letters and len(table.columns[named]) == 1:
        raise ValueError(
            f"{table.name}: is {table.columns[named]!r} a quantity, or a cell like {letters[0]!r}? Name the "
            "units of all cells (g_uS, a_uS), or the cells otherwise"
        )
    return named


def cell_column(table: MeasuredTable, *but: Quantity) -> int | None:
    """The column of measured cells: by its name, else the only one whose head says siemens, ohms or amperes.

    Args:
        table: the measured table.
        but: quantities whose columns are not meant.
    """
    named = named_column(table)
    if named is not None:
        return named
    others = {table.place(quantity) for quantity in but}
    found = [k for k, head in enumerate(table.heads) if head.kind in CELLS and k not in others]
    return found[0] if len(found) == 1 else None


def cell_columns(table: MeasuredTable, time: int) -> list[int]:
    """The columns that may each be a cell beside the time: not those of volts, kelvins, cycles or addresses.

    Raises:
        ValueError: there is none, or they are not of one kind.
    """
    cell = table.place(CELL)
    found = [k for k, h in enumerate(table.heads) if k not in (time, cell) and h.kind in (*CELLS, "")]
    if not found:
        raise ValueError(
            f"{table.name}: no column of conductances beside the time; it has "
            f"{', '.join(map(repr, table.columns))}"
        )
    check_alike(table, found)
    return found


def passed_over(table: MeasuredTable, time: int) -> list[str]:
    """The heads of columns beside cells and time that hold neither a cell nor its read voltage."""
    amperes = any(head.kind == AMPERE for head in table.heads)
    used = (*CELLS, "", VOLT) if amperes else (*CELLS, "")
    known = (time, table.place(CELL))
    return [head.text for k, head in enumerate(table.heads) if k not in known and head.kind not in used]


def check_stated(table: MeasuredTable, one: int, other: int) -> None:
    """Raise ``ValueError`` if only one of two heads says a unit."""
    if bool(table.heads[one].unit) != bool(table.heads[other].unit):
        raise ValueError(
            f"{table.name}: one of the columns {table.columns[one]!r} and {table.columns[other]!r} has a "
            "unit in its head; name that of both"
        )


def check_alike(table: MeasuredTable, places: list[int]) -> None:
    """Raise ``ValueError`` unless the heads of these columns say units of one kind, or all none."""
    first = table.heads[places[0]]
    for place in places[1:]:
        head = table.heads[place]
        if (head.kind, bool(head.unit)) != (first.kind, bool(first.unit)):
            raise ValueError(
                f"{table.name}: the heads of the cells differ: {_said(first)}, {_said(head)}; name the unit "
                "of every cell (c1_uS, c1_kohm, c1_nA), and leave out the columns that are none"
            )


def _said(head: Head) -> str:
    unit = "" if head.unit else " without a unit" if head.kind else "no unit"
    return f"{head.text!r} says {WORD.get(head.kind, '')}{unit}"


# --- numbers -------------------------------------------------------------------------------------


def conductances(
    table: MeasuredTable, how: Reading, column: int | None = None, blanks: bool = False
) -> Array:
    """A column of cells, siemens.

    Args:
        table: the measured table.
        how: what the measurement says of its numbers.
        column: which one; that of :func:`cell_column` if not given.
        blanks: empty cells are allowed and become NaN.

    Raises:
        ValueError: no such column; a conductance that no cell has (the line is named); amperes without a read
            voltage; or a unit that is said twice.
    """
    place = cell_column(table) if column is None else column
    if place is None:
        raise table.missing(CONDUCTANCE)
    scale = _scale(table, how, table.heads[place])
    numbers = table.numbers(place, blanks)
    if scale.kind == OHM:
        _check_resistances(table, numbers, scale, how)
        g = 1 / (numbers * scale.factor)
    else:
        g = (numbers - how.zero) * scale.factor
        if scale.kind == AMPERE:
            g = g / _read_voltage(table, how, table.heads[place])
    _check(table, how, g, numbers, scale, table.heads[place])
    return np.asarray(g, dtype=np.float64)


def deviations(table: MeasuredTable, how: Reading, column: int, g: Array) -> Array:
    """A column of standard deviations of cells, siemens: of ohms to first order, ``g^2 std``.

    Args:
        table: the measured table.
        how: what the measurement says of its numbers.
        column: which one; empty cells are NaN.
        g: conductance of each row, siemens.

    Raises:
        ValueError: as :func:`conductances`.
    """
    scale = _scale(table, how, table.heads[column])
    std = table.numbers(column, blanks=True) * scale.factor
    if scale.kind == OHM:
        std = g**2 * std
    elif scale.kind == AMPERE:
        std = std / np.abs(_read_voltage(table, how, table.heads[column]))
    check_conductances(table, std)
    return np.asarray(std, dtype=np.float64)


def changes(table: MeasuredTable, how: Reading, column: int) -> Array:
    """A column of changes of conductance, siemens; negative ones too.

    Raises:
        ValueError: as :func:`conductances`; or changes in ohms, which are none of the conductance.
    """
    head = table.heads[column]
    scale = _scale(table, how, head)
    if scale.kind == OHM:
        raise ValueError(
            f"{table.name}: {table.columns[column]!r} holds changes in ohms; a step of the resistance is "
            "another step of the conductance in each state: give dG, in siemens"
        )
    change = table.numbers(column) * scale.factor
    return change if scale.kind == SIEMENS else np.asarray(change / _read_voltage(table, how, head))


def _scale(table: MeasuredTable, how: Reading, head: Head) -> _Scale:
    """What the head, or else the measurement, says the numbers are."""
    if head.kind and head.kind not in CELLS:
        raise ValueError(f"{table.name}: the column {head.text!r} holds {WORD[head.kind]}, not conductances")
    if head.contradicts:
        both = f"{WORD[head.meanings[0]]}, its unit {WORD[head.unit]}"
        raise ValueError(f"{table.name}: the name of {head.text!r} says {both}; name it by what it holds")
    said = how.unit != 1.0
    if head.unit:
        if said:
            raise ValueError(
                f"{table.name}: the head {head.text!r} says its unit already; leave "
                f"unit = {unit_text(how.unit)} out"
            )
        assert head.factor is not None
        return _Scale(head.unit, head.factor, True)
    kind, factor = SIEMENS, how.unit
    if isinstance(factor, str):
        found = read_unit(factor)
        assert found is not None  # checked by the measurement
        kind, factor = found
    elif not said:
        kind = head.kind or SIEMENS
    if head.kind not in ("", kind):
        raise ValueError(
            f"{table.name}: unit = {unit_text(how.unit)} says {WORD[kind]} and the head {head.text!r} "
            f"{WORD[head.kind]}; say their unit, such as unit = {_example(head.kind)}"
        )
    return _Scale(kind, factor, isinstance(how.unit, str))


def _example(kind: str) -> str:
    return {SIEMENS: '"uS"', OHM: '"kohm"', AMPERE: '"uA"'}[kind]


def unit_text(unit: float | str) -> str:
    """As it stands in the call."""
    return f'"{unit}"' if isinstance(unit, str) else f"{unit:g}"


def _read_voltage(table: MeasuredTable, how: Reading, of: Head) -> float | Array:
    """Volts that amperes are divided by: a number, or one for each row."""
    volts = [k for k, h in enumerate(table.heads) if h.kind == VOLT and not _PULSED & set(h.name.split())]
    places = [k for k in volts if any(word in table.heads[k].name for word in ("read", "meas"))]
    if not places and how.steady and len(volts) == 1:
        places = volts
    if not places and how.v_read is not None:
        return how.v_read
    if len(places) != 1:
        raise ValueError(
            f"{table.name}: {of.text!r} holds currents; a conductance needs the voltage at which they were "
            "read: say v_read (volts), or give a column read_voltage_V"
        )
    head = table.heads[places[0]]
    v = table.numbers(places[0]) * (1.0 if head.factor is None else head.factor)
    if bool((v == 0).any()):
        line = table.lines()[int(np.argmax(v == 0))]
        raise ValueError(f"{table.name}, line {line}: a read voltage of 0 V tells no conductance")
    if how.v_read is not None and bool((np.abs(np.abs(v) / how.v_read - 1) > 0.01).any()):
        raise ValueError(
            f"{table.name}: v_read = {how.v_read:g} V, but the column {head.text!r} says "
            f"{np.abs(v).max():g} V; leave one of them out"
        )
    return np.asarray(v, dtype=np.float64)


# --- what no cell has ----------------------------------------------------------------------------


def check_conductances(table: MeasuredTable, g: Array) -> None:
    """Raise ``ValueError`` at a conductance or deviation that no cell has, in siemens; NaN passes."""
    for line, value in zip(table.lines(), g, strict=True):
        if value < 0 or value > MOST_SIEMENS:
            raise ValueError(
                f"{table.name}, line {line}: {value:g} S; conductances of cells and their deviations lie "
                f"from 0 to {MOST_SIEMENS:g} S: is the unit right?"
            )


def _check(table: MeasuredTable, how: Reading, g: Array, numbers: Array, scale: _Scale, head: Head) -> None:
    negative = np.flatnonzero(g < 0)
    if len(negative):
        k = int(negative[0])
        advice = (
            "were they read at a negative voltage? Give it as a column read_voltage_V, or the magnitudes"
            if scale.kind == AMPERE
            else "are the numbers normalised weights? Say zero= (the number that means no conductance) and "
            "unit= (siemens of 1)"
        )
        raise ValueError(
            f"{table.name}, line {table.lines()[k]}: a conductance of {g[k]:g} S is negative; {advice}"
        )
    if bool(np.isnan(g).all()):
        return
    k = int(np.nanargmax(g))
    where = f"{table.name}, line {table.lines()[k]}: {_number(numbers[k], scale)}a conductance of {g[k]:g} S"
    if g[k] > MOST_SIEMENS:
        raise ValueError(
            f"{where}; no cell has more than {MOST_SIEMENS:g} S. {_advice(numbers[k], how, head)}"
        )
    if not scale.named and (g[k] > USUAL[1] or 0 < g[k] < USUAL[0]):
        raise ValueError(
            f"{where}; of numbers whose unit is not named, {USUAL[0]:g} S to {USUAL[1]:g} S are believed. "
            f"{_advice(numbers[k], how, head)}"
        )


def _check_resistances(table: MeasuredTable, numbers: Array, scale: _Scale, how: Reading) -> None:
    if how.zero != 0:
        raise ValueError(f"{table.name}: zero = {how.zero:g}, but the cells are in ohms; leave it out")
    for line, ohms in zip(table.lines(), numbers * scale.factor, strict=True):
        if ohms <= 0:
            raise ValueError(f"{table.name}, line {line}: a resistance of {ohms:g} ohm; it must be positive")


def _number(number: float, scale: _Scale) -> str:
    if scale.kind == SIEMENS:
        return ""
    return f"{number * scale.factor:g} {scale.kind} would be "


def _advice(number: float, how: Reading, head: Head) -> str:
    """The units in which a number would be one of a cell."""
    fitting = []
    for unit in _PROPOSED:
        kind, factor = read_unit(unit) or (OTHER, 1.0)
        si = abs(number) * factor
        if head.kind not in ("", kind) or si == 0:
            continue
        g = 1 / si if kind == OHM else si / (how.v_read or V_READ) if kind == AMPERE else si
        as_named = bool(head.kind) and not head.unit and factor == 1.0 and g <= MOST_SIEMENS
        if as_named or _LIKELY[0] <= g <= _LIKELY[1]:
            fitting.append(f'"{unit}" (then {g:.2g} S)')
    if head.unit:
        return f"Is the unit in {head.text!r} right? In its place: {' or '.join(fitting) or 'another one'}"
    if not head.kind and how.unit == 1.0 and number <= MOST_SIEMENS:
        fitting.append('"S", if they are siemens indeed')
    return f"Name the unit in the head, or say unit={' or '.join(fitting) or '...'}"
