"""What a description's docstring says, as text for a page: paragraphs, laws, parameters and their units."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
from typing import Any, NamedTuple

_SECTIONS = ("Attributes:", "Example:", "Examples:", "Args:", "Raises:", "Returns:")
_PREFIXED = ("S", "V", "A", "s", "Ω", "m")
_PREFIXES = {-5: "f", -4: "p", -3: "n", -2: "µ", -1: "m", 0: "", 1: "k", 2: "M", 3: "G"}
_UNITS = (  # the first that a text holds counts
    ("siemens for each pulse", "S/pulse"), ("metres per second", "m/s"), ("ohms per second", "Ω/s"),
    ("1/(ohm s)", "1/(Ω s)"), ("m^2 / (V s)", "m²/(V s)"), ("1/pulse", "1/pulse"), ("1/volts", "1/V"),
    ("1/ohms", "1/Ω"), ("1/s", "1/s"), ("siemens", "S"), ("volts", "V"), ("amperes", "A"),
    ("seconds", "s"), ("kelvin", "K"), ("metres", "m"), ("ohms", "Ω"),
)  # fmt: skip


class DocWords(NamedTuple):
    """A docstring in parts.

    Attributes:
        paragraphs: of plain text.
        laws: (what, formula), from a table in the docstring.
        meanings: of each field, by name.
    """

    paragraphs: list[str]
    laws: list[tuple[str, str]]
    meanings: dict[str, str]


def words(cls: type) -> DocWords:
    """The docstring of a description, with the meanings of fields that it inherits."""
    meanings: dict[str, str] = {}
    for parent in reversed(cls.__mro__):
        if parent is not object:
            meanings |= _meanings(inspect.cleandoc(parent.__doc__ or ""))
    head = re.split(
        "|".join(rf"^{re.escape(s)}$" for s in _SECTIONS), inspect.cleandoc(cls.__doc__ or ""), flags=re.M
    )
    paragraphs, laws = [], []
    for block in head[0].split("\n\n"):
        if block.lstrip().startswith("===="):
            laws += _laws(block)
        elif block.strip():
            paragraphs.append(plain(" ".join(block.split())))
    return DocWords(paragraphs, laws, meanings)


def parameters(description: Any) -> list[tuple[str, str, str]]:
    """Name, value with its unit, and meaning of each field."""
    known = words(type(description)).meanings
    rows = []
    for field in dataclasses.fields(description):
        value, meaning = getattr(description, field.name), known.get(field.name, "")
        rows.append((field.name, value_text(value, unit(meaning)), meaning))
    return rows


def unit(meaning: str) -> str:
    """The unit that a sentence names; empty for none."""
    return next(
        (short for word, short in _UNITS if re.search(rf"(?<![\w/]){re.escape(word)}(?!\w)", meaning)), ""
    )


def _with_prefix(value: float, of: str) -> str:
    """A number with its unit, in thousands.

    >>> _with_prefix(2.5e-05, "S"), _with_prefix(0.2, "V"), _with_prefix(0.0, "s")
    ('25 µS', '0.2 V', '0 s')
    """
    if value == 0 or not math.isfinite(value) or 0.01 <= abs(value) < 1e4:
        return f"{value:.6g} {of}"
    power = max(-5, min(3, math.floor(math.log10(abs(value)) / 3)))
    return f"{value / 1000.0**power:.6g} {_PREFIXES[power]}{of}"


def value_text(value: Any, of: str = "") -> str:
    """A value for people, with its unit."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return str(value)
    if isinstance(value, (int, float)):
        return _with_prefix(float(value), of) if of in _PREFIXED else f"{value:.6g} {of}".rstrip()
    if isinstance(value, tuple):
        return ", ".join(value_text(v) for v in value) + (f" {of}" if of else "")
    if dataclasses.is_dataclass(value):
        inner = ", ".join(f"{f.name}={value_text(getattr(value, f.name))}" for f in dataclasses.fields(value))
        return f"{type(value).__name__}({inner})"
    return str(value)


def plain(text: str) -> str:
    """Text without the marks of reStructuredText.

    >>> plain("The *states* of a :class:`~mho.devices.PCM`: ``a * b * c``, x*y*z, **fixed**")
    'The states of a PCM: a * b * c, x*y*z, fixed'
    """
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"\1", text)
    return re.sub(r"(?<!\w)(\*\*?)(\w.*?)\1(?!\w)", r"\2", text.replace("``", ""))


def _meanings(doc: str) -> dict[str, str]:
    """Names and sentences of the section Attributes."""
    _, found, rest = doc.partition("Attributes:\n")
    known: dict[str, str] = {}
    names: list[str] = []
    for line in rest.split("\n") if found else ():
        if line and not line.startswith(" "):
            break
        match = re.fullmatch(r" {4}(\w+(?:, \w+)*): (.*)", line)
        if match is not None:
            names = match[1].split(", ")
            known |= dict.fromkeys(names, plain(match[2]))
        elif line.strip():
            known |= {name: f"{known[name]} {plain(line.strip())}" for name in names}
    return known


def _laws(block: str) -> list[tuple[str, str]]:
    """Rows of a table of two columns; a row without a first cell goes on with the one before."""
    lines = block.split("\n")
    start = lines[0].rindex(" ") + 1
    rows: list[tuple[str, str]] = []
    for line in lines:
        if line.startswith("====") or not line.strip():
            continue
        name, law = plain(line[:start].strip()), plain(line[start:].strip())
        if name or not rows:
            rows.append((name, law))
        else:
            rows[-1] = (rows[-1][0], f"{rows[-1][1]} {law}")
    return rows
