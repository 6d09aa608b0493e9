"""What instruments write into their files: rows that only they have, and names of columns of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mho.devices.fitting.heads import read_heads
from mho.devices.fitting.reading.dialect import Line, is_number

LOG = ("wordline", "bitline", "resistance_ohm", "voltage_V", "pulse width_s", "tag", "read tag")
"""Columns of the raw logs of ArC instruments, which have no heads in some data sets."""
_ARC = {"wordline", "bitline", "resistance", "amplitude", "pulse width"}  # heads of such a log: ohms
_ROLES = {"v": "voltage", "i": "current", "r": "resistance", "t": "time"}
_OWN = (  # names of instruments, and what they hold
    # Keithley ACS and TSP scripts of the 2600 series: Smu1.V[1][1]; the 4200's PMU: VMeasCh1, TimeOutput
    (re.compile(r"smu\w*\.(?P<role>[vir]|time)(?:\[\d+\])*", re.IGNORECASE), None),
    (re.compile(r"(?P<role>[vi])_?meas_?ch\d+", re.IGNORECASE), None),
    (re.compile(r"time_?(?:output|ch\d+)", re.IGNORECASE), "time"),
    # sheets of the 4200: AV, AI of terminal A; A_T, AWFMV, AWFMI of its waveforms
    (re.compile(r"[A-D]_?(?:WFM)?(?P<role>[VIT])"), None),
    # EasyEXPERT of the B1500: V1, I1, of a channel each
    (re.compile(r"(?P<role>[VI])\d"), None),
)
_NAMES, _VALUES = "DataName", "DataValue"


def logged(body: list[Line]) -> list[Line]:
    """The lines without what only an instrument understands: of EasyEXPERT, the names and the values."""
    if not any(line.cells[:1] == (_NAMES,) for line in body):
        return body
    kept = [line for line in body if line.cells[0] in (_NAMES, _VALUES)]
    return [line._replace(cells=line.cells[1:]) for line in kept]


def check_no_fusion(name: str, body: Sequence[Line]) -> None:
    """Raise ``ValueError`` at a Fusion CSV: heads of layers, no columns."""
    if any(line.cells and all(cell.startswith("Analog") for cell in line.cells) for line in body[1:3]):
        raise ValueError(
            f"{name}: a Fusion CSV (id, class and sizes of each layer, then conductances): read it with "
            'mho.devices.read_fusion, or fit({"target": ..., "conductance": ...}, Fusion())'
        )


def known_heads(heads: Sequence[str]) -> tuple[str, ...]:
    """Heads with the names of instruments in the words of this house, where each then names one column.

    >>> known_heads(["Smu1.Time[1][1]", "Smu1.V[1][1]", "Smu1.I[1][1]"])
    ('time', 'voltage', 'current')
    """
    said = [_said(head) for head in heads]
    alone = [said.count(name) == 1 and name not in heads for name in said]
    return tuple(name if name and one else head for name, one, head in zip(said, alone, heads, strict=True))


def _said(head: str) -> str:
    """What the name of an instrument says; empty for one of no instrument."""
    for pattern, name in _OWN:
        match = pattern.fullmatch(head.strip())
        if match is not None:
            return name or _ROLES[match["role"][0].lower()]
    return ""


def arc_heads(heads: Sequence[str]) -> tuple[str, ...]:
    """Heads of a log of ArC instruments, whose resistances are in ohms; others as they are."""
    if not {head.name for head in read_heads(heads)} >= _ARC:
        return tuple(heads)
    return tuple(LOG[2] if head.strip().lower() == "resistance" else head for head in heads)


def is_log(cells: Sequence[str]) -> bool:
    """Whether the first row of a file without heads is one of an ArC log: five numbers, then tags."""
    return len(cells) in (7, 8) and all(map(is_number, cells[:5])) and not any(map(is_number, cells[5:7]))
