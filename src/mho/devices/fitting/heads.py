"""What the head of a column says: a name, and a unit with its SI prefix.

The one rule of units; every table and every fit reads by it. ``c1_uS``, ``c1 (Mohm)``, ``I [nA]``, ``G/uS``,
``current A``, ``resistance in kOhm`` and ``kΩ`` say a unit. A head without one still says by its words what
it holds: ``temperature`` and ``cycle`` are no conductances.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import PlainValidator

SIEMENS, OHM, AMPERE, VOLT, KELVIN, SECOND, OTHER = "S", "ohm", "A", "V", "K", "s", "other"
CELLS = (SIEMENS, OHM, AMPERE)  # what a cell can be measured in
WORD = {
    SIEMENS: "conductances",
    OHM: "resistances",
    AMPERE: "currents",
    VOLT: "voltages",
    KELVIN: "temperatures",
    SECOND: "times",
    OTHER: "no conductances",
}
_SI = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "k": 1e3, "K": 1e3}
_SI |= {"": 1.0, "M": 1e6, "G": 1e9, "femto": 1e-15, "pico": 1e-12, "nano": 1e-9, "micro": 1e-6}
_SI |= {"milli": 1e-3, "kilo": 1e3, "kil": 1e3, "mega": 1e6, "meg": 1e6, "giga": 1e9}
_BASES = {
    SIEMENS: r"S|[Ss]iemens|[Mm]hos?|\u2127",
    OHM: r"[Oo][Hh][Mm]s?|[\u03a9\u2126]",
    AMPERE: r"A|[Aa]mp(?:ere)?s?",
    VOLT: r"V|[Vv]olts?",
    SECOND: r"s|[Ss]ec(?:ond)?s?",
    KELVIN: r"K|[Kk]elvins?",
    OTHER: r"W|[Ww]atts?|J|[Jj]oules?|Hz|eV|F|Pa",
}
_UNIT = [
    (unit, re.compile(rf"(?P<prefix>{'|'.join(sorted(_SI, key=len, reverse=True))}) ?(?:{base})"))
    for unit, base in _BASES.items()
]
_WHOLE = {  # units without prefixes, in lower case
    **dict.fromkeys(("min", "mins", "minute", "minutes"), (SECOND, 60.0)),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), (SECOND, 3600.0)),
    **dict.fromkeys(("d", "day", "days"), (SECOND, 86_400.0)),
    **dict.fromkeys(("year", "years"), (SECOND, 31_557_600.0)),
    **dict.fromkeys(("c", "°c", "degc", "deg c", "celsius", "degrees c"), (KELVIN, 1.0)),
    **dict.fromkeys(("%", "a.u.", "arb. u.", "bits"), (OTHER, 1.0)),
}
_SHORT = ("min", "hr")  # these and single letters are words as well: R_min, cell_B, R_S
_QUANTITIES = {
    SIEMENS: "conductance conductances conductivity cond g",
    OHM: "resistance resistances resistivity res r",
    AMPERE: "current currents curr i iread imeas ids",
    VOLT: "voltage voltages volt volts v bias amplitude potential readvoltage vread vmeas vset vreset vpulse "
    "vprog vg vd vs vgs vds vbl vwl vsl",
    SECOND: "time times t seconds sec timestamp elapsed duration delay width date datetime hours minutes",
    KELVIN: "temperature temperatures temp t kelvin celsius",
    OTHER: "power energy frequency freq humidity charge capacitance pressure",
}
_MEANINGS: dict[str, tuple[str, ...]] = {}
for _unit, _words in _QUANTITIES.items():
    for _word in _words.split():
        _MEANINGS[_word] = (*_MEANINGS.get(_word, ()), _unit)
_COUNTS = (
    *("cycle", "cycles", "pulse", "pulses", "index", "idx", "count", "number", "no", "nr", "n", "of", "id"),
    *("address", "addr", "row", "rows", "col", "column", "line", "wordline", "wl", "bitline", "bl", "word"),
    *("bit", "sourceline", "sl", "point", "points", "step", "steps", "sample", "iteration", "iter", "run"),
    *("die", "wafer"),
)
_STATES = (  # heads of conductances that do not say so
    *("mean", "mu", "std", "sigma", "up", "down", "ltp", "ltd", "potentiation", "depression", "target"),
    *("state", "level", "dg", "change", "jump"),
)
_ROLES = (*_STATES, "cdf", "probability", "direction", "polarity", "cell", "device", "error")
_ONE_LETTER = re.compile(  # R, R_1, i0 and meas_v, but not r2c3
    r"(?:(?:read|meas|pulse|set|reset|gate|drain|applied) )?(?P<letter>[girv]\d*|t)(?![a-z\d])"
)


class Head(NamedTuple):
    """The head of a column.

    Attributes:
        text: as it stands in the table.
        name: without the unit, in lower case.
        unit: SI unit without prefix; empty if the head says none.
        factor: SI value of the number 1; None if the head says no unit.
    """

    text: str
    name: str
    unit: str
    factor: float | None

    @property
    def meanings(self) -> tuple[str, ...]:
        """The units of the quantities that the words of the name stand for, in their order."""
        return _meanings(self.name)

    @property
    def kind(self) -> str:
        """The unit of what the column holds, by its unit or else by its name; empty if it says neither."""
        if self.unit:
            return self.unit
        return next(iter(self.meanings), OTHER if _is_count(self.name) else "")

    @property
    def known(self) -> bool:
        """Whether it says anything that a table of measurements has."""
        return bool(self.kind) or self.name in _ROLES

    @property
    def contradicts(self) -> bool:
        """Whether name and unit say two quantities, as in ``conductance_kohm``."""
        return bool(self.unit and self.meanings and self.unit not in self.meanings)


def read_unit(text: str) -> tuple[str, float] | None:
    """SI unit and value of 1 of a unit such as ``uS``, ``kΩ``, ``kilohms`` or ``h``; None if it is none.

    >>> read_unit("kOhm"), read_unit("nA"), read_unit("chip")
    (('ohm', 1000.0), ('A', 1e-09), None)
    """
    text = text.strip()
    for unit, pattern in _UNIT:
        match = pattern.fullmatch(text)
        if match is not None and (match["prefix"] != "K" or unit == OHM):
            return unit, _SI[match["prefix"]]
    return _WHOLE.get(text.lower())


def read_heads(texts: Sequence[str]) -> tuple[Head, ...]:
    """The heads of a table. ``cell_A`` is in amperes, but not beside ``cell_B``: there the letters are names.

    >>> [head.unit for head in read_heads(["time (ms)", "c1_A"])]
    ['s', 'A']
    >>> [head.unit for head in read_heads(["time (ms)", "c1_A", "c1_B"])]
    ['s', '', '']
    """
    letters: dict[str, set[str]] = {}
    for text in texts:
        stem, _, letter = text.strip().rpartition("_")
        if stem and len(letter) == 1 and letter.isalpha():
            letters.setdefault(stem, set()).add(letter)
    names = {stem for stem, found in letters.items() if any(read_unit(letter) is None for letter in found)}
    return tuple(
        Head(text, _plain(text), "", None) if text.strip().rpartition("_")[0] in names else read_head(text)
        for text in texts
    )


def read_head(text: str) -> Head:
    """What one head says.

    >>> read_head("Resistance [kOhm]")
    Head(text='Resistance [kOhm]', name='resistance', unit='ohm', factor=1000.0)
    """
    for bracket in reversed(list(re.finditer(r"[\[(<{]([^\[\]()<>{}]+)[\])>}]", text))):
        found = read_unit(bracket[1])
        if found is not None:
            return Head(text, _plain(text[: bracket.start()] + " " + text[bracket.end() :]), *found)
    match = re.fullmatch(r"(?P<name>.+?)\s*/\s*(?P<unit>[^\s/]+)\s*", text)
    if match is not None:
        found = read_unit(match["unit"])
        if found is not None:
            return Head(text, _plain(match["name"]), *found)
    match = re.fullmatch(r"(?P<name>.*?[^\s_,:-])(?P<gap>[\s_,:-]+(?:in\s+)?)(?P<unit>[^\s_,:-]+)\s*", text)
    if match is not None:
        found = read_unit(match["unit"])
        if found is not None and _is_unit(match["name"], match["gap"], match["unit"], found[0]):
            return Head(text, _plain(match["name"]), *found)
    found = read_unit(text)
    if found is not None and len(text.strip()) > 1 and text.strip().lower() not in _SHORT:
        return Head(text, "", *found)
    return Head(text, _plain(text), "", None)


def _is_unit(name: str, gap: str, text: str, unit: str) -> bool:
    """Whether the last word of a head is a unit; a single letter may be part of the name."""
    if len(text) > 1 and text.lower() not in _SHORT:
        return True
    meanings = _meanings(_plain(name))
    if meanings:
        return unit in meanings
    if unit == SIEMENS and set(_STATES) & set(_plain(name).split()):
        return True
    return "in" in gap.split() or ("_" in gap and text in ("S", "A", "V", "s"))


def _meanings(name: str) -> tuple[str, ...]:
    found: list[str] = []
    first = _ONE_LETTER.match(name)
    if first is not None:
        found += _MEANINGS[first["letter"][0]]
    for word in re.findall(r"[^\W\d_]+", name):
        if len(word) > 1:
            found += _MEANINGS.get(word, ())
    return tuple(dict.fromkeys(found))


def _is_count(name: str) -> bool:
    return name.startswith("unnamed") or set(name.split()) <= set(_COUNTS)  # a head without text is an index


def _plain(text: str) -> str:
    return re.sub(r"[\s_\-]+", " ", text).strip(" ([,:/").lower()


_UNITS = 'give a name, such as "uS", "kohm" or "nA", or the siemens of the number 1, a positive number'


def _checked_unit(value: Any) -> float | str:
    if isinstance(value, str):
        found = read_unit(value)
        if found is not None and found[0] in CELLS:
            return value
        raise ValueError(f"no unit of cells; {_UNITS}")
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < sys.float_info.max:
        return float(value)
    raise ValueError(_UNITS)


Unit = Annotated[float | str, PlainValidator(_checked_unit)]
"""Unit of the cells in a table whose heads say none: its name, or the siemens of the number 1."""
