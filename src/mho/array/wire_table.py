"""Resistance of a wire segment from the technology node.

``r = resistivity * length / (width^2 * aspect ratio)``, with the width, aspect ratio and resistivity of
on-chip copper wires (thin wires scatter electrons at their surfaces and grains, hence a resistivity above
that of bulk copper).

Source of the table: DNN+NeuroSim V2.1, Param.cpp (X. Peng et al., IEDM 2019).
"""

from __future__ import annotations

from typing import NamedTuple

from mho.config import unknown_key


class Metal(NamedTuple):
    """Cross-section and material of a wire.

    Attributes:
        aspect_ratio: height over width.
        resistivity: ohm metre.
    """

    aspect_ratio: float
    resistivity: float


COPPER: dict[str, Metal] = {
    "200nm": Metal(2.10, 2.42e-8),
    "100nm": Metal(2.30, 2.73e-8),
    "50nm": Metal(2.34, 3.91e-8),
    "40nm": Metal(1.90, 4.03e-8),
    "32nm": Metal(1.90, 4.51e-8),
    "22nm": Metal(2.00, 5.41e-8),
    "14nm": Metal(2.10, 7.43e-8),
}


def segment_resistance(node: str, pitch: float = 4.0, metal: Metal | None = None) -> float:
    """Resistance of the wire from one cell to the next, ohms.

    Args:
        node: width of the wire, a key of :data:`COPPER`.
        pitch: length of the segment in wire widths; 4 for a cell with one transistor.
        metal: aspect ratio and resistivity instead of the table's.

    Raises:
        ValueError: an unknown node, or a pitch that is not positive.

    >>> round(segment_resistance("14nm"), 2)
    10.11
    """
    if node not in COPPER:
        raise ValueError(unknown_key(str(node), list(COPPER), "the wire table"))
    if not pitch > 0:
        raise ValueError(f"pitch = {pitch!r} wire widths: a segment has a positive length")
    wire = metal or COPPER[node]
    if not (wire.aspect_ratio > 0 and wire.resistivity >= 0):
        raise ValueError(f"metal = {wire!r}: the aspect ratio must be positive, the resistivity 0 or more")
    width = float(node.removesuffix("nm")) * 1e-9
    return wire.resistivity * pitch * width / (width**2 * wire.aspect_ratio)
