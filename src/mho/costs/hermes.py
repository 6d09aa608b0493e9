"""HERMES, 64 cores of 256 x 256 phase-change cells at 14 nm.

Source: M. Le Gallo et al., Nat. Electron. 6, 680 (2023): 63.1 TOPS and 9.76 TOPS/W where all is read at once,
16.1 and 2.48 where the signs are read apart, in four phases. Two matrix products of one and of four phases
take 132.9 and 521.0 ns; a phase and what comes between two vectors follow from them, the power of a core from
the first. It holds for everything on the chip, converters and digital units included: cells and
converters have no prices of their own.
"""

from __future__ import annotations

from dataclasses import replace

from mho.costs.parts import Chip, Part

_CORES, _OPERATIONS = 64, 2 * 256 * 256
_AT_ONCE, _IN_FOUR = (_CORES * _OPERATIONS / (tops * 1e12) for tops in (63.1, 16.1))
_PHASE = (_IN_FOUR - _AT_ONCE) / 3

HERMES = Chip(
    name="HERMES",
    node=14e-9,
    read_time=_PHASE,
    pause=_AT_ONCE - _PHASE,
    lengths=True,
    dissipation=False,
    tiles=_CORES,
    parts=(
        Part(
            name="core", each="array", watts=63.1 / 9.76 / _CORES,
            source="M. Le Gallo et al., Nat. Electron. 6, 680 (2023), abstract",
        ),
    ),
)  # fmt: skip

HERMES_FOUR_PHASES = replace(HERMES, name="HERMES, four phases", phases=4)
