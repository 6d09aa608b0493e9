"""The same work on each array, several at the same time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from mho.blocks import in_threads
from mho.chip.tile import is_cell_by_cell

if TYPE_CHECKING:
    from mho.nn.crossbar import Crossbar

_MANY = 1 << 22
"""Weights from which on layers are worked on at the same time."""


def each_layer(
    layers: Mapping[str, Crossbar], work: Callable[[str, Crossbar], None], lean: bool = False
) -> None:
    """Do something to each layer: in threads where there is much to do, cell by cell.

    The bits are then those that torch gives with one thread, however many there are.

    Args:
        layers: by path.
        work: what is done to a path and its layer.
        lean: whether chips are lean; then there is always much to do.
    """
    sources = [
        p for array in layers.values() for p in array.sources()
    ]  # a computed weight changes as it is read
    large = lean or sum(p.numel() for p in sources) >= _MANY
    alone = all(is_cell_by_cell(array.hardware) for array in layers.values())
    if large and alone and all(p.is_cpu for p in sources):
        in_threads([partial(work, path, layer) for path, layer in layers.items()])
        return
    for path, layer in layers.items():
        work(path, layer)
