"""The arrays of a matrix as CrossSim names them: conductances that its notebooks draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mho.chip import tile
from mho.compat.crosssim.simulator.parameters.core_parameters import CoreStyle

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Cells:
    """The cells of one sign, of one slice, in one array.

    Attributes:
        matrix: conductances at their present age, as fractions of the highest one, ``[output, input]``.
    """

    matrix: Array


@dataclass(frozen=True)
class Core:
    """One array. Its names follow the style of the core: others are None.

    Attributes:
        core_pos, core_neg: of a BALANCED core.
        core: of an OFFSET core.
        core_slices: of a BITSLICED core, the lowest bits first: the cells of both signs, or of one.
    """

    core_pos: Cells | None = None
    core_neg: Cells | None = None
    core: Cells | None = None
    core_slices: tuple[tuple[Cells, ...], ...] = ()


def cores(array: Any, style: int) -> list[list[Core]]:
    """The arrays of a matrix of one group, by parts of the outputs and of the inputs."""
    held = tile.conductances(array.hardware, array.require_chip("cores")) / array.hardware.device.g_max
    if held.shape[1] != 1:
        raise ValueError(
            f"a convolution of {held.shape[1]} groups has arrays for each of them: mho.conductances"
        )
    whole = held[:, 0].transpose(1, 2).numpy()
    return [
        [_core([Cells(copy[a:b, c:d]) for copy in whole], style) for c, d in array.layout.rows]
        for a, b in array.layout.columns
    ]


def _core(cells: list[Cells], style: int) -> Core:
    if style == CoreStyle.BALANCED:
        return Core(core_pos=cells[0], core_neg=cells[1])
    if style == CoreStyle.OFFSET:
        return Core(core=cells[0])
    signs = 2 if len(cells) % 2 == 0 else 1
    return Core(core_slices=tuple(tuple(cells[i : i + signs]) for i in range(0, len(cells), signs)))
